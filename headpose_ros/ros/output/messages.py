"""Core types to messages: the only place that fills `headpose_ros/msg`."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion, Twist, Vector3
from numpy.typing import NDArray
from sensor_msgs.msg import RegionOfInterest

from headpose_ros import msg
from headpose_ros.errors import HeadposeError
from headpose_ros.geometry.camera import CameraModel
from headpose_ros.geometry.face_shape import INTERPUPILLARY_DISTANCE
from headpose_ros.geometry.landmarks import COUNT
from headpose_ros.geometry.rotations import matrix_from_quaternion, quaternion_from_matrix
from headpose_ros.perception import faces as core
from headpose_ros.perception.faces import Face
from headpose_ros.perception.metric import lift

_UNKNOWN = -1.0
_LONGEST_ID = 40  # characters of an id that an error quotes


class FaceMessageError(HeadposeError, ValueError):
    """A headpose_ros/Face that cannot be read; the message has the reason."""


@dataclass(frozen=True)
class LocatedFace:
    """A face in the frame of the messages, and the camera that saw it.

    Attributes:
        face: The face; its poses are in the frame of the messages.
        seen: The same face with its poses in the camera's optical frame.
        camera: The calibrated camera; None where the place is unknown.
    """

    face: Face
    seen: Face
    camera: CameraModel | None

    @cached_property
    def face_points(self) -> NDArray[np.float64] | None:
        """(68, 3) landmarks in metres in the face frame, or None; costly, so only on demand."""
        seen = self.seen
        if self.camera is None or seen.position is None:
            return None
        size = seen.interpupillary_distance / INTERPUPILLARY_DISTANCE
        return lift(seen.landmarks, seen.rotation, seen.position, self.camera, size)

    @property
    def points(self) -> NDArray[np.float64] | None:
        """(68, 3) landmarks in metres in the frame of the messages, or None."""
        points, face = self.face_points, self.face
        if points is None or face.position is None:
            return None
        return points @ face.rotation.T + face.position

    def in_frame(
        self, rotation: NDArray[np.float64], translation: NDArray[np.float64]
    ) -> LocatedFace:
        """Return the same for messages in another frame; see :meth:`Face.in_frame`."""
        return replace(self, face=self.face.in_frame(rotation, translation))


def located(face: Face, camera: CameraModel | None) -> LocatedFace:
    """Return a face for messages in the camera's optical frame; without a camera, without place."""
    if camera is None:
        face = replace(face, position=None)
    return LocatedFace(face, face, camera)


def faces_message(header: Any, size: tuple[int, int], faces: list[LocatedFace]) -> msg.Faces:
    """Fill a headpose_ros/Faces message.

    Args:
        header: The image's header: stamp and optical frame are taken over unchanged.
        size: Width and height of the image, px.
        faces: The faces in this image.
    """
    width, height = size
    return msg.Faces(
        header=header,
        image_width=width,
        image_height=height,
        faces=[_face_message(face, size) for face in faces],
    )


def pose_message(pose: Face | core.Pose) -> Pose:
    """Return the geometry_msgs/Pose of a face frame; at the origin where the place is unknown."""
    x, y, z, w = quaternion_from_matrix(pose.rotation).tolist()
    message = Pose(orientation=Quaternion(x=x, y=y, z=z, w=w))
    if pose.position is not None:
        px, py, pz = pose.position.tolist()
        message.position = Point(x=px, y=py, z=pz)
    return message


def main_face_message(header: Any, faces: list[LocatedFace]) -> PoseStamped | None:
    """Return the pose of the first face, for consumers that want one standard message."""
    return PoseStamped(header=header, pose=pose_message(faces[0].face)) if faces else None


def face_from_message(message: msg.Face) -> Face:
    """Return the core face of a headpose_ros/Face, in the frame of the message.

    Its box is the clipped region of interest; all else comes back as it was, to the precision of
    the message's floats.

    Raises:
        FaceMessageError: Its numbers are no face's.
    """
    try:
        _check_landmarks(message.landmarks)
        return _face_from_message(message)
    except ValueError as error:
        raise FaceMessageError(f'face {message.id[:_LONGEST_ID]!r}: {error}') from error


def _check_landmarks(landmarks: msg.FacialLandmarks) -> None:
    """Raise ValueError unless the arrays have the lengths that their message states."""
    count = len(landmarks.image_points) / 2
    if count not in (0, COUNT):
        raise ValueError(f'{count:g} landmarks: expected {COUNT} or none')
    for name in ('visibility', 'confidence', 'error'):
        if len(getattr(landmarks, name)) not in (0, count):
            length = len(getattr(landmarks, name))
            raise ValueError(f'{name} of {length} landmarks: expected {count:g} or none')


