"""How much of its surroundings each place of a head sees: nostrils, ears and necks are darker."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from headpose_training.synthesis.heads.expressions import Expression
from headpose_training.synthesis.heads.mesh import HeadMesh, HeadSource

Float = NDArray[np.float32]

#: Cells of the depth maps, directions, and how far behind its cell's front a point may lie, metres.
_SIDE, _VIEWS, _SLACK = 72, 96, 0.006


@lru_cache(maxsize=8)
def openness(source: HeadSource) -> Float:
    """Return (V,) float32 in 0..1 for all heads of a source, seen on one at rest."""
    head = source.sample(np.random.default_rng(0)).mesh(Expression())
    return _openness(head)


def _openness(head: HeadMesh) -> Float:
    center = head.vertices.mean(axis=0)
    points = (head.vertices - center).astype(np.float64)
    reach = float(np.linalg.norm(points, axis=1).max()) * 1.02
    solid = _points_of_surface(head) - center
    total, weight = np.zeros(len(points)), np.full(len(points), 1e-6)
    for view in _sphere(_VIEWS):
        cosine = head.normals @ view
        front = _front(solid, view, reach)
        row, column, depth = _placed(points, view, reach)
        open_sky = depth > front[row, column] - _SLACK - 0.004 * (1.0 - np.abs(cosine))
        share = np.clip(cosine + 0.1, 0.0, None)
        total += share * open_sky
        weight += share
    return np.clip(total / weight * 1.15, 0.05, 1.0).astype(np.float32)


def _points_of_surface(head: HeadMesh) -> NDArray[np.float64]:
    """Return points all over the surface: no farther apart than cells are wide, but for a few."""
    corners = head.vertices[head.triangles].astype(np.float64)
    places = np.array([[a, b, 4 - a - b] for a in range(5) for b in range(5 - a)]) / 4
    return np.einsum('pk,fkd->pfd', places, corners).reshape(-1, 3)


def _sphere(count: int) -> NDArray[np.float64]:
    """Return directions spread evenly by the golden angle."""
    height = 1 - 2 * (np.arange(count) + 0.5) / count
    turn = np.arange(count) * np.pi * (3 - 5**0.5)
    level = np.sqrt(1 - height**2)
    return np.stack([level * np.cos(turn), level * np.sin(turn), height], axis=-1)


def _placed(
    points: NDArray[np.float64], view: NDArray[np.float64], reach: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    across = np.cross(view, np.eye(3)[np.argmin(np.abs(view))])
    across /= np.linalg.norm(across)
    up = np.cross(view, across)
    cell = (np.stack([points @ up, points @ across]) / reach * 0.5 + 0.5) * (_SIDE - 1)
    row, column = np.rint(cell).astype(np.intp)
    return row, column, points @ view


def _front(
    points: NDArray[np.float64], view: NDArray[np.float64], reach: float
) -> NDArray[np.float32]:
    row, column, depth = _placed(points, view, reach)
    front = np.full(_SIDE * _SIDE, -9.0)
    np.maximum.at(front, row * _SIDE + column, depth)
    # Close the gaps between points; borders grow a little by it, as soft shadows do.
    grown = front.reshape(_SIDE, _SIDE).astype(np.float32)
    closed = cv2.morphologyEx(grown, cv2.MORPH_CLOSE, np.ones((3, 3)))
    return np.asarray(closed, np.float32)
