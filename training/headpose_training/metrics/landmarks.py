"""Errors of landmarks."""

from __future__ import annotations

import numpy as np
from headpose_ros.geometry.landmarks import OUTER_EYE_CORNERS
from numpy.typing import NDArray

Array = NDArray[np.float64]


def nme_outer_eyes(predicted: Array, target: Array) -> Array:
    """Return (B,) mean point error over the distance of the outer eye corners (300-W protocol).

    Args:
        predicted: (B, 68, 2) in any unit, the same as the target's.
        target: (B, 68, 2).
    """
    right, left = OUTER_EYE_CORNERS
    distance = np.linalg.norm(target[:, right] - target[:, left], axis=1)
    error = np.linalg.norm(predicted - target, axis=2).mean(axis=1)
    return np.asarray(error / distance)


def failure_rate(nme: Array, threshold: float = 0.08) -> float:
    """Return the share of faces whose NME is beyond the threshold."""
    return float((nme > threshold).mean())


def auc(nme: Array, threshold: float = 0.08) -> float:
    """Return the area under the cumulative error curve up to the threshold, over it, in [0, 1]."""
    return float(np.clip(1 - nme / threshold, 0, None).mean())
