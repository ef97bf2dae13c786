"""What the pose node tells about the faces of one camera: topics, TF frames, markers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from visualization_msgs.msg import MarkerArray

from headpose_ros.geometry.camera import CameraModel
from headpose_ros.msg import Faces
from headpose_ros.perception.faces import Face
from headpose_ros.ros import qos
from headpose_ros.ros.markers import FaceMarkers
from headpose_ros.ros.messages import faces_message, located, main_face_message
from headpose_ros.ros.tf import FaceFrames


@dataclass(frozen=True)
class OutputOptions:
    """What is published beside the faces.

    Attributes:
        tf: Whether every face has a TF frame.
        markers: Whether RViz markers are published.
    """

    tf: bool = True
    markers: bool = True


class FaceOutputs:
    """Publishes the faces of one camera.

    Args:
        node: The node that publishes.
        options: What is published.
        prefix: Before the names of the topics, such as 'left/'; every camera of a node has its own.
    """

    def __init__(self, node: Node, options: OutputOptions, prefix: str = '') -> None:
        self.options = options
        self._node = node
        self._faces = node.create_publisher(Faces, f'{prefix}faces', qos.reliable())
        self._main = node.create_publisher(PoseStamped, f'{prefix}head_pose', qos.reliable())
        self._markers = node.create_publisher(MarkerArray, f'{prefix}markers', qos.reliable())
        self._frames = FaceFrames(node)
        self._marker_maker = FaceMarkers()

    def publish(
        self,
        header: Any,
        size: tuple[int, int],
        faces: Sequence[Face],
        camera: CameraModel | None,
    ) -> None:
        """Publish the faces of one image.

        Args:
            header: The image's: stamp and optical frame.
            size: Width and height of the image, px.
            faces: The faces, the preferred first.
            camera: The calibrated camera that they were analysed with.
        """
        placed = [located(face, camera) for face in faces]
        self._faces.publish(faces_message(header, size, placed))
        main = main_face_message(header, placed)
        if main is not None:
            self._main.publish(main)
        if self.options.tf:
            self._frames.publish(header, placed)
        if self.options.markers:
            self._markers.publish(self._marker_maker.message(header, placed))

    def destroy(self) -> None:
        """Withdraw the publishers."""
        for publisher in (self._faces, self._main, self._markers):
            self._node.destroy_publisher(publisher)
        self._frames.destroy()
