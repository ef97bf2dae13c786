"""COFW68: the test images of COFW with 68 landmarks and their occlusion.

COFW itself keeps its images in a MATLAB file and has 29 points of its own. The second annotation
has `N_points.mat` with `Points` (68, 2) and `Occ` (68 numbers, 1 = occluded) for image N of the
test file; the images are expected as files, written out in the order of `IsT`. The points were
set in MATLAB, whose first pixel is 1: one is subtracted.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from headpose_training.data.reading import (
    ALL,
    DatasetFormat,
    Item,
    image_of,
    image_stems,
    read_mat,
    stems,
    variable,
)
from headpose_training.data.samples import LabelledFace
from headpose_training.errors import TrainingError


def _list(folder: Path) -> list[Item]:
    for part in ('test_annotations', 'images'):
        if not (folder / part).is_dir():
            raise TrainingError(f'{folder / part} is missing; expected {COFW.layout}')
    numbers = {*stems(folder / 'test_annotations', '_points.mat'), *image_stems(folder / 'images')}
    return [
        Item(f'{number}_points.mat', ALL, partial(_read, folder, number))
        for number in sorted(numbers, key=lambda number: (len(number), number))
    ]


def _read(folder: Path, number: str) -> LabelledFace:
    mat = read_mat(folder / 'test_annotations' / f'{number}_points.mat')
    occluded = variable(mat, 'Occ').ravel()
    if not set(occluded) <= {0.0, 1.0}:
        raise TrainingError('Occ holds other numbers than 0 and 1')
    image = image_of(folder / 'images', number)
    return LabelledFace(image.name, image, variable(mat, 'Points') - 1, visible=occluded == 0)


COFW = DatasetFormat(
    'cofw',
    _list,
    frozenset({'landmarks', 'visible'}),
    'test_annotations/N_points.mat (COFW68) and images/N.jpg or N.png, written out of '
    'COFW_test_color.mat, N from 1',
    'research',
    'Burgos-Artizzu, Perona, Dollár: Robust Face Landmark Estimation under Occlusion, ICCV 2013; '
    '68 points by Ghiasi, Fowlkes: Occlusion Coherence, arXiv:1506.08347',
)
