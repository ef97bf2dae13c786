"""Faces over time as a table: a CSV file, one row a face and frame, angles in degrees.

A frame without a face has one row with an empty id, so a gap in a plot is a gap in sight. Values
that are not known are empty.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from headpose_ros.errors import HeadposeError
from headpose_ros.geometry.rotations import quaternion_from_matrix
from headpose_ros.perception.faces import Face

_POINTS = 68
#: Columns and how many digits follow the point.
_COLUMNS = {
    'yaw_deg': 3,
    'pitch_deg': 3,
    'roll_deg': 3,
    'qx': 6,
    'qy': 6,
    'qz': 6,
    'qw': 6,
    'x_m': 4,
    'y_m': 4,
    'z_m': 4,
    'box_x': 2,
    'box_y': 2,
    'box_width': 2,
    'box_height': 2,
    'confidence': 4,
    'right_eye_openness': 3,
    'left_eye_openness': 3,
    'mouth_openness': 3,
}
_LANDMARKS = [f'{name}{i}' for i in range(_POINTS) for name in ('u', 'v', 'visibility')]


class TableError(HeadposeError):
    """A table that cannot be read or written; the message names the file and the cause."""


class FaceTable:
    """Writes the table, row by row, so that what was seen before an interruption is kept.

    Args:
        path: CSV file to write.
        landmarks: Whether to add u0, v0 (px) and visibility0 to u67, v67 and visibility67.

    Raises:
        TableError: The file cannot be written.
    """

    def __init__(self, path: Path, landmarks: bool = False) -> None:
        try:
            self._stream = path.open('wb', buffering=0)  # nothing waits for a second failure
        except OSError as error:
            raise TableError(f'cannot write {path}: {error.strerror}') from error
        self._path = path
        self._landmarks = landmarks
        columns = ['frame', 'time_s', 'id', *_COLUMNS]
        self._write(columns + _LANDMARKS if landmarks else columns)

    def __enter__(self) -> FaceTable:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()

    def write(self, frame: int, stamp: float, faces: Sequence[Face]) -> None:
        """Add the faces of one frame.

        Args:
            frame: Index of the frame, from 0.
            stamp: Its time in seconds.
            faces: What was found in it.

        Raises:
            TableError: They cannot be written.
        """
        start = [str(frame), f'{stamp:.4f}']
        for face in faces:
            row = [*start, face.id, *_values(face)]
            self._write(row + _landmarks(face) if self._landmarks else row)
        if not faces:
            blank = [''] * (1 + len(_COLUMNS) + (len(_LANDMARKS) if self._landmarks else 0))
            self._write(start + blank)

    def _write(self, row: list[str]) -> None:
        text = StringIO(newline='')
        csv.writer(text).writerow(row)
        try:
            self._stream.write(text.getvalue().encode())
        except OSError as error:
            raise TableError(f'cannot write {self._path}: {error.strerror}') from error


def read_table(path: Path) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Read a table: by face id, by column, one value a frame in which the face has a row.

    A last row that was cut short is left out.

    Returns:
        float64 (N,) arrays, NaN where a value is not known; under the empty id the frames without
        a face.

    Raises:
        TableError: The file cannot be read or is no such table.
    """
    try:
        with path.open(newline='', encoding='utf-8') as stream:
            rows = list(csv.reader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableError(f'cannot read {path}: {error}') from error
    header = rows[0] if rows else []
    if missing := {'frame', 'time_s', 'id', 'yaw_deg', 'pitch_deg', 'roll_deg'} - set(header):
        raise TableError(f'{path} is no table of faces: columns {sorted(missing)} are missing')
    index = header.index('id')
    faces: dict[str, list[list[str]]] = {}
    for row in rows[1:]:
        if len(row) == len(header):
            faces.setdefault(row[index], []).append(row)
    return {name: _columns(path, header, rows) for name, rows in faces.items()}


def _values(face: Face) -> list[str]:
    position = np.full(3, np.nan) if face.position is None else face.position
    pitch, yaw, roll = np.degrees(face.pitch_yaw_roll)
    numbers = np.concatenate(
        [
            [yaw, pitch, roll],
            quaternion_from_matrix(face.rotation),
            position,
            face.box,
            [face.confidence],
            face.openness,
        ]
    )
    pairs = zip(numbers, _COLUMNS.values(), strict=True)
    return [_text(value, digits) for value, digits in pairs]


def _landmarks(face: Face) -> list[str]:
    if not len(face.landmarks):
        return [''] * len(_LANDMARKS)
    table = np.column_stack([face.landmarks, face.visibility])
    return [_text(value, 3) for value in table.ravel()]


def _text(value: float, digits: int) -> str:
    return f'{value:.{digits}f}' if math.isfinite(value) else ''


def _columns(
    path: Path, header: list[str], rows: list[list[str]]
) -> dict[str, NDArray[np.float64]]:
    try:
        return {
            name: np.array([float(text) if text else math.nan for text in values])
            for name, values in zip(header, zip(*rows, strict=True), strict=True)
            if name != 'id'
        }
    except ValueError as error:
        raise TableError(f'{path} is no table of faces: {error}') from error
