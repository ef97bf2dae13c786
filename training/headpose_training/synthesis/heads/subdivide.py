"""One step of Catmull-Clark subdivision, as a matrix: the step is linear in the points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags, vstack

Index = NDArray[np.int32]


@dataclass(frozen=True)
class Subdivision:
    """A mesh of quads cut into four times as many.

    The new points are the P old ones, moved, then one per edge, then one per quad.

    Attributes:
        quads: (4 Q, 4) int32; quads Q k to Q k + Q - 1 are at corner k of the old ones.
        smooth: (P + E + Q, P) the new points from the old ones by Catmull and Clark's rules (1978);
            points on the border stay.
        linear: Of the same shape: the new points without moving any, for places in a texture.
    """

    quads: Index
    smooth: csr_matrix
    linear: csr_matrix


def subdivided(quads: Index, points: int) -> Subdivision:
    """Cut each of (Q, 4) quads of `points` points into four."""
    following = np.roll(quads, -1, axis=1)
    pairs = np.sort(np.stack([quads, following], axis=-1).reshape(-1, 2), axis=1)
    edges, inverse = np.unique(pairs, axis=0, return_inverse=True)
    edge_of: Index = inverse.reshape(-1, 4).astype(np.int32)
    face = points + len(edges) + np.arange(len(quads))
    corners = [
        np.column_stack([quads[:, k], points + edge_of[:, k], face, points + edge_of[:, k - 1]])
        for k in range(4)
    ]
    to_face = _mean_rows(quads, points)
    to_middle = _mean_rows(edges, points)
    return Subdivision(
        quads=np.concatenate(corners).astype(np.int32),
        smooth=_smooth(quads, edges, edge_of, to_face, to_middle),
        linear=vstack([diags(np.ones(points)), to_middle, to_face]).tocsr(),
    )


def _smooth(
    quads: Index, edges: Index, edge_of: Index, to_face: csr_matrix, to_middle: csr_matrix
) -> csr_matrix:
    points = to_face.shape[1]
    edge_faces = _incidence(edge_of, len(edges))
    sides = np.asarray(edge_faces.sum(axis=1)).ravel()
    inner = diags((sides == 2).astype(float))
    at_edges = inner @ (to_middle / 2 + edge_faces @ to_face / 4) + (
        diags((sides != 2).astype(float)) @ to_middle
    )
    point_faces, point_edges = _incidence(quads, points), _incidence(edges, points)
    valence = np.maximum(np.asarray(point_edges.sum(axis=1)).ravel(), 1.0)
    fixed = np.asarray(point_faces.sum(axis=1)).ravel() != valence
    moved = diags(1.0 / valence**2) @ (
        point_faces @ to_face + 2.0 * point_edges @ to_middle
    ) + diags((valence - 3.0) / valence)
    at_points = diags((~fixed).astype(float)) @ moved + diags(fixed.astype(float))
    return vstack([at_points, at_edges, to_face]).tocsr().astype(np.float32)


def _mean_rows(members: Index, points: int) -> csr_matrix:
    count, size = members.shape
    rows = np.repeat(np.arange(count), size)
    weights = np.full(members.size, 1.0 / size)
    return csr_matrix((weights, (rows, members.ravel())), shape=(count, points))


def _incidence(members: Index, points: int) -> csr_matrix:
    """Return (points, len(members)): 1 where a point is a member of a row."""
    count, size = members.shape
    columns = np.repeat(np.arange(count), size)
    ones = np.ones(members.size)
    return csr_matrix((ones, (members.ravel(), columns)), shape=(points, count))
