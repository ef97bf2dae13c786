"""Cameras by V4L2, for example USB webcams."""

from __future__ import annotations

import errno
import math
import os
import time

import cv2

from headpose_ros.sources.quiet_opencv import QuietOpenCv
from headpose_ros.sources.source import DEFAULT_FPS, Bgr, Source, SourceError

_HIGHEST_FPS = 1000.0


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


def _plausible_fps(fps: float) -> float:
    """Return a frame rate, or the default where a driver has none or nonsense."""
    return fps if math.isfinite(fps) and 0.0 < fps <= _HIGHEST_FPS else DEFAULT_FPS


def _grab(capture: cv2.VideoCapture) -> Bgr | None:
    """Return the next frame of a capture, or None."""
    good, frame = capture.read()
    return frame if good else None  # type: ignore[return-value]


def _quiet_capture(what: str | int, backend: int) -> cv2.VideoCapture:
    """Open a capture without OpenCV's own messages."""
    with QuietOpenCv():
        return cv2.VideoCapture(what, backend)
