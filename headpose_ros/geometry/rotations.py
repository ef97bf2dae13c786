"""Rotation conventions: matrices inside, Euler angles only at the edges.

Two frames describe the same head here:

* the *camera-aligned* frame of 300W-LP and AFLW2000-3D, which equals the camera optical frame
  (x right, y down, z into the scene) for a frontal upright face, and
* the REP-155 *face* frame (x out of the face, y to the person's left, z to the top of the head).

They differ by the constant :data:`FRONTAL`: `R_optical_face = R_aligned @ FRONTAL`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from scipy.spatial.transform import Rotation

Matrix = NDArray[np.float64]

#: R_optical_face of a frontal upright face (REP-103 optical axes, REP-155 face axes).
FRONTAL: Matrix = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])

#: R_face_gaze: the REP-155 gaze frame (z along the gaze, x right, y down) of somebody who looks
#: straight out of the face, in the face frame.
GAZE: Matrix = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


@cache
def scipy_rotation() -> type[Rotation]:
    """Return SciPy's class of rotations: half of what importing a node would cost otherwise."""
    from scipy.spatial.transform import Rotation

    return Rotation


def matrix_from_aflw(angles: ArrayLike) -> Matrix:
    """Turn 300W-LP / AFLW2000 `Pose_Para` angles into camera-aligned rotations.

    `R = Rx(-pitch) @ Ry(yaw) @ Rz(roll)`: +pitch looks up, +yaw turns the nose towards the
    image's left, +roll is clockwise in the image.

    Args:
        angles: (..., 3) pitch, yaw, roll in radians.

    Returns:
        (..., 3, 3) float64 rotations in the camera optical frame.
    """
    angles = np.asarray(angles, np.float64)
    signed = angles * np.array([-1.0, 1.0, 1.0])
    return _from_euler('XYZ', signed)


def aflw_from_matrix(rotation: ArrayLike) -> NDArray[np.float64]:
    """Return the (..., 3) pitch, yaw, roll in radians of :func:`matrix_from_aflw`.

    Yaw lies within ±90°, as this factorisation has it; at ±90° roll is set to zero.
    """
    return _as_euler('XYZ', rotation) * np.array([-1.0, 1.0, 1.0])


def matrix_from_mnn_euler(angles: ArrayLike) -> Matrix:
    """Turn (..., 3) pitch, yaw, roll of the MNN paper's own code into rotations.

    `R = Ry(-yaw) @ Rx(-pitch) @ Rz(roll)` (Valle et al., TPAMI 2020), in radians.
    """
    pitch, yaw, roll = np.moveaxis(np.asarray(angles, np.float64), -1, 0)
    return _from_euler('YXZ', np.stack([-yaw, -pitch, roll], axis=-1))


def mnn_euler_from_matrix(rotation: ArrayLike) -> NDArray[np.float64]:
    """Return the (..., 3) pitch, yaw, roll in radians of :func:`matrix_from_mnn_euler`."""
    yaw, pitch, roll = np.moveaxis(_as_euler('YXZ', rotation), -1, 0)
    return np.stack([-pitch, -yaw, roll], axis=-1)


def face_from_aligned(aligned: ArrayLike) -> Matrix:
    """Turn camera-aligned rotations (..., 3, 3) into R_optical_face of the REP-155 frame."""
    return np.asarray(aligned, np.float64) @ FRONTAL


def aligned_from_face(optical_face: ArrayLike) -> Matrix:
    """Invert :func:`face_from_aligned`."""
    return np.asarray(optical_face, np.float64) @ FRONTAL.T


def mirrored(aligned: ArrayLike) -> Matrix:
    """Return the camera-aligned rotation of the face in the left-right mirrored image."""
    flip = np.diag([-1.0, 1.0, 1.0])
    return flip @ np.asarray(aligned, np.float64) @ flip


def in_plane(angle: float) -> Matrix:
    """Return Rz(angle): a clockwise turn in the image by `angle` radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def in_plane_angle(aligned: ArrayLike) -> float:
    """Return the clockwise turn in radians of a head's upright axis in the image.

    Unlike the Euler angle roll and the line through the eyes it is steady in profile; it has no
    meaning only where one looks at the crown or under the chin.

    Args:
        aligned: (3, 3) camera-aligned rotation.
    """
    across, down = np.asarray(aligned, np.float64)[:2, 1]
    return float(np.arctan2(-across, down))


def toward(sight: ArrayLike) -> Matrix:
    """Return the smallest rotation (3, 3) that turns the optical axis to a direction of sight.

    A network sees a crop as a camera would that is pointed straight at the face; in the frame of
    the camera that took the picture the head is turned by `toward(sight)` more.

    Args:
        sight: (3,) unit vector in the optical frame, not opposite to the optical axis.
    """
    x, y, z = np.asarray(sight, np.float64)
    skew = np.array([[0.0, 0.0, x], [0.0, 0.0, y], [-x, -y, 0.0]])
    return np.eye(3) + skew + skew @ skew / (1.0 + z)


def geodesic(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Return the angle in radians (...,) of the rotation between two (..., 3, 3) stacks."""
    relative = np.swapaxes(np.asarray(a, np.float64), -1, -2) @ np.asarray(b, np.float64)
    shape = relative.shape[:-2]
    return scipy_rotation().from_matrix(relative.reshape(-1, 3, 3)).magnitude().reshape(shape)


def quaternion_from_matrix(rotation: ArrayLike) -> NDArray[np.float64]:
    """Return the (4,) unit quaternion x, y, z, w of a (3, 3) rotation, w >= 0."""
    quaternion = scipy_rotation().from_matrix(np.asarray(rotation)).as_quat()
    # SciPy's own `canonical` is younger than the SciPy of Ubuntu 22.04.
    return quaternion * (-1.0 if quaternion[3] < 0 else 1.0)


def matrix_from_quaternion(quaternion: ArrayLike) -> Matrix:
    """Return the (3, 3) rotation of a (4,) quaternion x, y, z, w of any length but zero.

    Raises:
        ValueError: Its length is zero.
    """
    return scipy_rotation().from_quat(np.asarray(quaternion, np.float64)).as_matrix()


def constant_offset(predicted: ArrayLike, target: ArrayLike) -> Matrix:
    """Return the rotation C (3, 3) that best explains `predicted @ C = target`.

    A constant C is a difference of face-frame definitions (where "zero pitch" lies on a head),
    not an error of estimation; it is the chordal mean of `predicted.T @ target`.

    Args:
        predicted: (N, 3, 3) rotations.
        target: (N, 3, 3) rotations.
    """
    relative = np.swapaxes(np.asarray(predicted), -1, -2) @ np.asarray(target)
    return scipy_rotation().from_matrix(relative).mean().as_matrix()


def _from_euler(order: str, angles: NDArray[np.float64]) -> Matrix:
    flat = scipy_rotation().from_euler(order, angles.reshape(-1, 3)).as_matrix()
    return flat.reshape(*angles.shape[:-1], 3, 3)


def _as_euler(order: str, rotation: ArrayLike) -> NDArray[np.float64]:
    matrices = np.asarray(rotation, np.float64)
    flat = scipy_rotation().from_matrix(matrices.reshape(-1, 3, 3)).as_euler(order)
    return flat.reshape(*matrices.shape[:-2], 3)
