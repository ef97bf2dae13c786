"""Overlay node: draws the faces into the images, for whoever looks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from sensor_msgs.msg import CompressedImage, Image

from headpose_ros.msg import Faces
from headpose_ros.nodes.runner import run
from headpose_ros.parameter import parameter
from headpose_ros.perception.draw import AXIS_STYLES
from headpose_ros.ros.input.images import encode_bgr
from headpose_ros.ros.input.pictures import StampMatcher, annotated
from headpose_ros.ros.node import qos
from headpose_ros.ros.node.callbacks import GuardedNode
from headpose_ros.ros.node.diagnostics import Diagnostics
from headpose_ros.ros.node.parameters import declare, follow

_LOOK_PERIOD = 0.25  # seconds from one look for subscribers to the next


@dataclass(frozen=True)
class OverlayConfig:
    """Parameters of the overlay node."""

    style: str = parameter(
        'tf',
        'Axes: as TF draws the face frame (x out of the face red, y green, z blue), or as figures '
        'of papers (right red, down green, out of the face blue).',
        choices=AXIS_STYLES,
        basic=True,
    )
    jpeg_quality: int = parameter(
        80, 'Quality of the compressed pictures.', minimum=1, maximum=100, unit='%'
    )
    input: qos.ReliabilityOptions = field(default_factory=qos.ReliabilityOptions)


class OverlayNode(GuardedNode):
    """Publishes `overlay` (sensor_msgs/Image), `overlay/compressed` (JPEG) and `/diagnostics`.

    Subscribes to `camera/image_raw` and `faces` while somebody subscribes to the pictures, so that
    it costs nothing when nobody looks. Pictures carry the header of their image.

    Args:
        options: Passed to rclpy's Node.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__('overlay', **options)
        self._config = declare(self, OverlayConfig)
        follow(self, self._config, self._apply)
        self._pictures = self.create_publisher(Image, 'overlay', qos.reliable(1))
        self._compressed = self.create_publisher(
            CompressedImage, 'overlay/compressed', qos.reliable(1)
        )
        self._matcher = StampMatcher()
        self._inputs: list[Any] = []
        self._diagnostics = Diagnostics(self)
        # Steady: the look for subscribers must not stand still without /clock.
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(_LOOK_PERIOD, self._look, clock=clock)

    def _apply(self, config: OverlayConfig) -> None:
        self._config = config

    def _look(self) -> None:
        """Listen while somebody looks, and only then."""
        wanted = any(p.get_subscription_count() for p in (self._pictures, self._compressed))
        if wanted and not self._inputs:
            profile = qos.from_name(self._config.input.reliability)
            self._matcher = StampMatcher()
            self._inputs = [
                self.create_subscription(Image, 'camera/image_raw', self._take_image, profile),
                self.create_subscription(Faces, 'faces', self._take_faces, qos.reliable()),
            ]
        elif self._inputs and not wanted:
            while self._inputs:
                self.destroy_subscription(self._inputs.pop())

    def _take_image(self, image: Image) -> None:
        self._draw(self._matcher.image(image))

    def _take_faces(self, faces: Faces) -> None:
        self._draw(self._matcher.faces(faces))

    def _draw(self, pair: tuple[Image, Faces] | None) -> None:
        if pair is None:
            return
        image, faces = pair
        picture = annotated(image, faces, self._config.style)
        if self._pictures.get_subscription_count():
            self._pictures.publish(encode_bgr(picture, image.header))
        if self._compressed.get_subscription_count():
            self._compressed.publish(self._jpeg(picture, image.header))

    def _jpeg(self, picture: Any, header: Any) -> CompressedImage:
        options = [cv2.IMWRITE_JPEG_QUALITY, self._config.jpeg_quality]
        data = cv2.imencode('.jpg', picture, options)[1]
        # What image_transport writes, so that its subscribers know the colours.
        return CompressedImage(
            header=header, format='bgr8; jpeg compressed bgr8', data=data.tobytes()
        )


def main(args: Sequence[str] | None = None) -> int:
    """Run the overlay node and return its exit code."""
    return run(OverlayNode, args)


if __name__ == '__main__':
    sys.exit(main())
