"""Chains of frames, interpolation, and what is said when a frame is missing."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

pytest.importorskip('rclpy')

from builtin_interfaces.msg import Time
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from rclpy.qos import DurabilityPolicy
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from headpose_ros.ros.input.transforms import (
    TransformBuffer,
    TransformProblem,
    listen,
    patient_lookup,
)
from headpose_ros.ros.node import qos

SECOND = 10**9
VECTORS = st.tuples(*[st.floats(-3.0, 3.0)] * 3)


def link(parent, child, place=(0.0, 0.0, 0.0), turn=(0.0, 0.0, 0.0), stamp=10.0):
    x, y, z, w = Rotation.from_rotvec(turn).as_quat().tolist()
    sec, nanosec = divmod(round(stamp * SECOND), SECOND)
    return TransformStamped(
        header=Header(stamp=Time(sec=sec, nanosec=nanosec), frame_id=parent),
        child_frame_id=child,
        transform=Transform(
            translation=Vector3(x=place[0], y=place[1], z=place[2]),
            rotation=Quaternion(x=x, y=y, z=z, w=w),
        ),
    )


def filled(*links, static=()):
    buffer = TransformBuffer()
    for item in links:
        buffer.add([item], static=False)
    buffer.add(static, static=True)
    return buffer


def at(seconds):
    return round(seconds * SECOND)


@settings(max_examples=50, deadline=None)
@given(VECTORS, VECTORS, VECTORS, VECTORS, VECTORS)
def test_a_chain_up_and_down_the_tree_is_the_product_of_its_links(a, b, c, d, point):
    buffer = filled(
        link('base', 'head', a, b), static=[link('base', 'arm', c, d), link('head', 'eye', b, a)]
    )
    found = buffer.lookup('arm', 'eye', at(10.0))
    in_head = Rotation.from_rotvec(a).apply(point) + b
    in_base = Rotation.from_rotvec(b).apply(in_head) + a
    in_arm = Rotation.from_rotvec(d).inv().apply(in_base - np.array(c))
    assert found.rotation @ point + found.translation == pytest.approx(in_arm, abs=1e-9)
    back = buffer.lookup('eye', 'arm', at(10.0))
    assert back.rotation @ in_arm + back.translation == pytest.approx(np.array(point), abs=1e-9)


def test_between_two_stamps_the_turn_is_steady_and_the_way_straight():
    quarter = (0.0, 0.0, np.pi / 2)
    buffer = filled(
        link('base', 'camera', stamp=10.0), link('base', 'camera', (1.0, 0.0, 0.0), quarter, 11.0)
    )
    found = buffer.lookup('base', 'camera', at(10.25))
    assert found.translation == pytest.approx([0.25, 0, 0])
    assert Rotation.from_matrix(found.rotation).as_rotvec() == pytest.approx([0, 0, np.pi / 8])


def test_transforms_may_come_in_any_order():
    stamps = [10.2, 10.0, 10.1, 10.1]
    buffer = filled(*[link('base', 'camera', (s, 0.0, 0.0), stamp=s) for s in stamps])
    for stamp in (10.0, 10.05, 10.13, 10.2):
        assert buffer.lookup('base', 'camera', at(stamp)).translation[0] == pytest.approx(stamp)


def test_a_static_frame_is_there_at_all_times_and_the_last_one_counts():
    buffer = filled(static=[link('base', 'camera', (1.0, 0.0, 0.0), stamp=0.0)])
    assert buffer.lookup('base', 'camera', at(99.0)).translation[0] == 1.0
    buffer.add([link('base', 'camera', (2.0, 0.0, 0.0), stamp=0.0)], static=True)
    assert buffer.lookup('/base', '/camera', at(1.0)).translation[0] == 2.0


def test_the_history_is_bounded():
    buffer = filled(*[link('base', 'camera', stamp=s / 10) for s in range(300)])
    (kept,) = buffer._links.values()
    assert len(kept.stamps) == len(kept.transforms) == 101
    with pytest.raises(TransformProblem, match=r'the first of camera is 9\.900 s newer'):
        buffer.lookup('base', 'camera', at(10.0))


def test_a_clock_that_jumps_back_starts_anew():
    buffer = filled(link('base', 'camera', stamp=100.0), link('base', 'camera', stamp=10.0))
    assert buffer.lookup('base', 'camera', at(10.0)).translation == pytest.approx(np.zeros(3))
    with pytest.raises(TransformProblem):
        buffer.lookup('base', 'camera', at(100.0))


def test_faces_of_other_nodes_do_not_fill_the_memory():
    buffer = filled(*[link('base', f'face_f{number}') for number in range(100)])
    assert not buffer._links


def test_a_missing_frame_is_named_with_the_known_ones():
    buffer = filled(link('odom', 'camera_link'), link('camera_link', 'camera_optical'))
    with pytest.raises(TransformProblem) as error:
        buffer.lookup('base_link', 'camera_optical', at(10.0))
    assert str(error.value) == (
        'no transform from camera_optical to base_link: base_link is not in the tree; '
        'known frames: camera_link, camera_optical, odom'
    )
    assert not error.value.is_late
    with pytest.raises(TransformProblem, match='known frames: none'):
        TransformBuffer().lookup('base_link', 'camera', 0)


def test_two_trees_are_named_by_their_roots():
    buffer = filled(link('map', 'base_link'), link('camera_link', 'camera'))
    said = 'not connected, camera hangs below camera_link and base_link below map'
    with pytest.raises(TransformProblem, match=said):
        buffer.lookup('base_link', 'camera', at(10.0))


def test_an_image_ahead_of_its_transform_is_late_and_one_before_is_not():
    buffer = filled(link('base', 'camera', stamp=10.0), link('base', 'camera', stamp=11.0))
    with pytest.raises(TransformProblem, match=r'the last of camera is 0\.500 s older') as error:
        buffer.lookup('base', 'camera', at(11.5))
    assert error.value.is_late
    with pytest.raises(TransformProblem, match=r'the first of camera is 0\.500 s newer') as error:
        buffer.lookup('base', 'camera', at(9.5))
    assert not error.value.is_late


def test_a_loop_of_frames_ends():
    buffer = filled(link('a', 'b'), link('b', 'a'))
    with pytest.raises(TransformProblem, match='loop'):
        buffer.lookup('a', 'b', at(10.0))


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
def test_transforms_that_are_none_are_left_out(bad):
    zero = link('base', 'camera')
    zero.transform.rotation = Quaternion(x=0.0, y=0.0, z=0.0, w=0.0)
    buffer = filled(zero, link('base', 'camera', (bad, 0.0, 0.0)), link('base', 'base'))
    buffer.add([link('', 'camera'), link('base', '/'), link('/base', 'base')], static=True)
    assert not buffer._links


def test_a_camera_may_be_called_like_a_face():
    buffer = filled(link('base', 'face_camera'), link('face_camera', 'gaze_optical'))
    assert buffer.lookup('base', 'gaze_optical', at(10.0)).translation.tolist() == [0, 0, 0]
    buffer = filled(link('base', 'face_f1'), link('base', 'gaze_f12'), link('base', '/face_f3'))
    assert not buffer._links


def test_frames_that_never_come_again_do_not_fill_the_memory():
    buffer = filled(static=[link('base', 'arm')])
    for number in range(5000):
        buffer.add([link('base', 'camera'), link('base', f'person_{number}')], static=False)
    assert len(buffer._links) <= 2000
    for name in ('arm', 'camera', 'person_4999'):
        buffer.lookup('base', name, at(10.0))


def test_names_of_any_length_are_told_in_short():
    buffer = filled(*(link(f'{n}' + 'x' * 10_000, 'y' * 9_999 + f'{n}') for n in range(100)))
    for target, source in (('z' * 10_000, 'y'), ('0' + 'x' * 10_000, 'y' * 9_999 + '1')):
        with pytest.raises(TransformProblem) as error:
            buffer.lookup(target, source, at(10.0))
        assert len(str(error.value)) < 5000
    with pytest.raises(TransformProblem, match=r'the last of y{60}\.\.\. is 1'):
        buffer.lookup('1' + 'x' * 10_000, 'y' * 9_999 + '1', at(11.0))


class Clock:
    """Stands for the time module: what is waited for comes while somebody sleeps."""

    def __init__(self, monkeypatch, come=lambda: None):
        self.now, self._come = 0.0, come
        monkeypatch.setattr('headpose_ros.ros.input.transforms.time', self)

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self._come()


def test_a_transform_that_comes_a_moment_later_is_waited_for(monkeypatch):
    buffer = filled(link('base', 'camera', stamp=10.0))
    clock = Clock(
        monkeypatch,
        lambda: clock.now > 0.02 and buffer.add([link('base', 'camera', stamp=10.1)], False),
    )
    found = patient_lookup(buffer, 'base', 'camera', at(10.05))
    assert found.translation == pytest.approx(np.zeros(3))


def test_a_transform_that_does_not_come_is_waited_for_a_tenth_of_a_second(monkeypatch):
    clock = Clock(monkeypatch)
    with pytest.raises(TransformProblem) as error:
        patient_lookup(filled(link('base', 'camera', stamp=10.0)), 'base', 'camera', at(10.05))
    assert error.value.is_late
    assert clock.now == pytest.approx(0.1, abs=0.02)


def test_a_frame_that_is_missing_is_not_waited_for(monkeypatch):
    clock = Clock(monkeypatch)
    with pytest.raises(TransformProblem):
        patient_lookup(TransformBuffer(), 'base', 'camera', 0)
    assert clock.now == 0.0


def test_the_listener_hears_moving_and_static_frames(ros, spin_until, monkeypatch):
    import rclpy

    monkeypatch.setitem(sys.modules, 'tf2_ros', None)
    node = rclpy.create_node('test_transforms')
    latched = qos.reliable()
    latched.durability = DurabilityPolicy.TRANSIENT_LOCAL
    static = node.create_publisher(TFMessage, '/tf_static', latched)
    moving = node.create_publisher(TFMessage, '/tf', qos.reliable())
    static.publish(TFMessage(transforms=[link('head', 'camera', (0.0, 1.0, 0.0))]))
    transforms = listen(node)

    def is_there():
        moving.publish(TFMessage(transforms=[link('base', 'head', (1.0, 0.0, 0.0))]))
        try:
            return transforms.lookup('base', 'camera', at(10.0)).translation.tolist() == [1, 1, 0]
        except TransformProblem:
            return False

    assert spin_until(node, is_there)
    transforms.destroy()
    node.destroy_node()


class Stub:
    """What this package uses of tf2_ros, without its C++ part."""

    class TransformException(Exception):  # noqa: N818
        pass

    class ExtrapolationException(TransformException):
        pass

    class LookupException(TransformException):
        pass

    class Buffer:
        answer = None

        def lookup_transform(self, target, source, stamp):
            assert (target, source, stamp.nanoseconds) == ('base', 'camera', at(10.0))
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

        frames = 'camera:\n  parent: head\n'

        def all_frames_as_yaml(self):
            return self.frames

    class TransformListener:
        def __init__(self, buffer, node):
            self.node = node

        def unregister(self):
            self.node.gone = True


class Lines(list):
    """A node's log, and all of a node that the listener needs besides."""

    get_logger = get_child = lambda self, *_: self
    warning = list.append

    def create_subscription(self, *_):
        return None


