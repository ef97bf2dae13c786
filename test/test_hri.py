"""Faces as ROS4HRI has them, with stand-ins for the messages of hri_msgs."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip('rclpy')

from builtin_interfaces.msg import Time
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from std_msgs.msg import Header

from headpose_ros.errors import HeadposeError
from headpose_ros.geometry.landmarks import bounding_box
from headpose_ros.people.attention import AttentionOptions
from headpose_ros.perception.faces import Face
from headpose_ros.ros.output.hri import (
    HriFaces,
    HriOptions,
    aligned_message,
    cropped_message,
    ids_message,
    landmarks_message,
    region_message,
    to_aligned,
)
from headpose_ros.ros.output.hri_persons import HriPersons
from headpose_ros.ros.output.tf import face_transform

ROOT = Path(__file__).parents[1]
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

    @dataclass
    class IdsMatch:
        FACE = 2
        PERSON = 1
        id1: str = ''
        id1_type: int = 0
        id2: str = ''
        id2_type: int = 0
        confidence: float = 0.0

    @dataclass
    class EngagementLevel:
        header: Any = None
        level: int = 0

    @dataclass
    class Gaze:
        header: Any = None
        sender: str = ''
        receiver: str = ''


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


def picture(message):
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)


def test_the_picture_is_the_region_scaled_centred_and_padded_with_zeros():
    image = np.full((480, 640, 3), 200, np.uint8)
    message = cropped_message(HEADER, face(), image, (128, 128))
    assert (message.width, message.height, message.encoding) == (128, 128, 'bgr8')
    # The box of 100 x 200 px becomes 64 x 128, in the middle.
    pixels = picture(message)
    assert (pixels[:, 32:96] == 200).all()
    assert not pixels[:, :32].any()
    assert not pixels[:, 96:].any()
    wide = picture(cropped_message(HEADER, face(), image, (64, 32)))
    assert wide.shape == (32, 64, 3)
    assert (wide[:, 24:40] == 200).all()


def test_what_a_cropped_picture_lacks_of_the_image_is_zeros_and_the_face_stays_centred():
    image = np.full((480, 640, 3), 200, np.uint8)
    # Half of the box is left of the image.
    pixels = picture(cropped_message(HEADER, face(shift=-150.0), image, (128, 128)))
    assert not pixels[:, :64].any()
    assert (pixels[:, 64:96] == 200).all()
    assert not pixels[:, 96:].any()
    assert cropped_message(HEADER, face(shift=-500.0), image, (128, 128)) is None
    assert cropped_message(HEADER, face(), None, (128, 128)) is None


def test_a_huge_box_costs_no_more_than_its_picture():
    huge = replace(face(), box=np.array([-1e6, -1e6, 2e6, 2e6]))
    image = np.full((480, 640, 3), 200, np.uint8)
    assert picture(cropped_message(HEADER, huge, image, (128, 128))).shape == (128, 128, 3)


def eyes_at(right, left):
    """Return a face whose eyes have their middles there, in a box of 200 px."""
    points = np.column_stack([np.linspace(200, 400, 68), np.linspace(100, 300, 68)])
    points[36:42], points[42:48] = right, left
    return replace(face(), landmarks=points)


@given(
    angle=st.floats(-np.pi, np.pi),
    distance=st.floats(80, 200),
    size=st.tuples(st.integers(16, 300), st.integers(16, 300)),
)
def test_aligned_eyes_are_level_and_at_their_places(angle, distance, size):
    right = np.array([320.0, 240.0])
    left = right + distance * np.array([np.cos(angle), np.sin(angle)])
    matrix = to_aligned(eyes_at(right, left), size)
    middle, offset, level = size[0] / 2, 0.15 * min(size), 0.4 * size[1]
    assert matrix @ [*right, 1] == pytest.approx([middle - offset, level])
    assert matrix @ [*left, 1] == pytest.approx([middle + offset, level])
    assert np.linalg.det(matrix[:, :2]) > 0  # nothing is mirrored


def test_the_aligned_picture_shows_the_eyes_where_they_belong():
    image = np.zeros((480, 640, 3), np.uint8)
    right, left = np.array([280.0, 300.0]), np.array([360.0, 220.0])
    for x, y in (right.astype(int), left.astype(int)):
        image[y - 8 : y + 9, x - 8 : x + 9] = 250
    message = aligned_message(HEADER, eyes_at(right, left), image, (100, 100))
    pixels = picture(message)
    assert (message.width, message.height, message.encoding) == (100, 100, 'bgr8')
    assert pixels[40, 35].min() > 200
    assert pixels[40, 65].min() > 200
    assert not pixels[40, 50].any()


def test_there_is_no_aligned_picture_of_a_profile_or_without_landmarks():
    image = np.zeros((480, 640, 3), np.uint8)
    profile = eyes_at(np.array([300.0, 200.0]), np.array([340.0, 200.0]))
    assert aligned_message(HEADER, profile, image, (128, 128)) is None
    bare = replace(face(), landmarks=np.zeros((0, 2)))
    assert aligned_message(HEADER, bare, image, (128, 128)) is None
    assert aligned_message(HEADER, face(), None, (128, 128)) is None


class Publisher:
    def __init__(self, topic, profile, listeners):
        self.topic, self.profile = topic, profile
        self.listeners, self.sent = listeners, []

    def get_subscription_count(self):
        return self.listeners

    def publish(self, message):
        self.sent.append(message)


class Node:
    """A node in a graph with others, whose topics have these numbers of publishers."""

    def __init__(self, listeners, others=None):
        self.listeners, self.publishers, self.others = listeners, {}, others or {}
        self.timers, self.withdrawn = [], []

    def create_publisher(self, kind, topic, profile):
        self.publishers[topic] = Publisher(topic, profile, self.listeners)
        return self.publishers[topic]

    def destroy_publisher(self, publisher):
        self.withdrawn.append(self.publishers.pop(publisher.topic))

    def create_timer(self, period, callback, clock):
        self.timers.append(callback)
        return callback

    def destroy_timer(self, timer):
        self.timers.remove(timer)

    def get_topic_names_and_types(self):
        return [(topic, ['?']) for topic in (*self.publishers, *self.others)]

    def count_publishers(self, topic):
        return self.others.get(topic, 0) + (topic in self.publishers)

    def tracked(self):
        return [message.ids for message in self.publishers['/humans/faces/tracked'].sent]


def eyes_named(name):
    return replace(eyes_at(np.array([250.0, 200.0]), np.array([350.0, 200.0])), id=name)


@pytest.fixture
def hri_msgs(monkeypatch):
    package = ModuleType('hri_msgs')
    package.msg = types
    monkeypatch.setitem(sys.modules, 'hri_msgs', package)


TOPICS = ('roi', 'landmarks', 'cropped', 'aligned')


def topics(*names):
    return {f'/humans/faces/{n}/{t}' for n in names for t in TOPICS} | {'/humans/faces/tracked'}


def test_a_face_has_topics_while_it_is_there(hri_msgs):
    node, image = Node(listeners=1), np.zeros((480, 640, 3), np.uint8)
    hri = HriFaces(node, HriOptions(width=32, height=48))
    hri.publish('', HEADER, SIZE, [eyes_named('f1'), eyes_named('f2')], image)
    assert set(node.publishers) == topics('f1', 'f2')
    assert all(len(publisher.sent) == 1 for publisher in node.publishers.values())
    for name in ('cropped', 'aligned'):
        sent = node.publishers[f'/humans/faces/f1/{name}'].sent[0]
        assert (sent.width, sent.height) == (32, 48)
    hri.publish('', HEADER, SIZE, [face('f2')], image)
    assert set(node.publishers) == topics('f2')
    assert node.tracked() == [['f1', 'f2'], ['f2']]
    hri.destroy()
    assert not node.publishers
    assert not node.timers
    assert node.withdrawn[-1].sent[-1].ids == []


def test_topics_of_faces_are_reliable_and_not_latched(hri_msgs):
    node = Node(listeners=0)
    HriFaces(node).publish('', HEADER, SIZE, [face('f1')], None)
    assert set(node.publishers) == topics('f1')
    for publisher in node.publishers.values():
        assert publisher.profile.reliability == ReliabilityPolicy.RELIABLE
        assert publisher.profile.durability == DurabilityPolicy.VOLATILE


def test_every_test_that_the_page_names_is_there():
    text = (ROOT / 'docs' / 'nodes' / 'hri.md').read_text(encoding='utf-8')
    named = set()
    for cell in re.findall(r'\| ([^|]*) \|\n', text):
        for part in cell.split('; '):
            file, *tests = re.findall(r'`(\w[\w.]*)`', part) or ['']
            named |= {(file, test) for test in tests if file.startswith('test_')}
    assert len(named) > 10
    for file, test in named:
        assert f'\ndef {test}(' in (ROOT / 'test' / file).read_text(encoding='utf-8'), test


def test_deactivation_publishes_that_nobody_is_tracked(hri_msgs):
    node = Node(listeners=1)
    hri = HriFaces(node)
    hri.publish('', HEADER, SIZE, [face('f1')], None)
    hri.clear()
    assert node.tracked() == [['f1'], []]
    assert set(node.publishers) == topics()


def test_faces_leave_the_list_when_the_only_camera_falls_silent(hri_msgs, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr('headpose_ros.ros.output.hri.time.monotonic', lambda: clock[0])
    node = Node(listeners=1)
    HriFaces(node).publish('', HEADER, SIZE, [face('f1')], None)
    node.timers[0]()
    assert node.tracked() == [['f1']]
    clock[0] += 1.5
    node.timers[0]()
    node.timers[0]()
    assert node.tracked() == [['f1'], []]
    assert set(node.publishers) == topics()


def test_nothing_is_made_that_nobody_listens_to(hri_msgs, monkeypatch):
    def never(*_):
        raise AssertionError('made for nobody')

    for name in ('ids', 'region', 'landmarks', 'cropped', 'aligned'):
        monkeypatch.setattr(f'headpose_ros.ros.output.hri.{name}_message', never)
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


FRONTAL = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])
ASIDE = FRONTAL @ np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def at(seconds):
    whole = int(seconds)
    stamp = Time(sec=whole, nanosec=round(1e9 * (seconds - whole)))
    return Header(stamp=stamp, frame_id='camera')


def looking(name='f1', rotation=FRONTAL, place=(0.1, 0.0, 1.0)):
    return replace(face(name), rotation=rotation, position=np.array(place))


class People:
    """Faces and persons of a node whose topics somebody subscribes to."""

    def __init__(self, **attention):
        self.node = Node(listeners=1)
        self.persons = HriPersons(self.node, 2.0, AttentionOptions(**attention))
        self.hri = HriFaces(self.node, HriOptions(persons=True), self.persons)

    def see(self, seconds, *faces):
        self.hri.publish('', at(seconds), SIZE, faces, None)

    def sent(self, topic):
        return self.node.publishers[f'/humans/{topic}'].sent

    def matches(self):
        found = self.sent('candidate_matches')
        assert all((m.id1_type, m.id2_type) == (2, 1) for m in found)
        return [(m.id1, m.id2, pytest.approx(m.confidence)) for m in found]


def test_a_new_face_is_that_of_an_anonymous_person(hri_msgs):
    people = People()
    people.see(0.0, looking('f1'))
    assert people.matches() == [('f1', 'pf1', 1.0)]
    for topic in ('known', 'tracked'):
        assert [message.ids for message in people.sent(f'persons/{topic}')] == [['pf1']]
    assert [message.data for message in people.sent('persons/pf1/anonymous')] == [True]
    assert [message.data for message in people.sent('persons/pf1/face_id')] == ['f1']
    assert [message.data for message in people.sent('persons/pf1/location_confidence')] == [1.0]


def test_what_lasts_about_persons_and_matches_is_latched(hri_msgs):
    people = People()
    people.see(0.0, looking('f1'))
    kept = {
        topic
        for topic, publisher in people.node.publishers.items()
        if publisher.profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    }
    assert kept == {
        '/humans/candidate_matches',
        '/humans/persons/pf1/anonymous',
        '/humans/persons/pf1/face_id',
    }


def test_a_person_out_of_sight_is_known_until_it_is_forgotten(hri_msgs):
    people = People()
    people.see(0.0, looking('f1'))
    people.see(1.0)
    assert people.sent('persons/known')[-1].ids == ['pf1']
    assert people.sent('persons/tracked')[-1].ids == []
    assert people.sent('persons/pf1/face_id')[-1].data == ''
    assert people.sent('persons/pf1/location_confidence')[-1].data == 0.0
    assert people.sent('persons/pf1/engagement_status')[-1].level == 0
    people.see(1.1, looking('f1'))
    assert people.matches()[1][:2] == ('f1', 'pf1')
    assert 0.5 < people.sent('candidate_matches')[-1].confidence < 1.0
    assert people.sent('persons/pf1/face_id')[-1].data == 'f1'
    people.see(4.0)
    people.see(7.0)
    assert people.matches()[-1] == ('f1', 'pf1', 0.0)
    assert not any('pf1' in topic for topic in people.node.publishers)


def test_a_face_that_comes_back_under_a_new_id_has_two_candidates(hri_msgs):
    people = People()
    people.see(0.0, looking('f1'))
    people.see(0.5)
    people.see(1.0, looking('f2'))
    assert people.matches()[1:] == [('f2', 'pf2', 1 / 1.5), ('f2', 'pf1', 0.5 / 1.5)]


def test_the_frame_of_a_person_is_that_of_the_face(hri_msgs):
    people = People()
    people.see(0.0, looking('f1'), replace(looking('f2'), position=None))
    ((frame,),) = [m.transforms for m in people.node.publishers['/tf'].sent]
    assert (frame.header.frame_id, frame.child_frame_id) == ('camera', 'person_pf1')
    assert frame.transform == face_transform(at(0.0), looking('f1')).transform


def test_who_looks_at_the_camera_engages_and_who_looks_away_disengages(hri_msgs):
    people = People(dwell=2.0)
    seen = [(t, FRONTAL) for t in (0, 1, 2)] + [(t, ASIDE) for t in (3, 4, 5)]
    for seconds, rotation in seen:
        people.see(seconds, looking(rotation=rotation))
    levels = [message.level for message in people.sent('persons/pf1/engagement_status')]
    assert levels == [2, 2, 3, 4, 4, 1]
    gazing = people.sent('interactions/gazing')
    assert [(m.header.stamp.sec, m.sender, m.receiver) for m in gazing] == [
        (t, 'pf1', '') for t in (0, 1, 2)
    ]


def test_persons_before_a_silent_camera_are_forgotten(hri_msgs, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr('headpose_ros.ros.output.hri.time.monotonic', lambda: clock[0])
    people = People()
    people.see(0.0, looking('f1'))
    clock[0] += 1.5
    people.node.timers[0]()
    assert people.matches()[-1] == ('f1', 'pf1', 0.0)
    assert people.sent('persons/known')[-1].ids == []


def test_people_who_come_and_go_leave_no_topic_behind(hri_msgs):
    people = People()
    for number in range(200):
        people.see(0.5 * number, *(looking(f'f{number + i}') for i in range(4)))
        assert len(people.node.publishers) < 120
    people.see(200.0)
    people.see(203.0)
    assert set(people.node.publishers) == topics() | {
        '/tf',
        '/humans/candidate_matches',
        '/humans/interactions/gazing',
        '/humans/persons/known',
        '/humans/persons/tracked',
    }
    people.hri.destroy()
    assert not people.node.publishers


def test_somebody_who_subscribes_to_persons_is_an_audience(hri_msgs):
    people = People()
    assert people.hri.has_audience
    for publisher in people.node.publishers.values():
        publisher.listeners = int(publisher.topic == '/tf')
    assert not people.hri.has_audience
    people.node.publishers['/humans/persons/known'].listeners = 1
    assert people.hri.has_audience


def test_without_hri_msgs_the_error_names_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, 'hri_msgs', None)
    node = Node(listeners=0)
    with pytest.raises(HeadposeError, match=r'output\.hri needs the package hri_msgs'):
        HriFaces(node)
    assert not node.publishers
