"""The square, possibly rotated window of an image that a network sees.

Both training and the nodes crop with this module, so a network meets on a robot what it met in
training. Pixel centres are at integers: the crop's own pixels run from 0 to `size - 1`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headpose_ros.geometry.landmarks import bounding_box

#: Side of the crop over the larger side of the landmarks' bounding box: brows to chin fill
#: three quarters, which leaves the forehead and the cheeks as context.
LANDMARK_BOX_MARGIN = 1.35


@dataclass(frozen=True)
class CropWindow:
    """A square window of an image.

    Attributes:
        center_x: Window's centre in px of the image.
        center_y: Window's centre in px of the image.
        side: Window's side in px of the image, > 0.
        angle: Clockwise turn of the window in the image, radians. A head with this roll stands
            upright in the crop.
    """

    center_x: float
    center_y: float
    side: float
    angle: float = 0.0

    @classmethod
    def around_landmarks(cls, points: ArrayLike, angle: float = 0.0) -> CropWindow:
        """Return the window that a network is trained on, for (N, 2) landmarks in px."""
        points = np.asarray(points, np.float64)
        # In axes that turn with the window, so that the margin does not depend on the roll.
        turn = _turn(angle)
        box = bounding_box(points @ turn)
        center = turn @ (box[:2] + box[2:] / 2)
        return cls(float(center[0]), float(center[1]), _side(box), angle)

    def turned_about(self, point: ArrayLike, angle: float) -> CropWindow:
        """Return the window turned clockwise by `angle` radians about a (2,) point in px."""
        point = np.asarray(point, np.float64)
        center = point + _turn(angle) @ (np.array([self.center_x, self.center_y]) - point)
        return CropWindow(float(center[0]), float(center[1]), self.side, self.angle + angle)

    def scaled(self, factor: float) -> CropWindow:
        """Return the window with its side multiplied, about the same centre."""
        return replace(self, side=self.side * factor)

    def to_crop(self, size: int) -> NDArray[np.float64]:
        """Return the (2, 3) affine map from image px to px of a `size` x `size` crop."""
        scale = size / self.side
        linear = scale * _turn(self.angle).T
        center = np.array([self.center_x, self.center_y])
        # Both rasters put pixel centres at integers: the crop's centre is (size - 1) / 2.
        offset = (size - 1) / 2 - linear @ center
        return np.column_stack([linear, offset])

    def to_image(self, size: int) -> NDArray[np.float64]:
        """Return the (2, 3) affine map from px of the crop to image px."""
        scale = self.side / size
        linear = scale * _turn(self.angle)
        center = np.array([self.center_x, self.center_y])
        return np.column_stack([linear, center - linear.sum(axis=1) * (size - 1) / 2])

    @property
    def reach(self) -> float:
        """Return the px from the centre to the farthest corner, along x or y alike."""
        return self.side / 2 * (abs(math.cos(self.angle)) + abs(math.sin(self.angle)))


def apply_affine(matrix: ArrayLike, points: ArrayLike) -> NDArray[np.float64]:
    """Map (..., 2) points by a (2, 3) affine matrix."""
    matrix = np.asarray(matrix, np.float64)
    return np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]


def invert_affine(matrix: ArrayLike) -> NDArray[np.float64]:
    """Invert a (2, 3) affine matrix."""
    matrix = np.asarray(matrix, np.float64)
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def _turn(angle: float) -> NDArray[np.float64]:
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


def _side(box: NDArray[np.float64]) -> float:
    return float(max(box[2:].max(), 1.0) * LANDMARK_BOX_MARGIN)
