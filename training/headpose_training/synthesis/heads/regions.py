"""Where hair, brows, lips and beards are on a head: soft masks from its landmarks."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from headpose_ros.geometry.face_shape import mean_face
from headpose_ros.geometry.landmarks import CLOSED_GROUPS, GROUPS, OUTER_EYE_CORNERS
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from headpose_training.data.marks import marked

Array = NDArray[np.float64]
Float = NDArray[np.float32]

# Curves around the head: azimuth in degrees (0 is the front, 90 just before the ear, 180 the
# back) and height in mm over the sellion of an average adult.
_HAIRLINE = [(0, 66), (30, 68), (50, 62), (66, 46), (76, 30), (82, 4), (92, -4), (98, 6)]
_HAIRLINE += [(108, 6), (115, -12), (124, -36), (145, -60), (180, -66)]
_BEARD_TOP = [(0, -50), (12, -50), (20, -56), (45, -70), (65, -62), (78, -30), (84, 2), (94, 4)]
_BEARD_END = [(0, -132), (40, -130), (75, -118), (92, -96), (100, -60), (104, 10)]


def head_regions(
    points: Array, landmarks: Array, ears: Array, skin: NDArray[np.bool_]
) -> dict[str, Float]:
    """Return the masks of `mesh.REGIONS` for an average head.

    Args:
        points: (P, 3) metres in the face frame.
        landmarks: (68, 3).
        ears: (P,) in 0..1, which of the points belong to the ears.
        skin: (P,) which of the points can be seen on the closed face; the others get 0.

    Returns:
        dict of (P,) float32.
    """
    unit = _size(landmarks)
    height, azimuth = points[:, 2] / unit * 1e3, _azimuth(points, landmarks)
    lips = _lips(points, landmarks, unit)
    hairline, beard_top, beard_end = (
        _curve(curve, azimuth) for curve in (_HAIRLINE, _BEARD_TOP, _BEARD_END)
    )
    beard = _step(height, beard_top + 3, beard_top - 5) * _step(
        height, beard_end - 8, beard_end + 8
    )
    masks = {
        'scalp': _step(height, hairline - 4, hairline + 4) * (1.0 - ears),
        'brow': _near(points, landmarks, ('right_brow', 'left_brow'), 2.5 * unit, 6.0 * unit),
        'lips': lips,
        'beard': beard * _step(azimuth, 104.0, 96.0) * (1.0 - lips) * (1.0 - ears),
        'lids': _near(points, landmarks, ('right_eye', 'left_eye'), 4.0 * unit, 11.0 * unit),
        'ears': ears,
        'nose': _nose(points, landmarks, unit),
        'cheeks': _cheeks(points, landmarks, unit),
        'body': _step(_over_collar(points), 0.004, -0.004),
    }
    return {name: (mask * skin).astype(np.float32) for name, mask in masks.items()}


def ears_by_place(points: Array, landmarks: Array) -> Array:
    """Return (P,) in 0..1: points in an ellipse behind the landmarks before the ears.

    For heads whose ears are not marked.
    """
    unit = _size(landmarks)
    mm = (points - landmarks[[0, 16]].mean(axis=0)) / unit * 1e3
    # The ear leans back: its upper end lies behind its lobe.
    along, across = mm[:, 2] + 30.0, mm[:, 0] + 29.0 + 0.25 * (mm[:, 2] + 30.0)
    inside = np.hypot(along / 34.0, across / 20.0)
    return _step(inside, 1.08, 0.95) * _step(np.abs(mm[:, 1]), 60.0, 66.0)


def below_neck(points: Array) -> NDArray[np.bool_]:
    """Return (P,): which points of an average head are below the neck, where clothes lie."""
    return _over_collar(points) < 0.0


def _over_collar(points: Array) -> Array:
    """Return (P,) metres over the plane from the hollow of the throat to the nape's vertebra."""
    return points[:, 2] + 0.185 + 0.9 * (points[:, 0] + 0.06)


def _size(landmarks: Array) -> float:
    """Width of the eyes over that of the mean face: what millimetres of curves are scaled by."""
    right, left = OUTER_EYE_CORNERS
    width, mean = (np.linalg.norm(p[left] - p[right]) for p in (marked(landmarks), mean_face()))
    return float(width / mean)


def _azimuth(points: Array, landmarks: Array) -> Array:
    centre = landmarks[[0, 16], 0].mean()
    return np.degrees(np.arctan2(np.abs(points[:, 1]), points[:, 0] - centre))


def _curve(knots: list[tuple[int, int]], azimuth: Array) -> Array:
    across, up = np.array(knots, np.float64).T
    return PchipInterpolator(across, up)(np.clip(azimuth, across[0], across[-1]))


def _step(value: Array, zero: Array | float, one: Array | float) -> Array:
    """Rise smoothly from 0 at `zero` to 1 at `one`."""
    share = np.clip((value - zero) / (np.asarray(one) - zero), 0.0, 1.0)
    return np.asarray(share * share * (3.0 - 2.0 * share))


def _to_line(points: Array, line: Array) -> Array:
    """Return (P,) the distance of points from a polyline (K, 3)."""
    nearest = np.full(len(points), np.inf)
    for a, b in pairwise(line):
        along = np.clip((points - a) @ (b - a) / ((b - a) @ (b - a)), 0.0, 1.0)
        nearest = np.minimum(nearest, np.linalg.norm(points - a - along[:, None] * (b - a), axis=1))
    return nearest


def _near(
    points: Array, landmarks: Array, groups: tuple[str, str], full: float, end: float
) -> Array:
    """Return (P,): 1 within `full` mm of the groups' lines, 0 from `end` mm on."""
    closed = [[*GROUPS[g], *([GROUPS[g][0]] if g in CLOSED_GROUPS else [])] for g in groups]
    distance = np.minimum(*(_to_line(points, landmarks[line]) for line in closed))
    return _step(distance * 1e3, end, full)


def _lips(points: Array, landmarks: Array, unit: float) -> Array:
    """Inside the outer rim of the lips as seen from the front, and a little into the mouth."""
    rim = (landmarks[48:60, 1:] * 1e3).astype(np.float32)
    depth = landmarks[[48, 54], 0].min() - 0.006 * unit
    mask = np.zeros(len(points))
    for row in np.flatnonzero(points[:, 0] > depth):
        y, z = points[row, 1:] * 1e3
        mask[row] = cv2.pointPolygonTest(rim, (float(y), float(z)), measureDist=True)
    return _step(mask, -0.8 * unit, 0.8 * unit) * (points[:, 0] > depth)


def _nose(points: Array, landmarks: Array, unit: float) -> Array:
    bridge = _to_line(points, landmarks[27:31])
    wings = _to_line(points, landmarks[[31, 30, 35]])
    # The bridge is as wide as a thumb, the tip with its wings twice that.
    return np.maximum(
        _step(bridge * 1e3, 14.0 * unit, 8.0 * unit), _step(wings * 1e3, 13.5 * unit, 9.0 * unit)
    )


def _cheeks(points: Array, landmarks: Array, unit: float) -> Array:
    masks = []
    for lid, corner, jaw in ((41, 48, 2), (46, 54, 14)):
        centre = 0.45 * landmarks[lid] + 0.3 * landmarks[corner] + 0.25 * landmarks[jaw]
        distance = np.linalg.norm(points - centre, axis=1) / (unit * 1e-3)
        masks.append(_step(distance, 32.0, 10.0))
    return np.maximum(*masks)
