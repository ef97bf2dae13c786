"""Paths across the edge of the jaw, on which its outline is sought."""

from __future__ import annotations

import numpy as np
from headpose_ros.geometry.landmarks import GROUPS
from numpy.typing import NDArray

from headpose_training.synthesis.heads.places import Landmarks

Array = NDArray[np.float64]
Float = NDArray[np.float32]
Index = NDArray[np.int32]

#: Where the paths are seen from: amid the head, at the height of the nose. Face frame, metres.
_MIDDLE = np.array([-0.08, 0.0, -0.03])
#: Places of each path, this angle apart: those towards the front of the face, then the landmark,
#: then those behind it.
_STEP = np.radians(3.0)
_AHEAD, _BEHIND = 20, 7
#: The jaw's landmark on its path, and the number of places.
OWN, LENGTH = _AHEAD, _AHEAD + 1 + _BEHIND
#: Behind the jaw's first and last landmarks are the ears.
_BESIDE_EARS = (0, 1, 2, 14, 15, 16)


def jaw_paths(points: Float | Array, skin: Index, landmarks: Landmarks) -> Landmarks:
    """Find, for each of the jaw's landmarks, a path over the skin from the front to behind it.

    A path lies in the plane through the landmark and the line that runs from the middle of the head
    out of the face. Where there is no skin the path stays at the landmark.

    Args:
        points: (P, 3) of an average head in the face frame, metres.
        skin: (F, 3) points of the triangles of its skin, without the body's.
        landmarks: Of the head.

    Returns:
        17 x `LENGTH` places, path after path.
    """
    places = landmarks(np.asarray(points, np.float32)).astype(np.float64)
    corners, weights = [], []
    for mark in GROUPS['jaw']:
        own = (landmarks.corners[mark], landmarks.weights[mark])
        path = _path(np.asarray(points, np.float64), skin, places[mark])
        if mark in _BESIDE_EARS:
            path[OWN + 1 :] = [None] * _BEHIND
        path[OWN] = None
        for corner, weight in (own if found is None else found for found in path):
            corners.append(corner)
            weights.append(weight)
    return Landmarks(np.array(corners, np.int32), np.array(weights, np.float32))


def by_mark(values: Float) -> Float:
    """Return (17, `LENGTH`, 3): the values (17 x `LENGTH`, 3) at the places of each path."""
    return values.reshape(len(GROUPS['jaw']), LENGTH, 3)


def _path(points: Array, skin: Index, place: Array) -> list[tuple[Index, Float] | None]:
    offset = place - _MIDDLE
    ahead = np.array([1.0, 0.0, 0.0])
    aside = offset * [0.0, 1.0, 1.0]
    aside /= np.linalg.norm(aside)
    angles = np.arctan2(offset @ aside, offset[0]) + _STEP * np.arange(-_AHEAD, _BEHIND + 1)
    rays = np.outer(np.cos(angles), ahead) + np.outer(np.sin(angles), aside)
    off_plane = (points - _MIDDLE) @ np.cross(ahead, aside)
    cut = skin[np.ptp(np.sign(off_plane[skin]), axis=1) > 0]
    return [_outermost(points, cut, ray) for ray in rays]


def _outermost(points: Array, triangles: Index, ray: Array) -> tuple[Index, Float] | None:
    """Return the triangle that a ray from the middle leaves the head through, and its weights."""
    a, b, c = (points[corner] for corner in triangles.T)
    one, other = b - a, c - a
    normal = np.cross(one, other)
    # Solved for _MIDDLE + distance * ray = a + v * one + w * other.
    scale = -normal @ ray
    with np.errstate(divide='ignore', invalid='ignore'):
        turned = np.cross(_MIDDLE - a, ray)
        v = np.einsum('fi,fi->f', other, turned) / scale
        w = -np.einsum('fi,fi->f', one, turned) / scale
        distance = np.einsum('fi,fi->f', _MIDDLE - a, normal) / scale
        hit = (v >= 0) & (w >= 0) & (v + w <= 1) & (distance > 0)
    if not hit.any():
        return None
    best = int(np.argmax(np.where(hit, distance, -1.0)))
    weights = np.array([1 - v[best] - w[best], v[best], w[best]], np.float32)
    return triangles[best], weights
