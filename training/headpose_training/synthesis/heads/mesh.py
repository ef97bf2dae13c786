"""What a head is, whatever model it came from: the interface between heads and renderer."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

import numpy as np
from headpose_ros.geometry.landmarks import GROUPS
from numpy.typing import NDArray

from headpose_training.synthesis.heads.expressions import Expression
from headpose_training.synthesis.heads.jaw_paths import LENGTH

Float = NDArray[np.float32]

#: The soft masks that every source gives (see `HeadMesh.regions`).
REGIONS = ('scalp', 'brow', 'lips', 'beard', 'lids', 'ears', 'nose', 'cheeks', 'body')


class Material(IntEnum):
    """What a triangle is made of."""

    SKIN = 0
    SCLERA = 1  # the whole outer surface of the eyeball: white, iris and pupil
    TEETH = 2
    MOUTH = 3  # gums, tongue, the bag behind the lips
    LASHES = 4  # u along the lid, v from the root (0) to the tip (1): strips to be cut into hairs
    BODY = 5  # skin from the neck down, where clothes lie


def no_triangles() -> NDArray[np.int32]:
    """Return (0, 3) triangles."""
    return np.zeros((0, 3), np.int32)


def no_paths() -> Float:
    """Return (0, 0, 3) places."""
    return np.zeros((0, 0, 3), np.float32)


def is_skin(materials: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return (F,) which triangles are skin of head or body."""
    return (materials == Material.SKIN) | (materials == Material.BODY)


@dataclass(frozen=True)
class HeadMesh:
    """One head in metres in the REP-155 face frame.

    x out of the face, y to the person's left, z up; the origin is the sellion landmark of the
    neutral expression (it stays with the skull when brows move); the zero pose is that of
    `headpose_ros.geometry.face_shape.mean_face`.

    Attributes:
        vertices: (V, 3) float32 metres. Doubled along the seams of the texture.
        triangles: (F, 3) int32, counter-clockwise seen from outside.
        materials: (F,) uint8 of `Material`.
        uv: (V, 2) float32 in 0..1. Of an eyeball: the pupil is at (0.5, 0.5) and the distance from
            there is the angle from the line of sight over 360 degrees.
        normals: (V, 3) float32 unit, outward, smooth across seams.
        landmarks: (68, 3) float32 metres, iBUG-68 order.
        eye_centers: (2, 3) float32 metres, centres of the eyeballs, the person's right eye first.
        eye_radius: Metres, of the eyeball.
        gaze: (2, 3) float32 unit directions of sight, the person's right eye first.
        eye_openness: (2,) float32 in 0..1: gap of the lids over that of the neutral expression.
        mouth_openness: Gap of the inner lips over the width of the mouth.
        regions: Soft masks (V,) float32 in 0..1 by the names in `REGIONS`.
        jaw_paths: (17, N, 3) float32 metres: places on the skin from the front of the face to
            behind each of the jaw's landmarks, see `jaw_paths`. By default the landmarks alone.
        jaw_normals: (17, N, 3) float32 normals of the skin there.
        outline: (N, 3) int32 triangles of about the same skin, but fewer: enough for its shadow and
            under hair. By default those of the skin.
    """

    vertices: Float
    triangles: NDArray[np.int32]
    materials: NDArray[np.uint8]
    uv: Float
    normals: Float
    landmarks: Float
    eye_centers: Float
    eye_radius: float
    gaze: Float
    eye_openness: Float
    mouth_openness: float
    regions: dict[str, Float] = field(default_factory=dict)
    jaw_paths: Float = field(default_factory=no_paths)
    jaw_normals: Float = field(default_factory=no_paths)
    outline: NDArray[np.int32] = field(default_factory=no_triangles)

    def __post_init__(self) -> None:
        """Let the skin be its own outline, and paths stay where they are."""
        if not len(self.jaw_paths):
            jaw = self.landmarks[list(GROUPS['jaw'])]
            object.__setattr__(self, 'jaw_paths', np.repeat(jaw[:, None], LENGTH, axis=1))
            object.__setattr__(self, 'jaw_normals', np.zeros_like(self.jaw_paths))
        if not len(self.outline):
            object.__setattr__(self, 'outline', self.triangles[is_skin(self.materials)])


class Identity(Protocol):
    """One person. Triangles, materials, uv and regions are the same for all expressions."""

    def mesh(self, expression: Expression) -> HeadMesh:
        """Return the head with that expression."""
        ...


class HeadSource(Protocol):
    """A model of heads."""

    @property
    def name(self) -> str:
        """Short name, for reports and file names."""
        ...

    def __hash__(self) -> int:
        """What all heads of a source have in common is computed once for it."""
        ...

    def sample(self, rng: np.random.Generator) -> Identity:
        """Draw one person; the same state of `rng` gives the same person."""
        ...
