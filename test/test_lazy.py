"""A lazy pose node rests while nobody wants its results, and says so."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import pytest

pytest.importorskip('rclpy')

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from headpose_ros.msg import Faces
from headpose_ros.nodes.pose import PoseNode
from headpose_ros.ros.input.images import encode_bgr
from headpose_ros.sources.photograph import photograph

TIMEOUT = 60.0


class Desk:
    """A camera, and subscriptions that come and go, beside a node in threads of their own."""

    def __init__(self, **parameters):
        words = [f'{name}:={value}' for name, value in parameters.items()]
        self.context = rclpy.Context()
        arguments = ['--ros-args', *(word for text in words for word in ('-p', text))]
        rclpy.init(args=arguments, context=self.context)
        self.pose = PoseNode(context=self.context)
        self.node = rclpy.create_node('desk', context=self.context)
        self.images = self.node.create_publisher(Image, 'camera/image_raw', 1)
        self.messages: dict[str, list] = {}
        self.executor = SingleThreadedExecutor(context=self.context)
        for node in (self.pose, self.node):
            self.executor.add_node(node)
        self.node.create_timer(0.05, self.publish)
        self.thread = threading.Thread(target=self.spin, daemon=True)
        self.thread.start()

    def spin(self):
        with suppress(ExternalShutdownException):
            self.executor.spin()

    def publish(self):
        header = Header(stamp=self.node.get_clock().now().to_msg(), frame_id='camera')
        self.images.publish(encode_bgr(photograph(), header))

    def listen(self, kind, topic):
        self.messages[topic] = []
        return self.node.create_subscription(kind, topic, self.messages[topic].append, 10)

    def until(self, condition):
        end = time.monotonic() + TIMEOUT
        while not condition() and time.monotonic() < end:
            time.sleep(0.01)
        return condition()

    def says(self, text):
        """Whether the newest diagnostics of the node hold a text."""
        found = [s for m in self.messages['/diagnostics'] for s in m.status]
        node = [status for status in found if status.name == 'pose: node']
        return bool(node) and text in node[-1].message

    def close(self):
        self.executor.shutdown()
        self.thread.join(10.0)
        self.pose.destroy_node()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture
def desk(ros_domain):
    made = []

    def make(**parameters):
        made.append(Desk(**{'network.device': 'cpu'}, **parameters))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_a_lazy_node_rests_until_somebody_subscribes_and_afterwards(desk):
    desk = desk(lazy='true')
    desk.listen(DiagnosticArray, '/diagnostics')
    desk.listen(TFMessage, '/tf')  # everybody who uses TF subscribes to it
    assert desk.until(lambda: desk.says('resting'))
    assert desk.until(lambda: not desk.images.get_subscription_count())
    status = [s for m in desk.messages['/diagnostics'] for s in m.status]
    assert status[-1].level == status[-2].level == b'\0', 'to rest is no fault'

    faces = desk.listen(Faces, 'faces')
    assert desk.until(lambda: any(answer.faces for answer in desk.messages['faces']))
    assert desk.until(lambda: not desk.says('resting'))
    assert desk.until(lambda: desk.messages['/tf'])

    desk.node.destroy_subscription(faces)
    assert desk.until(lambda: not desk.images.get_subscription_count())
    assert desk.until(lambda: desk.says('resting'))


def test_a_node_that_is_not_lazy_works_for_tf_alone(desk):
    desk = desk()
    desk.listen(TFMessage, '/tf')
    assert desk.until(lambda: desk.messages['/tf'])
    assert desk.images.get_subscription_count() == 1
