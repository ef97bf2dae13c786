"""What the studies share: runs, measures of poses, and error bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headpose_training.checkpoints import CHECKPOINT
from headpose_training.metrics.intervals import measure
from headpose_training.metrics.pose import angle_errors_deg, geodesic_deg

Array = NDArray[np.float64]


def train(config: Path, run: Path, words: Sequence[str]) -> None:
    """Fit a system into a folder, from where it stopped: a finished run is not trained again.

    Args:
        config: Configuration of the system.
        run: Folder of the run.
        words: Further words for `headpose-train fit`.

    Raises:
        TrainingError: The run fails.
    """
    from headpose_training.fit import fit  # Lightning takes seconds to import

    checkpoint = run / CHECKPOINT
    resume = [f'--ckpt_path={checkpoint}'] if checkpoint.is_file() else []
    fit([f'--config={config}', f'--out={run}', *words, *resume])


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
