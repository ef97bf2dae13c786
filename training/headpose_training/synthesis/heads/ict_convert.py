"""Make `ict_facekit.npz` from the files of the public ICT-FaceKit repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from headpose_ros.files import check_new
from headpose_ros.geometry.landmarks import COUNT
from numpy.typing import NDArray
from rich.progress import track

from headpose_training.errors import TrainingError
from headpose_training.synthesis.heads.obj import read_obj, read_vertices

_NEUTRAL = 'generic_neutral_mesh'
_IDENTITY = 'identity'


def convert_ict(folder: Path, out: Path, overwrite: bool = False) -> None:
    """Convert a clone of ICT-FaceKit (MIT licence) to the npz that heads are read from.

    Every mesh of its folder `FaceXModel` beside the neutral one is an offset from that: identity
    modes are numbered, all others are expressions.

    Args:
        folder: Clone of the repository ICT-VGL/ICT-FaceKit.
        out: The npz to write: neutral (P, 3) float32 in centimetres, uv (T, 2) float32, quads and
            quads_uv (Q, 4) int32, identity (N, P, 3) and expression (M, P, 3) float16 offsets,
            expr_names (M,), lmk68 (68,) int32 vertices of the iBUG-68 landmarks.
        overwrite: Replace a file that exists; else that is an error.

    Raises:
        TrainingError: A file is missing or its mesh differs from the neutral one.
    """
    check_new(out, overwrite)
    meshes = folder / 'FaceXModel'
    neutral = read_obj(meshes / f'{_NEUTRAL}.obj')
    files = sorted(file for file in meshes.glob('*.obj') if file.stem != _NEUTRAL)
    identity = [file for file in files if file.stem.startswith(_IDENTITY)]
    expression = [file for file in files if file not in identity]
    if not identity or not expression:
        raise TrainingError(
            f'{meshes} has {len(identity)} identity and {len(expression)} expression meshes: '
            f'clone the whole repository ICT-VGL/ICT-FaceKit'
        )
    arrays: dict[str, NDArray[Any]] = {
        'neutral': neutral.vertices.astype(np.float32),
        'uv': neutral.uv.astype(np.float32),
        'quads': neutral.quads,
        'quads_uv': neutral.quads_uv,
        'identity': _offsets(identity, neutral.vertices, 'identity'),
        'expression': _offsets(expression, neutral.vertices, 'expression'),
        'expr_names': np.array([file.stem for file in expression]),
        'lmk68': _landmarks(meshes / 'vertex_indices.json', len(neutral.vertices)),
    }
    np.savez_compressed(out, allow_pickle=False, **arrays)
    print(f'{out}: {len(identity)} identity modes, {len(expression)} expressions')


def _offsets(files: list[Path], neutral: NDArray[np.float64], what: str) -> NDArray[np.float16]:
    offsets = []
    for file in track(files, f'Reading {what} meshes'):
        vertices = read_vertices(file)
        if vertices.shape != neutral.shape:
            raise TrainingError(
                f'{file} has {len(vertices)} vertices, the neutral mesh {len(neutral)}: both must '
                f'be of one version of ICT-FaceKit'
            )
        offsets.append((vertices - neutral).astype(np.float16))
    return np.stack(offsets)


def _landmarks(file: Path, vertices: int) -> NDArray[np.int32]:
    try:
        indices = np.array(json.loads(file.read_text())['idx_to_landmark_verts'], np.int32)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f'{file} with the landmark vertices (idx_to_landmark_verts) cannot be read: {error!r}'
        ) from error
    if indices.shape != (COUNT,) or indices.min() < 0 or indices.max() >= vertices:
        raise TrainingError(f'{file} does not name {COUNT} vertices of the mesh as landmarks')
    return indices
