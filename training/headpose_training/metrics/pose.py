"""Errors of rotations. Geodesic error first; angles in the AFLW2000 factorisation second."""

from __future__ import annotations

import numpy as np
from headpose_ros.geometry.rotations import aflw_from_matrix, constant_offset, geodesic
from numpy.typing import NDArray

Array = NDArray[np.float64]


def geodesic_deg(predicted: Array, target: Array) -> Array:
    """Return (B,) geodesic errors in degrees of (B, 3, 3) rotations."""
    return np.degrees(geodesic(predicted, target))


def align(predicted: Array, target: Array) -> Array:
    """Remove the constant rotation between two definitions of the face frame from `predicted`."""
    return predicted @ constant_offset(predicted, target)


def aligned_geodesic_deg(predicted: Array, target: Array) -> Array:
    """Return (B,) geodesic errors in degrees after removing one constant rotation."""
    return geodesic_deg(align(predicted, target), target)


def angle_errors_deg(predicted: Array, target: Array) -> Array:
    """Return (B, 3) absolute errors of pitch, yaw, roll in degrees, wrapped into [0, 180]."""
    difference = aflw_from_matrix(predicted) - aflw_from_matrix(target)
    return np.degrees(np.abs((difference + np.pi) % (2 * np.pi) - np.pi))
