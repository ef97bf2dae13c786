"""3DFAW: 66 landmarks in three dimensions, rows `x, y, z` in px of the image.

The 66 points are iBUG-68 without the inner corners of the mouth, 60 and 64. Each of these is set
halfway between the outer corner and the middle of its two neighbours on the inner lips, and is
marked as not visible: nobody annotated it.

The coordinates are taken as they are. The dataset does not state which way z points, so each face
tells: the tip of a nose is nearer than the middle of the jaw's two ends.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from headpose_ros.geometry.landmarks import COUNT, SCHEMES, complete
from numpy.typing import NDArray

from headpose_training.data.reading import DatasetFormat, Item, image_of, image_stems, stems, table
from headpose_training.data.samples import LabelledFace
from headpose_training.errors import TrainingError

_GIVEN = SCHEMES['ibug66']
_NOSE_TIP, _JAW_ENDS = 30, [0, 16]


def _list(folder: Path) -> list[Item]:
    sets = [part.name.removesuffix('_lm') for part in folder.glob('*_lm') if part.is_dir()]
    return [
        Item(f'{part}_lm/{stem}_lm.csv', part, partial(_read, folder, part, stem))
        for part in sorted(sets)
        for stem in _stems(folder, part)
    ]


def _stems(folder: Path, part: str) -> list[str]:
    images = folder / f'{part}_img'
    if not images.is_dir():
        raise TrainingError(f'{images} is missing; expected {FAW3D.layout}')
    return sorted({*stems(folder / f'{part}_lm', '_lm.csv'), *image_stems(images)})


def _read(folder: Path, part: str, stem: str) -> LabelledFace:
    given = table((folder / f'{part}_lm' / f'{stem}_lm.csv').read_text(), 3)
    if len(given) != len(_GIVEN):
        raise TrainingError(f'{len(given)} landmarks, expected {len(_GIVEN)}')
    points = complete(given, 'ibug66')
    image = image_of(folder / f'{part}_img', stem)
    return LabelledFace(
        f'{part}_img/{image.name}',
        image,
        points[:, :2],
        visible=np.isin(np.arange(COUNT), _GIVEN),
        depth=_depth(points[:, 2]),
    )


def _depth(z: NDArray[np.float64]) -> NDArray[np.float64]:
    away = np.sign(z[_JAW_ENDS].mean() - z[_NOSE_TIP])
    return away * (z - z.mean())


FAW3D = DatasetFormat(
    '3dfaw',
    _list,
    frozenset({'landmarks', 'visible', 'depth'}),
    'train_img/NAME.jpg with train_lm/NAME_lm.csv (66 rows x, y, z), likewise valid_img, valid_lm',
    'research, on application',
    'Jeni, Tulyakov, Yin, Sebe, Cohn: The First 3D Face Alignment in the Wild (3DFAW) Challenge, '
    'ECCV Workshops 2016',
)
