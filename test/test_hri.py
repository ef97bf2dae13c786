"""Faces as ROS4HRI has them, with stand-ins for the messages of hri_msgs."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')

from std_msgs.msg import Header

from headpose_ros.errors import HeadposeError
from headpose_ros.geometry.landmarks import bounding_box
from headpose_ros.perception.faces import Face
from headpose_ros.ros.output.hri import (
    HriFaces,
    cropped_message,
    ids_message,
    landmarks_message,
    region_message,
)

HEADER, SIZE = Header(frame_id='camera'), (640, 480)


class types:  # noqa: N801
    """The fields of hri_msgs 2: only these may be given, as with generated messages."""

    @dataclass
    class IdsList:
        header: Any = None
        ids: list[str] = field(default_factory=list)

    @dataclass
    class NormalizedRegionOfInterest2D:
        header: Any = None
        xmin: float = 0.0
        ymin: float = 0.0
        xmax: float = 0.0
        ymax: float = 0.0
        c: float = 0.0

    @dataclass
    class NormalizedPointOfInterest2D:
        x: float = 0.0
        y: float = 0.0
        c: float = 0.0

    @dataclass
    class FacialLandmarks:
        header: Any = None
        landmarks: list[Any] = field(default_factory=list)
        height: int = 0
        width: int = 0


def face(name='f1', shift=0.0):
    x, y = np.linspace(100, 200, 68) + shift, np.linspace(50, 250, 68)
    points = np.column_stack([x, y])
    ones = np.ones(68)
    return Face(name, bounding_box(points), np.eye(3), points, ones, 0.8 * ones, 0.9)


def test_the_tracked_faces_are_listed_also_when_there_are_none():
    assert ids_message(types, HEADER, {'f7', 'f1'}).ids == ['f1', 'f7']
    empty = ids_message(types, HEADER, [])
    assert (empty.header, empty.ids) == (HEADER, [])


def test_the_region_is_in_shares_of_the_image_and_inside():
    region = region_message(types, HEADER, SIZE, face())
    assert (region.xmin, region.xmax) == pytest.approx((100 / 640, 200 / 640))
    assert (region.ymin, region.ymax) == pytest.approx((50 / 480, 250 / 480))
    assert region.c == pytest.approx(0.9)
    assert region_message(types, HEADER, SIZE, face(shift=-150.0)).xmin == 0.0


def test_landmarks_keep_their_numbers_and_pupils_are_not_claimed():
    message = landmarks_message(types, HEADER, SIZE, face())
    assert (message.width, message.height, len(message.landmarks)) == (640, 480, 70)
    sellion = message.landmarks[27]
    assert (sellion.x * 640, sellion.y * 480) == pytest.approx(tuple(face().landmarks[27]))
    assert sellion.c == pytest.approx(0.8)
    pupil = message.landmarks[68]
    assert pupil.x * 640 == pytest.approx(face().landmarks[36:42, 0].mean())
    assert (pupil.c, message.landmarks[69].c) == (0.0, 0.0)


def test_landmarks_outside_of_the_image_have_no_confidence():
    outside = landmarks_message(types, HEADER, SIZE, face(shift=-150.0)).landmarks
    assert (outside[0].x, outside[0].c) == (0.0, 0.0)
    assert outside[67].c == pytest.approx(0.8)


def test_a_network_without_landmarks_sends_none():
    none = np.zeros(0)
    bare = replace(face(), landmarks=np.zeros((0, 2)), visibility=none, landmark_confidence=none)
    assert landmarks_message(types, HEADER, SIZE, bare) is None


def test_the_picture_is_that_of_the_region():
    image = np.arange(480 * 640 * 3, dtype=np.uint32).astype(np.uint8).reshape(480, 640, 3)
    message = cropped_message(HEADER, face(), image)
    assert (message.width, message.height, message.encoding) == (100, 200, 'bgr8')
    picture = np.frombuffer(message.data, np.uint8).reshape(200, 100, 3)
    assert (picture == image[50:250, 100:200]).all()
    assert cropped_message(HEADER, face(shift=-500.0), image) is None
    assert cropped_message(HEADER, face(), None) is None


class Publisher:
    def __init__(self, topic, listeners):
        self.topic, self.listeners, self.sent = topic, listeners, []

    def get_subscription_count(self):
        return self.listeners

    def publish(self, message):
        self.sent.append(message)


class Node:
    """A node in a graph with others, whose topics have these numbers of publishers."""

    def __init__(self, listeners, others=None):
        self.listeners, self.publishers, self.others = listeners, {}, others or {}

    def create_publisher(self, kind, topic, profile):
        self.publishers[topic] = Publisher(topic, self.listeners)
        return self.publishers[topic]

    def destroy_publisher(self, publisher):
        del self.publishers[publisher.topic]

    def get_topic_names_and_types(self):
        return [(topic, ['?']) for topic in (*self.publishers, *self.others)]

    def count_publishers(self, topic):
        return self.others.get(topic, 0) + (topic in self.publishers)

    def tracked(self):
        return [message.ids for message in self.publishers['/humans/faces/tracked'].sent]


@pytest.fixture
def hri_msgs(monkeypatch):
    package = ModuleType('hri_msgs')
    package.msg = types
    monkeypatch.setitem(sys.modules, 'hri_msgs', package)


def topics(*names):
    return {f'/humans/faces/{n}/{t}' for n in names for t in ('roi', 'landmarks', 'cropped')} | {
        '/humans/faces/tracked'
    }


def test_a_face_has_topics_while_it_is_there(hri_msgs):
    node, image = Node(listeners=1), np.zeros((480, 640, 3), np.uint8)
    hri = HriFaces(node)
    hri.publish('', HEADER, SIZE, [face('f1'), face('f2')], image)
    assert set(node.publishers) == topics('f1', 'f2')
    assert all(len(publisher.sent) == 1 for publisher in node.publishers.values())
    hri.publish('', HEADER, SIZE, [face('f2')], image)
    assert set(node.publishers) == topics('f2')
    assert node.tracked() == [['f1', 'f2'], ['f2']]
    hri.destroy()
    assert not node.publishers


def test_nothing_is_made_that_nobody_listens_to(hri_msgs, monkeypatch):
    def never(*_):
        raise AssertionError('made for nobody')

    for name in ('ids_message', 'region_message', 'landmarks_message', 'cropped_message'):
        monkeypatch.setattr(f'headpose_ros.ros.output.hri.{name}', never)
    image = np.zeros((480, 640, 3), np.uint8)
    HriFaces(Node(listeners=0)).publish('', HEADER, SIZE, [face()], image)


def test_the_list_holds_the_faces_of_all_cameras_until_one_is_silent(hri_msgs, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr('headpose_ros.ros.output.hri.time.monotonic', lambda: clock[0])
    node = Node(listeners=1)
    hri = HriFaces(node)
    hri.publish('left/', HEADER, SIZE, [face('f1')], None)
    hri.publish('right/', HEADER, SIZE, [face('f2')], None)
    hri.publish('left/', HEADER, SIZE, [face('f1')], None)
    assert node.tracked() == [['f1'], ['f1', 'f2'], ['f1', 'f2']]
    assert set(node.publishers) == topics('f1', 'f2')
    clock[0] += 1.5
    hri.publish('left/', HEADER, SIZE, [face('f1')], None)
    assert node.tracked()[-1] == ['f1']
    assert set(node.publishers) == topics('f1')


def test_the_list_holds_the_faces_of_other_nodes(hri_msgs):
    others = {
        '/humans/faces/fabcd1/roi': 1,
        '/humans/faces/fabcd1/landmarks': 1,
        '/humans/faces/fgone2/roi': 0,  # somebody still subscribes to it
        '/humans/faces/tracked': 1,
        '/humans/bodies/b3/roi': 1,
    }
    node = Node(1, others)
    hri = HriFaces(node)
    hri.publish('', HEADER, SIZE, [face('f1')], None)
    hri.publish('', HEADER, SIZE, [], None)
    assert node.tracked() == [['f1', 'fabcd1'], ['fabcd1']]


def test_without_hri_msgs_the_error_names_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, 'hri_msgs', None)
    node = Node(listeners=0)
    with pytest.raises(HeadposeError, match=r'output\.hri needs the package hri_msgs'):
        HriFaces(node)
    assert not node.publishers
