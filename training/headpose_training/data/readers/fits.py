"""300W-LP and AFLW2000-3D: a 3-D face model fitted to each photograph (Zhu et al., CVPR 2016).

`Pose_Para` (1, 7) is pitch, yaw, roll in radians, a translation and a scale, in the convention of
`matrix_from_aflw`. The fits were made in MATLAB, whose first pixel is 1: one is subtracted from
all image coordinates. The fitted model has y up and z towards the viewer, so its larger z is
nearer; :class:`LabelledFace` has it the other way round.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from headpose_ros.geometry.rotations import matrix_from_aflw
from numpy.typing import NDArray

from headpose_training.data.reading import (
    ALL,
    DatasetFormat,
    Item,
    read_mat,
    stems,
    subfolders,
    variable,
)
from headpose_training.data.samples import LabelledFace

_CITATION = 'Zhu, Lei, Liu, Shi, Li: Face Alignment Across Large Poses: A 3D Solution, CVPR 2016'
_TERMS = 'research; the photographs keep the terms of 300-W and AFLW (non-commercial research)'


def _list_300w_lp(folder: Path) -> list[Item]:
    return [
        Item(f'{part.name}/{stem}.mat', part.name, partial(_read_300w_lp, folder, part.name, stem))
        for part in subfolders(folder)
        if part.name not in ('Code', 'landmarks')
        for stem in stems(part, '.jpg', '.mat')
    ]


def _read_300w_lp(folder: Path, part: str, stem: str) -> LabelledFace:
    mat = read_mat(folder / part / f'{stem}.mat')
    landmarks = (
        variable(mat, 'pt2d').T if 'pt2d' in mat else _separate_landmarks(folder, part, stem)
    )
    return LabelledFace(
        f'{part}/{stem}.jpg', folder / part / f'{stem}.jpg', landmarks - 1, _rotation(mat)
    )


def _separate_landmarks(folder: Path, part: str, stem: str) -> NDArray[np.float64]:
    """Read `landmarks/<set>/<name>_pts.mat`: there `pts_3d` are projected points of the model.

    They are taken before `pts_2d`, whose cheek follows the visible outline instead of the pose.
    """
    mat = read_mat(folder / 'landmarks' / part / f'{stem}_pts.mat')
    return variable(mat, 'pts_3d' if 'pts_3d' in mat else 'pts_2d')[:, :2]


def _list_aflw2000(folder: Path) -> list[Item]:
    return [
        Item(f'{stem}.mat', ALL, partial(_read_aflw2000, folder, stem))
        for stem in stems(folder, '.jpg', '.mat')
    ]


def _read_aflw2000(folder: Path, stem: str) -> LabelledFace:
    mat = read_mat(folder / f'{stem}.mat')
    points = variable(mat, 'pt3d_68')
    nearness = points[2]
    return LabelledFace(
        f'{stem}.jpg',
        folder / f'{stem}.jpg',
        points[:2].T - 1,
        _rotation(mat),
        depth=nearness.mean() - nearness,
    )


def _rotation(mat: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    return matrix_from_aflw(variable(mat, 'Pose_Para').ravel()[:3])


W300_LP = DatasetFormat(
    '300w_lp',
    _list_300w_lp,
    frozenset({'landmarks', 'rotation'}),
    'folders such as AFW, AFW_Flip and HELEN with NAME.jpg and NAME.mat (Pose_Para, pt2d; without '
    'pt2d, landmarks/AFW/NAME_pts.mat is read)',
    _TERMS,
    _CITATION,
)
AFLW2000 = DatasetFormat(
    'aflw2000',
    _list_aflw2000,
    frozenset({'landmarks', 'rotation', 'depth'}),
    'image00002.jpg and image00002.mat (Pose_Para, pt3d_68) side by side',
    _TERMS,
    _CITATION,
)
