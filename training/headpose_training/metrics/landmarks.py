"""Errors of landmarks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from headpose_ros.geometry.landmarks import OUTER_EYE_CORNERS
from numpy.typing import NDArray

Array = NDArray[np.float64]


def eye_distance(points: Array) -> Array:
    """Return (B,) distances of the outer eye corners of (B, 68, D) points, in their unit."""
    right, left = OUTER_EYE_CORNERS
    return np.asarray(np.linalg.norm(points[:, right] - points[:, left], axis=1))


def _extent(points: Array) -> Array:
    return np.ptp(points, axis=1)


#: By what a mean point error is divided: (B, 68, 2) labels to (B,). The last three measure the
#: bounding box around the labelled landmarks; papers call each of them "the box".
SIZES: dict[str, Callable[[Array], Array]] = {
    'outer eyes': eye_distance,
    'larger box side': lambda points: _extent(points).max(axis=1),
    'sqrt(w h) of the box': lambda points: np.sqrt(_extent(points).prod(axis=1)),
    'box height': lambda points: _extent(points)[:, 1],
}


def point_error(predicted: Array, target: Array) -> Array:
    """Return (B,) mean distances of (B, 68, D) points, in their unit."""
    return np.asarray(np.linalg.norm(predicted - target, axis=2).mean(axis=1))


def nme(predicted: Array, target: Array) -> dict[str, Array]:
    """Return (B,) normalised mean errors as fractions, for each of :data:`SIZES`.

    Args:
        predicted: (B, 68, 2) in any unit, the same as the target's.
        target: (B, 68, 2).
    """
    error = point_error(predicted, target)
    return {name: error / size(target) for name, size in SIZES.items()}


def nme_outer_eyes(predicted: Array, target: Array) -> Array:
    """Return (B,) mean point error over the distance of the outer eye corners (300-W protocol)."""
    return point_error(predicted, target) / eye_distance(target)


def failure_rate(nme: Array, threshold: float = 0.08, axis: int = -1) -> Array:
    """Return the share of faces, along `axis`, whose NME is beyond the threshold."""
    return (np.asarray(nme) > threshold).mean(axis=axis)


def auc(nme: Array, threshold: float = 0.08, axis: int = -1) -> Array:
    """Return the area under the cumulative error curve up to the threshold, over it, in [0, 1]."""
    return np.clip(1 - np.asarray(nme) / threshold, 0, None).mean(axis=axis)
