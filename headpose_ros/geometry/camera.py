"""Camera models: from pixels to viewing rays, for every distortion model of ROS messages."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Names under which `sensor_msgs/CameraInfo` carries the Kannala-Brandt model.
FISHEYE_MODELS = frozenset({'equidistant', 'fisheye'})


@dataclass(frozen=True)
class CameraModel:
    """A calibrated camera.

    Attributes:
        K: float64 (3, 3) intrinsics in px.
        distortion: float64 (n,) coefficients in OpenCV's order; empty for none.
        fisheye: Whether the coefficients are those of the equidistant model.
    """

    K: NDArray[np.float64]
    distortion: NDArray[np.float64]
    fisheye: bool = False

    def rays(self, points: ArrayLike) -> NDArray[np.float64]:
        """Turn (N, 2) px into (N, 2) x/z, y/z of the viewing rays, without distortion."""
        pixels = np.asarray(points, np.float64).reshape(-1, 1, 2)
        if self.fisheye:
            rays = cv2.fisheye.undistortPoints(pixels, self.K, self.distortion)
        else:
            rays = cv2.undistortPoints(pixels, self.K, self.distortion)
        return np.asarray(rays, np.float64).reshape(-1, 2)