def test_tf2_ros_that_does_not_work_is_named_with_what_it_misses(monkeypatch, tmp_path):
    (tmp_path / 'tf2_ros.py').write_text('import tf2_msgs_that_is_not_there.srv\n')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'tf2_ros', raising=False)
    log = Lines()
    listen(log)
    assert len(log) == 1 and "No module named 'tf2_msgs_that_is_not_there'" in log[0]


def test_without_tf2_ros_nothing_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, 'tf2_ros', None)
    log = Lines()
    listen(log)
    assert not log


def test_the_stand_in_of_tf2_msgs_gives_way_to_the_real_one(monkeypatch, tmp_path):
    def package(folder):
        (folder / 'tf2_msgs').mkdir(parents=True)
        (folder / 'tf2_msgs' / '__init__.py').touch()
        return folder / 'tf2_msgs'

    real, own = package(tmp_path / 'real'), package(tmp_path / 'own')
    source = Path(__file__).parents[1] / 'compat' / 'tf2_msgs' / 'tf2_msgs' / '__init__.py'
    (own / '__init__.py').write_text(source.read_text(encoding='utf-8'), encoding='utf-8')

    def path_of_stand_in(*folders, symbols=('tf2_msgs__msg__TF2Error__init',)):
        monkeypatch.setattr(sys, 'path', [str(folder) for folder in folders])
        library = SimpleNamespace(**dict.fromkeys(symbols))
        monkeypatch.setattr('ctypes.CDLL', lambda name: library)
        spec = importlib.util.spec_from_file_location(
            'tf2_msgs', own / '__init__.py', submodule_search_locations=[str(own)]
        )
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.__path__

    assert path_of_stand_in(own.parent, real.parent) == [str(real)]
    assert path_of_stand_in(own.parent) == [str(own)]
    # Its modules would find our libraries, and no type would work.
    assert path_of_stand_in(own.parent, real.parent, symbols=()) == [str(own)]
    # A source tree of that name is no Python package.
    (tmp_path / 'source' / 'tf2_msgs').mkdir(parents=True)
    assert path_of_stand_in(own.parent, tmp_path / 'source') == [str(own)]


