"""Errors of rotations. Geodesic error first; angles in the AFLW2000 factorisation second."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from headpose_ros.geometry.rotations import aflw_from_matrix, constant_offset, geodesic
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Array = NDArray[np.float64]

#: How the angles of this module are defined, for tables.
FACTORISATION = 'AFLW2000: Rx(-pitch) Ry(yaw) Rz(roll)'
#: Published tables leave out faces with a labelled angle beyond this (Ruiz et al., CVPRW 2018).
PUBLISHED_LIMIT_DEG = 99.0
#: Yaw error up to which a face counts as right (AFW protocol: Zhu and Ramanan, CVPR 2012).
AFW_TOLERANCE_DEG = 15.0


@dataclass(frozen=True)
class PoseErrors:
    """Errors of N rotations in degrees.

    Attributes:
        geodesic: (N,) angle of the rotation between prediction and label.
        angles: (N, 3) absolute errors of pitch, yaw, roll, see :func:`angle_errors_deg`.
        columns: (N, 3) angles between matrix columns, see :func:`column_errors_deg`.
        yaw: (N,) absolute error of yaw alone, see :func:`yaw_errors_deg`.
    """

    geodesic: Array
    angles: Array
    columns: Array
    yaw: Array


def pose_errors(predicted: Array, target: Array) -> PoseErrors:
    """Compare (N, 3, 3) camera-aligned rotations with labels."""
    return PoseErrors(
        geodesic=geodesic_deg(predicted, target),
        angles=angle_errors_deg(predicted, target),
        columns=column_errors_deg(predicted, target),
        yaw=yaw_errors_deg(predicted, target),
    )


def geodesic_deg(predicted: Array, target: Array) -> Array:
    """Return (B,) geodesic errors in degrees of (B, 3, 3) rotations."""
    return np.degrees(geodesic(predicted, target))


def align(predicted: Array, target: Array) -> Array:
    """Remove the constant rotation between two definitions of the face frame from `predicted`."""
    return predicted @ constant_offset(predicted, target)


def aligned_geodesic_deg(predicted: Array, target: Array) -> Array:
    """Return (B,) geodesic errors in degrees after removing one constant rotation."""
    return geodesic_deg(align(predicted, target), target)


def angles_deg(rotation: Array) -> Array:
    """Return (B, 3) pitch, yaw, roll in degrees in the AFLW2000 factorisation, yaw within ±90°."""
    return np.degrees(aflw_from_matrix(rotation))


def upright_angles_deg(rotation: Array) -> Array:
    """Return (B, 3) pitch, yaw, roll in degrees with pitch within ±90°, yaw and roll ±180°.

    Every rotation has two triples in the factorisation. This is the one of a head that is not
    upside down, as it is annotated: yaw passes 90° where `angles_deg` turns pitch and roll about.
    """
    angles = angles_deg(rotation)
    return np.where(np.abs(angles[:, :1]) > 90, _other_triple(angles), angles)


def _other_triple(angles: Array) -> Array:
    return wrapped(180.0 + angles * np.array([1.0, -1.0, 1.0]))


def wrapped(degrees: Array) -> Array:
    """Return the angles in [-180, 180)."""
    return (degrees + 180.0) % 360.0 - 180.0


def angle_errors_deg(predicted: Array, target: Array) -> Array:
    """Return (B, 3) absolute errors of pitch, yaw, roll in degrees, wrapped into [0, 180].

    Of both rotations the triple with yaw within ±90°: that of upright heads would jump where
    pitch passes 90°, which it does as soon as a head in profile nods. A whole turn is the only
    thing forgiven. Evaluations that also subtract half a turn where that is nearer call a head
    that looks backwards a perfect one, and halve the error of a guess.
    """
    return np.abs(wrapped(angles_deg(predicted) - angles_deg(target)))


def yaw_errors_deg(predicted: Array, target: Array) -> Array:
    """Return (B,) absolute errors in degrees of the yaw of :func:`upright_angles_deg`."""
    return np.abs(wrapped(upright_angles_deg(predicted) - upright_angles_deg(target)))[:, 1]


def column_errors_deg(predicted: Array, target: Array) -> Array:
    """Return (B, 3) angles in degrees between corresponding columns of (B, 3, 3) rotations.

    Their mean is the MAEV of Cao et al., WACV 2021: unlike the angles' it has no gimbal lock.
    """
    chord = np.linalg.norm(predicted - target, axis=1)
    return np.degrees(2 * np.arcsin(np.clip(chord / 2, 0, 1)))


def within_published_range(target: Array) -> NDArray[np.bool_]:
    """Return (B,) whether all three label angles are within the published limit of 99°.

    Rotations do not tell which of their two triples was annotated: one within it is enough.
    """
    angles = angles_deg(target)
    triples = np.abs(np.stack([angles, _other_triple(angles)]))
    return triples.max(axis=2).min(axis=0) <= PUBLISHED_LIMIT_DEG


def mean_pose(target: Array) -> Array:
    """Return the (3, 3) chordal mean of (B, 3, 3) rotations: the best constant guess."""
    return Rotation.from_matrix(target).mean().as_matrix()
