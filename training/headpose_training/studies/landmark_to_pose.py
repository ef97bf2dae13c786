"""How good is a pose from perfect landmarks, from shaken ones, with a wrong face model?

The experiments on landmark-to-pose of Ruiz et al., CVPR Workshops 2018, on the labels of any
dataset that has landmarks and rotations.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use('Agg')  # no screen on a training machine
import matplotlib.pyplot as plt
import numpy as np
from headpose_ros.files import check_new
from headpose_ros.geometry.rotations import constant_offset
from matplotlib.axes import Axes
from numpy.typing import NDArray
from rich.progress import track

from headpose_training.data.formats import read_faces
from headpose_training.data.readers.real_faces import JUDGE_SETS
from headpose_training.errors import TrainingError
from headpose_training.metrics.pose import FACTORISATION
from headpose_training.metrics.tables import cell, markdown_table, write_report
from headpose_training.studies.common import pose_measures, with_bars
from headpose_training.studies.pnp import FOCAL_SIDES, SIDE, SUBSETS, in_crop, solve_pose

Array = NDArray[np.float64]
Row = dict[str, Any]

_JITTER_PX = (0, 2, 4, 6, 8, 10)
_JITTERED = ('6', '68')
_STRETCH = (0.6, 0.8, 1.0, 1.2, 1.4)
_AXES = ('depth', 'width')
_NOTES = (
    f'Landmarks as labelled, in px of a {SIDE} px crop around them; the mean face brought to them '
    f'by SQPnP and Levenberg-Marquardt; pinhole camera with a focal length of {FOCAL_SIDES:.0f} '
    'crop sides (nearly weak perspective).',
    'Jitter: every landmark moved by that many px in a random direction of its own. Stretch: the '
    'mean face multiplied along one axis, all 68 points.',
    'Each set of points defines "straight ahead" in its own way: the constant rotation between it '
    'and the labels, measured without jitter and stretch, is removed. What jitter and stretch add '
    f'is not. MAE of the three angles, {FACTORISATION}. In brackets: bootstrap over faces, 95 %.',
)


def landmark_to_pose(
    data: Path,
    out: Path,
    format: str = 'real_faces',
    sets: Sequence[str] = JUDGE_SETS,
    seed: int = 1,
    skip_broken: bool = False,
    overwrite: bool = False,
) -> None:
    """Study poses from landmarks; write landmark_to_pose.md, .json and .png.

    Args:
        data: Folder of the dataset.
        out: Folder for the results.
        format: Format of the dataset.
        sets: Sets of the dataset; none for all of it.
        seed: Of the jitter.
        skip_broken: Leave out faces that cannot be read instead of stopping.
        overwrite: Replace the results that an earlier call left in it; else that is an error.

    Raises:
        TrainingError: No face has both landmarks and a rotation.
    """
    check_new(out / 'landmark_to_pose.json', overwrite)
    faces = read_faces(format, data, sets, skip_broken)
    chosen = [(f.landmarks, f.rotation) for f in faces if f.landmarks is not None]
    labelled = [(in_crop(points), r) for points, r in chosen if r is not None]
    if not labelled:
        raise TrainingError(f'no face of {data} has both landmarks and a rotation to compare with')
    points, target = (np.stack(values) for values in zip(*labelled, strict=True))
    rows = _rows(points, target, seed)
    content = {'format': format, 'sets': list(sets), 'faces': len(points), 'seed': seed}
    title = f'# Pose from labelled landmarks on {", ".join(sets) or format}: {len(points)} faces'
    lines = [title, '', *(line for note in _NOTES for line in (note, '')), *_table(rows)]
    write_report(out, 'landmark_to_pose', {**content, 'rows': rows}, lines)
    _write_picture(out / 'landmark_to_pose.png', rows)


def _rows(points: Array, target: Array, seed: int) -> list[Row]:
    """Return one row per setting: `study`, `points`, `value`, `geodesic`, `mae`."""
    settings: list[tuple[str, str, float]] = [
        *(('points', subset, 0.0) for subset in SUBSETS),
        *(('jitter', subset, float(px)) for subset in _JITTERED for px in _JITTER_PX),
        *((axis, '68', factor) for axis in _AXES for factor in _STRETCH),
    ]
    offsets = {name: constant_offset(_poses(points, name), target) for name in SUBSETS}
    rows = []
    for study, subset, value in track(settings, 'Solving', transient=True):
        poses = _poses(
            _jittered(points, value if study == 'jitter' else 0.0, seed), subset, study, value
        )
        errors = pose_measures(poses @ offsets[subset], target)
        rows.append({'study': study, 'points': subset, 'value': value, **errors})
    return rows


def _poses(points: Array, subset: str, study: str = '', value: float = 1.0) -> Array:
    stretch = tuple(value if study == axis else 1.0 for axis in (*_AXES, 'height'))
    return np.stack([solve_pose(face, subset, stretch) for face in points])


def _jittered(points: Array, distance: float, seed: int) -> Array:
    direction = np.random.default_rng(seed).uniform(0, 2 * np.pi, points.shape[:2])
    return points + distance * np.stack([np.cos(direction), np.sin(direction)], axis=-1)


def _table(rows: Sequence[Row]) -> list[str]:
    lines = [[_setting(r), r['points'], cell(r['geodesic']), cell(r['mae'])] for r in rows]
    return markdown_table(['setting', 'points', 'geodesic error (deg)', 'MAE (deg)'], lines)


def _setting(row: Row) -> str:
    if row['study'] == 'points':
        return 'as labelled'
    if row['study'] == 'jitter':
        return f'jitter {row["value"]:.0f} px'
    return f'{row["study"]} x {row["value"]:.1f}'


def _write_picture(path: Path, rows: Sequence[Row]) -> None:
    figure, (left, middle, right) = plt.subplots(
        1, 3, figsize=(12, 3.6), layout='constrained', sharey=True
    )
    _draw(left, [r for r in rows if r['study'] == 'points'], 'points', '', 'o')
    for subset in _JITTERED:
        chosen = [r for r in rows if r['study'] == 'jitter' and r['points'] == subset]
        _draw(middle, chosen, 'value', f'{subset} points', 'o-')
    for axis in _AXES:
        _draw(right, [r for r in rows if r['study'] == axis], 'value', axis, 'o-')
    left.set(xlabel='points as labelled', ylabel='geodesic error (degrees)', ylim=(0, None))
    middle.set(xlabel=f'jitter (px of a {SIDE} px crop)')
    right.set(xlabel='face model stretched by')
    for panel in (middle, right):
        panel.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw(panel: Axes, rows: Sequence[Row], x: str, label: str, style: str) -> None:
    values, bars = with_bars([r['geodesic'] for r in rows])
    panel.errorbar([r[x] for r in rows], values, bars, fmt=style, ms=4, capsize=3, label=label)
    panel.grid(alpha=0.4)
