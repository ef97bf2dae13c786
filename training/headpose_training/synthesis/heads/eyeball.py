"""An eyeball that turns: one shape for all sources, so that irises are painted one way."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from headpose_ros.geometry.landmarks import GROUPS
from numpy.typing import NDArray

from headpose_training.synthesis.heads.mesh import Material
from headpose_training.synthesis.heads.surface import Surface

Float = NDArray[np.float32]
Array = NDArray[np.float64]

#: Rings by their angle from the line of sight in degrees: close together over the cornea.
_RINGS = np.array([5, 10, 15, 20, 25, 30, 35, 41, 48, 56, 66, 78, 92, 110, 130, 155], float)
_SPOKES = 24
#: The cornea rises over the globe by this share of its radius (about 1 mm of 12) ...
_CORNEA_RISE = 0.07
#: ... and ends at this angle from the line of sight.
_CORNEA_EDGE = np.radians(35.0)


def profile(angle: Array) -> Array:
    """Return the distance from the centre, in radii, at an angle in radians from the sight."""
    share = np.clip(1.0 - np.square(angle / _CORNEA_EDGE), 0.0, 1.0)
    return 1.0 + _CORNEA_RISE * share


@lru_cache(maxsize=1)
def unit_eyeball() -> tuple[Surface, Float]:
    """Return the surface and the (P, 3) points of an eyeball of radius 1 that looks along x.

    In the texture the pupil is at (0.5, 0.5), and the distance from there is the angle from the
    line of sight: 0.5 is the back of the eye.
    """
    angle = np.radians(np.concatenate([[0.0], np.repeat(_RINGS, _SPOKES), [180.0]]))
    spokes = np.tile(np.arange(_SPOKES) * 2.0 * np.pi / _SPOKES, len(_RINGS))
    around = np.concatenate([[0.0], spokes, [0.0]])
    across = np.column_stack([np.cos(around), np.sin(around)])
    points = np.column_stack([np.cos(angle), np.sin(angle)[:, None] * across])
    points *= profile(angle)[:, None]
    uv = 0.5 + 0.5 * (angle / np.pi)[:, None] * across
    quads = _quads()
    sclera = np.full(len(quads), Material.SCLERA)
    surface = Surface.from_quads(quads, quads, uv.astype(np.float32), sclera)
    return surface, points.astype(np.float32)


def _quads() -> NDArray[np.int32]:
    spoke = np.arange(_SPOKES)
    following = (spoke + 1) % _SPOKES
    rings = 1 + np.arange(len(_RINGS))[:, None] * _SPOKES
    inner, outer = rings[:-1], rings[1:]
    band = np.stack([inner + spoke, outer + spoke, outer + following, inner + following], axis=-1)
    front, back = np.zeros(_SPOKES, int), np.full(_SPOKES, 1 + len(_RINGS) * _SPOKES)
    first, last = 1 + spoke, rings[-1] + spoke
    cap = np.stack([front, first, 1 + following, 1 + following], axis=-1)
    rear = np.stack([last, back, back, rings[-1] + following], axis=-1)
    return np.concatenate([cap, band.reshape(-1, 4), rear]).astype(np.int32)


def fit_sphere(points: Array) -> tuple[Array, float]:
    """Return the centre (3,) and the radius of the sphere nearest to (N, 3) points."""
    columns = np.column_stack([2.0 * points, np.ones(len(points))])
    solution = np.linalg.lstsq(columns, np.square(points).sum(axis=1), rcond=None)[0]
    centre = solution[:3]
    return centre, float(np.sqrt(solution[3] + centre @ centre))


def fit_eyeballs(points: Float, balls: Sequence[slice]) -> tuple[Array, float]:
    """Return the centres (2, 3) of two eyeballs and their mean radius.

    Args:
        points: (P, 3) metres.
        balls: Rows of the points of the two eyeballs.
    """
    spheres = [fit_sphere(points[ball].astype(np.float64)) for ball in balls]
    return np.stack([centre for centre, _ in spheres]), float(np.mean([r for _, r in spheres]))


def sight(yaw: float, pitch: float) -> Array:
    """Return the (3,) unit direction in the face frame; yaw to the left, pitch up, radians."""
    return np.array(
        [np.cos(pitch) * np.cos(yaw), np.cos(pitch) * np.sin(yaw), np.sin(pitch)], np.float64
    )


def turn_to(direction: Array) -> Array:
    """Return the (3, 3) rotation that turns x into `direction` without rolling (Listing's law)."""
    axis = np.array([0.0, -direction[2], direction[1]])
    skew = np.array([[0.0, -axis[2], axis[1]], [axis[2], 0.0, -axis[0]], [-axis[1], axis[0], 0.0]])
    return np.eye(3) + skew + skew @ skew / (1.0 + direction[0])


def lid_gaps(landmarks: Float) -> Array:
    """Return (2,) metres: how far the lids stand apart, the person's right eye first.

    The gap is along the upward axis, negative where the lids overlap.

    Args:
        landmarks: (68, 3) in the face frame.
    """
    gaps = []
    for name in ('right_eye', 'left_eye'):
        rim = landmarks[list(GROUPS[name])]
        gaps.append((rim[[1, 2]] - rim[[5, 4]])[:, 2].mean())
    return np.array(gaps, np.float64)
