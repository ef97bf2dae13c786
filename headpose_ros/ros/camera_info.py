"""Camera models out of `sensor_msgs/CameraInfo`, checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from headpose_ros.errors import HeadposeError
from headpose_ros.geometry.camera import FISHEYE_MODELS, CameraModel


class CameraInfoError(HeadposeError, ValueError):
    """A camera_info that must not be used; the message says why."""


def camera_model(info: Any) -> CameraModel | None:
    """Return the camera of a sensor_msgs/CameraInfo; None if it says "uncalibrated" (zero K).

    Raises:
        CameraInfoError: K or the distortion is not finite, or K is no intrinsic matrix.
    """
    K = np.array(info.k, np.float64).reshape(3, 3)
    distortion = np.array(info.d, np.float64)
    if not (np.isfinite(K).all() and np.isfinite(distortion).all()):
        raise CameraInfoError('K or D holds NaN or infinity')
    if not K.any():
        return None
    if K[0, 0] <= 0 or K[1, 1] <= 0 or K[2, 2] != 1:
        raise CameraInfoError(
            f'K has focal lengths {K[0, 0]:g}, {K[1, 1]:g} and K[8] = {K[2, 2]:g}; expected '
            'positive focal lengths in pixels and 1'
        )
    return CameraModel(K, distortion, info.distortion_model in FISHEYE_MODELS)
