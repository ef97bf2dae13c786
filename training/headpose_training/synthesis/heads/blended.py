"""Heads made of a neutral shape, blend shapes and two eyeballs: what both sources share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from headpose_ros.geometry.landmarks import SELLION
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from headpose_training.synthesis.heads.expressions import Expression, blend_weights
from headpose_training.synthesis.heads.eyeball import (
    lid_gaps,
    profile,
    sight,
    turn_to,
    unit_eyeball,
)
from headpose_training.synthesis.heads.jaw_paths import by_mark
from headpose_training.synthesis.heads.mesh import HeadMesh, Material, is_skin, no_triangles
from headpose_training.synthesis.heads.places import Landmarks
from headpose_training.synthesis.heads.simplify import TRIALS, fewer_triangles, hair_edge
from headpose_training.synthesis.heads.surface import Normals, Surface, joined

Array = NDArray[np.float64]
Float = NDArray[np.float32]
Index = NDArray[np.int32]

#: Direction of sight, in radians off straight ahead, at which a lid has followed all the way.
_FULL_LOOK = np.radians(30.0)
#: The blend shapes of lids that follow the gaze.
LOOKS = tuple(f'eyeLook{w}{s}' for w in ('Up', 'Down', 'In', 'Out') for s in ('Left', 'Right'))
#: Metres over the eyeball that lids are held at, and the depth over which they are slowed down:
#: the two skins of a lid keep their order.
_LID, _SOFT = 0.0002, 0.001
#: How much farther than the triangles that are seen those may be off that only cast shadows.
_ROUGH = 3.0
#: The lids are sought between these distances from the centre of the eye, in its radii.
_LID_REACH = (0.92, 1.5)


@dataclass(frozen=True)
class Shape:
    """A blend shape: offsets (N, 3) in metres of the points `index` (N,)."""

    index: Index
    offset: Float

    @classmethod
    def from_dense(cls, offsets: Float) -> Shape:
        """Keep the points of (P, 3) offsets that move by more than a twentieth of a mm."""
        index = np.flatnonzero(np.abs(offsets).max(axis=1) > 5e-5)
        return cls(index.astype(np.int32), offsets[index].astype(np.float32))

    def of_points(self, kept: Index) -> Shape:
        """Return the shape of the points `kept`, in order, which are numbered anew."""
        mine = np.isin(self.index, kept)
        return Shape(np.searchsorted(kept, self.index[mine]).astype(np.int32), self.offset[mine])


@dataclass(frozen=True)
class HeadModel:
    """What is the same for all heads of a source, in the face frame.

    Attributes:
        surface: Of the head without its eyeballs.
        shapes: By their ARKit names.
        landmarks: Places of the landmarks.
        jaw: Places across the edge of the jaw, see `jaw_paths`.
        regions: (P,) float32 per name, see `HeadMesh.regions`.
        refine: (P, C) the points of the surface from the C points that shapes move; None where
            they are the same.
        normal_shift: (P + eyeballs, 3) that is added to the normals, or None.
        outline: See `HeadMesh`.
    """

    surface: Surface
    shapes: dict[str, Shape]
    landmarks: Landmarks
    jaw: Landmarks
    regions: dict[str, Float]
    refine: csr_matrix | None = None
    normal_shift: Float | None = None
    outline: Index = field(default_factory=no_triangles)
    whole: Surface = field(init=False)
    normals: Normals = field(init=False)

    def __post_init__(self) -> None:
        """Add the eyeballs, the person's right one first."""
        eyeball, _ = unit_eyeball()
        whole = joined([self.surface, eyeball, eyeball])
        object.__setattr__(self, 'whole', whole)
        object.__setattr__(self, 'normals', Normals(whole, self.normal_shift))

    @cached_property
    def blink_travel(self) -> Array:
        """(2,) metres by which the blink shapes close the lids, the person's right eye first."""
        points = self.refine.shape[1] if self.refine is not None else self.surface.points
        offset = np.zeros((points, 3), np.float32)
        for side in ('Left', 'Right'):
            shape = self.shapes[f'eyeBlink{side}']
            offset[shape.index] += shape.offset
        return -lid_gaps(self.landmarks(self.refined(offset)))

    def refined(self, points: Float) -> Float:
        """Return the (P, 3) points of the surface from the (C, 3) points that shapes move."""
        return points if self.refine is None else self.refine @ points

    def thinned(self, person: Person) -> tuple[HeadModel, Index]:
        """Return the model with fewer triangles and only the points that these use.

        Normals keep the bends that the triangles no longer have, as far as they are the same on
        all heads.

        Args:
            person: Any of this model.

        Returns:
            The model, and the old number of each of its points.
        """
        trials = [person.mesh(expression) for expression in TRIALS]
        triangles, rows = fewer_triangles(trials, self.surface.triangles)
        materials = self.surface.materials[rows]
        surface, kept = self.surface.with_triangles(
            triangles, materials, np.append(self.landmarks.corners, self.jaw.corners)
        )
        thin = replace(
            self,
            surface=surface,
            shapes=self._shapes_of(kept),
            landmarks=self.landmarks.of_points(kept),
            jaw=self.jaw.of_points(kept),
            regions={name: mask[kept] for name, mask in self.regions.items()},
            refine=None if self.refine is None else self.refine[kept],
        )
        skin = triangles[is_skin(materials)]
        rough, _ = fewer_triangles(trials, skin, _ROUGH, hair_edge(trials[0]))
        outline = np.searchsorted(np.unique(triangles), rough).astype(np.int32)
        shift = self._normal_shift(trials[0], thin, kept)
        return replace(thin, normal_shift=shift, outline=outline), kept

    def _shapes_of(self, kept: Index) -> dict[str, Shape]:
        if self.refine is not None:
            return self.shapes
        return {name: shape.of_points(kept) for name, shape in self.shapes.items()}

    def _normal_shift(self, head: HeadMesh, thin: HeadModel, kept: Index) -> Float:
        """Return (P, 3) what the normals of a thin model lack on a head of this one."""
        points, normals = np.empty((2, self.whole.points, 3), np.float32)
        points[self.whole.point_of], normals[self.whole.point_of] = head.vertices, head.normals
        eyes = np.arange(self.surface.points, self.whole.points)
        rows = np.concatenate([kept, eyes])
        return normals[rows] - thin.normals(points[rows])

    @cached_property
    def vertex_regions(self) -> dict[str, Float]:
        """The regions of all vertices, (V,) float32 per name; eyeballs have none."""
        eyes = np.zeros(self.whole.points - self.surface.points, np.float32)
        return {
            name: np.concatenate([mask, eyes])[self.whole.point_of]
            for name, mask in self.regions.items()
        }


