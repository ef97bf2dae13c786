"""A camera that sends grey images as fast as it can until it is killed."""

from __future__ import annotations

import time

import numpy as np
import rclpy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from headpose_ros.ros.input.images import encode_bgr
from headpose_ros.ros.node import qos


def main() -> None:
    rclpy.init()
    node = rclpy.create_node('small_camera')
    publisher = node.create_publisher(Image, 'camera/image_raw', qos.reliable(1))
    grey = np.full((480, 640, 3), 90, np.uint8)
    while True:
        header = Header(stamp=node.get_clock().now().to_msg(), frame_id='other_camera')
        publisher.publish(encode_bgr(grey, header))
        time.sleep(0.005)


if __name__ == '__main__':
    main()
