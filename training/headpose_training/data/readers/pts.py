"""300-W and its parts such as AFW: one `.pts` file with 68 landmarks beside each image.

A file has the header `version: 1`, `n_points: 68` and braces around the rows, or bare rows. The
coordinates come from MATLAB, whose first pixel is 1: one is subtracted.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headpose_training.data.reading import (
    ALL,
    DatasetFormat,
    Item,
    image_of,
    image_stems,
    subfolders,
    table,
)
from headpose_training.data.samples import LabelledFace


def parse_pts(text: str) -> NDArray[np.float64]:
    """Return the (N, 2) points of a `.pts` file as written, with or without a header."""
    rows = [line for line in text.splitlines() if ':' not in line and line.strip() not in '{}']
    return table('\n'.join(rows), 2)


def _list(folder: Path) -> list[Item]:
    return [
        Item(
            (part / f'{stem}.pts').relative_to(folder).as_posix(),
            ALL if part == folder else part.relative_to(folder).as_posix(),
            partial(_read, folder, part, stem),
        )
        for part in _tree(folder)
        for stem in image_stems(part, '.pts')
    ]


def _tree(folder: Path) -> list[Path]:
    return [folder, *(deeper for part in subfolders(folder) for deeper in _tree(part))]


def _read(folder: Path, part: Path, stem: str) -> LabelledFace:
    landmarks = parse_pts((part / f'{stem}.pts').read_text(errors='replace')) - 1
    image = image_of(part, stem)
    return LabelledFace(image.relative_to(folder).as_posix(), image, landmarks)


_TERMS = 'non-commercial research'
_CITATION = (
    'Sagonas, Antonakos, Tzimiropoulos, Zafeiriou, Pantic: 300 Faces In-The-Wild Challenge: '
    'Database and Results, Image and Vision Computing 2016'
)
W300 = DatasetFormat(
    '300w',
    _list,
    frozenset({'landmarks'}),
    'NAME.jpg or NAME.png beside NAME.pts, in folders such as helen/trainset, which are the sets',
    _TERMS,
    _CITATION,
)
AFW = DatasetFormat(
    'afw',
    _list,
    frozenset({'landmarks'}),
    'AFW as 300-W released it: NAME_1.jpg beside NAME_1.pts (not the 6 points of anno.mat)',
    _TERMS,
    'Zhu, Ramanan: Face Detection, Pose Estimation, and Landmark Localization in the Wild, '
    f'CVPR 2012; annotated by {_CITATION}',
)
