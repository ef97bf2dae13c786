"""From what a user types to a source of frames."""

from __future__ import annotations

import re
from pathlib import Path

from headpose_ros.foreign_files import FileError, user_path
from headpose_ros.sources.device import DeviceSource
from headpose_ros.sources.photograph import FACE, photograph
from headpose_ros.sources.pictures import (
    IMAGE_EXTENSIONS,
    FolderSource,
    ImageSource,
    read_image,
)
from headpose_ros.sources.source import DEFAULT_FPS, Source, SourceError
from headpose_ros.sources.virtual_camera import VirtualCamera, VirtualCameraSource

ASTRONAUT = 'astronaut'
"""Spec of the built-in photograph: Eileen Collins by NASA, public domain, 512x512 pixels."""

_DEVICE = re.compile(r'(?:/dev/video)?(\d+)')


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


def open_stream(
    spec: str | int | Path,
    *,
    width: int = 0,
    height: int = 0,
    fps: float = 0.0,
    move_still: bool = True,
) -> Source:
    """Open what a user named; a single image is moved in front of a virtual camera.

    Args:
        spec: see `open_source`.
        width: width in pixels to ask a camera for or to render, 0 for its own or 640.
        height: height in pixels to ask a camera for or to render, 0 for its own or 480.
        fps: frames per second to ask a camera for or to render, 0 for its own or DEFAULT_FPS.
        move_still: False gives a single image as it is.

    Raises:
        SourceError: it does not exist or cannot be read.
    """
    source = open_source(spec, width=width, height=height, fps=fps)
    if not (move_still and isinstance(source, ImageSource)):
        return source
    width = width or (round(height * 4 / 3) if height else 640)
    height = height or round(width * 3 / 4)
    focus = FACE if source.name == ASTRONAUT else None
    camera = VirtualCamera(source.image, width, height, focus=focus)
    return VirtualCameraSource(camera, fps or DEFAULT_FPS, source.name)


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


def _check_file(path: Path) -> None:
    """Raise SourceError unless a path can be opened for reading."""
    try:
        with path.open('rb'):
            pass
    except FileNotFoundError as error:
        raise SourceError(f'no such file or folder: {path}') from error
    except OSError as error:
        raise SourceError(f'cannot read {path}: {error.strerror}') from error
