"""From pixels to metres: where the mean face must be to project onto the landmarks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headpose_ros.geometry.camera import CameraModel
from headpose_ros.geometry.face_shape import mean_face
from headpose_ros.geometry.landmarks import GROUPS

Array = NDArray[np.float64]

#: Points that neither speech nor the definition of the jaw line moves.
_RIGID = np.r_[
    [i for name in ('nose_bridge', 'nose_base', 'right_eye', 'left_eye') for i in GROUPS[name]]
]
#: Spread of adult face sizes about the mean (inter-pupillary distance 63 +- 3.6 mm, ANSUR II):
#: the distance inherits this relative error.
SIZE_SPREAD = 0.057
_NEAREST, _FARTHEST = 0.05, 100.0


def locate(landmarks: Array, rotation: Array, camera: CameraModel) -> Array | None:
    """Find the sellion of an average adult head from its landmarks and rotation.

    With the rotation known, `x_i (R X_i + t)_z = (R X_i + t)_x` is linear in t: least squares
    over the points of nose and eyes.

    Args:
        landmarks: (68, 2) px.
        rotation: (3, 3) R_optical_face.
        camera: The calibrated camera.

    Returns:
        (3,) metres in the optical frame, or None where no head between 5 cm and 100 m in front
        of the camera fits.
    """
    rays = camera.rays(landmarks[_RIGID])
    turned = mean_face()[_RIGID] @ rotation.T
    count = len(_RIGID)
    rows = np.zeros((2 * count, 3))
    rows[:count, 0], rows[count:, 1] = 1.0, 1.0
    rows[:, 2] = -rays.T.ravel()
    values = (rays * turned[:, 2:] - turned[:, :2]).T.ravel()
    if not np.isfinite(values).all():
        return None
    position = np.asarray(np.linalg.lstsq(rows, values, rcond=None)[0], np.float64)
    return position if _NEAREST < position[2] < _FARTHEST else None


def lift(landmarks: Array, rotation: Array, position: Array, camera: CameraModel) -> Array:
    """Return (68, 3) landmarks in metres in the face frame.

    Each point lies on its own viewing ray, at the depth that the mean face has there.
    """
    depth = (mean_face() @ rotation.T + position)[:, 2:]
    optical = np.hstack([camera.rays(landmarks), np.ones((len(landmarks), 1))]) * depth
    return (optical - position) @ rotation


def position_covariance(position: Array) -> Array:
    """Return the (3, 3) covariance in m^2 that the unknown size of the face gives a position."""
    return SIZE_SPREAD**2 * np.outer(position, position)
