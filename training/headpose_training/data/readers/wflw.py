"""WFLW: 98 landmarks, boxes and attributes in text lists, one face a line.

The coordinates are taken as they are: the dataset does not say that its first pixel were 1.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headpose_training.data.reading import DatasetFormat, Item, table
from headpose_training.data.samples import LabelledFace
from headpose_training.errors import TrainingError

_POINTS, _BOX, _ATTRIBUTES = 2 * 98, 4, 6
_LIST = 'list_98pt_rect_attr_'

#: (68,) index among the 98 points of each iBUG-68 point. The 98 points are 33 of the jaw, where
#: every second is one of the 17; brows of 9, the upper edge first and from left to right; 9 of
#: the nose; eyes of 8, where the middle of each lid has no partner in the 68; 20 of the mouth.
IBUG_FROM_98: NDArray[np.intp] = np.array(
    [
        *range(0, 33, 2),
        *range(33, 38),
        *range(42, 47),
        *range(51, 60),
        *(60, 61, 63, 64, 65, 67),
        *(68, 69, 71, 72, 73, 75),
        *range(76, 96),
    ]
)


def _list(folder: Path) -> list[Item]:
    return [
        Item(
            f'{file.name} line {number}',
            file.stem.removeprefix(_LIST),
            partial(_read, folder, number, line),
        )
        for file in sorted(folder.rglob(f'{_LIST}*.txt'))
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if line.strip()
    ]


def _read(folder: Path, number: int, line: str) -> LabelledFace:
    *values, image = line.split()
    expected = _POINTS + _BOX + _ATTRIBUTES
    if len(values) != expected:
        raise TrainingError(f'{len(values)} numbers before the image name, expected {expected}')
    numbers = table(' '.join(values[: _POINTS + _BOX]), 2)
    points, (low, high) = numbers[:-2], numbers[-2:]
    return LabelledFace(
        # An image can have several faces.
        f'{image}#{number}',
        folder / 'WFLW_images' / image,
        points[IBUG_FROM_98],
        annotated_box=np.concatenate([low, high - low]),
    )


WFLW = DatasetFormat(
    'wflw',
    _list,
    frozenset({'landmarks', 'box'}),
    'WFLW_images/ and, at any depth, list_98pt_rect_attr_train.txt (the set train) and '
    'list_98pt_rect_attr_test.txt',
    'non-commercial research',
    'Wu, Qian, Yang, Wang, Cai, Zhou: Look at Boundary: A Boundary-Aware Face Alignment '
    'Algorithm, CVPR 2018',
)
