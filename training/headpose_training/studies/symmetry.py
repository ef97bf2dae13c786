"""Do the labels of photographs lie where their pictures are?

People are as often turned to the left as to the right, and a network that learned from pictures and
their mirror images marks both alike. What its marks on a picture and, turned back, on the mirrored
picture have in common is free of a lean of its own to one side. Where labels lie beside that, to
the same side in most pictures, they were shifted against the pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from headpose_ros.files import check_new
from headpose_ros.models.weights import load_model
from headpose_ros.perception.infer import FaceNetwork
from numpy.typing import NDArray
from rich.progress import track

from headpose_training.data.augment import mirrored_landmarks
from headpose_training.data.formats import read_faces
from headpose_training.data.readers.real_faces import JUDGE_SETS, TRAIN_SETS
from headpose_training.data.samples import LabelledFace
from headpose_training.errors import TrainingError
from headpose_training.metrics.estimates import window_of
from headpose_training.metrics.intervals import measure
from headpose_training.metrics.landmarks import nme_outer_eyes
from headpose_training.metrics.tables import cell, markdown_table, write_report

Array = NDArray[np.float64]
Row = dict[str, Any]

_COLUMNS = {
    'lean': 'the network leans right by (px)',
    'right': 'labels lie right by (px)',
    'given': 'NME, labels as given (%)',
    'moved': 'NME, labels moved left by that (%)',
}
_NOTES = (
    'Each picture and its mirror image are marked; the mean of both marks, of all 68 points of a '
    'face, against the labels, and half the difference of both, as medians over faces. px of the '
    'packed pictures, which are 288 px wide. NME of the outer eye corners. In brackets: bootstrap '
    'over faces, 95 %.',
)


def symmetry(
    real: Path,
    out: Path,
    weights: Sequence[str] = ('mnn_lite_free', 'mnn_lite_research'),
    sets: Sequence[str] = (*TRAIN_SETS, *JUDGE_SETS),
    overwrite: bool = False,
) -> None:
    """Compare labels with mirrored pictures; write symmetry.md and .json.

    Args:
        real: Packed `real_faces` folder.
        out: Folder for the results.
        weights: Names of networks, or files.
        sets: Of photographs, each judged on its own.
        overwrite: Replace the results that an earlier call left in it; else that is an error.

    Raises:
        TrainingError: A network has no landmarks.
    """
    check_new(out / 'symmetry.json', overwrite)
    networks = {name: _network(name) for name in weights}
    rows = [
        {'weights': name, 'set': chosen, **_row(network, real, chosen)}
        for name, network in networks.items()
        for chosen in sets
    ]
    lines = ['# Labels against mirrored pictures', '', *_NOTES, '']
    table = [
        [row['weights'], row['set'], str(row['faces']), *(cell(row[key]) for key in _COLUMNS)]
        for row in rows
    ]
    lines += markdown_table(['weights', 'set', 'faces', *_COLUMNS.values()], table)
    write_report(out, 'symmetry', {'rows': rows}, lines)


def _network(weights: str) -> FaceNetwork:
    network = FaceNetwork(load_model(weights))
    if not network.spec.landmarks:
        raise TrainingError(f'{weights} has no landmarks: choose a network with 68 of them')
    return network


def _row(network: FaceNetwork, real: Path, chosen: str) -> Row:
    faces = read_faces('real_faces', real, [chosen])
    marks = np.stack([_both_marks(network, face) for face in track(faces, chosen, transient=True)])
    labels = np.stack([face.landmarks for face in faces if face.landmarks is not None])
    return {'faces': len(faces), **_measures(marks, labels)}


def _both_marks(network: FaceNetwork, face: LabelledFace) -> Array:
    """Return (2, 68, 2) the marks on the picture, and those on its mirror image, turned back."""
    assert face.landmarks is not None
    image = face.read_image()
    right = image.shape[1] - 1.0
    mirrored = replace(face, landmarks=mirrored_landmarks(face.landmarks, right))
    seen = network.estimate(image, [window_of(face)])[0].landmarks
    flipped = np.ascontiguousarray(image[:, ::-1])
    back = network.estimate(flipped, [window_of(mirrored)])[0].landmarks
    return np.stack([seen, mirrored_landmarks(back, right)])


def _measures(marks: Array, labels: Array) -> Row:
    """Measure (N, 2, 68, 2) marks of pictures and mirror images against (N, 68, 2) labels."""
    beside = (labels - marks.mean(axis=1))[..., 0].mean(axis=1)
    lean = (marks[:, 0] - marks[:, 1])[..., 0].mean(axis=1) / 2
    moved = labels - [np.median(beside), 0.0]
    return {
        'lean': measure(lean, np.median),
        'right': measure(beside, np.median),
        'given': measure(100 * nme_outer_eyes(marks[:, 0], labels)),
        'moved': measure(100 * nme_outer_eyes(marks[:, 0], moved)),
    }