class Person:
    """One head of a model. See `mesh.Identity`."""

    def __init__(
        self, model: HeadModel, neutral: Float, eyes: Array, radius: float, size: float = 1.0
    ) -> None:
        """Set the head up at the origin: the sellion of its neutral expression.

        Args:
            model: What it has in common with other heads.
            neutral: (C, 3) metres in axes of the face frame, without eyeballs.
            eyes: (2, 3) centres of the eyeballs in the same frame, the right one first.
            radius: Of the eyeballs, metres.
            size: Of the head over that of the heads the blend shapes were made on.
        """
        sellion = model.landmarks(model.refined(neutral))[SELLION]
        self.model = model
        self._neutral = (neutral - sellion).astype(np.float32)
        self._eyes = np.asarray(eyes, np.float64) - sellion
        self._radius, self._size = radius, size
        surface = model.refined(self._neutral)
        self._lids = [self._lid_points(surface, eye) for eye in self._eyes]
        rest = surface.copy()
        self._hold_lids(rest, sight(0.0, 0.0))
        self._gaps = lid_gaps(model.landmarks(rest))
        self._blink = self._full_blink()

    def mesh(self, expression: Expression) -> HeadMesh:
        """Return the head with an expression."""
        model, look = self.model, sight(expression.gaze_yaw, expression.gaze_pitch)
        skin = self._skin(self._weights(expression), look)
        ball = unit_eyeball()[1] @ (self._radius * turn_to(look)).T.astype(np.float32)
        points = np.concatenate([skin, *(ball + eye.astype(np.float32) for eye in self._eyes)])
        landmarks, normals = model.landmarks(points), model.normals(points)
        inner = np.linalg.norm(landmarks[[61, 62, 63]] - landmarks[[67, 66, 65]], axis=1).mean()
        width = np.linalg.norm(landmarks[54] - landmarks[48])
        whole = model.whole
        return HeadMesh(
            vertices=np.take(points, whole.point_of, axis=0),
            triangles=whole.triangles,
            materials=whole.materials,
            uv=whole.uv,
            normals=np.take(normals, whole.point_of, axis=0),
            landmarks=landmarks,
            jaw_paths=by_mark(model.jaw(points)),
            jaw_normals=by_mark(model.jaw(normals)),
            eye_centers=self._eyes.astype(np.float32),
            eye_radius=self._radius,
            gaze=np.tile(look, (2, 1)).astype(np.float32),
            eye_openness=np.clip(lid_gaps(landmarks) / self._gaps, 0.0, 1.0).astype(np.float32),
            mouth_openness=float(inner / width),
            regions=model.vertex_regions,
            outline=model.outline,
        )

    def _skin(self, weights: dict[str, float], look: Array) -> Float:
        """Return the (P, 3) points of all but the eyeballs, which look along `look`."""
        points = self._neutral.copy()
        for name in (name for name, weight in weights.items() if weight):
            shape, weight = self.model.shapes[name], weights[name]
            points[shape.index] += np.float32(weight * self._size) * shape.offset
        points = self.model.refined(points)
        self._hold_lids(points, look)
        return points

    def _hold_lids(self, points: Float, look: Array) -> None:
        for eye, lids in zip(self._eyes, self._lids, strict=True):
            _push_out(points, lids, eye, self._radius, look)

    def _weights(self, expression: Expression) -> dict[str, float]:
        weights = blend_weights(expression) | _lids_follow(expression)
        for side, factor in zip(('Right', 'Left'), self._blink, strict=True):
            blink = weights.get(f'eyeBlink{side}', 0.0)
            # A closed lid neither follows the gaze nor squints: both would take it past the other.
            for name in ('eyeSquint', 'eyeWide', 'eyeLookUp', 'eyeLookDown'):
                if name + side in weights:
                    weights[name + side] *= 1.0 - blink
            if blink:
                weights[f'eyeBlink{side}'] = blink * factor
        return weights

    def _full_blink(self) -> Array:
        """Return (2,) the weights, right eye first, at which the lids of this head just meet."""
        travel = self.model.blink_travel * self._size
        return np.clip(self._gaps / travel, 0.6, 1.6)

    def _lid_points(self, surface: Float, eye: Array) -> Index:
        offset = surface - eye
        distance = np.linalg.norm(offset, axis=1) / self._radius
        low, high = _LID_REACH
        found = (distance > low) & (distance < high) & (offset[:, 0] > 0.0)
        return np.flatnonzero(found).astype(np.int32)


