"""What does Hopenet's weight of the regression loss do?

The ablation of Ruiz et al., CVPR Workshops 2018, section 4.3: cross-entropy over bins alone
(a = 0), joint losses, and beside them the squared error alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use('Agg')  # no screen on a training machine
import matplotlib.pyplot as plt
import numpy as np
from headpose_ros.files import check_new
from headpose_ros.geometry.rotations import aligned_from_face
from headpose_ros.perception.infer import FaceNetwork
from rich.progress import track

from headpose_training.checkpoints import CHECKPOINT, load_weights
from headpose_training.data.formats import read_faces
from headpose_training.data.readers.real_faces import JUDGE_SETS
from headpose_training.data.samples import LabelledFace
from headpose_training.metrics.estimates import estimate_of
from headpose_training.metrics.pose import FACTORISATION, align
from headpose_training.metrics.tables import cell, markdown_table, write_report
from headpose_training.resuming import train
from headpose_training.studies.common import pose_measures, with_bars

Row = dict[str, Any]
#: Weights of the regression loss, 0.01 to 4 in the paper.
WEIGHTS = (0.0, 0.1, 1.0)
_NOTE = (
    'One run for each row, alike but for the losses. a: weight of the squared error in degrees '
    'beside the cross-entropy over 66 bins. One constant rotation removed. MAE of the three '
    f'angles, {FACTORISATION}. In brackets: bootstrap over faces, 95 %.'
)


def loss_weights(
    recipe: Path,
    data: Path,
    out: Path,
    weights: Sequence[float] = WEIGHTS,
    sets: Sequence[str] = JUDGE_SETS,
    fit_arguments: Sequence[str] = (),
    overwrite: bool = False,
) -> None:
    """Train Hopenet with several losses and judge each; write loss_weights.md, .json and .png.

    Runs stand in folders of their own under `out` and are resumed: a second call trains nothing
    that is finished.

    Args:
        recipe: Configuration (YAML) of Hopenet.
        data: Packed `real_faces` folder.
        out: Folder for runs and results.
        weights: Weights a of the regression loss; the regression alone is always added.
        sets: Sets to judge on.
        fit_arguments: Further words for `headpose-train fit`, such as --trainer.max_epochs 2.
        overwrite: Replace the results that an earlier call left in it; else that is an error.
    """
    check_new(out / 'loss_weights.json', overwrite)
    variants = {f'a = {a:g}': _losses(a, 1.0) for a in weights}
    variants['regression only'] = _losses(1.0, 0.0)
    faces = read_faces('real_faces', data, sets)
    rows = []
    for name, losses in variants.items():
        run = out / name.replace(' = ', '').replace(' ', '_')
        train(recipe, run, [f'--data.folder={data}', *losses, *fit_arguments])
        rows.append({'losses': name, **_judge(run / CHECKPOINT, faces)})
    title = f'# Losses of Hopenet on {", ".join(sets)}: {len(faces)} faces'
    lines = [title, '', _NOTE, '', *_table(rows)]
    write_report(out, 'loss_weights', {'rows': rows, 'sets': list(sets)}, lines)
    _write_picture(out / 'loss_weights.png', rows)


def _losses(regression: float, classification: float) -> list[str]:
    return [
        f'--model.init_args.regression_weight={regression}',
        f'--model.init_args.classification_weight={classification}',
    ]


def _judge(checkpoint: Path, faces: Sequence[LabelledFace]) -> Row:
    network = FaceNetwork(load_weights(str(checkpoint)))
    estimates = [estimate_of(network, face) for face in track(faces, 'Judging', transient=True)]
    predicted = aligned_from_face(np.stack([estimate.rotation for estimate in estimates]))
    target = np.stack([face.rotation for face in faces if face.rotation is not None])
    return pose_measures(align(predicted, target), target)


def _table(rows: Sequence[Row]) -> list[str]:
    header = ['losses', 'geodesic error (deg)', 'MAE (deg)']
    return markdown_table(
        header, ([row['losses'], cell(row['geodesic']), cell(row['mae'])] for row in rows)
    )


def _write_picture(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    figure, axis = plt.subplots(figsize=(6, 3.5), layout='constrained')
    values, bars = with_bars([row['geodesic'] for row in rows])
    axis.bar([row['losses'] for row in rows], values, yerr=bars, capsize=4)
    axis.set(ylabel='geodesic error (degrees)')
    axis.grid(axis='y', alpha=0.4)
    figure.savefig(path, dpi=120)
    plt.close(figure)
