"""AFLW: photographs from Flickr with poses and boxes in the database `aflw.sqlite`.

Its 21 landmarks are not points of iBUG-68 and are left alone. `FacePose` holds radians, found by
fitting a rigid mean head to the landmarks: good to some degrees. The dataset does not define the
angles by a matrix. Read as published head pose code does: pitch and yaw as in 300W-LP, roll of
the other sign, and the three put together as in AFLW2000-3D.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from headpose_ros.geometry.rotations import matrix_from_aflw

from headpose_training.data.reading import DatasetFormat, Item
from headpose_training.data.samples import LabelledFace
from headpose_training.errors import TrainingError

# Faces without a pose or a box exist: nothing to train on, and not broken.
_QUERY = """
SELECT Faces.face_id, filepath, pitch, yaw, -roll, x, y, w, h FROM Faces
JOIN FaceImages ON FaceImages.file_id = Faces.file_id
JOIN FacePose ON FacePose.face_id = Faces.face_id
JOIN FaceRect ON FaceRect.face_id = Faces.face_id
ORDER BY Faces.face_id
"""


def _list(folder: Path) -> list[Item]:
    database = folder / 'aflw.sqlite'
    if not database.is_file():
        raise TrainingError(f'{database} is missing; expected {AFLW.layout}')
    try:
        # Read only: the module would otherwise make journals beside the dataset.
        with closing(sqlite3.connect(f'{database.resolve().as_uri()}?mode=ro', uri=True)) as base:
            rows = base.execute(_QUERY).fetchall()
    except sqlite3.Error as error:
        raise TrainingError(f'{database} is not the database of AFLW: {error}') from error
    return [
        Item(f'aflw.sqlite face {row[0]}', Path(row[1]).parts[0], partial(_read, folder, row))
        for row in rows
    ]


def _read(folder: Path, row: tuple[Any, ...]) -> LabelledFace:
    face, file = row[:2]
    # NULL becomes NaN, which is refused like any other.
    pose, box = np.array(row[2:5], np.float64), np.array(row[5:9], np.float64)
    return LabelledFace(
        f'{file}#{face}',
        folder / 'flickr' / file,
        rotation=matrix_from_aflw(pose),
        annotated_box=box,
    )


AFLW = DatasetFormat(
    'aflw',
    _list,
    frozenset({'rotation', 'box'}),
    'aflw.sqlite and the images as in its paths: flickr/0/image00002.jpg, flickr/2, flickr/3',
    'non-commercial research, on application',
    'Köstinger, Wohlhart, Roth, Bischof: Annotated Facial Landmarks in the Wild, ICCV Workshops '
    '2011',
)
