"""Values with bootstrap intervals over faces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

Array = NDArray[np.float64]
_RESAMPLES = 2000
_AT_ONCE = 2_000_000  # resampled numbers in memory


def measure(
    values: Array, of: Callable[..., Array] = np.mean, resamples: int = _RESAMPLES
) -> dict[str, Any]:
    """Return value, 95 % interval and count of faces of a statistic.

    Args:
        values: (N,) one number per face; NaN where the face lacks the label.
        of: Statistic; takes `axis`.
        resamples: How often to draw the faces anew; fewer for a slow statistic.
    """
    values = values[np.isfinite(values)]
    return measure_samples([values], of, resamples=resamples)


def measure_samples(
    samples: Sequence[Array],
    of: Callable[..., Array],
    paired: bool = False,
    resamples: int = _RESAMPLES,
) -> dict[str, Any]:
    """Return value, 95 % interval and count of faces of a statistic of several samples.

    The interval is the percentile bootstrap; it is None where a single face leaves it open.

    Args:
        samples: (N_i,) numbers. Each is resampled on its own: a stratified bootstrap.
        of: Statistic; takes the samples and `axis`.
        paired: Whether the samples are numbers of the same faces.
        resamples: As in :func:`measure`.
    """
    lengths = [len(sample) for sample in samples]
    interval = _interval(samples, of, paired, resamples) if max(lengths) > 1 else None
    return {
        'value': float(of(*samples, axis=-1)),
        'interval': interval,
        'faces': lengths[0] if paired else sum(lengths),
    }


def _interval(
    samples: Sequence[Array], of: Callable[..., Array], paired: bool, resamples: int
) -> list[float]:
    # SciPy refuses a sample of one. Any resample of it is itself, as is one of its double.
    samples = [np.repeat(s, 2) if len(s) == 1 else s for s in samples]
    largest = max(map(len, samples))
    result = bootstrap(
        samples,
        of,
        n_resamples=resamples,
        batch=max(1, _AT_ONCE // largest),
        vectorized=True,
        paired=paired,
        method='percentile',
        rng=1,
    )
    return [float(bound) for bound in result.confidence_interval]
