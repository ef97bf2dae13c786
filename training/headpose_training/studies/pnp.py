"""Pose from landmarks: the mean face, held where its projection meets the points."""

from __future__ import annotations

import cv2
import numpy as np
from headpose_ros.geometry.crop import CropWindow, apply_affine
from headpose_ros.geometry.face_shape import mean_face
from headpose_ros.geometry.rotations import aligned_from_face
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Side of the crop in which points are compared, px.
SIDE = 288
#: Focal length over the crop's side: a window of a quarter metre seen from a metre. Photographs
#: do not tell theirs; one side, a head at arm's length, fits AFW two degrees worse, ten as well.
FOCAL_SIDES = 4.0
#: Landmarks to fit by name. Six: chin, tip of the nose, corners of eyes and mouth. Fourteen: ends
#: of the brows, corners of eyes, nose and mouth, lower lip, chin; no tip of the nose. 51: no jaw.
SUBSETS: dict[str, tuple[int, ...]] = {
    '6': (8, 30, 36, 45, 48, 54),
    '14': (8, 17, 21, 22, 26, 31, 35, 36, 39, 42, 45, 48, 54, 57),
    '51': tuple(range(17, 68)),
    '68': tuple(range(68)),
}
_MIDDLE = (SIDE - 1) / 2
#: Intrinsics of the crop's pinhole camera, px.
CAMERA = np.array(
    [[FOCAL_SIDES * SIDE, 0, _MIDDLE], [0, FOCAL_SIDES * SIDE, _MIDDLE], [0, 0, 1]], np.float64
)


def in_crop(points: Array) -> Array:
    """Return (68, 2) points in px of the crop of :data:`SIDE` px around them."""
    return apply_affine(CropWindow.around_landmarks(points).to_crop(SIDE), points)


def solve_pose(points: Array, subset: str = '68', stretch: tuple[float, ...] = (1, 1, 1)) -> Array:
    """Return the (3, 3) camera-aligned rotation that brings the mean face to the points.

    SQPnP (Terzakis and Lourakis, ECCV 2020) finds it, Levenberg-Marquardt on the pixels refines it.

    Args:
        points: (68, 2) px of the crop, see :func:`in_crop`.
        subset: Key of :data:`SUBSETS`.
        stretch: Factors of the mean face's depth, width and height.
    """
    chosen = list(SUBSETS[subset])
    model, seen = mean_face()[chosen] * np.array(stretch), points[chosen]
    _, turn, shift = cv2.solvePnP(model, seen, CAMERA, None, flags=cv2.SOLVEPNP_SQPNP)
    turn, _ = cv2.solvePnPRefineLM(model, seen, CAMERA, None, turn, shift)
    return aligned_from_face(cv2.Rodrigues(turn)[0])
