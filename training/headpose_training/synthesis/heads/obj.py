"""Reading Wavefront .obj files of quads, as far as head models need it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headpose_training.errors import TrainingError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Obj:
    """A mesh of quads.

    Attributes:
        vertices: (P, 3).
        uv: (T, 2).
        quads: (Q, 4) int32 rows of `vertices`; a triangle repeats its last corner.
        quads_uv: (Q, 4) int32 rows of `uv`.
        groups: (Q,) the group (`g`) of each quad.
    """

    vertices: Array
    uv: Array
    quads: NDArray[np.int32]
    quads_uv: NDArray[np.int32]
    groups: NDArray[np.str_]


def read_obj(path: Path) -> Obj:
    """Read a mesh.

    Raises:
        TrainingError: The file is missing or is no .obj of triangles and quads with texture.
    """
    lines = _lines(path)
    group, groups, faces = '', [], []
    for line in lines:
        kind, _, rest = line.partition(' ')
        if kind == 'g':
            group = rest.strip()
        elif kind == 'f':
            faces.append(_corners(path, rest))
            groups.append(group)
    corners = np.array(faces, np.int32).reshape(-1, 4, 2) - 1
    return Obj(
        _numbers(path, lines, 'v ', 3),
        _numbers(path, lines, 'vt ', 2),
        corners[..., 0],
        corners[..., 1],
        np.array(groups),
    )


def read_vertices(path: Path) -> Array:
    """Return only the (P, 3) vertices of a mesh. Raises as `read_obj` does."""
    return _numbers(path, _lines(path), 'v ', 3)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f'cannot read the mesh {path}: {error}') from error


def _numbers(path: Path, lines: list[str], kind: str, columns: int) -> Array:
    rows = [line[len(kind) :].split()[:columns] for line in lines if line.startswith(kind)]
    try:
        return np.array(rows, np.float64).reshape(len(rows), columns)
    except ValueError as error:
        raise TrainingError(f'{path} has a broken line of {kind.strip()!r}: {error}') from error


def _corners(path: Path, text: str) -> list[list[int]]:
    try:
        corners = [[int(number) for number in corner.split('/')[:2]] for corner in text.split()]
    except ValueError:
        corners = []
    if len(corners) not in (3, 4) or any(len(corner) != 2 for corner in corners):
        raise TrainingError(f'{path} has a face that is no textured triangle or quad: f {text}')
    return corners if len(corners) == 4 else [*corners, corners[-1]]
