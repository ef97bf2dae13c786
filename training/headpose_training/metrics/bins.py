"""Errors by yaw: most benchmarks hold few large poses, and a plain mean hides them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headpose_training.metrics.intervals import measure, measure_samples

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

EDGES_DEG = (0, 30, 60, 99)


def yaw_bins(yaw: Array) -> dict[str, Mask]:
    """Return which of (N,) label yaws in degrees fall into each bin of |yaw|."""
    size = np.abs(yaw)
    # Each bin has its lower edge, the last one both.
    index = np.digitize(size, EDGES_DEG[1:-1])
    inside = size <= EDGES_DEG[-1]
    return {
        f'{low} to {high}': inside & (index == i)
        for i, (low, high) in enumerate(pairwise(EDGES_DEG))
    }


def bin_table(yaw: Array, errors: Mapping[str, Array]) -> dict[str, Any]:
    """Return errors per bin, their image-weighted and their bin-balanced mean.

    Args:
        yaw: (N,) label yaw in degrees, NaN without a label.
        errors: (N,) errors by name, NaN where a face lacks the label.

    Returns:
        `rows`: per row its `name`, `faces` and a measure for each error; `empty`: names of bins
        without faces, which are left out of the bin-balanced mean; `beyond`: number of faces
        beyond the last bin.
    """
    bins = yaw_bins(yaw)
    filled = {name: mask for name, mask in bins.items() if mask.any()}
    everything = np.logical_or.reduce(list(bins.values()))
    rows = [_row(name, mask, errors) for name, mask in filled.items()]
    if filled:
        rows += [_row('image-weighted mean', everything, errors), _balanced(filled, errors)]
    return {
        'rows': rows,
        'empty': [name for name in bins if name not in filled],
        'beyond': int((np.abs(yaw) > EDGES_DEG[-1]).sum()),
    }


def _row(name: str, mask: Mask, errors: Mapping[str, Array]) -> dict[str, Any]:
    cells = {key: measure(v[mask]) for key, v in errors.items() if np.isfinite(v[mask]).any()}
    return {'name': name, 'faces': int(mask.sum()), 'errors': cells}


def _balanced(bins: Mapping[str, Mask], errors: Mapping[str, Array]) -> dict[str, Any]:
    cells = {}
    for key, values in errors.items():
        samples = [values[mask & np.isfinite(values)] for mask in bins.values()]
        samples = [sample for sample in samples if len(sample)]
        if samples:
            cells[key] = measure_samples(samples, _mean_of_means)
    faces = int(sum(mask.sum() for mask in bins.values()))
    return {'name': 'bin-balanced mean', 'faces': faces, 'errors': cells}


def _mean_of_means(*samples: Array, axis: int) -> Array:
    return np.mean([sample.mean(axis=axis) for sample in samples], axis=0)
