"""Where frames come from: a video file, a V4L2 device, one image, a folder of images.

`open_source` turns what a user types into a `Source`. Frames are uint8 (H, W, 3), blue first.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
import numpy.typing as npt

from headpose_ros.errors import HeadposeError
from headpose_ros.foreign_files import FileError, read_bounded, user_path
from headpose_ros.sources.encoded import EncodedError, checked_file
from headpose_ros.sources.photograph import photograph

Bgr = npt.NDArray[np.uint8]

IMAGE_EXTENSIONS = ('.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp')
"""File name endings that are read as images; every other file is taken for a video."""

DEFAULT_FPS = 30.0
"""Frames per second of what has no rate of its own."""

ASTRONAUT = 'astronaut'
"""Spec of the built-in photograph: Eileen Collins by NASA, public domain, 512x512 pixels."""

_LARGEST_FILE = 2**30  # bytes of one image
_HIGHEST_FPS = 1000.0
_DEVICE = re.compile(r'(?:/dev/video)?(\d+)')
_LOG = logging.getLogger(__name__)


class SourceError(HeadposeError):
    """A source that cannot be opened or read; the message names it and the cause."""


class Source(ABC):
    """A sequence of frames.

    Attributes:
        name: what the user asked for, for messages.
        fps: frames per second that the frames are meant to be shown with; for a device what it
            promises, for a film its average or a guess.
        is_live: whether frames are lost when nobody reads them (a device).
        is_still: whether the source is one single image.
        is_film: whether each frame has a presentation time of its own.
        time: when the frame that was read last is shown: seconds from the first one, for a device
            from an arbitrary start.
        total: how many frames there are, 0 for unknown.
        skipped: how many damaged ones were left out so far.
    """

    name: str = ''
    fps: float = DEFAULT_FPS
    is_live: bool = False
    is_still: bool = False
    is_film: bool = False
    time: float = 0.0
    total: int = 0
    skipped: int = 0

    @abstractmethod
    def read(self) -> Bgr | None:
        """Return the next frame, uint8 (H, W, 3) BGR, or None at the end.

        A device blocks until its next frame. The array belongs to the caller.
        """

    @abstractmethod
    def rewind(self) -> None:
        """Start again with the first frame; a device just goes on."""

    def close(self) -> None:  # noqa: B027 - most sources hold nothing
        """Free what the source holds; it is not read afterwards."""

    def __iter__(self) -> Iterator[Bgr]:
        """Yield the frames from here to the end."""
        while (frame := self.read()) is not None:
            yield frame

    def timed(self) -> Iterator[tuple[float, Bgr]]:
        """Yield `time` and frame, from here to the end."""
        for frame in self:
            yield self.time, frame

    def __enter__(self) -> Source:
        """Return the source itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the source."""
        self.close()


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


class DeviceSource(Source):
    """A V4L2 camera, for example a USB webcam."""

    is_live = True

    def __init__(self, index: int, width: int = 0, height: int = 0, fps: float = 0.0) -> None:
        """Open a camera and take a first frame, since a busy one fails no earlier.

        Args:
            index: N of /dev/videoN.
            width: wanted image width in pixels, 0 for the camera's choice.
            height: wanted image height in pixels, 0 for the camera's choice.
            fps: wanted frames per second, 0 for the camera's choice.

        Raises:
            SourceError: there is no such device, or access is denied, or it gives no frames.
        """
        self.name = f'/dev/video{index}'
        _check_device(self.name)
        self._capture = _quiet_capture(index, cv2.CAP_V4L2)
        if not self._capture.isOpened():
            raise SourceError(f'cannot open {self.name}: device is busy or no capture device')
        self._request(width, height, fps)
        self.fps = _plausible_fps(self._capture.get(cv2.CAP_PROP_FPS))
        self._first = _grab(self._capture)
        if self._first is None:
            self._capture.release()
            raise SourceError(f'no frames from {self.name}: device is busy or no capture device')

    def read(self) -> Bgr | None:
        """Wait for the next frame and return it; None when the camera is gone."""
        first, self._first = self._first, None
        frame = _grab(self._capture) if first is None else first
        self.time = time.monotonic()
        return frame

    def rewind(self) -> None:
        """Go on: a camera has no beginning."""

    def close(self) -> None:
        """Give the camera free."""
        self._capture.release()

    def _request(self, width: int, height: int, fps: float) -> None:
        """Ask for a mode; the driver answers with the nearest one."""
        for prop, value in (
            # One buffer: the newest frame counts, not a queue of old ones.
            (cv2.CAP_PROP_BUFFERSIZE, 1),
            (cv2.CAP_PROP_FRAME_WIDTH, width),
            (cv2.CAP_PROP_FRAME_HEIGHT, height),
            (cv2.CAP_PROP_FPS, fps),
        ):
            if value:
                self._capture.set(prop, value)


def open_source(
    spec: str | int | Path, *, width: int = 0, height: int = 0, fps: float = 0.0
) -> Source:
    """Open what a user named.

    Args:
        spec: path of a video, an image or a folder of images; /dev/videoN or N for a camera;
            'astronaut' for the built-in photograph.
        width: image width to ask a camera for in pixels, 0 for its own.
        height: image height to ask a camera for in pixels, 0 for its own.
        fps: frames per second to ask a camera for, 0 for its own.

    Raises:
        SourceError: it does not exist or cannot be read.
    """
    text = str(spec)
    if text == ASTRONAUT:
        return ImageSource(photograph(), ASTRONAUT)
    if device := _DEVICE.fullmatch(text):
        return DeviceSource(int(device[1]), width, height, fps)
    if not text:
        raise SourceError('no source given: expected a video, an image, a folder or /dev/videoN')
    try:
        return _open_path(user_path(text))
    except FileError as error:
        raise SourceError(f'{text}: {error}') from error


def _open_path(path: Path) -> Source:
    """Open a folder, an image or a video."""
    if path.is_dir():
        return FolderSource(path)
    _check_file(path)
    if path.suffix.lower() in IMAGE_EXTENSIONS:
        return ImageSource(read_image(path), str(path))
    try:
        # Here alone: PyAV is not loaded for the sake of a camera.
        from headpose_ros.sources.video import VideoSource
    except ModuleNotFoundError as error:
        raise SourceError(
            f'cannot read {path}: films need the package {error.name} (pip install "av>=14.2,<19")'
        ) from error
    return VideoSource(path)


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
    with _QuietOpenCv():
        image = _decoded(data)
    if image is None:
        raise SourceError(f'cannot read {file}: broken or no image')
    return image


def _decoded(data: npt.NDArray[np.uint8]) -> Bgr | None:
    try:
        return cv2.imdecode(data, cv2.IMREAD_COLOR)  # type: ignore[return-value]
    except cv2.error:  # larger than OpenCV's own limits
        return None


def fit(frame: Bgr, width: int, height: int) -> Bgr:
    """Resize a frame; one side of 0 follows from the other, two keep the frame as it is.

    Raises:
        SourceError: the wanted aspect ratio differs, which would distort every face.
    """
    rows, columns = frame.shape[:2]
    size = (
        width or (round(columns * height / rows) if height else columns),
        height or (round(rows * width / columns) if width else rows),
    )
    if size == (columns, rows):
        return frame
    if abs(size[0] * rows / (size[1] * columns) - 1.0) > 0.01:
        raise SourceError(
            f'frame of {columns}x{rows} does not fit {size[0]}x{size[1]} without distortion: '
            'expected width or height alone, or the same aspect ratio'
        )
    shrinks = size[0] < columns
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(frame, size, interpolation=interpolation)  # type: ignore[return-value]


def _check_file(path: Path) -> None:
    """Raise SourceError unless a path can be opened for reading."""
    try:
        with path.open('rb'):
            pass
    except FileNotFoundError as error:
        raise SourceError(f'no such file or folder: {path}') from error
    except OSError as error:
        raise SourceError(f'cannot read {path}: {error.strerror}') from error


def _check_device(device: str) -> None:
    """Raise SourceError unless a device node can be opened."""
    try:
        os.close(os.open(device, os.O_RDWR | os.O_NONBLOCK))
    except FileNotFoundError as error:
        raise SourceError(f'no such device: {device}') from error
    except PermissionError as error:
        raise SourceError(f'no access to {device}: is the user in the group "video"?') from error
    except OSError as error:
        busy = error.errno == errno.EBUSY
        reason = 'device is busy' if busy else str(error.strerror)
        raise SourceError(f'cannot open {device}: {reason}') from error


def _natural_key(path: Path) -> list[tuple[int, str]]:
    """Return a sort key that compares runs of digits as numbers."""
    return [
        (int(part), '') if part.isdecimal() else (-1, part)
        for part in re.split(r'(\d+)', path.name.lower())
    ]


def _plausible_fps(fps: float) -> float:
    """Return a frame rate, or the default where a file or driver has none or nonsense."""
    return fps if math.isfinite(fps) and 0.0 < fps <= _HIGHEST_FPS else DEFAULT_FPS


def _grab(capture: cv2.VideoCapture) -> Bgr | None:
    """Return the next frame of a capture, or None."""
    good, frame = capture.read()
    return frame if good else None  # type: ignore[return-value]


def _quiet_capture(what: str | int, backend: int) -> cv2.VideoCapture:
    """Open a capture without OpenCV's own messages: the caller reports failures."""
    with _QuietOpenCv():
        return cv2.VideoCapture(what, backend)


class _QuietOpenCv:
    """Silences OpenCV's log inside a `with` block."""

    def __enter__(self) -> None:
        self._level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

    def __exit__(self, *_: object) -> None:
        cv2.utils.logging.setLogLevel(self._level)
