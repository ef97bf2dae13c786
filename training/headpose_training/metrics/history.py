"""Curves of runs: losses on the way, and what the judging photographs said after each epoch."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use('Agg')  # no screen on a training machine
import matplotlib.pyplot as plt
import numpy as np
from headpose_ros.files import check_new
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from headpose_training.errors import TrainingError

Curve = NDArray[np.float64]

_VALIDATION = {'val/geodesic_deg': 'pose error, degrees', 'val/nme': 'NME outer eyes, %'}


def plot_runs(runs: Sequence[Path], out: Path, overwrite: bool = False) -> None:
    """Draw the curves of runs, one line for each.

    Args:
        runs: Folders that `headpose-train fit` wrote to; one that was resumed is one line.
        out: PNG to write: the parts of the loss, then what the averaged weights reached.
        overwrite: Replace a picture that exists; else that is an error.

    Raises:
        TrainingError: A folder holds no run.
    """
    check_new(out, overwrite)
    histories = {run.resolve().name: read_history(run) for run in runs}
    parts = sorted({name for history in histories.values() for name in history} - set(_VALIDATION))
    names = [*parts, *(name for name in _VALIDATION if any(name in h for h in histories.values()))]
    columns = 4
    rows = -(-len(names) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(3 * columns, 2.3 * rows), squeeze=False, layout='constrained'
    )
    for axes, name in zip(grid.flat, names, strict=False):
        _draw(axes, name, histories)
    for axes in grid.flat[len(names) :]:
        axes.set_axis_off()
    lines = [Line2D([], [], color=f'C{index}', label=run) for index, run in enumerate(histories)]
    figure.legend(handles=lines, loc='outside upper center', ncols=len(lines))
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=90)
    plt.close(figure)


def read_history(run: Path) -> dict[str, Curve]:
    """Return (N, 2) steps and values of each logged quantity, in the order of steps.

    Raises:
        TrainingError: The folder holds no run.
    """
    files = sorted(run.glob('csv/version_*/metrics.csv'))
    if not files:
        raise TrainingError(f'{run} holds no csv/version_*/metrics.csv: expected a folder of fit')
    points: dict[str, dict[int, float]] = {}
    for file in files:
        with file.open(encoding='utf-8', newline='') as stream:
            for row in csv.DictReader(stream):
                for name, value in row.items():
                    if value and name.startswith(('train/', 'val/')):
                        points.setdefault(name, {})[int(row['step'])] = float(value)
    return {name: np.array(sorted(values.items())) for name, values in points.items()}


def _draw(axes: Axes, name: str, histories: dict[str, dict[str, Curve]]) -> None:
    for index, history in enumerate(histories.values()):
        if name in history:
            axes.plot(*history[name].T, color=f'C{index}', linewidth=1)
    axes.set_title(_VALIDATION.get(name, name.removeprefix('train/')), fontsize=9)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
