"""Core types to messages: the only place that fills `headpose_ros/msg`."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import RegionOfInterest

from headpose_ros import msg
from headpose_ros.geometry.camera import CameraModel
from headpose_ros.geometry.rotations import quaternion_from_matrix
from headpose_ros.perception.faces import Face
from headpose_ros.perception.metric import lift, position_covariance

_UNKNOWN = -1.0


@dataclass(frozen=True)
class LocatedFace:
    """A face and, where the camera is calibrated, its place.

    Attributes:
        face: The face.
        position: (3,) metres in the optical frame, or None.
        face_points: (68, 3) metres in the face frame, or None.
    """

    face: Face
    position: NDArray[np.float64] | None
    face_points: NDArray[np.float64] | None


def located(face: Face, camera: CameraModel | None) -> LocatedFace:
    """Lift the landmarks of a face that has a place in the frame of this camera."""
    if camera is None or face.position is None:
        return LocatedFace(face, None, None)
    points = lift(face.landmarks, face.rotation, face.position, camera)
    return LocatedFace(face, face.position, points)


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


def pose_message(face: LocatedFace) -> Pose:
    """Return the geometry_msgs/Pose of the face frame; at the origin where the place is unknown."""
    x, y, z, w = quaternion_from_matrix(face.face.rotation).tolist()
    pose = Pose(orientation=Quaternion(x=x, y=y, z=z, w=w))
    if face.position is not None:
        px, py, pz = face.position.tolist()
        pose.position = Point(x=px, y=py, z=pz)
    return pose


def main_face_message(header: Any, faces: list[LocatedFace]) -> PoseStamped | None:
    """Return the pose of the first face, for consumers that want one standard message."""
    return PoseStamped(header=header, pose=pose_message(faces[0])) if faces else None


def face_from_message(message: msg.Face) -> Face:
    """Return the core face of a headpose_ros/Face; its box is the clipped region of interest."""
    roi, landmarks = message.roi, message.landmarks
    q = message.head_pose.pose.pose.orientation
    return Face(
        id=message.id,
        box=np.array([roi.x_offset, roi.y_offset, roi.width, roi.height], np.float64),
        rotation=Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix(),
        landmarks=np.array(landmarks.image_points, np.float64).reshape(-1, 2),
        visibility=np.array(landmarks.visibility, np.float64),
        landmark_confidence=np.array(landmarks.confidence, np.float64),
        confidence=message.confidence,
        openness=np.array(
            [message.right_eye_openness, message.left_eye_openness, message.mouth_openness]
        ),
    )


def _face_message(located: LocatedFace, size: tuple[int, int]) -> msg.Face:
    face = located.face
    right_eye, left_eye, mouth = face.openness.tolist()
    return msg.Face(
        id=face.id,
        roi=_roi(face.box, size),
        confidence=face.confidence,
        head_pose=_head_pose_message(located),
        landmarks=_landmarks_message(located),
        right_eye_openness=right_eye,
        left_eye_openness=left_eye,
        mouth_openness=mouth,
    )


def _head_pose_message(located: LocatedFace) -> msg.HeadPose:
    pitch, yaw, roll = located.face.pitch_yaw_roll.tolist()
    message = msg.HeadPose(
        translation_is_metric=located.position is not None, yaw=yaw, pitch=pitch, roll=roll
    )
    message.pose.pose = pose_message(located)
    message.pose.covariance = _covariance(located.position)
    return message


def _covariance(position: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return 36 values, row-major; -1 first in a block that is unknown."""
    covariance = np.zeros((6, 6))
    covariance[3, 3] = _UNKNOWN  # this network does not tell how sure it is of a rotation
    if position is None:
        covariance[0, 0] = _UNKNOWN
    else:
        covariance[:3, :3] = position_covariance(position)
    return covariance.ravel()


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
    )


def _floats(values: NDArray[np.float64]) -> array[float]:
    # rclpy takes an array('f') as it is; any other sequence it checks element by element.
    return array('f', values.astype(np.float32).tobytes())


def _roi(box: NDArray[np.float64], size: tuple[int, int]) -> RegionOfInterest:
    limit = np.array(size)
    low = np.clip(np.floor(box[:2]), 0, limit).astype(int)
    high = np.clip(np.ceil(box[:2] + box[2:]), low, limit).astype(int)
    (x, y), (width, height) = low.tolist(), (high - low).tolist()
    return RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height)
