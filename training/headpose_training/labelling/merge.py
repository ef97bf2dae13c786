"""One label of several opinions, and how far it is to be relied on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from headpose_ros.geometry.rotations import geodesic
from numpy.typing import NDArray

from headpose_training.labelling.conventions import (
    Upright,
    fit,
    in_convention,
    mesh_rotations,
    nearest_rotation,
)
from headpose_training.labelling.opinions import Opinions

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MergeConfig:
    """How opinions become labels.

    Attributes:
        points_share: Of every teacher but the reference in the landmarks, together.
        rotation_share: The same in the rotation.
        agreed: A landmark on which the teachers differ by less is relied on, in sides of the
            face's box ...
        disputed: ... and one on which they differ by more is left out.
        turned: A face on whose rotation they differ by more is left out, degrees.
        fewest: A face with a smaller share of landmarks that count is left out.
    """

    points_share: float = 0.7
    rotation_share: float = 0.4
    agreed: float = 0.03
    disputed: float = 0.08
    turned: float = 25.0
    fewest: float = 0.5


@dataclass(frozen=True)
class Merged:
    """Labels of N photographs; NaN, and no reliability, where there is none.

    Attributes:
        points: (N, 68, 2) px.
        reliability: (N, 68) in 0..1.
        rotation: (N, 3, 3) camera-aligned.
        visible: (N, 68) bool.
        iris: (N, 2, 2) px, the person's right eye first; NaN where no teacher says.
        apart: (N,) mean distance of the teachers' landmarks, in sides of the face's box.
        turned: (N,) angle between their rotations, degrees.
    """

    points: Array
    reliability: Array
    rotation: Array
    visible: NDArray[np.bool_]
    iris: Array
    apart: Array
    turned: Array

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Return (N,): which photographs have a label."""
        known = np.isfinite(self.rotation).all(axis=(1, 2))
        return np.asarray(known & (self.reliability > 0).any(axis=1))


def merge(reference: Opinions, others: list[Opinions], config: MergeConfig) -> Merged:
    """Merge opinions in the reference's conventions of landmarks and of rotation.

    Args:
        reference: Of one of our own networks, whose conventions are iBUG's and ours.
        others: Of further teachers; one without a rotation gives a shape with depth.
        config: Shares and limits.
    """
    brought = [_in_conventions_of(reference, other) for other in others]
    points = _mean([reference.points, *(o.points for o in brought)], config.points_share)
    rotation = _mean_rotation(
        [reference.rotation, *(o.rotation for o in brought)], config.rotation_share
    )
    apart = _apart(reference.points, [o.points for o in brought], reference.rotation)
    turned = np.max([_turned(reference.rotation, o.rotation) for o in brought], axis=0)
    trust = np.clip((config.disputed - apart) / (config.disputed - config.agreed), 0.0, 1.0)
    trust = np.nan_to_num(trust) * np.isfinite(points).all(axis=2)
    kept = (turned <= config.turned) & ((trust > 0).mean(axis=1) >= config.fewest)
    iris = [o.iris for o in brought if np.isfinite(o.iris).any()]
    return Merged(
        points=points,
        reliability=np.where(kept[:, None], trust, 0.0),
        rotation=rotation,
        visible=np.nan_to_num(reference.visibility) > 0.5,
        iris=iris[0] if iris else np.full((len(points), 2, 2), np.nan),
        apart=apart.mean(axis=1),
        turned=turned,
    )


def _in_conventions_of(reference: Opinions, other: Opinions) -> Opinions:
    rotation = other.rotation
    if not np.isfinite(rotation).any():
        rotation = mesh_rotations(other.points, other.depth, reference.rotation)
    convention = fit(other.points, reference.points, reference.rotation)
    points = in_convention(other.points, reference.rotation, convention)
    return replace(other, points=points, rotation=rotation)


def _mean(points: list[Array], share: float) -> Array:
    """Return the mean of the first and, with a share, of the mean of the others."""
    return (1.0 - share) * points[0] + share * np.mean(points[1:], axis=0)


def _mean_rotation(rotations: list[Array], share: float) -> Array:
    sums = _mean(rotations, share)
    known = np.isfinite(sums).all(axis=(1, 2))
    mean = np.full_like(sums, np.nan)
    for i in np.flatnonzero(known):
        mean[i] = nearest_rotation(sums[i])
    return mean


def _apart(first: Array, others: list[Array], rotations: Array) -> Array:
    """Return (N, 68) the largest distance of the others from the first, in sides of the box."""
    apart = np.full(first.shape[:2], np.nan)
    for i in np.flatnonzero(np.isfinite(first).all(axis=(1, 2))):
        side = Upright.of(first[i], rotations[i]).side
        apart[i] = np.max([np.linalg.norm(o[i] - first[i], axis=1) for o in others], axis=0) / side
    return apart


def _turned(first: Array, other: Array) -> Array:
    """Return (N,) degrees between rotations; infinite where one is missing."""
    known = np.isfinite(first).all(axis=(1, 2)) & np.isfinite(other).all(axis=(1, 2))
    turned = np.full(len(first), np.inf)
    turned[known] = np.degrees(geodesic(first[known], other[known]))
    return turned