def _face_from_message(message: msg.Face) -> Face:
    roi, landmarks, head = message.roi, message.landmarks, message.head_pose
    pose, metric, smoothed = _pose(head.pose.pose, head), head.translation_is_metric, None
    if message.smoothed:
        smoothed = _pose(message.raw_pose, head), _twist(message.twist, metric)
    return Face(
        id=message.id,
        box=np.array([roi.x_offset, roi.y_offset, roi.width, roi.height], np.float64),
        rotation=pose.rotation,
        landmarks=np.array(landmarks.image_points, np.float64).reshape(-1, 2),
        visibility=np.array(landmarks.visibility, np.float64),
        landmark_confidence=np.array(landmarks.confidence, np.float64),
        landmark_error=np.array(landmarks.error, np.float64),
        confidence=message.confidence,
        position=pose.position,
        openness=np.array(
            [message.right_eye_openness, message.left_eye_openness, message.mouth_openness]
        ),
        covariance=_covariance_from(head.pose.covariance),
        interpupillary_distance=head.interpupillary_distance,
        distance_is_measured=head.distance_is_measured,
        raw=smoothed[0] if smoothed else None,
        twist=smoothed[1] if smoothed else None,
    )


def _pose(message: Pose, head: msg.HeadPose) -> core.Pose:
    q, p = message.orientation, message.position
    rotation = matrix_from_quaternion([q.x, q.y, q.z, q.w])
    return core.Pose(rotation, np.array([p.x, p.y, p.z]) if head.translation_is_metric else None)


def _twist(message: Twist, metric: bool) -> core.Twist:
    return core.Twist(_array(message.angular), _array(message.linear) if metric else None)


def _array(vector: Vector3) -> NDArray[np.float64]:
    return np.array([vector.x, vector.y, vector.z])


def _vector(values: NDArray[np.float64] | None) -> Vector3:
    x, y, z = (0.0, 0.0, 0.0) if values is None else values.tolist()
    return Vector3(x=x, y=y, z=z)


def _face_message(located: LocatedFace, size: tuple[int, int]) -> msg.Face:
    face = located.face
    right_eye, left_eye, mouth = face.openness.tolist()
    message = msg.Face(
        id=face.id,
        roi=roi_message(face.box, size),
        confidence=face.confidence,
        head_pose=_head_pose_message(located),
        landmarks=_landmarks_message(located),
        smoothed=face.raw is not None,
        raw_pose=pose_message(_placed_as(face, face.raw) if face.raw else face),
        right_eye_openness=right_eye,
        left_eye_openness=left_eye,
        mouth_openness=mouth,
    )
    if face.twist is not None:
        linear = None if face.position is None else face.twist.linear
        message.twist = Twist(linear=_vector(linear), angular=_vector(face.twist.angular))
    return message


def _placed_as(face: Face, pose: core.Pose) -> core.Pose:
    """Return the pose without a place where the face has none."""
    return pose if face.position is not None else core.Pose(pose.rotation, None)


def _head_pose_message(located: LocatedFace) -> msg.HeadPose:
    face, (pitch, yaw, roll) = located.face, located.seen.pitch_yaw_roll.tolist()
    metric = face.position is not None
    message = msg.HeadPose(
        translation_is_metric=metric,
        distance_is_measured=metric and face.distance_is_measured,
        interpupillary_distance=face.interpupillary_distance if metric else float('nan'),
        yaw=yaw,
        pitch=pitch,
        roll=roll,
    )
    message.pose.pose = pose_message(face)
    message.pose.covariance = _covariance(face)
    return message


def _covariance(face: Face) -> NDArray[np.float64]:
    """Return 36 values, row-major; -1 first in a block that is unknown, and zeros there."""
    covariance = face.covariance.copy()
    if face.position is None:
        covariance[:3, :3] = np.nan
    for first in (0, 3):
        if not np.isfinite(covariance[first, first]):
            covariance[first : first + 3, :] = covariance[:, first : first + 3] = 0.0
            covariance[first, first] = _UNKNOWN
    return covariance.ravel()


def _covariance_from(values: Any) -> NDArray[np.float64]:
    """Invert :func:`_covariance`."""
    covariance = np.array(values, np.float64).reshape(6, 6)
    for first in (0, 3):
        if covariance[first, first] < 0:
            covariance[first : first + 3, first : first + 3] = np.nan
    return covariance


def _landmarks_message(located: LocatedFace) -> msg.FacialLandmarks:
    face = located.face
    if not len(face.landmarks):
        return msg.FacialLandmarks(scheme=msg.FacialLandmarks.SCHEME_NONE)
    points = located.face_points
    return msg.FacialLandmarks(
        scheme=msg.FacialLandmarks.SCHEME_IBUG_68,
        image_points=_floats(face.landmarks),
        face_points=_floats(np.zeros(0) if points is None else points),
        visibility=_floats(face.visibility),
        confidence=_floats(face.landmark_confidence),
        error=_floats(face.landmark_error),
    )


def _floats(values: NDArray[np.float64]) -> array[float]:
    # rclpy takes an array('f') as it is; any other sequence it checks element by element.
    return array('f', values.astype(np.float32).tobytes())


def roi_message(box: NDArray[np.float64], size: tuple[int, int]) -> RegionOfInterest:
    """Return a box (4,) x, y, w, h in px, clipped to an image of this width and height."""
    limit = np.array(size)
    low = np.clip(np.floor(box[:2]), 0, limit).astype(int)
    high = np.clip(np.ceil(box[:2] + box[2:]), low, limit).astype(int)
    (x, y), (width, height) = low.tolist(), (high - low).tolist()
    return RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height)
