"""One camera as a node sees it: its images, its calibration, and what is wrong with them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import qos_policy_name_from_kind
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from headpose_ros.geometry.camera import CameraModel
from headpose_ros.perception.depth import DepthImage
from headpose_ros.perception.faces import Face
from headpose_ros.ros import qos
from headpose_ros.ros.camera_info import CameraInfoError, camera_model
from headpose_ros.ros.compressed import decode_compressed
from headpose_ros.ros.depth import decode_depth
from headpose_ros.ros.images import Bgr, ImageError, decode
from headpose_ros.ros.pairing import DepthPairing
from headpose_ros.ros.statistics import NodeStatistics

TRANSPORTS = ('raw', 'compressed')
"""Values of the parameter image_transport."""

#: A stamp this much older than the last one, s, was overtaken on its way; more is a clock that
#: jumped back, or a recording that starts again.
OVERTAKEN = 0.5
_WARNING_PERIOD = 5.0


@dataclass(frozen=True)
class InputOptions:
    """How a camera is listened to.

    Attributes:
        transport: One of TRANSPORTS.
        reliability: One of qos.RELIABILITIES.
        max_age: Seconds beyond which an image is dropped; 0 for no limit.
        depth: Whether aligned depth images are taken in too.
    """

    transport: str = 'raw'
    reliability: str = 'best_effort'
    max_age: float = 0.0
    depth: bool = False


class CameraInput:
    """Listens to one camera.

    Args:
        node: The node that listens.
        name: Namespace of the camera's topics.
        options: How.
        deliver: Called with the name, every image message, and its depth image or None.

    Attributes:
        name: As given.
        statistics: What became of its images.
        camera: The camera's calibration; None where there is none that can be used.
        info_problem: Why there is no calibration; empty where there is one.
        header: Header of the newest image; None before the first.
        info: The newest camera_info; None before the first.
        unmet_policy: QoS policy on which a publisher's offer falls short; empty for none.
    """

    def __init__(
        self,
        node: Node,
        name: str,
        options: InputOptions,
        deliver: Callable[[str, Any, Any], None],
    ) -> None:
        self.name = name
        self.options = options
        self.statistics = NodeStatistics()
        self._node = node
        self._deliver = deliver
        self._subscriptions: list[Any] = []
        self._loggers: dict[str, Any] = {}
        self._pairing: DepthPairing | None = None
        self.image_topic = ''
        self.info_topic = ''
        self.depth_topic = ''
        self._last_stamp = -math.inf
        self._forget()

    def start(self) -> None:
        """Subscribe."""
        self._forget()
        compressed = self.options.transport == 'compressed'
        image = f'{self.name}/image_raw' + ('/compressed' if compressed else '')
        kind = CompressedImage if compressed else Image
        images = self._subscribe(kind, image, self._take_image)
        infos = self._subscribe(CameraInfo, f'{self.name}/camera_info', self._take_info)
        self._subscriptions = [images, infos]
        self.image_topic, self.info_topic = images.topic_name, infos.topic_name
        if self.options.depth:
            self._pairing = DepthPairing(partial(self._deliver, self.name))
            depth = f'{self.name}/depth_registered/image_raw'
            depths = self._subscribe(Image, depth, self._pairing.add_depth)
            self._subscriptions.append(depths)
            self.depth_topic = depths.topic_name

    def stop(self) -> None:
        """Listen no longer."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []
        self._pairing = None

    def decode(self, message: Any) -> Bgr:
        """Return the picture of an image message.

        Raises:
            ImageError: It cannot be used.
        """
        return (
            decode_compressed(message) if isinstance(message, CompressedImage) else decode(message)
        )

    def decode_depth(self, depth: Any) -> DepthImage | None:
        """Return the depth that came with the last image; without it faces have an assumed size."""
        if not self.options.depth:
            return None
        so = 'distances rest on the size of faces'
        if depth is None:
            self.warn('no_depth', f'{self.depth_topic}: nothing at the time of the image; {so}')
            return None
        assert self.size is not None
        try:
            return decode_depth(depth, self.size)
        except ImageError as error:
            self.warn('depth', f'{self.depth_topic}: {error}; {so}')
            return None

    def is_late(self, header: Any, now: Time) -> str:
        """Return why an image comes too late to be used; empty when it does not.

        Its stamp becomes the last one, unless it was overtaken.
        """
        stamp = Time.from_msg(header.stamp, clock_type=now.clock_type)
        age = (now - stamp).nanoseconds * 1e-9
        if 0 < self.options.max_age < age:
            return f'{age:.3f} s old, more than max_age'
        behind = self._last_stamp - stamp.nanoseconds * 1e-9
        if 0 < behind < OVERTAKEN:
            return f'stamped {behind:.3f} s before the image that came before it'
        if behind > 0:
            self.log(f'{self.image_topic}: time jumped back {behind:.1f} s: faces are forgotten')
        self._last_stamp = stamp.nanoseconds * 1e-9
        return ''

    def note_out(self, faces: list[Face], left_out: int, **milliseconds: float) -> None:
        """Count a published image, and the faces in it that are beyond `max_faces`."""
        if left_out and not self.statistics.faces_left_out:
            self.log(
                f'{self.image_topic}: {left_out} more faces than max_faces are not followed; '
                '/diagnostics counts them as faces_left_out'
            )
        self.statistics.faces_left_out += left_out
        self.statistics.frames_out += 1
        self.statistics.faces += len(faces)
        self.statistics.note(**milliseconds)

    def warn(self, kind: str, text: str) -> None:
        """Log a warning, each kind at most once in a while."""
        if kind not in self._loggers:
            # Kept, since a logger remembers what it throttles.
            name = self.name.strip('/').replace('/', '.')
            self._loggers[kind] = self._node.get_logger().get_child(f'{kind}.{name}')
        self._loggers[kind].warning(text, throttle_duration_sec=_WARNING_PERIOD)

    def log(self, text: str) -> None:
        """Log a line of information."""
        self._node.get_logger().info(text)

    def seconds_since_image(self) -> float:
        """Return how long ago the last image, or :meth:`start`, was; by a steady clock."""
        return time.monotonic() - self._last_image

    def _forget(self) -> None:
        self.camera: CameraModel | None = None
        self.info_problem = 'no camera_info yet'
        self.header: Any = None
        self.size: tuple[int, int] | None = None
        self.info: CameraInfo | None = None
        self.unmet_policy = ''
        self._said = ''
        self._last_stamp = -math.inf
        self._last_image = time.monotonic()

    def _subscribe(self, kind: Any, topic: str, callback: Callable[[Any], None]) -> Any:
        def unmet(event: Any) -> None:
            self._note_unmet(subscription.topic_name, event.last_policy_kind)

        subscription = self._node.create_subscription(
            kind,
            topic,
            callback,
            qos.from_name(self.options.reliability),
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=unmet),
        )
        return subscription

    def _note_unmet(self, topic: str, kind: int) -> None:
        """Say that a publisher offers less than what is asked for."""
        policy = str(qos_policy_name_from_kind(kind))
        self.unmet_policy = policy
        advice = (
            'set image_reliability to best_effort, which connects to every camera'
            if policy == 'RELIABILITY'
            else 'let the camera offer what ros2 topic info -v shows for this node'
        )
        self._node.get_logger().warning(
            f'{topic}: a publisher does not connect, its QoS policy {policy} offers less than '
            f'asked for: {advice}'
        )

    def _take_image(self, message: Any) -> None:
        self.statistics.frames_in += 1
        self.header = message.header
        self._last_image = time.monotonic()
        if self._pairing is None:
            self._deliver(self.name, message, None)
        else:
            self._pairing.add_image(message)

    def _take_info(self, info: CameraInfo) -> None:
        """Keep the calibration; say once what it means for the poses."""
        self.info = info
        try:
            self.camera = camera_model(info)
        except CameraInfoError as error:
            self.camera, self.info_problem = None, str(error)
            self.warn('camera_info', f'{self.info_topic}: {error}; poses are rotations only')
            return
        self.info_problem = '' if self.camera else 'uncalibrated (K is zero)'
        self._say_once(
            'camera is calibrated: positions are metric (mean adult face size)'
            if self.camera
            else f'{self.info_topic} says uncalibrated (K is zero): poses are rotations only'
        )

    def _say_once(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self.log(text)
