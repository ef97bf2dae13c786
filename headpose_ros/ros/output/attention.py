"""Which faces attend to which targets, as headpose_ros/Attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.time import Time

from headpose_ros import msg
from headpose_ros.people.attention import CAMERA, Attending, Attention, AttentionOptions
from headpose_ros.perception.faces import Face
from headpose_ros.ros.input.transforms import TransformProblem, frame_name, listen, patient_lookup
from headpose_ros.ros.node import qos
from headpose_ros.ros.node.stamps import seconds


class AttentionPublisher:
    """Publishes the topic `attention` of one camera while somebody subscribes to it.

    A target whose transform is not there has the probability NaN.

    Args:
        node: The node that publishes.
        options: The targets and the cone.
        prefix: Before the name of the topic, such as 'left/'.
    """

    def __init__(self, node: Node, options: AttentionOptions, prefix: str = '') -> None:
        self._node, self._targets = node, options.targets
        self._attention = Attention(options.cone)
        self.publisher = node.create_publisher(msg.Attention, f'{prefix}attention', qos.reliable())
        self._transforms = listen(node) if set(options.targets) - {CAMERA} else None

    def configure(self, options: AttentionOptions) -> None:
        """Take over a cone that was changed."""
        self._attention.cone = options.cone

    def publish(self, header: Any, faces: Sequence[Face]) -> None:
        """Publish the attention of the faces in one image.

        Args:
            header: The image's.
            faces: The faces, in the optical frame.
        """
        if not self.publisher.get_subscription_count():
            return
        places = {name: self._place(name, header) for name in self._targets}
        found = self._attention.update(seconds(header.stamp), faces, places)
        self.publisher.publish(attention_message(header, found))

    def destroy(self) -> None:
        """Withdraw the publisher."""
        self._node.destroy_publisher(self.publisher)
        if self._transforms is not None:
            self._transforms.destroy()

    def _place(self, target: str, header: Any) -> NDArray[np.float64] | None:
        """Return the (3,) origin of a target in the optical frame, metres; None for unknown."""
        camera = frame_name(header.frame_id)
        if target == CAMERA:
            return np.zeros(3)
        if self._transforms is None or not camera:
            return None
        stamp = Time.from_msg(header.stamp).nanoseconds
        try:
            found = patient_lookup(self._transforms, camera, frame_name(target), stamp)
        except TransformProblem:
            return None
        return found.translation


def attention_message(header: Any, found: Sequence[Attending]) -> msg.Attention:
    """Return the headpose_ros/Attention of one image."""
    return msg.Attention(
        header=header,
        targets=[
            msg.AttendedTarget(
                face=one.face,
                target=one.target,
                probability=one.probability,
                attending=one.attending,
                duration=one.duration,
                source=msg.AttendedTarget.SOURCE_HEAD,
            )
            for one in found
        ],
    )
