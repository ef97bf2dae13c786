"""The dataset formats, by name, and how to read or check a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from headpose_ros.geometry.rotations import aflw_from_matrix
from rich.console import Console
from rich.table import Table

from headpose_training.data.readers.aflw import AFLW
from headpose_training.data.readers.biwi import BIWI
from headpose_training.data.readers.cofw import COFW
from headpose_training.data.readers.faw3d import FAW3D
from headpose_training.data.readers.fits import AFLW2000, W300_LP
from headpose_training.data.readers.labelled import LABELLED
from headpose_training.data.readers.pts import AFW, W300
from headpose_training.data.readers.real_faces import REAL_FACES
from headpose_training.data.readers.rendered import RENDERED
from headpose_training.data.readers.wflw import WFLW
from headpose_training.data.reading import DatasetFormat, Reading, read_items
from headpose_training.data.samples import LabelledFace
from headpose_training.errors import TrainingError

__all__ = ['FORMATS', 'DatasetFormat', 'check', 'read_faces']

_ALL = (REAL_FACES, RENDERED, LABELLED, W300_LP, AFLW2000, BIWI, AFLW, AFW, W300, WFLW, COFW, FAW3D)
FORMATS: dict[str, DatasetFormat] = {dataset.name: dataset for dataset in _ALL}
#: Label of a format: where a face has it.
_LABELS = {
    'landmarks': 'landmarks',
    'rotation': 'rotation',
    'visible': 'visible',
    'depth': 'depth',
    'box': 'annotated_box',
}


def read_faces(
    format: str, folder: Path, sets: Sequence[str] = (), skip_broken: bool = False
) -> list[LabelledFace]:
    """Read the labels of a dataset. All images are decoded once, to find the broken ones now.

    Args:
        format: Key of :data:`FORMATS`.
        folder: The dataset.
        sets: Parts of the dataset to read, as its layout names them; empty for all.
        skip_broken: Leave out broken faces with a warning instead of refusing the dataset.

    Returns:
        The faces in the dataset's order.

    Raises:
        TrainingError: The folder is not of the format, has no such sets, or has broken faces
            and `skip_broken` is off.
    """
    dataset = _known(format)
    reading = read_items(dataset, folder, sets)
    if not reading.problems:
        return reading.faces
    complaint = reading.complaint(folder)
    if not reading.faces:
        raise TrainingError(f'{complaint}; expected {dataset.layout}')
    if not skip_broken:
        raise TrainingError(f'{complaint}; use --data.skip_broken true to leave them out')
    Console(stderr=True, soft_wrap=True, markup=False, highlight=False).print(
        f'warning: {complaint}; they are left out'
    )
    return reading.faces


def check(format: str, folder: Path, sets: Sequence[str] = ()) -> None:
    """Print what a folder holds: faces, labels, range of the poses, first problems.

    Args:
        format: Key of :data:`FORMATS`.
        folder: The dataset.
        sets: Parts of the dataset to check; empty for all.

    Raises:
        TrainingError: The folder is not of the format or has broken faces.
    """
    dataset = _known(format)
    reading = read_items(dataset, folder, sets)
    console = Console(soft_wrap=True, highlight=False)
    console.print(_report(dataset, reading))
    for problem in reading.problems[:10]:
        console.print(problem, markup=False)
    if reading.problems:
        raise TrainingError(reading.complaint(folder))


def _known(format: str) -> DatasetFormat:
    if format not in FORMATS:
        raise TrainingError(f'unknown dataset format {format!r}, known are {", ".join(FORMATS)}')
    return FORMATS[format]


def _report(dataset: DatasetFormat, reading: Reading) -> Table:
    table = Table(show_header=False)
    table.add_row('format', dataset.name)
    table.add_row('faces', str(len(reading.faces)))
    table.add_row('broken', str(len(reading.problems)))
    for label, attribute in _LABELS.items():
        if label in dataset.labels:
            count = sum(getattr(face, attribute) is not None for face in reading.faces)
            table.add_row(label, f'{count} faces')
    for name, low, high in _pose_range(reading.faces):
        table.add_row(name, f'{low:.0f} to {high:.0f} degrees')
    table.add_row('terms', dataset.terms)
    table.add_row('cite', dataset.citation)
    return table


def _pose_range(faces: list[LabelledFace]) -> list[tuple[str, float, float]]:
    rotations = [face.rotation for face in faces if face.rotation is not None]
    if not rotations:
        return []
    angles = np.degrees(aflw_from_matrix(np.stack(rotations)))
    return list(zip(('pitch', 'yaw', 'roll'), angles.min(axis=0), angles.max(axis=0), strict=True))
