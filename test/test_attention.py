"""The topic attention: places of targets, and the message."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip('rclpy')

from std_msgs.msg import Header

from headpose_ros.msg import AttendedTarget
from headpose_ros.people.attention import AttentionOptions
from headpose_ros.perception.faces import Face
from headpose_ros.ros.input.transforms import Transform, TransformProblem
from headpose_ros.ros.output.attention import AttentionPublisher

HEADER = Header(frame_id='optical')
FRONTAL = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])
NONE = np.zeros(0)
FACE = Face(
    'f1', np.array([0.0, 0, 9, 9]), FRONTAL, NONE, NONE, NONE, 0.9, position=np.array([0, 0, 1.0])
)


class Publisher:
    listeners = 1

    def __init__(self):
        self.sent = []

    def get_subscription_count(self):
        return self.listeners

    def publish(self, message):
        self.sent.append(message)


class Node:
    def __init__(self):
        self.publishers = {}

    def create_publisher(self, kind, topic, profile):
        return self.publishers.setdefault(topic, Publisher())

    def destroy_publisher(self, publisher):
        self.publishers = {t: p for t, p in self.publishers.items() if p is not publisher}


class Transforms:
    """Knows a screen one metre to the left of the camera, and nothing else."""

    destroyed = False

    def lookup(self, target, source, stamp):
        assert target == 'optical'
        if source != 'screen':
            raise TransformProblem(f'no frame {source}')
        return Transform(np.eye(3), np.array([-1.0, 0.0, 0.0]))

    def destroy(self):
        self.destroyed = True


@pytest.fixture
def transforms(monkeypatch):
    known = Transforms()
    monkeypatch.setattr('headpose_ros.ros.output.attention.listen', lambda node: known)
    return known


def test_every_face_is_asked_about_every_target(transforms):
    node = Node()
    publisher = AttentionPublisher(node, AttentionOptions(('camera', 'screen', 'cup')), 'left/')
    publisher.publish(HEADER, [FACE])
    (message,) = node.publishers['left/attention'].sent
    camera, screen, cup = message.targets
    assert message.header == HEADER
    assert {one.face for one in message.targets} == {'f1'}
    assert {one.source for one in message.targets} == {AttendedTarget.SOURCE_HEAD}
    assert (camera.target, camera.attending) == ('camera', True)
    assert camera.probability > 0.95
    assert (screen.target, screen.attending) == ('screen', False)
    assert screen.probability < 0.05
    assert (cup.target, cup.attending) == ('cup', False)
    assert math.isnan(cup.probability)
    publisher.destroy()
    assert transforms.destroyed
    assert not node.publishers


def test_images_without_a_frame_have_the_camera_as_only_known_target(transforms):
    node = Node()
    publisher = AttentionPublisher(node, AttentionOptions(('camera', 'screen')))
    publisher.publish(Header(), [FACE])
    camera, screen = node.publishers['attention'].sent[0].targets
    assert camera.attending
    assert math.isnan(screen.probability)


def test_nothing_is_made_that_nobody_listens_to(monkeypatch):
    def never(node):
        raise AssertionError('only the camera is a target')

    monkeypatch.setattr('headpose_ros.ros.output.attention.listen', never)
    node = Node()
    publisher = AttentionPublisher(node, AttentionOptions())
    node.publishers['attention'].listeners = 0
    publisher.publish(HEADER, [FACE])
    assert not node.publishers['attention'].sent
    node.publishers['attention'].listeners = 1
    publisher.configure(AttentionOptions(cone=1.0))
    publisher.publish(HEADER, [FACE])
    assert node.publishers['attention'].sent[0].targets[0].attending
