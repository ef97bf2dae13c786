"""Simple surfaces, and the hull of a head on which worn things lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Float = NDArray[np.float32]


@dataclass(frozen=True)
class Solid:
    """A coloured surface in the face frame.

    Attributes:
        positions: (N, 3) float32 metres.
        normals: (N, 3) float32 unit, outward.
        triangles: (F, 3) int32.
        colors: (N, 3) float32 linear albedo.
        finish: (N, 2) float32: gloss in 0..1 and weave (roughness of the pattern) in 0..1.
    """

    positions: Float
    normals: Float
    triangles: NDArray[np.int32]
    colors: Float
    finish: Float

    def moved(self, rotation: Array, offset: ArrayLike) -> Solid:
        """Return the surface turned by (3, 3) and shifted by (3,) metres."""
        positions = self.positions @ rotation.T + np.asarray(offset)
        normals = self.normals @ rotation.T
        return Solid(
            positions.astype(np.float32),
            normals.astype(np.float32),
            self.triangles,
            self.colors,
            self.finish,
        )


def joined(solids: Sequence[Solid]) -> Solid:
    """Return several surfaces, at least one, as one."""
    starts = np.cumsum([0, *(len(solid.positions) for solid in solids)])[:-1]
    triangles = [s.triangles + start for s, start in zip(solids, starts, strict=True)]
    return Solid(
        np.concatenate([s.positions for s in solids]),
        np.concatenate([s.normals for s in solids]),
        np.concatenate(triangles).astype(np.int32),
        np.concatenate([s.colors for s in solids]),
        np.concatenate([s.finish for s in solids]),
    )


def crossed(a: Array, b: Array) -> Array:
    """Return the cross product of (..., 3) and (..., 3), faster than `numpy.cross` on a few."""
    ax, ay, az = a[..., 0], a[..., 1], a[..., 2]
    bx, by, bz = b[..., 0], b[..., 1], b[..., 2]
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


def unit(vectors: Array) -> Array:
    """Return (..., 3) vectors at length 1; those of no length stay so."""
    length = np.sqrt(np.einsum('...i,...i->...', vectors, vectors))
    return vectors / np.maximum(length, 1e-12)[..., None]


def slopes(points: Array, axis: int) -> Array:
    """Return the differences of the neighbours along an axis, one-sided at the ends.

    As `numpy.gradient` but for the length, and faster on a few points.
    """
    rows = points.swapaxes(axis, 0)
    out = np.empty_like(rows)
    out[1:-1] = rows[2:] - rows[:-2]
    out[0], out[-1] = 2 * (rows[1] - rows[0]), 2 * (rows[-1] - rows[-2])
    return out.swapaxes(axis, 0)


@lru_cache(maxsize=64)
def grid_triangles(rows: int, columns: int) -> NDArray[np.int32]:
    """Return the (2 (R-1) (C-1), 3) triangles of a grid of points, row by row."""
    index = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    corners = np.stack([a, b, c, a, c, d], axis=-1)
    return corners.reshape(-1, 3)


def sheet(
    points: Array, color: ArrayLike, gloss: float = 0.1, weave: float = 0.0, flip: bool = False
) -> Solid:
    """Return the surface through a grid (R, C, 3) of points.

    The normals point along the cross product of the steps along a row and along a column, or
    against it with `flip`.
    """
    rows, columns = points.shape[:2]
    normals = unit(crossed(slopes(points, 1), slopes(points, 0)))
    triangles = grid_triangles(rows, columns)
    if flip:
        normals = -normals
        triangles = triangles[:, ::-1]
    count = rows * columns
    colors = np.broadcast_to(np.asarray(color, np.float32), (*points.shape[:2], 3))
    return Solid(
        points.reshape(-1, 3).astype(np.float32),
        normals.reshape(-1, 3).astype(np.float32),
        np.ascontiguousarray(triangles),
        np.ascontiguousarray(colors).reshape(-1, 3),
        np.tile(np.array([gloss, weave], np.float32), (count, 1)),
    )


def tube(
    path: Array, radius: ArrayLike, color: ArrayLike, gloss: float = 0.5, sides: int = 6
) -> Solid:
    """Return a tube along (N, 3) points; radius in metres, one or (N,)."""
    path = np.asarray(path, np.float64)
    forward = unit(slopes(path, 0))
    # An axis that the tube is least along keeps the frame from twisting.
    across = unit(crossed(forward, np.eye(3)[np.argmin(np.abs(forward).mean(axis=0))]))
    up = crossed(forward, across)
    angle = np.linspace(0.0, 2 * np.pi, sides + 1)
    circle = (
        np.cos(angle)[None, :, None] * across[:, None] + np.sin(angle)[None, :, None] * up[:, None]
    )
    wide = np.broadcast_to(np.asarray(radius, np.float64), len(path))[:, None, None]
    return sheet(path[:, None] + wide * circle, color, gloss)


def ball(
    radii: ArrayLike, color: ArrayLike, power: float = 1.0, gloss: float = 0.1, weave: float = 0.0
) -> Solid:
    """Return a superellipsoid about the origin: power 1 is an ellipsoid, towards 0 a box."""
    polar = np.linspace(-np.pi / 2, np.pi / 2, 13)[:, None]
    turn = np.linspace(-np.pi, np.pi, 25)[None, :]

    def bent(value: Array) -> Array:
        return np.sign(value) * np.abs(value) ** power

    unit = np.stack(
        [
            bent(np.cos(polar)) * bent(np.cos(turn)),
            bent(np.cos(polar)) * bent(np.sin(turn)),
            bent(np.sin(polar)) * np.ones_like(turn),
        ],
        axis=-1,
    )
    return sheet(unit * np.asarray(radii, np.float64), color, gloss, weave)


@dataclass(frozen=True)
class Hull:
    """How far a head reaches from its centre in every direction, smoothed.

    Attributes:
        center: (3,) metres in the face frame.
        radius: (R, C) metres over polar angle (-90° to 90°) and azimuth (-180° to 180° about z, 0
            along x).
    """

    center: Array
    radius: Array
    shape: tuple[int, int] = field(default=(33, 65))

    @classmethod
    def around(cls, points: Float, center: Array, smooth: float = 1.0) -> Hull:
        """Return the hull of (N, 3) points; `smooth` is in cells of about 5.6°."""
        shape = (33, 65)
        offset = points - center
        distance = np.linalg.norm(offset, axis=1)
        row, column = _cells(offset, shape)
        flat = np.zeros(shape[0] * shape[1])
        np.maximum.at(
            flat, np.rint(row).astype(int) * shape[1] + np.rint(column).astype(int), distance
        )
        radius = flat.reshape(shape)
        radius[:, 0] = radius[:, -1] = np.maximum(radius[:, 0], radius[:, -1])
        wrapped = np.hstack([radius[:, -9:-1], radius, radius[:, 1:9]]).astype(np.float32)
        # Cells between the points take their neighbours' largest; then the steps are smoothed.
        filled = cv2.dilate(wrapped, np.ones((3, 3)))
        while (filled == 0).any():
            filled = np.where(filled == 0, cv2.dilate(filled, np.ones((3, 3))), filled)
        filled = cv2.GaussianBlur(filled, (0, 0), smooth, borderType=cv2.BORDER_REPLICATE)
        return cls(center, filled[:, 8:-8].astype(np.float64))

    def reach(self, points: Array) -> Array:
        """Return (...,) the hull's radius in the directions of (..., 3) points."""
        offset = np.asarray(points, np.float64) - self.center
        row, column = _cells(offset.reshape(-1, 3), self.shape)
        size = np.array(self.shape) - 2
        i, j = np.minimum(row.astype(int), size[0]), np.minimum(column.astype(int), size[1])
        a, b = row - i, column - j
        top = self.radius[i, j] * (1 - b) + self.radius[i, j + 1] * b
        low = self.radius[i + 1, j] * (1 - b) + self.radius[i + 1, j + 1] * b
        return (top * (1 - a) + low * a).reshape(offset.shape[:-1])

    def at(self, polar: Array, azimuth: Array, thickness: ArrayLike) -> Array:
        """Return points (..., 3) at a distance in metres above the hull."""
        direction = np.stack(
            [np.cos(polar) * np.cos(azimuth), np.cos(polar) * np.sin(azimuth), np.sin(polar)],
            axis=-1,
        )
        reach = self.reach(self.center + direction) + np.asarray(thickness)
        return self.center + direction * reach[..., None]

    def pushed_out(self, points: Array, thickness: ArrayLike) -> Array:
        """Return (..., 3) points moved out of the hull, to a distance above it, where within."""
        offset = points - self.center
        distance = np.maximum(np.linalg.norm(offset, axis=-1), 1e-9)
        factor = np.maximum((self.reach(points) + np.asarray(thickness)) / distance, 1.0)
        return self.center + offset * factor[..., None]


def _cells(offset: Array, shape: tuple[int, int]) -> tuple[Array, Array]:
    flat = np.hypot(offset[:, 0], offset[:, 1])
    polar = np.arctan2(offset[:, 2], flat)
    azimuth = np.arctan2(offset[:, 1], offset[:, 0])
    row = (polar / np.pi + 0.5) * (shape[0] - 1)
    return row, (azimuth / (2 * np.pi) + 0.5) * (shape[1] - 1)
