"""Pictures: one image, or the images of a folder."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from headpose_ros.foreign_files import FileError, read_bounded
from headpose_ros.sources.encoded import EncodedError, checked_file
from headpose_ros.sources.quiet_opencv import QuietOpenCv
from headpose_ros.sources.source import Bgr, Source, SourceError

IMAGE_EXTENSIONS = ('.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp')
"""File name endings that are read as images; every other file is taken for a video."""

_LARGEST_FILE = 2**30  # bytes of one image
_LOG = logging.getLogger(__name__)


class ImageSource(Source):
    """One image: a single frame."""

    is_still = True

    def __init__(self, image: Bgr, name: str = 'image') -> None:
        """Keep an image, uint8 (H, W, 3) BGR."""
        self.name = name
        self.image = image
        self._unread = True

    def read(self) -> Bgr | None:
        """Return a copy of the image once, then None."""
        unread, self._unread = self._unread, False
        return self.image.copy() if unread else None

    def rewind(self) -> None:
        """Give the image once more."""
        self._unread = True


class FolderSource(Source):
    """The images of a folder in natural order: frame2.png before frame10.png.

    Attributes:
        files: the images.
    """

    def __init__(self, folder: Path) -> None:
        """List the folder.

        Raises:
            SourceError: it cannot be listed or has no image.
        """
        self.name = str(folder)
        try:
            found = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_EXTENSIONS]
        except OSError as error:
            raise SourceError(f'cannot read folder {folder}: {error.strerror}') from error
        if not found:
            endings = ', '.join(IMAGE_EXTENSIONS)
            raise SourceError(f'no images in folder {folder}: expected files ending in {endings}')
        self.files = sorted(found, key=_natural_key)
        self.total = len(self.files)
        self._next = 0
        self._readable = 0

    def read(self) -> Bgr | None:
        """Return the next image that can be read, or None at the end.

        Raises:
            SourceError: the whole folder was gone through without one readable image.
        """
        while self._next < len(self.files):
            file = self.files[self._next]
            self._next += 1
            try:
                image = read_image(file)
            except SourceError as error:
                _LOG.warning('%s; skipped', error)
                self.skipped += 1
                continue
            self._readable += 1
            self.time = (self._next - 1) / self.fps
            return image
        if not self._readable:
            raise SourceError(f'none of the {len(self.files)} images in {self.name} can be read')
        return None

    def rewind(self) -> None:
        """Start again with the first image."""
        self._next = 0


def read_image(file: Path) -> Bgr:
    """Return an image file as uint8 (H, W, 3) BGR, turned upright by its EXIF orientation.

    Raises:
        SourceError: the file cannot be read, is no image, or would take gigabytes.
    """
    try:
        data = np.frombuffer(read_bounded(file, _LARGEST_FILE), np.uint8)
        data = checked_file(data)
    except FileError as error:
        raise SourceError(f'cannot read {file}: {error}') from error
    except EncodedError as error:
        raise SourceError(f'cannot read {file}: broken or no image ({error})') from error
    with QuietOpenCv():
        image = _decoded(data)
    if image is None:
        raise SourceError(f'cannot read {file}: broken or no image')
    return image


def _decoded(data: npt.NDArray[np.uint8]) -> Bgr | None:
    try:
        return cv2.imdecode(data, cv2.IMREAD_COLOR)  # type: ignore[return-value]
    except cv2.error:  # larger than OpenCV's own limits
        return None


def _natural_key(path: Path) -> list[tuple[int, str]]:
    """Return a sort key that compares runs of digits as numbers."""
    return [
        (int(part), '') if part.isdecimal() else (-1, part)
        for part in re.split(r'(\d+)', path.name.lower())
    ]
