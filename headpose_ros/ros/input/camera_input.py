"""One camera as a node sees it: its images, its calibration, and what is wrong with them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.qos import qos_policy_name_from_kind
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from headpose_ros.geometry.camera import CameraModel
from headpose_ros.parameter import parameter
from headpose_ros.perception.depth import DepthImage
from headpose_ros.perception.faces import Face
from headpose_ros.ros.input.camera_info import (
    RECTIFIED,
    CameraInfoError,
    CameraInfos,
    camera_model,
    is_rectified,
)
from headpose_ros.ros.input.compressed import decode_compressed
from headpose_ros.ros.input.depth import decode_depth
from headpose_ros.ros.input.images import Bgr, ImageError, decode
from headpose_ros.ros.input.pairing import DepthPairing
from headpose_ros.ros.input.still import StillPicture
from headpose_ros.ros.node import qos
from headpose_ros.ros.node.callbacks import GuardedNode
from headpose_ros.ros.node.stamps import StampError, seconds
from headpose_ros.ros.node.statistics import NodeStatistics
from headpose_ros.ros.output.tf import frame_problem

TRANSPORTS = ('raw', 'compressed')
"""What images may come as."""

#: A stamp this much older than the last one, s, was overtaken on its way; more is a clock that
#: jumped back, or a recording that starts again.
OVERTAKEN = 0.5
_WARNING_PERIOD = 5.0


@dataclass(frozen=True)
class InputOptions(qos.ReliabilityOptions):
    """What is subscribed to of a camera."""

    transport: str = parameter(
        'raw',
        'Images to subscribe to: image_raw, or image_raw/compressed with JPEG or PNG.',
        choices=TRANSPORTS,
        read_only=True,
        basic=True,
        former='image_transport',
    )
    depth: bool = parameter(
        False,
        'Take distances from <camera>/depth_registered/image_raw: depth that is aligned with the '
        'colour image, 16UC1 in millimetres or 32FC1 in metres.',
        read_only=True,
        basic=True,
        former='use_depth',
    )
    rectified: str = parameter(
        'auto',
        'Whether the images are rectified: P of the camera_info is their calibration then, not K '
        'and D; auto: where the topic is called so, as image_rect is.',
        choices=RECTIFIED,
        former='rectified',
    )
    max_age: float = parameter(
        0.0,
        'Images that are older than this when their turn comes are dropped; 0 for no limit.',
        minimum=0.0,
        maximum=3600.0,
        unit='s',
        former='max_age',
    )


class CameraInput:
    """Subscribes to one camera.

    Args:
        node: The node that subscribes.
        name: Namespace of the camera's topics.
        options: How.
        deliver: Called with the name, every image message, and its depth image or None.

    Attributes:
        name: As given.
        statistics: What became of its images.
        info_problem: Why the last image had no calibration; empty where it had one.
        frame_problem: What is wrong with the frame of the newest image; empty for nothing.
        header: Header of the newest image; None before the first.
        info: The newest camera_info; None before the first.
        still: For how long its picture has stood still.
        image_topic: Full name of the images' topic; empty before :meth:`start`.
        image_name: The same before remapping: what a remapping has to name.
        unmet_policy: QoS policy on which a publisher's offer falls short; empty for none.
    """

    def __init__(
        self,
        node: GuardedNode,
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
        self.image_topic = self.image_name = ''
        self.info_topic = ''
        self.depth_topic = ''
        self._last_stamp = -math.inf
        self.still = StillPicture()
        self._forget()

    def start(self) -> None:
        """Subscribe; nothing is known of the camera yet."""
        self._forget()
        self.resume()

    def resume(self) -> None:
        """Subscribe again after :meth:`stop`, with the calibration that was known."""
        self._last_image = time.monotonic()
        compressed = self.options.transport == 'compressed'
        image = f'{self.name}/image_raw' + ('/compressed' if compressed else '')
        kind = CompressedImage if compressed else Image
        images = self._subscribe(kind, image, self._take_image)
        infos = self._subscribe(CameraInfo, f'{self.name}/camera_info', self._take_info)
        self._subscriptions = [images, infos]
        self.image_topic, self.info_topic = images.topic_name, infos.topic_name
        self.image_name = self._node.resolve_topic_name(image, only_expand=True)
        if self.options.depth:
            self._pairing = DepthPairing(partial(self._deliver, self.name))
            depth = f'{self.name}/depth_registered/image_raw'
            depths = self._subscribe(Image, depth, self._pairing.add_depth)
            self._subscriptions.append(depths)
            self.depth_topic = depths.topic_name

    def stop(self) -> None:
        """Unsubscribe."""
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
        so = 'distances rest on the assumed size of faces'
        if depth is None:
            self.warn('no_depth', f'{self.depth_topic}: no message at the time of the image; {so}')
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
            return f'{age:.3f} s old, more than input.max_age'
        behind = self._last_stamp - stamp.nanoseconds * 1e-9
        if 0 < behind < OVERTAKEN:
            return f'stamped {behind:.3f} s before the image that came before it'
        if behind > 0:
            self.log(f'{self.image_topic}: time jumped back {behind:.1f} s: tracks are reset')
        self._last_stamp = stamp.nanoseconds * 1e-9
        return ''

    @property
    def rectified(self) -> bool:
        """Whether the images are rectified, so that P of the camera_info is their calibration."""
        return is_rectified(self.options.rectified, self.image_topic)

    def calibration(self, header: Any, size: tuple[int, int]) -> CameraModel | None:
        """Return the camera that took an image; None where the calibration cannot be used.

        What it means for the poses is logged when it changes.

        Args:
            header: The image's.
            size: Its width and height, px.
        """
        info, camera = self._infos.of(header), None
        if info is None:
            return None
        try:
            camera = camera_model(info, size, self.rectified)
            which = 'P' if self.rectified else 'K'
            self.info_problem = '' if camera else f'uncalibrated ({which} is zero)'
        except CameraInfoError as error:
            self.info_problem = str(error)
        self._log_calibration(info)
        return camera

    def note_out(self, faces: list[Face], left_out: int, **milliseconds: float) -> None:
        """Count a published image, and the faces in it that are beyond `tracking.max_faces`."""
        if left_out and not self.statistics.faces_left_out:
            self.log(
                f'{self.image_topic}: {left_out} more faces than tracking.max_faces are not '
                'followed; /diagnostics counts them as faces_left_out'
            )
        self.statistics.faces_left_out += left_out
        self.statistics.note(**milliseconds)
        self.statistics.faces += len(faces)
        # Last: an image that is counted is done with, whoever looks from another thread.
        self.statistics.frames_out += 1

    def refuse(self, error: BaseException) -> None:
        """Count and report an image that cannot be used."""
        self.statistics.frames_refused += 1
        self._node.fail(self.image_topic, error)

    def warn(self, kind: str, text: str) -> bool:
        """Log a warning, each kind at most once in a while; return whether it was logged."""
        return self._logger(kind).warning(text, throttle_duration_sec=_WARNING_PERIOD)

    def log(self, text: str) -> None:
        """Log a line of information."""
        self._node.get_logger().info(text)

    def seconds_since_image(self) -> float:
        """Return how long ago the last image, or :meth:`start`, was; by a steady clock."""
        return time.monotonic() - self._last_image

    def _forget(self) -> None:
        self._infos = CameraInfos()
        self.info_problem = 'no camera_info yet'
        self.frame_problem = ''
        self.header: Any = None
        self.size: tuple[int, int] | None = None
        self.info: CameraInfo | None = None
        self.unmet_policy = ''
        self._said: dict[str, str] = {}
        self.still.reset()
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
        """Log that a publisher offers less than is requested."""
        policy = str(qos_policy_name_from_kind(kind))
        self.unmet_policy = policy
        advice = (
            'set input.reliability to best_effort, which connects to every camera'
            if policy == 'RELIABILITY'
            else 'set the QoS of the camera to what ros2 topic info -v shows for this node'
        )
        self._node.get_logger().warning(
            f'{topic}: a publisher is incompatible, its QoS policy {policy} offers less than '
            f'requested: {advice}'
        )

    def _take_image(self, message: Any) -> None:
        self.statistics.frames_in += 1
        try:
            seconds(message.header.stamp)
        except StampError as error:
            self.refuse(error)
            return
        self.header = message.header
        self._note_frame(message.header.frame_id)
        self._last_image = time.monotonic()
        self.still.update(self._last_image, message)
        if self._pairing is None:
            self._deliver(self.name, message, None)
        else:
            self._pairing.add_image(message)

    def _take_info(self, info: CameraInfo) -> None:
        self.info = info
        self._infos.add(info)

    def _logger(self, kind: str) -> Any:
        if kind not in self._loggers:
            # Kept, since a logger remembers what it throttles.
            name = self.name.strip('/').replace('/', '.')
            self._loggers[kind] = self._node.get_logger().get_child(f'{kind}.{name}')
        return self._loggers[kind]

    def _log_calibration(self, info: CameraInfo) -> None:
        """Log what the calibration means for the poses, whenever that changes."""
        if self.info_problem:
            text = f'{self.info_topic}: {self.info_problem}; poses are rotations only'
            self._warn_once('camera_info', text)
            return
        text = 'camera is calibrated: positions are metric (mean adult face size)'
        if self.rectified:
            text += f'; images of {self.image_topic} are taken as rectified: P is used, not K and D'
            text += _other_camera(info)
        if self._said.get('camera_info') != text and self._logger('camera_info').info(
            text, throttle_duration_sec=_WARNING_PERIOD
        ):
            self._said['camera_info'] = text

    def _note_frame(self, frame: str) -> None:
        """Log what is wrong with the frame of the images."""
        self.frame_problem = frame_problem(frame)
        if self.frame_problem:
            self._warn_once('frame_id', f'{self.image_topic}: {self.frame_problem}')

    def _warn_once(self, kind: str, text: str) -> None:
        """Log a warning when it is another one than the last of its kind."""
        if self._said.get(kind) != text and self.warn(kind, text):
            self._said[kind] = text


def _other_camera(info: CameraInfo) -> str:
    """Return a remark on the origin of the poses of a stereo pair's second camera."""
    tx, ty = info.p[3], info.p[7]
    if not (tx or ty):
        return ''
    return (
        f'; P has Tx = {tx:g}, Ty = {ty:g}: positions are from the optical centre of this camera, '
        'not from that of the other one of the pair'
    )
