"""Do the poses of photographs and of rendered heads mean the same?

A pose is a function of the landmarks, but for the shape of the head. A small regression from
*labelled* landmarks learns that function from one kind of faces and is judged on the other: what it
is off there no network that learned from the same labels can be expected to beat by better eyes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from headpose_ros.files import check_new
from headpose_ros.models.outputs import rotation_from_6d
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor, nn

from headpose_training.data.formats import read_faces
from headpose_training.data.readers.real_faces import JUDGE_SETS, TRAIN_SETS
from headpose_training.data.samples import LabelledFace
from headpose_training.errors import TrainingError
from headpose_training.metrics.intervals import measure
from headpose_training.metrics.pose import align, angles_deg, geodesic_deg
from headpose_training.metrics.tables import cell, markdown_table, write_report
from headpose_training.studies.pnp import SIDE, in_crop
from headpose_training.systems.losses import angles

Array = NDArray[np.float64]
Faces = tuple[Tensor, Tensor]

_HIDDEN, _BATCH, _RATE, _DECAY = 256, 256, 2e-3, 0.01
#: Labels of every face move by this share of the crop in training: no label is that exact.
_SHAKE = 0.005
_YAW_DEG = 45.0
_ANGLES = ('spread of pitch', 'spread of yaw', 'spread of roll')
_NOTES = (
    f'Landmarks as labelled, in the upright crop around them, through two layers of {_HIDDEN} to a '
    'rotation. Of each kind of faces another set is judged than was learned from; of the rendered '
    f'ones only those within {_YAW_DEG:.0f} degrees of yaw, as most photographs are. Mean geodesic '
    'error in degrees, one constant rotation removed; in brackets: bootstrap over faces, 95 %.',
    'Spread: standard deviation of the labels over that of the learned angles, on the photographs. '
    'Below 1 the labels turn heads less than what was learned does.',
)


def pose_labels(
    real: Path,
    rendered: Path,
    judge: Path,
    out: Path,
    steps: int = 4000,
    seed: int = 1,
    overwrite: bool = False,
) -> None:
    """Learn poses from the landmarks of both kinds of faces; write pose_labels.md and .json.

    Args:
        real: Packed `real_faces` folder.
        rendered: Folder of `headpose-train render` to learn from.
        judge: Another one, to judge on.
        out: Folder for the results.
        steps: Steps of each regression.
        seed: Of the regressions.
        overwrite: Replace the results that an earlier call left in it; else that is an error.

    Raises:
        TrainingError: A folder is not what it should be.
    """
    check_new(out / 'pose_labels.json', overwrite)
    learned = {
        'photographs': _labels(read_faces('real_faces', real, TRAIN_SETS)),
        'rendered faces': _labels(read_faces('rendered', rendered)),
    }
    judged = {
        'photographs': _labels(read_faces('real_faces', real, JUDGE_SETS)),
        'rendered faces': _within(_labels(read_faces('rendered', judge))),
    }
    rows = [_row(name, faces, judged, steps, seed) for name, faces in learned.items()]
    notes = [line for note in _NOTES for line in (note, '')]
    lines = ['# Poses from labelled landmarks, learned', '', *notes, *_table(rows, judged)]
    write_report(out, 'pose_labels', {'steps': steps, 'seed': seed, 'rows': rows}, lines)


def _labels(faces: Sequence[LabelledFace]) -> Faces:
    """Return (N, 136) landmarks in [-1, 1] of the crop and (N, 3, 3) rotations."""
    chosen = [f for f in faces if f.landmarks is not None and f.rotation is not None]
    if not chosen:
        raise TrainingError('no face has both landmarks and a rotation')
    points = np.stack([in_crop(f.landmarks).ravel() for f in chosen if f.landmarks is not None])
    rotations = np.stack([f.rotation for f in chosen if f.rotation is not None])
    return torch.from_numpy(2 * points / SIDE - 1).float(), torch.from_numpy(rotations).float()


def _within(faces: Faces) -> Faces:
    """Return the faces that are turned no farther than most photographs."""
    points, rotations = faces
    # Column z of a camera-aligned rotation points into the head.
    near = torch.atan2(rotations[:, 0, 2], rotations[:, 2, 2]).abs() < np.radians(_YAW_DEG)
    return points[near], rotations[near]


def _row(
    name: str, faces: Faces, judged: Mapping[str, Faces], steps: int, seed: int
) -> dict[str, Any]:
    network = _regression(faces, steps, seed, name)
    found = {kind: _poses(network, other) for kind, other in judged.items()}
    return {
        'learned from': name,
        'faces': len(faces[0]),
        **{kind: measure(geodesic_deg(*poses)) for kind, poses in found.items()},
        **dict(zip(_ANGLES, _spread(*found['photographs']), strict=True)),
    }


def _regression(faces: Faces, steps: int, seed: int, name: str) -> nn.Module:
    torch.manual_seed(seed)
    points, rotations = faces
    layers = [nn.Linear(136, _HIDDEN), nn.Hardswish(), nn.Linear(_HIDDEN, _HIDDEN), nn.Hardswish()]
    network = nn.Sequential(*layers, nn.Linear(_HIDDEN, 6))
    optimizer = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in track(range(steps), f'Learning from {name}', transient=True):
        chosen = torch.randint(len(points), (_BATCH,))
        shaken = points[chosen] + 2 * _SHAKE * torch.randn(_BATCH, 136)
        loss = angles(rotation_from_6d(network(shaken)), rotations[chosen]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


@torch.no_grad()
def _poses(network: nn.Module, faces: Faces) -> tuple[Array, Array]:
    """Return (N, 3, 3) learned rotations, a constant one removed, and labels."""
    points, rotations = faces
    target = rotations.double().numpy()
    return align(rotation_from_6d(network(points)).double().numpy(), target), target


def _spread(found: Array, target: Array) -> list[float]:
    return [float(s) for s in angles_deg(target).std(axis=0) / angles_deg(found).std(axis=0)]


def _table(rows: Sequence[Mapping[str, Any]], judged: Mapping[str, Faces]) -> list[str]:
    judges = [f'on {len(faces[0])} {kind}' for kind, faces in judged.items()]
    header = ['learned from', 'faces', *judges, *_ANGLES]
    lines = [
        [
            row['learned from'],
            str(row['faces']),
            *(cell(row[kind]) for kind in judged),
            *(f'{row[angle]:.2f}' for angle in _ANGLES),
        ]
        for row in rows
    ]
    return markdown_table(header, lines)
