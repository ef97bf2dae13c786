"""From what a teacher marks to what people mark.

Two teachers that mark the same face differ by chance and by convention. The convention depends on
how the head is turned (a mesh marks the jaw's bone, people the outline that is seen), so it is a
smooth function of pitch and yaw for each point, fitted to many faces without any label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from headpose_ros.geometry.landmarks import bounding_box
from headpose_ros.geometry.rotations import aflw_from_matrix, in_plane, in_plane_angle
from numpy.typing import NDArray

from headpose_training.labelling.opinions import nearest_rotation

Array = NDArray[np.float64]

#: Faces on which two teachers differ by more than this, in sides of the face's box, say nothing
#: of their conventions.
_ELSEWHERE = 0.07
#: Weight of the prior that teachers do not differ, in faces.
_RIDGE = 20.0
#: Fewer faces than this give no convention.
_FEWEST = 50


@dataclass(frozen=True)
class Upright:
    """The axes of a face in its picture: turned until the head stands upright, of size 1.

    Attributes:
        middle: (2,) px.
        side: Larger side of the upright box around the landmarks, px.
        turn: (2, 2) from upright axes to the picture's.
    """

    middle: Array
    side: float
    turn: Array

    @classmethod
    def of(cls, points: Array, rotation: Array) -> Upright:
        """Return the axes of a face from its (68, 2) landmarks and (3, 3) aligned rotation."""
        turn = in_plane(in_plane_angle(rotation))[:2, :2]
        box = bounding_box(points @ turn)
        return cls(turn @ (box[:2] + box[2:] / 2), float(box[2:].max()), turn)

    def inside(self, points: Array) -> Array:
        """Return (N, 2) points of the picture in upright axes."""
        return np.asarray((points - self.middle) @ self.turn / self.side)

    def outside(self, offsets: Array) -> Array:
        """Return (N, 2) differences in px of the picture from differences in upright axes."""
        return np.asarray(offsets @ self.turn.T * self.side)


@dataclass(frozen=True)
class Convention:
    """How one teacher's points differ from another's, by pitch and yaw.

    Attributes:
        coefficients: (F, 136) of the features of a pose.
    """

    coefficients: Array

    def offsets(self, rotation: Array) -> Array:
        """Return (68, 2) differences in upright axes for a (3, 3) aligned rotation."""
        return np.asarray(features(rotation[None]) @ self.coefficients).reshape(68, 2)


def features(rotations: Array) -> Array:
    """Return (N, F) smooth functions of pitch and yaw of (N, 3, 3) aligned rotations."""
    pitch, yaw = aflw_from_matrix(rotations)[:, :2].T
    turned = np.abs(yaw)
    columns = [np.ones_like(yaw), yaw, pitch, yaw**2, pitch**2, yaw * pitch]
    columns += [yaw * turned**2, turned**3, pitch * yaw**2]
    return np.stack(columns, axis=1)


def fit(points: Array, reference: Array, rotations: Array) -> Convention:
    """Fit how `points` differ from `reference`, in upright axes of the reference.

    Args:
        points: (N, 68, 2) px of one teacher; NaN where it found no face.
        reference: (N, 68, 2) px of the other.
        rotations: (N, 3, 3) camera-aligned.

    Raises:
        ValueError: They agree on too few faces.
    """
    known = np.isfinite(points).all(axis=(1, 2)) & np.isfinite(reference).all(axis=(1, 2))
    known &= np.isfinite(rotations).all(axis=(1, 2))
    axes = [Upright.of(reference[i], rotations[i]) for i in np.flatnonzero(known)]
    apart = np.stack(
        [
            upright.inside(points[i]) - upright.inside(reference[i])
            for i, upright in zip(np.flatnonzero(known), axes, strict=True)
        ]
    )
    # First about the median, then about what was fitted: a convention may be large by itself.
    columns, rows = features(rotations[known]), apart.reshape(len(apart), -1)
    left = rows - np.median(rows, axis=0)
    for _ in range(2):
        near = np.linalg.norm(left.reshape(apart.shape), axis=2).mean(axis=1) < _ELSEWHERE
        if near.sum() < _FEWEST:
            raise ValueError(f'two teachers agree on {near.sum()} faces, {_FEWEST} are needed')
        x, y = columns[near], rows[near]
        ridge = _RIDGE * np.diag([0.0] + [1.0] * (x.shape[1] - 1))
        coefficients = np.linalg.solve(x.T @ x + ridge, x.T @ y)
        left = rows - columns @ coefficients
    return Convention(coefficients)


def in_convention(points: Array, rotations: Array, convention: Convention) -> Array:
    """Return (N, 68, 2) points without a convention; NaN where points or rotation are."""
    moved = np.full_like(points, np.nan)
    for i, (face, rotation) in enumerate(zip(points, rotations, strict=True)):
        if np.isfinite(face).all() and np.isfinite(rotation).all():
            upright = Upright.of(face, rotation)
            moved[i] = face - upright.outside(convention.offsets(rotation))
    return moved


def mesh_rotations(points: Array, depth: Array, rotations: Array) -> Array:
    """Return the (N, 3, 3) aligned rotations of shapes without a pose.

    Their canonical shape is the mean of all, turned back by another teacher's rotations, so that
    its zero pose is that teacher's.

    Args:
        points: (N, 68, 2) px; NaN for none.
        depth: (N, 68) px.
        rotations: (N, 3, 3) of the other teacher.
    """
    shapes = np.concatenate([points, depth[:, :, None]], axis=2)
    shapes = shapes - shapes.mean(axis=1, keepdims=True)
    shapes /= np.sqrt(np.square(shapes).sum(axis=(1, 2), keepdims=True))
    known = np.isfinite(shapes).all(axis=(1, 2)) & np.isfinite(rotations).all(axis=(1, 2))
    turned_back = np.einsum('nkc,ncd->nkd', shapes[known], rotations[known])
    canonical = np.median(turned_back, axis=0)
    found = np.full_like(rotations, np.nan)
    for i in np.flatnonzero(np.isfinite(shapes).all(axis=(1, 2))):
        found[i] = nearest_rotation(shapes[i].T @ canonical)
    return found
