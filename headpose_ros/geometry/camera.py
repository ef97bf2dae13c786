"""Camera models: from pixels to viewing rays, for every distortion model of ROS messages."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Names under which `sensor_msgs/CameraInfo` carries the model of Brown and Conrady, and the
#: numbers of coefficients that OpenCV reads: each row of them continues the one before.
POLYNOMIAL_MODELS = frozenset({'plumb_bob', 'rational_polynomial'})
POLYNOMIAL_COEFFICIENTS = (0, 4, 5, 8, 12, 14)
#: The same for the model of Kannala and Brandt.
FISHEYE_MODELS = frozenset({'equidistant', 'fisheye'})
FISHEYE_COEFFICIENTS = (0, 4)
#: When the iterative removal of distortion stops: rounds, px.
_STOP = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 60, 1e-9)
#: A viewing ray that projects farther from its pixel than this, px, is none.
_ROUND_TRIP = 0.05
#: Calibrations of one camera differ by less than this, as a share of px and in coefficients.
_SAME_SHARE, _SAME_DISTORTION = 0.01, 0.01


@dataclass(frozen=True)
class CameraModel:
    """A calibrated camera.

    Attributes:
        K: float64 (3, 3) intrinsics in px, [[fx, skew, cx], [0, fy, cy], [0, 0, 1]].
        distortion: float64 (n,) coefficients in OpenCV's order; empty for none, and four for a
            fisheye lens.
        fisheye: Whether the coefficients are those of the equidistant model.
        full: float64 (3, 3) K of the full picture where K is that of a part of it, else None.
    """

    K: NDArray[np.float64]
    distortion: NDArray[np.float64]
    fisheye: bool = False
    full: NDArray[np.float64] | None = None

    def of_part(self, corner: tuple[int, int], binning: tuple[int, int] = (1, 1)) -> CameraModel:
        """Return the camera of a part of its picture.

        Args:
            corner: Column and row of the first pixel of the part, px.
            binning: How many columns and rows of pixels became one pixel, whose centre is the
                middle of theirs.
        """
        across = np.asarray(binning, np.float64)
        K = self.K.copy()
        K[:2, 2] -= corner + 0.5 * (across - 1.0)
        K[:2] /= across[:, None]
        return replace(self, K=K, full=self._full)

    def is_like(self, other: CameraModel) -> bool:
        """Return whether both are one camera, whatever part of its picture each has.

        A calibration that is refined from image to image stays one camera.
        """
        if (self.fisheye, self.distortion.size) != (other.fisheye, other.distortion.size):
            return False
        same_lens = np.allclose(self.distortion, other.distortion, rtol=0.0, atol=_SAME_DISTORTION)
        return same_lens and np.allclose(self._full, other._full, rtol=_SAME_SHARE, atol=1.0)

    @property
    def _full(self) -> NDArray[np.float64]:
        return self.K if self.full is None else self.full

    def sights(self, points: ArrayLike) -> NDArray[np.float64]:
        """Turn (N, 2) px into unit viewing rays (N, 3) in the optical frame.

        Rows are NaN where the lens model has no answer: outside of the range in which a
        polynomial was fitted, and where a fisheye lens looks sideways or back.
        """
        pixels = self._without_skew(np.asarray(points, np.float64)).reshape(-1, 1, 2)
        flat = np.column_stack([self._undistorted(pixels), np.ones(len(pixels))])
        error = np.linalg.norm(self._projected(flat) - pixels[:, 0], axis=1)
        flat[~(error < _ROUND_TRIP)] = np.nan
        return flat / np.linalg.norm(flat, axis=1, keepdims=True)

    def _without_skew(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (N, 2) px as they would be with a skew of 0, which is all that OpenCV knows."""
        (_, skew, _), (_, focal, middle) = self.K[:2]
        straight = points.reshape(-1, 2).copy()
        straight[:, 0] -= skew / focal * (straight[:, 1] - middle)
        return straight

    def _undistorted(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (N, 2) x/z, y/z of (N, 1, 2) px, without distortion."""
        if self.fisheye:
            flat = cv2.fisheye.undistortPoints(pixels, self.K, self.distortion)
        else:
            # The five rounds of cv2.undistortPoints are too few for the border of a wide lens.
            flat = cv2.undistortPointsIter(
                pixels, self.K, self.distortion, np.eye(3), np.eye(3), _STOP
            )
        return np.asarray(flat, np.float64).reshape(-1, 2)

    def _projected(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Project (N, 3) in the optical frame to (N, 2) px."""
        project = cv2.fisheye.projectPoints if self.fisheye else cv2.projectPoints
        still = np.zeros(3)
        pixels = project(points.reshape(-1, 1, 3), still, still, self.K, self.distortion)[0]
        return np.asarray(pixels, np.float64).reshape(-1, 2)
