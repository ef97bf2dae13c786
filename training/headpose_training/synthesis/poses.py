"""Random head poses: uniform over the turns that a camera meets, with a share of frontal ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from headpose_ros.geometry.rotations import matrix_from_mnn_euler, mnn_euler_from_matrix
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Array = NDArray[np.float64]


#: Rotations that are drawn at once: most often one of them is within the limits.
_TRIES = 8


@dataclass(frozen=True)
class PoseConfig:
    """Ranges of the head's rotation relative to the line of sight.

    The angles are those of R = Ry(-yaw) Rx(-pitch) Rz(roll), whose yaw covers the whole turn.

    Attributes:
        yaw_deg: Largest yaw, degrees, either way.
        pitch_deg: Largest pitch, degrees, either way.
        roll_deg: Largest roll, degrees, either way.
        frontal_share: Share of heads that look about into the camera.
        frontal_deg: Standard deviation of their yaw; pitch and roll have half of it.
    """

    yaw_deg: float = 120.0
    pitch_deg: float = 75.0
    roll_deg: float = 90.0
    frontal_share: float = 0.4
    frontal_deg: float = 25.0


def sample_rotation(rng: Generator, config: PoseConfig) -> Array:
    """Draw a camera-aligned rotation (3, 3) relative to the line of sight.

    The uniform share is uniform over the part of SO(3) that the limits leave, by rejection.
    """
    limits = np.radians([config.pitch_deg, config.yaw_deg, config.roll_deg])
    frontal = rng.random() < config.frontal_share
    while True:
        if frontal:
            spread = np.radians(config.frontal_deg) * np.array([0.5, 1.0, 0.5])
            angles = rng.normal(0.0, spread, (_TRIES, 3))
        else:
            angles = mnn_euler_from_matrix(uniform_rotations(rng, _TRIES))
        good = np.flatnonzero((np.abs(angles) <= limits).all(axis=1))
        if len(good):
            return matrix_from_mnn_euler(angles[good[0]])


def uniform_rotations(rng: Generator, count: int) -> Array:
    """Draw rotations (N, 3, 3) uniformly: a normal quaternion has no preferred direction."""
    return Rotation.from_quat(rng.normal(size=(count, 4))).as_matrix()
