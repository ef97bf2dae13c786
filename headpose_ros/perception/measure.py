"""From what the network observed of a face to its pose before the camera."""

from __future__ import annotations

import numpy as np

from headpose_ros.geometry.camera import CameraModel
from headpose_ros.perception.faces import Face, Pose, unknown_covariance
from headpose_ros.perception.metric import pose_in_camera
from headpose_ros.perception.observe import Observation
from headpose_ros.perception.tracking.track import Track, center_of

#: Mean length of three normal errors with a standard deviation of one each.
_MEAN_OF_CHI = np.sqrt(8 / np.pi)


def measured_face(now: Track, observation: Observation, camera: CameraModel | None) -> Face:
    """Return the face of a track, at the place where the mean adult face fits its landmarks.

    Args:
        now: The track where the face is now.
        observation: Of the track, through its earlier window.
        camera: The calibrated camera; without one the position stays unknown.
    """
    estimate = observation.estimate
    pose = Pose(estimate.rotation, None)
    if camera is not None:
        crop_center = center_of(observation.track.window)
        pose = pose_in_camera(estimate.landmarks, estimate.rotation, crop_center, camera)
    covariance = unknown_covariance()
    covariance[3:, 3:] = (estimate.rotation_error / _MEAN_OF_CHI) ** 2 * np.eye(3)
    return Face(
        id=now.id,
        box=now.box,
        rotation=pose.rotation,
        landmarks=estimate.landmarks,
        visibility=estimate.visibility,
        landmark_confidence=estimate.landmark_confidence,
        confidence=now.confidence if np.isnan(estimate.face_score) else estimate.face_score,
        position=pose.position,
        openness=estimate.openness,
        landmark_error=estimate.landmark_error,
        rotation_error=estimate.rotation_error,
        covariance=covariance,
    )
