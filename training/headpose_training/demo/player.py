"""A film as a ROS camera, whose stamps are the film's times."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from headpose_ros.ros.input.calibration import pinhole
from headpose_ros.ros.input.images import encode_bgr
from headpose_ros.ros.node import qos
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

_FRAME = 'camera_optical_frame'
_QUALITY = 90


class Player(Node):
    """Publishes `camera/image_raw`, the same compressed, and `camera/camera_info`.

    The camera node stamps images as they come. Here picture number i has a stamp i periods after
    the first one, however late it is published: what is true at a stamp is known exactly.

    Args:
        frames: Times in s and pictures, uint8 (H, W, 3) BGR.
        size: Width and height of the pictures, px.
        fov: Horizontal field of view, rad.
    """

    def __init__(
        self,
        frames: Iterable[tuple[float, NDArray[np.uint8]]],
        size: tuple[int, int],
        fov: float,
        **options: Any,
    ) -> None:
        super().__init__('camera', **options)
        self._frames = frames
        self._info = pinhole(*size, fov)
        depth = 4
        self._images = self.create_publisher(Image, 'camera/image_raw', qos.reliable(depth))
        self._compressed = self.create_publisher(
            CompressedImage, 'camera/image_raw/compressed', qos.reliable(depth)
        )
        self._infos = self.create_publisher(CameraInfo, 'camera/camera_info', qos.reliable(depth))
        self._closing = threading.Event()
        self.played = 0.0
        self.start = 0.0

    @property
    def is_heard(self) -> bool:
        """Whether pose node, driver node and recorder listen."""
        return (
            self._images.get_subscription_count() >= 2
            and self._compressed.get_subscription_count() >= 1
        )

    def play(self) -> None:
        """Publish all pictures in their time; returns at the end, or after `close`."""
        first = self.get_clock().now()
        self.start = first.nanoseconds * 1e-9
        begun = time.monotonic()
        for stamp, picture in self._frames:
            if self._closing.wait(max(begun + stamp - time.monotonic(), 0.0)):
                return
            self._publish(picture, Time(nanoseconds=first.nanoseconds + round(stamp * 1e9)))
            self.played = stamp

    def close(self) -> None:
        """End `play`."""
        self._closing.set()

    def _publish(self, picture: NDArray[np.uint8], stamp: Time) -> None:
        header = Header(stamp=stamp.to_msg(), frame_id=_FRAME)
        self._info.header = header
        self._infos.publish(self._info)
        self._images.publish(encode_bgr(picture, header))
        data = cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
        self._compressed.publish(
            CompressedImage(header=header, format='bgr8; jpeg compressed bgr8', data=data.tobytes())
        )
