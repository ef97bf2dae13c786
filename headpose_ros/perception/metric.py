"""From pixels to metres: where the mean face must be to project onto the landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headpose_ros.geometry.camera import CameraModel
from headpose_ros.geometry.face_shape import INTERPUPILLARY_DISTANCE, mean_face
from headpose_ros.geometry.landmarks import GROUPS
from headpose_ros.geometry.rotations import toward
from headpose_ros.parameter import parameter
from headpose_ros.perception.faces import Pose

Array = NDArray[np.float64]

#: Points that neither speech nor the definition of the jaw line moves.
_RIGID = np.r_[
    [i for name in ('nose_bridge', 'nose_base', 'right_eye', 'left_eye') for i in GROUPS[name]]
]
_NEAREST, _FARTHEST = 0.05, 100.0
_FEWEST_POINTS = 4
#: Rotation and position are found from each other until the direction moves less than this, rad.
_ROUNDS, _SETTLED = 12, 1e-8


@dataclass(frozen=True)
class MetricOptions:
    """What distances rest on."""

    interpupillary_distance: float = parameter(
        INTERPUPILLARY_DISTANCE,
        'Distance between the pupils of the people to expect; the distance to a face that no depth '
        'image has measured is proportional to it. The default is the mean of adults; '
        'children have less.',
        minimum=0.04,
        maximum=0.08,
        unit='m',
        former='interpupillary_distance',
    )


def pose_in_camera(
    landmarks: Array, facing: Array, crop_center: ArrayLike, camera: CameraModel
) -> Pose:
    """Turn what a crop shows into a pose in the frame of the camera that took the picture.

    A crop is seen as if by a camera pointed straight at the middle of the face, so the rotation
    is `toward(middle) @ facing`. Where the middle is depends on rotation and position of the
    head, and the position on the rotation: each is found from the others, a few times over.

    Args:
        landmarks: (68, 2) px; (0, 2) from a network without.
        facing: (3, 3) R_optical_face as a camera pointed straight at the face sees it.
        crop_center: (2,) px, the face's place when there are no landmarks.
        camera: The calibrated camera.

    Returns:
        R_optical_face, and the sellion in metres where an average adult head fits the landmarks;
        `perception.sizes` moves it for heads of another size.
        Where the lens model does not reach the crop's centre, `facing` and no position.
    """
    points = landmarks[_RIGID] if len(landmarks) else landmarks
    sights = camera.sights(np.vstack([np.reshape(crop_center, (1, 2)), points]))
    view = sights[0]
    if not np.isfinite(view).all():
        return Pose(facing, None)
    unplaced = Pose(toward(view) @ facing, None)
    locator = _locator(sights[1:]) if len(points) else None
    if locator is None:
        return unplaced
    center, rotation, sight = mean_face().mean(axis=0), unplaced.rotation, view
    for _ in range(_ROUNDS):
        position = locator @ rotation.ravel()
        if not _NEAREST < position @ view < _FARTHEST:
            return unplaced
        middle = rotation @ center + position
        before, sight = sight, middle / np.linalg.norm(middle)
        rotation = toward(sight) @ facing
        if np.abs(sight - before).max() < _SETTLED:
            break
    return Pose(rotation, position)


def _locator(sights: Array) -> Array | None:
    """Return (3, 9) that turns a rotation, row by row, into the sellion's position in metres.

    The distances between the turned points `R X_i + t` and their viewing rays s_i are linear in
    R and in t: least squares of `(I - s_i s_i^T)(R X_i + t)` over t. Other than with `x/z` and
    `y/z` every point weighs the same, however far from the optical axis it is.

    Args:
        sights: (N, 3) unit rays of the rigid points; rows of NaN do not count.

    Returns:
        None where too few rays are left, or all are parallel.
    """
    known = np.isfinite(sights).all(axis=1)
    if known.sum() < _FEWEST_POINTS:
        return None
    rays, points = sights[known], mean_face()[_RIGID[known]]
    across = np.eye(3) - rays[:, :, None] * rays[:, None, :]
    turned = np.einsum('nij,nk->ijk', across, points).reshape(3, 9)
    try:
        return -np.linalg.solve(across.sum(axis=0), turned)
    except np.linalg.LinAlgError:
        return None


def lift(
    landmarks: Array, rotation: Array, position: Array, camera: CameraModel, size: float = 1.0
) -> Array:
    """Return (68, 3) landmarks in metres in the face frame.

    Each point lies on its own viewing ray, nearest to where the mean face, `size` times as large,
    has it; a point that the lens model does not reach is the mean face's.
    """
    expected = size * mean_face() @ rotation.T + position
    sights = camera.sights(landmarks)
    optical = sights * (sights * expected).sum(axis=1, keepdims=True)
    return (np.where(np.isfinite(optical), optical, expected) - position) @ rotation


def position_covariance(position: Array, spread: float) -> Array:
    """Return the (3, 3) covariance in m^2 of a position with this relative error of distance."""
    return spread**2 * np.outer(position, position)
