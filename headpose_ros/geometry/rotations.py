"""Rotation conventions: matrices inside, Euler angles only at the edges.

Two frames describe the same head here:

* the *camera-aligned* frame of 300W-LP and AFLW2000-3D, which equals the camera optical frame
  (x right, y down, z into the scene) for a frontal upright face, and
* the REP-155 *face* frame (x out of the face, y to the person's left, z to the top of the head).

They differ by the constant :data:`FRONTAL`: `R_optical_face = R_aligned @ FRONTAL`.

In NumPy alone: SciPy's rotations, which the tests compare with, would take a robot 140 MB of disk,
50 MB of memory and half a second of every start.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Matrix = NDArray[np.float64]

#: R_optical_face of a frontal upright face (REP-103 optical axes, REP-155 face axes).
FRONTAL: Matrix = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])

#: R_face_gaze: the REP-155 gaze frame (z along the gaze, x right, y down) of somebody who looks
#: straight out of the face, in the face frame.
GAZE: Matrix = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


#: Half an angle's sine below which a rotation between two others is a straight line.
_SMALLEST_ARC = 1e-9
#: Cosine below which the middle one of three Euler angles is 90 degrees.
_GIMBAL_LOCK = 1e-7


def matrix_from_aflw(angles: ArrayLike) -> Matrix:
    """Turn 300W-LP / AFLW2000 `Pose_Para` angles into camera-aligned rotations.

    `R = Rx(-pitch) @ Ry(yaw) @ Rz(roll)`: +pitch looks up, +yaw turns the nose towards the
    image's left, +roll is clockwise in the image.

    Args:
        angles: (..., 3) pitch, yaw, roll in radians.

    Returns:
        (..., 3, 3) float64 rotations in the camera optical frame.
    """
    pitch, yaw, roll = np.moveaxis(np.asarray(angles, np.float64), -1, 0)
    return _about(0, -pitch) @ _about(1, yaw) @ _about(2, roll)


def aflw_from_matrix(rotation: ArrayLike) -> NDArray[np.float64]:
    """Return the (..., 3) pitch, yaw, roll in radians of :func:`matrix_from_aflw`.

    Yaw lies within ±90°, as this factorisation has it; at ±90° roll is set to zero.
    """
    (r00, r01, r02), (_, r11, r12), (_, r21, r22) = _elements(rotation)
    cosine = np.hypot(r00, r01)
    locked = cosine < _GIMBAL_LOCK
    # Of the last column of Rx(a) Ry(b) Rz(c), (sb, -sa cb, ca cb), and of its first row.
    pitch = np.where(locked, np.arctan2(r21, r11), np.arctan2(-r12, r22))
    roll = np.where(locked, 0.0, np.arctan2(-r01, r00))
    return np.stack([-pitch, np.arctan2(r02, cosine), roll], axis=-1)


def matrix_from_mnn_euler(angles: ArrayLike) -> Matrix:
    """Turn (..., 3) pitch, yaw, roll of the MNN paper's own code into rotations.

    `R = Ry(-yaw) @ Rx(-pitch) @ Rz(roll)` (Valle et al., TPAMI 2020), in radians.
    """
    pitch, yaw, roll = np.moveaxis(np.asarray(angles, np.float64), -1, 0)
    return _about(1, -yaw) @ _about(0, -pitch) @ _about(2, roll)


def mnn_euler_from_matrix(rotation: ArrayLike) -> NDArray[np.float64]:
    """Return the (..., 3) pitch, yaw, roll in radians of :func:`matrix_from_mnn_euler`."""
    (r00, _, r02), (r10, r11, r12), (r20, _, r22) = _elements(rotation)
    cosine = np.hypot(r02, r22)
    locked = cosine < _GIMBAL_LOCK
    # Of the last column of Ry(b) Rx(a) Rz(c), (sb ca, -sa, cb ca), and of its middle row.
    yaw = np.where(locked, np.arctan2(-r20, r00), np.arctan2(r02, r22))
    roll = np.where(locked, 0.0, np.arctan2(r10, r11))
    return np.stack([-np.arctan2(-r12, cosine), -yaw, roll], axis=-1)


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
    # Not by the trace alone, whose arc cosine is blind to small angles.
    quaternion = _quaternions(relative)
    sine = np.linalg.norm(quaternion[..., :3], axis=-1)
    return 2.0 * np.arctan2(sine, np.abs(quaternion[..., 3]))


def quaternion_from_matrix(rotation: ArrayLike) -> NDArray[np.float64]:
    """Return the (4,) unit quaternion x, y, z, w of a (3, 3) rotation, w >= 0."""
    quaternion = _quaternions(np.asarray(rotation, np.float64))
    return quaternion * (-1.0 if quaternion[3] < 0 else 1.0)


def matrix_from_quaternion(quaternion: ArrayLike) -> Matrix:
    """Return the (3, 3) rotation of a (4,) quaternion x, y, z, w of any length but zero.

    Raises:
        ValueError: Its length is zero, or it holds NaN or infinity.
    """
    values = np.asarray(quaternion, np.float64)
    largest = np.abs(values).max()
    if not 0.0 < largest < np.inf:  # so written that NaN fails
        raise ValueError(f'the quaternion {values.tolist()} has no length')
    scaled = values / largest  # whose squares are numbers, too
    x, y, z, w = scaled / np.linalg.norm(scaled)
    skew = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + 2.0 * (w * skew + skew @ skew)


def between(first: ArrayLike, second: ArrayLike, share: float) -> Matrix:
    """Return the rotation (3, 3) on the shortest way between two, at constant speed.

    Args:
        first: (3, 3).
        second: (3, 3).
        share: Of the way, 0 for the first and 1 for the second.
    """
    start, end = quaternion_from_matrix(first), quaternion_from_matrix(second)
    if start @ end < 0.0:
        end = -end
    # Not by the arc cosine: it is blind to small angles.
    angle = 2.0 * np.arctan2(np.linalg.norm(end - start), np.linalg.norm(end + start))
    if np.sin(angle) < _SMALLEST_ARC:
        return matrix_from_quaternion((1.0 - share) * start + share * end)
    return matrix_from_quaternion(
        np.sin((1.0 - share) * angle) * start + np.sin(share * angle) * end
    )


def constant_offset(predicted: ArrayLike, target: ArrayLike) -> Matrix:
    """Return the rotation C (3, 3) that best explains `predicted @ C = target`.

    A constant C is a difference of face-frame definitions (where "zero pitch" lies on a head),
    not an error of estimation; it is the chordal mean of `predicted.T @ target`.

    Args:
        predicted: (N, 3, 3) rotations.
        target: (N, 3, 3) rotations.
    """
    relative = np.swapaxes(np.asarray(predicted), -1, -2) @ np.asarray(target)
    # The rotation nearest to the mean of the matrices.
    left, _, right = np.linalg.svd(relative.mean(axis=0))
    handedness = np.linalg.det(left) * np.linalg.det(right)
    return left @ np.diag([1.0, 1.0, handedness]) @ right


def _quaternions(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (..., 4) unit quaternions x, y, z, w of (..., 3, 3) rotations, of either sign.

    Of the four ways to divide by one of the numbers, the one by the largest (Shepperd, 1978).
    """
    (r00, r01, r02), (r10, r11, r12), (r20, r21, r22) = _elements(rotation)
    candidates = np.stack(
        [
            np.stack([1 + r00 - r11 - r22, r10 + r01, r02 + r20, r21 - r12], axis=-1),
            np.stack([r10 + r01, 1 - r00 + r11 - r22, r21 + r12, r02 - r20], axis=-1),
            np.stack([r02 + r20, r21 + r12, 1 - r00 - r11 + r22, r10 - r01], axis=-1),
            np.stack([r21 - r12, r02 - r20, r10 - r01, 1 + r00 + r11 + r22], axis=-1),
        ],
        axis=-2,
    )
    largest = np.diagonal(candidates, axis1=-2, axis2=-1).argmax(axis=-1)
    chosen = np.take_along_axis(candidates, largest[..., None, None], axis=-2)[..., 0, :]
    return chosen / np.linalg.norm(chosen, axis=-1, keepdims=True)


def _elements(rotation: ArrayLike) -> NDArray[np.float64]:
    """Return the elements of (..., 3, 3) rotations: (3, 3, ...)."""
    return np.moveaxis(np.asarray(rotation, np.float64), (-2, -1), (0, 1))


def _about(axis: int, angle: NDArray[np.float64]) -> Matrix:
    """Return (..., 3, 3) rotations by (...,) radians about x (0), y (1) or z (2)."""
    one, other = (axis + 1) % 3, (axis + 2) % 3
    turn = np.zeros((*np.shape(angle), 3, 3))
    turn[..., axis, axis] = 1.0
    turn[..., one, one] = turn[..., other, other] = np.cos(angle)
    turn[..., other, one] = np.sin(angle)
    turn[..., one, other] = -np.sin(angle)
    return turn
