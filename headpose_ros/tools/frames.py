"""Times and images of whatever a tool was given, with the camera that took them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headpose_ros.errors import HeadposeError
from headpose_ros.geometry.camera import CameraModel
from headpose_ros.sources.open import open_stream
from headpose_ros.sources.source import Source
from headpose_ros.sources.virtual_camera import VirtualCameraSource

Bgr = NDArray[np.uint8]


class Frames:
    """Times since the first image, s, and images, uint8 (H, W, 3) BGR.

    Args:
        source: Video, folder of images, device, or a photograph to move before a virtual camera.
        duration: Seconds to read, 0 for all.
        calibration: File of camera_info_manager; None for none.

    Attributes:
        total: How many frames there are, 0 for unknown.

    Raises:
        HeadposeError: The source cannot be read, or is a photograph without a duration.
    """

    def __init__(self, source: str, duration: float, calibration: Path | None) -> None:
        self._duration = duration
        self._calibration = calibration
        self._cameras: dict[tuple[int, int], CameraModel | None] = {}
        self._source = _open(source, duration)
        self.total = self._promised()

    @property
    def skipped(self) -> int:
        """Damaged frames so far."""
        return self._source.skipped

    def __iter__(self) -> Iterator[tuple[float, Bgr]]:
        first: float | None = None
        for stamp, image in self._all():
            first = stamp if first is None else first
            if self._duration and stamp - first >= self._duration:
                return
            yield stamp - first, image

    def camera(self, image: Bgr) -> CameraModel | None:
        """Return the calibrated camera for images of this size; None without a calibration."""
        if self._calibration is None:
            return None
        height, width = image.shape[:2]
        if (width, height) not in self._cameras:
            self._cameras[width, height] = _load_camera(self._calibration, width, height)
        return self._cameras[width, height]

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _all(self) -> Iterator[tuple[float, Bgr]]:
        yield from self._source.timed()
        # A photograph moves before the virtual camera for as long as it is wanted.
        while isinstance(self._source, VirtualCameraSource):
            self._source.rewind()
            yield from self._source.timed()

    def _promised(self) -> int:
        if not self._source.total:
            return round(self._duration * self._source.fps)
        return 0 if self._duration else self._source.total


def _open(name: str, duration: float) -> Source:
    source = open_stream(name)
    if isinstance(source, VirtualCameraSource) and not duration:
        raise HeadposeError(
            f'{name} is a photograph: give --duration to move it before a virtual camera, or use '
            'headpose image'
        )
    return source


def _load_camera(file: Path, width: int, height: int) -> CameraModel | None:
    # Only here: the calibration is held in a sensor_msgs/CameraInfo, all else needs no ROS.
    from headpose_ros.ros.input.calibration import load_calibration, scaled
    from headpose_ros.ros.input.camera_info import camera_model

    return camera_model(scaled(load_calibration(file), width, height))
