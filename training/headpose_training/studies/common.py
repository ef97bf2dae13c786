"""What the studies share: measures of poses, and error bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headpose_training.metrics.intervals import measure
from headpose_training.metrics.pose import angle_errors_deg, geodesic_deg

Array = NDArray[np.float64]


def pose_measures(predicted: Array, target: Array) -> dict[str, Any]:
    """Return `geodesic` and `mae` (of the three angles) in degrees, of (N, 3, 3) rotations."""
    return {
        'geodesic': measure(geodesic_deg(predicted, target)),
        'mae': measure(angle_errors_deg(predicted, target).mean(axis=1)),
    }


def with_bars(measures: Sequence[Mapping[str, Any]]) -> tuple[Array, Array]:
    """Return (N,) values and the (2, N) lengths of their intervals' arms, for Matplotlib."""
    values = np.array([measured['value'] for measured in measures])
    bounds = np.array([measured['interval'] or [np.nan] * 2 for measured in measures])
    return values, np.abs(bounds.T - values)