def _lids_follow(expression: Expression) -> dict[str, float]:
    yaw, pitch = (
        float(np.clip(angle / _FULL_LOOK, -1.0, 1.0))
        for angle in (expression.gaze_yaw, expression.gaze_pitch)
    )
    across = (
        ('eyeLookOutLeft', 'eyeLookInRight') if yaw > 0 else ('eyeLookInLeft', 'eyeLookOutRight')
    )
    along = 'eyeLookUp' if pitch > 0 else 'eyeLookDown'
    weights = dict.fromkeys(across, abs(yaw))
    return weights | dict.fromkeys((f'{along}Left', f'{along}Right'), abs(pitch))


def _push_out(points: Float, lids: Index, eye: Array, radius: float, look: Array) -> None:
    """Move those points of the lids in place that a blend shape has put into the eyeball."""
    offset = points[lids] - eye
    distance = np.linalg.norm(offset, axis=1)
    angle = np.arccos(np.clip(offset @ look / distance, -1.0, 1.0))
    floor = radius * profile(angle) + _LID
    near = distance < floor + _SOFT
    floor, distance = floor[near], distance[near]
    held = floor + _SOFT * np.exp((distance - floor) / _SOFT - 1.0)
    points[lids[near]] = eye + offset[near] * (held / distance)[:, None]


def face_skin(surface: Surface) -> Index:
    """Return (F, 3) points of the triangles of skin, without the body's."""
    return surface.corners[surface.materials == Material.SKIN]


def skin_points(surface: Surface) -> NDArray[np.bool_]:
    """Return (P,) which points belong to triangles of skin."""
    mask = np.zeros(surface.points, np.bool_)
    mask[np.unique(surface.corners[is_skin(surface.materials)])] = True
    return mask
