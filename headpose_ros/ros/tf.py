"""Face frames on /tf, with or without tf2_ros on the machine."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import Transform, TransformStamped, Vector3
from rclpy.node import Node
from tf2_msgs.msg import TFMessage

from headpose_ros.ros import qos
from headpose_ros.ros.messages import LocatedFace, pose_message

# tf2_ros' own broadcaster publishes this very message with this very profile, and is not on every
# machine: one plain publisher serves all of them.
_DEPTH = 100


class FaceFrames:
    """Publishes `face_<id>` frames as children of the camera's optical frame."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher = node.create_publisher(TFMessage, '/tf', qos.reliable(_DEPTH))

    def publish(self, header: Any, faces: list[LocatedFace]) -> None:
        """Publish the frames of all faces of one image under the image's stamp."""
        if faces:
            self._publisher.publish(
                TFMessage(transforms=[face_transform(header, face) for face in faces])
            )

    def destroy(self) -> None:
        """Withdraw the publisher."""
        self._node.destroy_publisher(self._publisher)


def face_transform(header: Any, located: LocatedFace) -> TransformStamped:
    """Return the transform from the face frame to the camera's optical frame."""
    pose = pose_message(located)
    place = pose.position
    return TransformStamped(
        header=header,
        child_frame_id=f'face_{located.face.id}',
        transform=Transform(
            translation=Vector3(x=place.x, y=place.y, z=place.z), rotation=pose.orientation
        ),
    )
