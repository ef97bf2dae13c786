"""Publishes the faces of one camera: topics, TF frames, markers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from headpose_ros.geometry.camera import CameraModel
from headpose_ros.msg import Faces
from headpose_ros.parameter import parameter
from headpose_ros.perception.faces import Face
from headpose_ros.ros.input.transforms import TransformProblem, frame_name, listen, patient_lookup
from headpose_ros.ros.node import qos
from headpose_ros.ros.output.attention import AttentionPublisher
from headpose_ros.ros.output.cloud import landmark_cloud
from headpose_ros.ros.output.hri import HriFaces, publish_if_subscribed
from headpose_ros.ros.output.markers import FaceMarkers
from headpose_ros.ros.output.messages import LocatedFace, faces_message, located, main_face_message
from headpose_ros.ros.output.tf import FaceFrames

_WARNING_PERIOD = 5.0


@dataclass(frozen=True)
class OutputOptions:
    """What is published beside the topics that cost nothing while nobody subscribes to them."""

    REMOVED: ClassVar[Mapping[str, str]] = {
        name: f'nothing is computed for the topic {topic} while nobody subscribes to it'
        for name, topic in (('publish_markers', 'markers'), ('publish_landmarks', 'landmarks'))
    }

    tf: bool = parameter(
        True,
        'Publish TF frames face_<id> and gaze_<id> (the direction of the head) of every face.',
        basic=True,
        former='publish_tf',
    )
    attention: bool = parameter(
        False,
        'Publish the topic attention: whether faces look at the targets of `attention.targets`, '
        'by the direction of the head.',
        read_only=True,
    )
    frame: str = parameter(
        '',
        "Frame of the poses on all topics but /tf, such as base_link; empty for the camera's "
        'optical frame. tf2 looks it up at the stamp of the image.',
        read_only=True,
        basic=True,
        former='output_frame',
    )
    hri: bool = parameter(
        False,
        'Publish /humans/faces of ROS4HRI (REP 155); needs the package hri_msgs.',
        read_only=True,
        former='publish_hri',
    )


class FacePublisher:
    """Publishes the faces of one camera. Topics without subscribers cost nothing.

    Args:
        node: The node that publishes.
        options: What is published.
        prefix: Before the names of the topics, such as 'left/'; every camera of a node has its own.
        hri: Publishes the topics of ROS4HRI for all cameras of the node; None for none.
        attention: Publishes whom or what the faces attend to; None for no such topic.

    Attributes:
        problem: Why the poses of the last image were not published; None where they were.
    """

    def __init__(
        self,
        node: Node,
        options: OutputOptions,
        prefix: str = '',
        hri: HriFaces | None = None,
        attention: AttentionPublisher | None = None,
    ) -> None:
        self.options = options
        self._node = node
        self._prefix, self._hri, self._attention = prefix, hri, attention
        self._faces = self._publisher(Faces, f'{prefix}faces')
        self._main = self._publisher(PoseStamped, f'{prefix}head_pose')
        self._markers = self._publisher(MarkerArray, f'{prefix}markers')
        self._cloud = self._publisher(PointCloud2, f'{prefix}landmarks')
        self._frames = FaceFrames(node)
        self._transforms = listen(node) if options.frame else None
        self._marker_maker = FaceMarkers()
        self._complaint = ''
        self.problem: TransformProblem | None = None
        # Kept: a logger remembers what it throttles.
        self._log = node.get_logger().get_child('transform')

    def publish(
        self,
        header: Any,
        size: tuple[int, int],
        faces: Sequence[Face],
        camera: CameraModel | None,
        image: NDArray[np.uint8] | None = None,
    ) -> bool:
        """Publish the faces of one image.

        Args:
            header: The image's: stamp and optical frame.
            size: Width and height of the image, px.
            faces: The faces, the preferred first.
            camera: The calibrated camera that they were analysed with.
            image: uint8 (H, W, 3) BGR, for pictures of faces in ROS4HRI.

        Returns:
            Whether the poses were published: not so while the output frame is out of reach.
        """
        placed = [located(face, camera) for face in faces]
        if self.options.tf:
            self._frames.publish(header, placed)
        if self._hri is not None:
            self._hri.publish(self._prefix, header, size, [one.face for one in placed], image)
        if self._attention is not None:
            self._attention.publish(header, [one.face for one in placed])
        moved = self._in_output_frame(header, placed)
        if moved is None:
            return False
        frame = frame_name(self.options.frame) or header.frame_id
        self._publish_poses(Header(stamp=header.stamp, frame_id=frame), size, moved)
        return True

    @property
    def has_audience(self) -> bool:
        """Whether somebody subscribes to anything but TF."""
        publishers = [self._faces, self._main, self._markers, self._cloud]
        publishers += [] if self._attention is None else [self._attention.publisher]
        people = self._hri is not None and self._hri.has_audience
        return people or any(publisher.get_subscription_count() for publisher in publishers)

    def destroy(self) -> None:
        """Withdraw the publishers."""
        for publisher in (self._faces, self._main, self._markers, self._cloud):
            self._node.destroy_publisher(publisher)
        self._frames.destroy()
        if self._attention is not None:
            self._attention.destroy()
        if self._transforms is not None:
            self._transforms.destroy()

    def _publisher(self, kind: Any, topic: str) -> Any:
        return self._node.create_publisher(kind, topic, qos.reliable())

    def _publish_poses(self, header: Any, size: tuple[int, int], placed: list[LocatedFace]) -> None:
        publish_if_subscribed(self._faces, lambda: faces_message(header, size, placed))
        publish_if_subscribed(self._main, lambda: main_face_message(header, placed))
        publish_if_subscribed(self._markers, lambda: self._marker_maker.message(header, placed))
        publish_if_subscribed(self._cloud, lambda: landmark_cloud(header, placed))

    def _in_output_frame(self, header: Any, faces: list[LocatedFace]) -> list[LocatedFace] | None:
        """Return the faces in the output frame; None where the transform is not there."""
        target, source = frame_name(self.options.frame), frame_name(header.frame_id)
        if self._transforms is None or target == source:
            return faces
        stamp = Time.from_msg(header.stamp).nanoseconds
        try:
            if not source:
                raise TransformProblem(f'no transform to {target}: images have no frame_id')
            found = patient_lookup(self._transforms, target, source, stamp)
        except TransformProblem as problem:
            self.problem = problem
            self._complain(problem)
            return None
        self._complaint, self.problem = '', None
        return [one.in_frame(found.rotation, found.translation) for one in faces]

    def _complain(self, problem: TransformProblem) -> None:
        """Log what is missing once; a transform that is merely late, now and then."""
        if problem.is_late:
            self._log.warning(f'{problem}; poses dropped', throttle_duration_sec=_WARNING_PERIOD)
        elif problem.cause != self._complaint and self._log.warning(
            f'{problem}; no poses are published', throttle_duration_sec=_WARNING_PERIOD
        ):
            self._complaint = problem.cause
