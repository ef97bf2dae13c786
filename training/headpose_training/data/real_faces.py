"""The packed `real_faces` folder: 300-W photographs with landmarks and derived poses.

Layout: `index.csv` (image, set, pseudo_pitch_deg, pseudo_yaw_deg, pseudo_roll_deg),
`landmarks68.npy` float32 (N, 68, 2) in the rows' order, and `images/`. The pose columns follow
the 300W-LP / AFLW2000 convention. Terms of the photographs: non-commercial research.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from headpose_ros.geometry.rotations import matrix_from_aflw
from rich.progress import track

from headpose_training.data.samples import LabelledFace
from headpose_training.errors import TrainingError

TRAIN_SETS = ('lfpw_train', 'helen_train')
JUDGE_SETS = ('afw',)
_ANGLES = ('pseudo_pitch_deg', 'pseudo_yaw_deg', 'pseudo_roll_deg')


def read_real_faces(folder: Path | str, sets: Sequence[str]) -> list[LabelledFace]:
    """Read the faces of some sets into memory (about 250 kB each).

    Args:
        folder: The packed folder.
        sets: Values of the `set` column to keep, such as :data:`TRAIN_SETS`.

    Returns:
        The faces in the order of the index.

    Raises:
        TrainingError: The folder is incomplete, or labels are not finite numbers.
    """
    folder = Path(folder)
    rows, landmarks = _read_index(folder)
    chosen = [i for i, row in enumerate(rows) if row['set'] in sets]
    if not chosen:
        known = sorted({row['set'] for row in rows})
        raise TrainingError(f'{folder} has no faces of the sets {list(sets)}; it has {known}')
    return [
        _read_face(folder, rows[i], landmarks[i])
        for i in track(chosen, description=f'Reading {"+".join(sets)}', transient=True)
    ]


def _read_index(folder: Path) -> tuple[list[dict[str, str]], np.ndarray]:
    index, points = folder / 'index.csv', folder / 'landmarks68.npy'
    for file in (index, points):
        if not file.is_file():
            raise TrainingError(f'{file} is missing: expected a packed real_faces folder')
    with index.open(newline='') as stream:
        rows = list(csv.DictReader(stream))
    landmarks = np.load(points, allow_pickle=False).astype(np.float64)
    if landmarks.shape != (len(rows), 68, 2):
        raise TrainingError(
            f'{points} has shape {landmarks.shape}, expected ({len(rows)}, 68, 2) as in {index}'
        )
    if not np.isfinite(landmarks).all():
        bad = rows[int(np.argwhere(~np.isfinite(landmarks))[0, 0])]['image']
        raise TrainingError(f'{points} holds landmarks that are not finite, first at {bad}')
    return rows, landmarks


def _read_face(folder: Path, row: dict[str, str], landmarks: np.ndarray) -> LabelledFace:
    path = folder / 'images' / row['image']
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise TrainingError(f'{path} is missing or is not an image that OpenCV reads')
    angles = np.array([float(row[name]) for name in _ANGLES])
    if not np.isfinite(angles).all():
        raise TrainingError(f'{row["image"]} has a pose that is not finite: {angles}')
    return LabelledFace(row['image'], image, landmarks, matrix_from_aflw(np.radians(angles)))