def test_tf2_ros_is_used_where_it_is_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, 'tf2_ros', Stub)
    node = SimpleNamespace(gone=False)
    transforms = listen(node)
    Stub.Buffer.answer = link('base', 'camera', (1.0, 2.0, 3.0))
    found = transforms.lookup('base', '/camera', at(10.0))
    assert found.translation == pytest.approx([1, 2, 3])
    transforms.destroy()
    assert node.gone


@pytest.mark.parametrize(
    ('raised', 'said', 'late'),
    [
        (Stub.LookupException('?'), 'base is not in the tree; known frames: camera, head', False),
        (Stub.ExtrapolationException('into the future.'), 'at the time of the image; into', True),
        (Stub.ExtrapolationException('into the past.'), 'at the time of the image; into', False),
    ],
)
def test_problems_of_tf2_ros_are_told_like_ours(monkeypatch, raised, said, late):
    monkeypatch.setitem(sys.modules, 'tf2_ros', Stub)
    Stub.Buffer.answer = raised
    with pytest.raises(TransformProblem, match=said) as error:
        listen(SimpleNamespace()).lookup('base', 'camera', at(10.0))
    assert error.value.is_late is late


@pytest.mark.parametrize(
    'frames',
    [
        'a: [',
        'x: &a {parent: y}\nz: *a',
        '[' * 10_000,
        'a: 3\nb: []\nc: {parent: [1]}',
        'x' * 10**6,
    ],
)
def test_frames_of_any_name_in_the_tree_of_tf2_ros_are_a_problem_and_no_more(monkeypatch, frames):
    monkeypatch.setitem(sys.modules, 'tf2_ros', Stub)
    monkeypatch.setattr(Stub.Buffer, 'frames', frames)
    Stub.Buffer.answer = Stub.LookupException('?')
    with pytest.raises(TransformProblem):
        listen(SimpleNamespace()).lookup('base', 'camera', at(10.0))
