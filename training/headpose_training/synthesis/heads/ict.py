"""Heads of ICT-FaceKit: 100 identity modes of scanned faces and 57 expressions (MIT licence)."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from headpose_ros.geometry.face_shape import mean_face
from headpose_ros.geometry.landmarks import MIRROR, SELLION
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from headpose_training.data.marks import marked
from headpose_training.errors import TrainingError
from headpose_training.synthesis.heads.blended import (
    LOOKS,
    HeadModel,
    Person,
    Shape,
    face_skin,
    skin_points,
)
from headpose_training.synthesis.heads.expressions import BLEND_SHAPES
from headpose_training.synthesis.heads.eyeball import fit_eyeballs
from headpose_training.synthesis.heads.jaw_paths import jaw_paths
from headpose_training.synthesis.heads.mesh import Material
from headpose_training.synthesis.heads.places import Landmarks
from headpose_training.synthesis.heads.regions import below_neck, ears_by_place, head_regions
from headpose_training.synthesis.heads.surface import Surface
from headpose_training.synthesis.heads.variation import smooth_warp

Array = NDArray[np.float64]
Float = NDArray[np.float32]

#: Parts by their first polygon, as the model's README lists them; None is not drawn: the inner
#: eye (we have our own eyeball) and the transparent films over it.
_PARTS: list[tuple[int, Material | None]] = [
    (0, Material.SKIN),  # face, head and neck
    (11144, Material.MOUTH),  # mouth socket
    (13226, Material.SKIN),  # eye sockets
    (14034, Material.MOUTH),  # gums and tongue
    (17006, Material.TEETH),
    (21496, None),  # eyeballs and the films of their fluid
    (25304, Material.LASHES),
    (26384, None),
]
#: Vertices of the outer eyeballs, the person's right one first.
_EYEBALLS = (slice(23021, 23791), slice(21451, 22221))
#: Axes of the npz (x to the person's left, y up, z out of the face) to those of the face frame.
_FACE_FROM_ICT = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
#: Modes are drawn at one standard deviation, with its tails cut here.
_WIDEST = 2.5
_KEYS = ('neutral', 'uv', 'quads', 'quads_uv', 'identity', 'expression', 'expr_names', 'lmk68')


class IctHeads:
    """Heads of ICT-FaceKit. See `mesh.HeadSource`."""

    name = 'ict'

    def __init__(self, model: HeadModel, mean: Float, modes: Float, eyes: list[slice]) -> None:
        """Take a model apart already; use `load`.

        Args:
            model: Without eyeballs.
            mean: (P, 3) of the neutral head followed by the original eyeballs.
            modes: (100, P, 3) offsets of one standard deviation.
            eyes: Rows of the two original eyeballs in `mean`, the right one first.
        """
        self._model, self._mean, self._eyes = model, mean, eyes
        self._modes = modes.reshape(len(modes), -1)

    @classmethod
    def load(cls, path: Path | str) -> IctHeads:
        """Read `ict_facekit.npz` (`headpose-train convert-ict` makes it).

        Raises:
            TrainingError: The file is missing or is another kind of npz.
        """
        data = _read(Path(path))
        turn = _zero_pose(data['neutral'], data['lmk68'])
        surface, kept = _surface(data)
        eyes = [np.arange(s.start, s.stop) for s in _EYEBALLS]
        rows = np.concatenate([kept, *eyes])
        mean = (data['neutral'][rows] @ turn.T / 100.0).astype(np.float32)
        modes = data['identity'][:, rows].astype(np.float32) @ (turn.T / 100.0).astype(np.float32)
        new = np.zeros(len(data['neutral']), np.int32)
        new[kept] = np.arange(len(kept))
        landmarks = Landmarks.at_points(new[data['lmk68']])
        mean -= landmarks(mean)[SELLION]
        ends = np.cumsum([len(kept), *map(len, eyes)])
        balls = [slice(a, b) for a, b in pairwise(ends)]
        model = _model(surface, landmarks, mean, balls, _shapes(data, kept, turn))
        return cls(model, mean, modes, balls)

    def thinned(self) -> IctHeads:
        """Return the same heads with fewer triangles: see `HeadModel.thinned`."""
        person = self.person(np.zeros(len(self._modes), np.float32))
        model, kept = self._model.thinned(person)
        gone = self._model.surface.points - len(kept)
        rows = np.concatenate([kept, np.arange(self._model.surface.points, len(self._mean))])
        modes = self._modes.reshape(len(self._modes), -1, 3)[:, rows]
        balls = [slice(s.start - gone, s.stop - gone) for s in self._eyes]
        return IctHeads(model, self._mean[rows], modes, balls)

    def sample(self, rng: np.random.Generator) -> Person:
        """Draw one person."""
        weights = np.clip(rng.normal(0.0, 1.0, len(self._modes)), -_WIDEST, _WIDEST)
        return self.person(weights.astype(np.float32), rng)

    def person(self, weights: Float, rng: np.random.Generator | None = None) -> Person:
        """Return the person with (100,) weights of the identity modes."""
        head = self._mean + (weights @ self._modes).reshape(-1, 3)
        if rng is not None:
            head = head + smooth_warp(rng, self._model.landmarks(self._mean), self._mean)
        centres, radius = fit_eyeballs(head, self._eyes)
        return Person(self._model, head[: self._model.surface.points], centres, radius)


def _read(path: Path) -> dict[str, NDArray]:
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {key: data[key] for key in _KEYS}
    except (OSError, KeyError, ValueError) as error:
        raise TrainingError(
            f'{path} is not the ICT-FaceKit npz ({", ".join(_KEYS)}): {error}; make it with '
            f'headpose-train convert-ict'
        ) from error
    if len(arrays['quads']) != _PARTS[-1][0]:
        raise TrainingError(
            f'{path} has {len(arrays["quads"])} polygons, expected {_PARTS[-1][0]}: make it anew '
            f'from the current files of ICT-FaceKit with headpose-train convert-ict'
        )
    return arrays


def _zero_pose(neutral: Array, indices: NDArray[np.int32]) -> Array:
    """Return the rotation (3, 3) from the axes of the npz to the zero pose of our face frame.

    `mean_face` is this very head, turned to the zero pitch of the pose labels; laying one over
    the other finds that turn again.
    """
    own = neutral[indices] @ _FACE_FROM_ICT.T
    own = (own + own[MIRROR] * [1.0, -1.0, 1.0]) / 2
    ours, own = mean_face(), marked(own)
    turn, _ = Rotation.align_vectors(ours - ours.mean(axis=0), own - own.mean(axis=0))
    return turn.as_matrix() @ _FACE_FROM_ICT


def _surface(data: dict[str, NDArray]) -> tuple[Surface, NDArray[np.int32]]:
    materials = np.full(len(data['quads']), -1)
    for (start, material), (end, _) in pairwise(_PARTS):
        if material is not None:
            materials[start:end] = material
    drawn = materials >= 0
    surface = Surface.from_quads(
        data['quads'][drawn], data['quads_uv'][drawn], data['uv'], materials[drawn]
    )
    return surface.without_unused_points()


def _model(
    surface: Surface,
    landmarks: Landmarks,
    mean: Float,
    balls: list[slice],
    shapes: dict[str, Shape],
) -> HeadModel:
    points: Array = mean[: surface.points].astype(np.float64)
    places: Array = landmarks(mean).astype(np.float64)
    regions = head_regions(points, places, ears_by_place(points, places), skin_points(surface))
    surface = surface.with_body(below_neck(points))
    surface = surface.with_lash_places(mean, *fit_eyeballs(mean, balls))
    jaw = jaw_paths(points, face_skin(surface), landmarks)
    return HeadModel(surface, shapes, landmarks, jaw, regions)


def _shapes(data: dict[str, NDArray], kept: NDArray[np.int32], turn: Array) -> dict[str, Shape]:
    rows = {str(name): row for row, name in enumerate(data['expr_names'])}
    names = {name for shapes in BLEND_SHAPES.values() for name in shapes} | set(LOOKS)
    shapes = {}
    for name in sorted(names):
        offsets = sum(
            data['expression'][rows[own]][kept].astype(np.float32) for own in _own_names(name, rows)
        )
        shapes[name] = Shape.from_dense(offsets @ turn.T.astype(np.float32) / 100)
    return shapes


def _own_names(name: str, rows: dict[str, int]) -> list[str]:
    """Return the model's names for an ARKit shape; it splits some of them into two sides."""
    own = name.replace('Left', '_L').replace('Right', '_R')
    if name in rows:
        return [name]
    return [own] if own in rows else [f'{name}_L', f'{name}_R']
