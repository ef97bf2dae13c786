"""Landmarks as places on a surface, and where they are kept for MakeHuman's mesh."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from headpose_ros.geometry.landmarks import COUNT
from numpy.typing import NDArray

from headpose_training.errors import TrainingError
from headpose_training.synthesis.heads.subdivide import Subdivision

Array = NDArray[np.float64]
Float = NDArray[np.float32]
Index = NDArray[np.int32]


@dataclass(frozen=True)
class Landmarks:
    """68 places on a surface: barycentric weights (68, 3) of the points `corners` (68, 3)."""

    corners: Index
    weights: Float

    @classmethod
    def at_points(cls, points: Index) -> Landmarks:
        """Put each landmark at one of (68,) points."""
        weights = np.tile(np.array([1.0, 0.0, 0.0], np.float32), (len(points), 1))
        return cls(np.repeat(points[:, None], 3, axis=1).astype(np.int32), weights)

    @classmethod
    def read(cls, path: Path, number: Index) -> Landmarks:
        """Read places on MakeHuman's base mesh.

        Args:
            path: CSV of landmark, three vertices and their weights.
            number: The point that each vertex of the base mesh has become, negative if none.

        Raises:
            TrainingError: The file is missing or broken.
        """
        try:
            rows = np.loadtxt(path, delimiter=',', comments='#').reshape(COUNT, 7)
            corners = number[rows[:, 1:4].astype(int)]
            if corners.min() < 0:
                raise ValueError('it names vertices that no head has')
        except (OSError, ValueError, IndexError) as error:
            raise TrainingError(
                f'{path} with the landmarks of MakeHuman heads is missing or broken ({error}): '
                f'install headpose_training again'
            ) from error
        return cls(corners, rows[:, 4:7].astype(np.float32))

    def __call__(self, points: Float) -> Float:
        """Return the (68, 3) landmarks of a head with these (P, 3) points."""
        return np.einsum('lkd,lk->ld', points[self.corners], self.weights)

    def of_points(self, kept: Index) -> Landmarks:
        """Return the same places where only the points `kept`, in order, are left."""
        return Landmarks(np.searchsorted(kept, self.corners).astype(np.int32), self.weights)

    def carried_over(self, quads: Index, cut: Subdivision, points: Array) -> Landmarks:
        """Return the landmarks on the subdivided mesh.

        Each goes to the nearest place on the quads that it lay on.

        Args:
            quads: (Q, 4) of the mesh that these landmarks are on.
            cut: Its subdivision.
            points: (P, 3) of the subdivided mesh.
        """
        wanted = self(points.astype(np.float32))
        corners, weights = [], []
        for place, own, share in zip(wanted, self.corners, self.weights, strict=True):
            at = [np.isin(quads, corner).any(axis=1) for corner in own[share > 0]]
            parents = np.flatnonzero(np.logical_and.reduce(at))
            children = np.concatenate([parents + k * len(quads) for k in range(4)])
            triangles = cut.quads[children][:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3)
            nearest, share = _nearest(points[triangles], place.astype(np.float64))
            corners.append(triangles[nearest])
            weights.append(share)
        return Landmarks(np.array(corners, np.int32), np.array(weights, np.float32))


def _nearest(triangles: Array, place: Array) -> tuple[int, Array]:
    """Return which of (N, 3, 3) triangles is nearest to a place, and the weights of its corners.

    Places beside a triangle are drawn to the nearest of its sides by clipping the weights.
    """
    a, b, c = np.moveaxis(triangles.astype(np.float64), 1, 0)
    sides = np.stack([b - a, c - a], axis=-1)
    inner = np.linalg.pinv(sides) @ (place - a)[..., None]
    v, w = inner[:, 0, 0], inner[:, 1, 0]
    weights = np.clip(np.column_stack([1.0 - v - w, v, w]), 0.0, None)
    weights /= weights.sum(axis=1, keepdims=True)
    found = np.einsum('nk,nkd->nd', weights, triangles)
    best = int(np.argmin(np.linalg.norm(found - place, axis=1)))
    return best, weights[best]
