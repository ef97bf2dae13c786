"""Fewer triangles where a head is smooth: most of them are smaller than a pixel.

Edges are collapsed onto vertices that are there already (Melax: A Simple, Fast, and Effective
Polygon Reduction Algorithm, 1998), so that only the list of triangles changes, and once for all
heads of a source: what is left out must be flat in several expressions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from headpose_training.synthesis.heads.expressions import Expression
from headpose_training.synthesis.heads.mesh import HeadMesh, Material

Float = NDArray[np.float32]
Index = NDArray[np.int32]

#: How far a surface may move, metres; less about eyes and lips, more in the mouth and behind.
_ERROR, _FINE, _COARSE, _EDGE = 0.0008, 0.0003, 0.0015, 0.0001
#: How much the soft masks may change along an edge that goes.
_MASK = 0.12
_ROUNDS = 9
#: Expressions in which the surface must stay.
TRIALS = (
    Expression(),
    Expression(jaw_open=0.7, brows_up=1.0, blink_left=1.0),
    Expression(smile_left=1.0, smile_right=1.0, brows_down=1.0, blink_right=1.0),
)


def fewer_triangles(
    heads: Sequence[HeadMesh], triangles: Index, scale: float = 1.0, still: ArrayLike = False
) -> tuple[Index, NDArray[np.intp]]:
    """Return triangles (F, 3) that stand for more, and which of those (F,) each one was.

    Args:
        heads: One person in the expressions `TRIALS`.
        triangles: (N, 3) all or some of these heads'.
        scale: How much farther than usual the surface may move, but no farther than behind.
        still: (V,) bool: vertices that stay, or none.
    """
    kept, rows = triangles, np.arange(len(triangles))
    points = np.stack([head.vertices for head in heads]).astype(np.float64)
    error = np.where(still, 1e-9, np.minimum(scale * _errors(heads[0]), _COARSE))
    masks = np.stack(list(heads[0].regions.values()), axis=1)
    for _ in range(_ROUNDS):
        target = _collapses(points, kept, error, masks)
        kept = target[kept]
        real = (kept[:, 0] != kept[:, 1]) & (kept[:, 1] != kept[:, 2]) & (kept[:, 2] != kept[:, 0])
        kept, rows = kept[real], rows[real]
    return np.ascontiguousarray(kept, np.int32), rows


def _errors(head: HeadMesh) -> NDArray[np.float64]:
    """Return (V,) how far the surface may move at each vertex."""
    fine = np.maximum(head.regions['lids'], head.regions['lips'])
    near = np.linalg.norm(head.vertices[:, None] - head.landmarks[None, 17:], axis=2).min(axis=1)
    error = np.where((fine > 0.1) | (near < 0.006), _FINE, _ERROR)
    # A soft edge of hair shows the triangles that it crosses.
    edge = hair_edge(head)
    error = np.where(edge, _EDGE, error)
    behind = head.vertices[:, 0] < head.landmarks[[0, 16], 0].mean() - 0.03
    rough = np.zeros(len(error), np.bool_)
    inside = (head.materials == Material.TEETH) | (head.materials == Material.MOUTH)
    rough[head.triangles[inside]] = True
    return np.where(rough | (behind & ~edge), _COARSE, error)


def hair_edge(head: HeadMesh) -> NDArray[np.bool_]:
    """Return (V,) which vertices lie where hair, beard or brows end."""
    hair = np.stack([head.regions[name] for name in ('scalp', 'beard', 'brow')])
    return np.asarray(((hair > 0.05) & (hair < 0.95)).any(axis=0), np.bool_)


def _collapses(
    points: NDArray[np.float64], triangles: Index, error: NDArray[np.float64], masks: Float
) -> NDArray[np.int32]:
    """Return (V,) where each vertex goes: to a neighbour, or nowhere."""
    count = points.shape[1]
    edges = _edges(triangles, count)
    change = np.abs(masks[edges[:, 0]] - masks[edges[:, 1]]).max(axis=1)
    edges = edges[change < _MASK]
    cost = _costs(points, triangles, edges, error)
    order = np.argsort(cost, kind='stable')
    order = order[np.isfinite(cost[order])]
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    neighbours = sparse.csr_matrix((np.ones(len(pairs)), pairs.T), (count, count))
    starts, around = neighbours.indptr, neighbours.indices
    target, fixed = np.arange(count, dtype=np.int32), np.zeros(count, np.bool_)
    for start, end in edges[order].tolist():
        if fixed[start]:
            continue
        target[start] = end
        # What is about it has changed: not in this round any more.
        fixed[start] = True
        fixed[around[starts[start] : starts[start + 1]]] = True
    return target


def _edges(triangles: Index, count: int) -> NDArray[np.int64]:
    """Return (E, 2) directed edges between vertices, each once, that may be collapsed."""
    pairs = np.concatenate([triangles[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])
    once = sparse.csr_matrix((np.ones(len(pairs)), pairs.T), (count, count))
    both = (once + once.T).tocoo()
    # Borders and seams of the texture belong to one triangle on one side: they stay.
    border = np.zeros(count, np.bool_)
    border[both.row[both.data != 2]] = True
    linked = (both > 0).astype(np.float64).tocsr()
    common = linked.multiply(linked @ linked).tocoo()
    # With more than two common neighbours, surfaces would fold onto each other.
    good = (common.data == 2) & ~border[common.row]
    return np.stack([common.row[good], common.col[good]], axis=1).astype(np.int64)


def _costs(
    points: NDArray[np.float64],
    triangles: Index,
    edges: NDArray[np.int64],
    error: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return (E,) how far, over what is allowed, the surface moves; infinite where not allowed."""
    corner = triangles.ravel()
    sorted_corners = np.argsort(corner, kind='stable')
    starts = np.searchsorted(corner[sorted_corners], np.arange(points.shape[1] + 1))
    degree = np.diff(starts)[edges[:, 0]]
    edge = np.repeat(np.arange(len(edges)), degree)
    first = np.repeat(np.cumsum(degree) - degree, degree)
    place = sorted_corners[starts[edges[edge, 0]] + np.arange(len(edge)) - first]
    triangle, which = triangles[place // 3], place % 3
    rows = np.arange(len(edge))
    b, c = triangle[rows, (which + 1) % 3], triangle[rows, (which + 2) % 3]
    start, end = edges[edge].T
    gone = (b == end) | (c == end)
    worst = np.zeros(len(edges))
    for p in points:
        side = p[c] - p[b]
        before, after = np.cross(p[b] - p[start], side), np.cross(p[b] - p[end], side)
        size = np.maximum(np.linalg.norm(before, axis=1), 1e-15)
        moved = np.abs(np.einsum('ni,ni->n', before, p[end] - p[start])) / size
        upright = np.einsum('ni,ni->n', before, after) > 0.5 * size * np.linalg.norm(after, axis=1)
        moved[~(upright | gone)] = np.inf
        np.maximum.at(worst, edge, moved)
    worst /= error[edges[:, 0]]
    return np.where(worst < 1.0, worst, np.inf)
