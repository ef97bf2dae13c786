"""Face frames on /tf, with or without tf2_ros on the machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from geometry_msgs.msg import Transform, TransformStamped, Vector3
from rclpy.node import Node
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from headpose_ros.errors import quoted
from headpose_ros.geometry.rotations import GAZE
from headpose_ros.perception.faces import Face, Pose
from headpose_ros.ros.input.transforms import frame_name, is_face_frame
from headpose_ros.ros.node import qos
from headpose_ros.ros.output.messages import LocatedFace, pose_message

# tf2_ros' own broadcaster publishes this very message with this very profile, and is not on every
# machine: one plain publisher serves all of them.
_DEPTH = 100


class FaceFrames:
    """Publishes frames `face_<id>` and `gaze_<id>` as children of the camera's optical frame.

    Eyeballs are not looked at: the gaze frame has the direction of the head.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher = node.create_publisher(TFMessage, '/tf', qos.reliable(_DEPTH))

    def publish(self, header: Any, faces: Sequence[LocatedFace]) -> None:
        """Publish the frames of all faces of one image under the image's stamp."""
        if faces and self._publisher.get_subscription_count():
            frames = face_frames(header, faces)
            if frames.transforms:
                self._publisher.publish(frames)

    def destroy(self) -> None:
        """Withdraw the publisher."""
        self._node.destroy_publisher(self._publisher)


def frame_problem(frame: str) -> str:
    """Return what is wrong with the frame of images, and what to do; empty for nothing."""
    cure = 'set frame_id in the driver of the camera'
    name = frame_name(frame)
    if not name:
        return f'frame_id is empty: no face has a frame on /tf; {cure}'
    if is_face_frame(name):
        return f'frame_id is {name!r}, the name of a face: no face has a frame on /tf; {cure}'
    if name != frame:
        return f'frame_id is {quoted(frame)}: tf2 has no names that begin with a slash; {cure}'
    return ''


def face_frames(header: Any, faces: Sequence[LocatedFace]) -> TFMessage:
    """Return both frames of all faces of one image; none below a frame that can have none."""
    if (header := _parent(header)) is None:
        return TFMessage()
    makers = (face_transform, gaze_transform)
    return TFMessage(transforms=[make(header, face.face) for face in faces for make in makers])


def face_transform(header: Any, face: Face) -> TransformStamped:
    """Return the transform from the face frame to the camera's optical frame."""
    return _transform(header, f'face_{face.id}', Pose(face.rotation, face.position))


def gaze_transform(header: Any, face: Face) -> TransformStamped:
    """Return the transform from the gaze frame to the camera's optical frame (REP 155).

    At the place of the face frame, z out of the face, x to the person's right, y down.
    """
    return _transform(header, f'gaze_{face.id}', Pose(face.rotation @ GAZE, face.position))


def person_frames(header: Any, people: Mapping[str, Face]) -> TFMessage:
    """Return the frames of persons by their ids: those of their faces, where the place is known."""
    if (header := _parent(header)) is None:
        return TFMessage()
    return TFMessage(
        transforms=[
            _transform(header, f'person_{person}', Pose(face.rotation, face.position))
            for person, face in people.items()
            if face.position is not None
        ]
    )


def _parent(header: Any) -> Any:
    """Return the header of frames below that of an image; None where it can have none."""
    parent = frame_name(header.frame_id)
    if not parent or is_face_frame(parent):
        return None
    return Header(stamp=header.stamp, frame_id=parent)


def _transform(header: Any, name: str, frame: Pose) -> TransformStamped:
    pose = pose_message(frame)
    place = pose.position
    return TransformStamped(
        header=header,
        child_frame_id=name,
        transform=Transform(
            translation=Vector3(x=place.x, y=place.y, z=place.z), rotation=pose.orientation
        ),
    )
