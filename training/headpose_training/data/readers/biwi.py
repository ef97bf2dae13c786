"""BIWI Kinect Head Pose Database: colour frames with the head's rotation and place.

Each `frame_XXXXX_pose.txt` holds a (3, 3) rotation, a blank line and the head's centre in
millimetres, both in the axes of the depth camera: x right, y down, z into the scene, identity for
a head that faces the camera. That is the camera-aligned frame, so the matrix is taken as it is.
Published code reads angles off its transpose, `R.T = Rz(-roll) Ry(-yaw) Rx(pitch)`: the same
matrix and the same angles as `Rx(-pitch) Ry(yaw) Rz(roll)`.

The colour camera is turned by about one degree against the depth camera. Published results ignore
that, and so do these labels.

The dataset has no boxes. Its head centre, projected by `rgb.cal` of the sequence, is the middle of
a square of 200 mm at the head's distance: about what a face detector frames, hairline to chin.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headpose_training.data.reading import DatasetFormat, Item, stems, subfolders, table
from headpose_training.data.samples import LabelledFace
from headpose_training.errors import TrainingError

_BOX_MM = 200.0


def _list(folder: Path) -> list[Item]:
    return [
        Item(f'{part.name}/{stem}_pose.txt', part.name, partial(_read, folder, part.name, stem))
        for part in subfolders(folder)
        for stem in stems(part, '_rgb.png', '_pose.txt')
    ]


def _read(folder: Path, part: str, stem: str) -> LabelledFace:
    rows = table((folder / part / f'{stem}_pose.txt').read_text(), 3)
    if len(rows) != 4:
        raise TrainingError(f'{len(rows)} rows of numbers, expected a rotation and a translation')
    return LabelledFace(
        f'{part}/{stem}_rgb.png',
        folder / part / f'{stem}_rgb.png',
        rotation=rows[:3],
        annotated_box=_box(folder / part / 'rgb.cal', rows[3]),
    )


def _box(calibration: Path, center: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (4,) x, y, w, h px around a head centre in mm of the depth camera."""
    camera, turn, shift = _calibration(calibration)
    seen = turn @ center + shift
    if seen[2] <= 0:
        raise TrainingError('the head is not in front of the camera')
    middle = (camera @ seen)[:2] / seen[2]
    side = camera[0, 0] * _BOX_MM / seen[2]
    return np.concatenate([middle - side / 2, [side, side]])


def _calibration(file: Path) -> tuple[NDArray[np.float64], ...]:
    """Read `rgb.cal`: camera matrix, distortion (zeros), turn and shift, image size.

    The turn (3, 3) and the shift (3,) in mm lead from the depth camera to the colour camera.
    """
    lines = [line for line in file.read_text().splitlines() if line.strip()]
    try:
        camera, turn = table('\n'.join(lines[:3]), 3), table('\n'.join(lines[4:7]), 3)
        (shift,) = table('\n'.join(lines[7:8]), 3)
    except ValueError as error:
        raise TrainingError(f'{file.name} is not a calibration of BIWI') from error
    return camera, turn, shift


BIWI = DatasetFormat(
    'biwi',
    _list,
    frozenset({'rotation', 'box'}),
    'sequences 01 to 24 with frame_XXXXX_rgb.png, frame_XXXXX_pose.txt and rgb.cal',
    'non-commercial: research and education',
    'Fanelli, Dantone, Gall, Fossati, Van Gool: Random Forests for Real Time 3D Face Analysis, '
    'IJCV 2013',
)
