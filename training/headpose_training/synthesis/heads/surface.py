"""Meshes of a fixed connectivity: triangles, seams and normals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from headpose_training.synthesis.heads.mesh import Material

Array = NDArray[np.float64]
Float = NDArray[np.float32]
Index = NDArray[np.int32]


@dataclass(frozen=True)
class Surface:
    """Connectivity of a mesh whose points are shared where its texture is cut.

    Attributes:
        points: Number P of points.
        corners: (F, 3) int32 point of each corner of each triangle.
        triangles: (F, 3) int32 vertex of each corner; a vertex is a point with its place in the
            texture.
        point_of: (V,) int32 point of each vertex.
        uv: (V, 2) float32 in 0..1.
        materials: (F,) uint8 of `Material`.
    """

    points: int
    corners: Index
    triangles: Index
    point_of: Index
    uv: Float
    materials: NDArray[np.uint8]

    @classmethod
    def from_quads(cls, quads: Index, quads_uv: Index, uv: Float, materials: Index) -> Surface:
        """Triangulate quads of points whose corners have places in a texture of their own.

        Args:
            quads: (Q, 4) points; a triangle repeats one of its corners.
            quads_uv: (Q, 4) rows of `uv`.
            uv: (T, 2). Tiles beyond 0..1 are laid over the first.
            materials: (Q,) of `Material`.
        """
        halves = [0, 1, 2, 0, 2, 3]
        corners = quads[:, halves].reshape(-1, 3)
        places = quads_uv[:, halves].reshape(-1, 3)
        whole = (np.diff(np.sort(corners, axis=1), axis=1) > 0).all(axis=1)
        return cls._from_corners(
            corners[whole], places[whole], uv, np.repeat(materials, 2)[whole].astype(np.uint8)
        )

    @classmethod
    def _from_corners(
        cls, corners: Index, places: Index, uv: Float, materials: NDArray[np.uint8]
    ) -> Surface:
        tile = np.floor(uv[places].mean(axis=1)).astype(np.int64)
        # A place used from two tiles becomes two vertices.
        keys = np.column_stack([corners.ravel(), places.ravel(), np.repeat(tile, 3, axis=0)])
        vertices, inverse = np.unique(keys, axis=0, return_inverse=True)
        laid = np.clip(uv[vertices[:, 1]] - vertices[:, 2:], 0.0, 1.0)
        return cls(
            points=int(corners.max()) + 1,
            corners=corners.astype(np.int32),
            triangles=inverse.reshape(-1, 3).astype(np.int32),
            point_of=vertices[:, 0].astype(np.int32),
            uv=laid.astype(np.float32),
            materials=materials,
        )

    def without_unused_points(self) -> tuple[Surface, Index]:
        """Return the surface with its points numbered anew, and the old number of each."""
        kept = np.unique(self.corners)
        new = np.zeros(self.points, np.int32)
        new[kept] = np.arange(len(kept))
        surface = replace(
            self, points=len(kept), corners=new[self.corners], point_of=new[self.point_of]
        )
        return surface, kept.astype(np.int32)

    def with_triangles(
        self, triangles: Index, materials: NDArray[np.uint8], points: Index
    ) -> tuple[Surface, Index]:
        """Return the surface of other triangles, without what they do not use.

        Args:
            triangles: (F, 3) of this surface's vertices.
            materials: (F,) of `Material`.
            points: Points that stay, used or not.

        Returns:
            The surface with its points numbered anew, and the old number of each.
        """
        vertices, inverse = np.unique(triangles, return_inverse=True)
        own: Index = inverse.reshape(-1, 3).astype(np.int32)
        kept = np.union1d(self.point_of[vertices], points).astype(np.int32)
        point_of = np.searchsorted(kept, self.point_of[vertices]).astype(np.int32)
        surface = Surface(len(kept), point_of[own], own, point_of, self.uv[vertices], materials)
        return surface, kept

    def with_body(self, below: NDArray[np.bool_]) -> Surface:
        """Return the surface with its skin made body where all corners are among (P,) `below`."""
        body = (self.materials == Material.SKIN) & below[self.corners].all(axis=1)
        materials = np.where(body, Material.BODY, self.materials)
        return replace(self, materials=materials.astype(np.uint8))

    def with_lash_places(self, points: Float, eyes: Array, radius: float) -> Surface:
        """Return the surface with texture places of lashes that are the same on all sources.

        u goes along the lid, v from the root (0) to the tip (1).

        Args:
            points: (P, 3) of an average head.
            eyes: (2, 3) centres of its eyeballs.
            radius: Of its eyeballs.
        """
        uv = self.uv.copy()
        lashes = np.unique(self.triangles[self.materials == Material.LASHES])
        places = points[self.point_of[lashes]]
        own = np.linalg.norm(places[:, None] - eyes, axis=2)
        for eye in range(2):
            rows = own.argmin(axis=1) == eye
            aside, out = places[rows, 1], own[rows, eye] - radius
            uv[lashes[rows], 0] = (aside - aside.min()) / np.ptp(aside)
            uv[lashes[rows], 1] = np.clip(out / np.quantile(out, 0.98), 0.0, 1.0)
        return replace(self, uv=uv)


def joined(surfaces: Sequence[Surface]) -> Surface:
    """Put surfaces side by side: the points of each follow those of the one before."""
    points = np.cumsum([0] + [s.points for s in surfaces])
    vertices = np.cumsum([0] + [len(s.point_of) for s in surfaces])
    parts = list(zip(surfaces, points[:-1], vertices[:-1], strict=True))
    return Surface(
        points=int(points[-1]),
        corners=np.concatenate([s.corners + p for s, p, _ in parts]).astype(np.int32),
        triangles=np.concatenate([s.triangles + v for s, _, v in parts]).astype(np.int32),
        point_of=np.concatenate([s.point_of + p for s, p, _ in parts]).astype(np.int32),
        uv=np.concatenate([s.uv for s in surfaces]),
        materials=np.concatenate([s.materials for s in surfaces]),
    )


class Normals:
    """Area-weighted normals of the points of a surface.

    Args:
        surface: Its corners and points are used.
        shift: (P, 3) that is added to them, or None.
    """

    def __init__(self, surface: Surface, shift: Float | None = None) -> None:
        """Prepare the sums."""
        faces = len(surface.corners)
        self._a, self._b, self._c = np.ascontiguousarray(surface.corners.T)
        ones = np.ones(3 * faces, np.float32)
        column = np.repeat(np.arange(faces), 3)
        self._sum = csr_matrix(
            (ones, (surface.corners.ravel(), column)), shape=(surface.points, faces)
        )
        self._shift = shift

    def __call__(self, points: Float) -> Float:
        """Return the (P, 3) float32 unit normals of (P, 3) points."""
        # Components one by one: three times as fast as numpy.cross on rows of three.
        x, y, z = np.ascontiguousarray(points.T)
        ax, ay, az, bx, by, bz = (
            k[corner] - k[self._a] for corner in (self._b, self._c) for k in (x, y, z)
        )
        faces = np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=1)
        normals = _unit(self._sum @ faces)
        return normals if self._shift is None else _unit(normals + self._shift)


def _unit(vectors: Float) -> Float:
    length = np.sqrt(np.einsum('pk,pk->p', vectors, vectors))
    return (vectors / np.maximum(length, 1e-12)[:, None]).astype(np.float32)
