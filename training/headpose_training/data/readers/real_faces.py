"""The packed `real_faces` folder: 300-W photographs with landmarks and derived poses.

`index.csv` has the columns image, set, pseudo_pitch_deg, pseudo_yaw_deg and pseudo_roll_deg,
`landmarks68.npy` is float32 (N, 68, 2) in the rows' order. The pose columns follow the
convention of 300W-LP and AFLW2000-3D.
"""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

import numpy as np
from headpose_ros.geometry.rotations import matrix_from_aflw
from numpy.typing import NDArray

from headpose_training.data.reading import DatasetFormat, Item
from headpose_training.data.samples import LabelledFace
from headpose_training.errors import TrainingError

TRAIN_SETS = ('lfpw_train', 'helen_train')
JUDGE_SETS = ('afw',)
_ANGLES = ('pseudo_pitch_deg', 'pseudo_yaw_deg', 'pseudo_roll_deg')


def _list(folder: Path) -> list[Item]:
    rows, landmarks = _read_index(folder)
    return [
        Item(f'index.csv {row["image"]}', row['set'], partial(_read, folder, row, points))
        for row, points in zip(rows, landmarks, strict=True)
    ]


def _read_index(folder: Path) -> tuple[list[dict[str, str]], NDArray[np.float64]]:
    index, points = folder / 'index.csv', folder / 'landmarks68.npy'
    for file in (index, points):
        if not file.is_file():
            raise TrainingError(f'{file} is missing; expected {REAL_FACES.layout}')
    with index.open(newline='') as stream:
        reader = csv.DictReader(stream)
        rows = list(reader)
    absent = sorted({'image', 'set', *_ANGLES}.difference(reader.fieldnames or ()))
    if absent:
        raise TrainingError(f'{index} lacks the columns {absent}')
    landmarks = np.load(points, allow_pickle=False).astype(np.float64)
    if landmarks.shape != (len(rows), 68, 2):
        raise TrainingError(
            f'{points} has shape {landmarks.shape}, expected ({len(rows)}, 68, 2) as in {index}'
        )
    return rows, landmarks


def _read(folder: Path, row: dict[str, str], landmarks: NDArray[np.float64]) -> LabelledFace:
    angles = np.radians([float(row[name]) for name in _ANGLES])
    file = folder / 'images' / row['image']
    return LabelledFace(row['image'], file, landmarks, matrix_from_aflw(angles))


REAL_FACES = DatasetFormat(
    'real_faces',
    _list,
    frozenset({'landmarks', 'rotation'}),
    'index.csv, landmarks68.npy and images/',
    'non-commercial research (photographs of 300-W)',
    'photographs and landmarks: Sagonas et al., 300 Faces In-The-Wild Challenge, 2016; poses '
    'derived from the landmarks',
)
