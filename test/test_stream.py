"""Heads sent to avatars and games, received on the loopback."""

from __future__ import annotations

import math
import socket
import struct
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('pythonosc', reason='pip install python-osc')

from hypothesis import given
from hypothesis import strategies as st
from pythonosc.osc_bundle import OscBundle

from headpose_ros.errors import HeadposeError
from headpose_ros.geometry.rotations import FRONTAL, face_from_aligned, matrix_from_aflw
from headpose_ros.perception.faces import Face
from headpose_ros.sources.open import ASTRONAUT
from headpose_ros.tools.stream import (
    Receiver,
    StreamOptions,
    head_in_unity,
    opentrack_packet,
    stream,
    vmc_packet,
)

NONE = np.zeros(0)
FACE = Face('f1', np.zeros(4), FRONTAL, NONE, NONE, NONE, 0.9)


def turned(pitch=0.0, yaw=0.0, roll=0.0):
    return replace(FACE, rotation=face_from_aligned(matrix_from_aflw([pitch, yaw, roll])))


def rotate(quaternion, vector):
    """Return q v q*, which is the same product in left- and right-handed axes."""
    *axis, w = quaternion
    cross = np.cross(axis, vector)
    return np.asarray(vector) + 2 * (w * cross + np.cross(axis, cross))


@pytest.fixture
def receiver():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(('127.0.0.1', 0))
        receiver.settimeout(60)
        yield receiver


def address(receiver):
    return f'127.0.0.1:{receiver.getsockname()[1]}'


def osc(packet):
    return [(message.address, message.params) for message in OscBundle(packet)]


def test_opentrack_gets_centimetres_and_degrees_of_the_person():
    right_up_far = replace(turned(0.1, 0.2, 0.3), position=np.array([-0.1, -0.2, 0.5]))
    numbers = struct.unpack('<6d', opentrack_packet(right_up_far))
    assert numbers[:3] == pytest.approx((10.0, 20.0, 50.0))
    assert numbers[3:] == pytest.approx(np.degrees([0.2, 0.1, 0.3]))


def test_opentrack_gets_no_place_where_none_is_known():
    assert struct.unpack('<6d', opentrack_packet(FACE)) == pytest.approx((0.0,) * 6)


def test_a_frontal_head_is_not_turned():
    assert head_in_unity(FRONTAL) == pytest.approx([0, 0, 0, 1])


@pytest.mark.parametrize(
    ('face', 'axis', 'goes'),
    [
        (turned(yaw=0.5), [0, 0, 1], [math.sin(0.5), 0, math.cos(0.5)]),  # the nose to the right
        (turned(pitch=0.5), [0, 0, 1], [0, math.sin(0.5), math.cos(0.5)]),  # the nose up
        (turned(roll=0.5), [0, 1, 0], [-math.sin(0.5), math.cos(0.5), 0]),  # the crown to the left
    ],
)
def test_the_avatar_turns_as_the_person_does(face, axis, goes):
    assert rotate(head_in_unity(face.rotation), axis) == pytest.approx(goes)


def test_an_avatar_gets_its_head_and_what_is_measured_of_its_face():
    face = replace(turned(yaw=0.5), openness=np.array([1.0, 0.25, 1.5]))
    ok, bone, *shapes, apply = osc(vmc_packet(face))
    assert ok == ('/VMC/Ext/OK', [1])
    assert (bone[0], bone[1][:4]) == ('/VMC/Ext/Bone/Pos', ['Head', 0.0, 0.0, 0.0])
    assert bone[1][4:] == pytest.approx(head_in_unity(face.rotation).tolist(), abs=1e-6)
    assert {name for name, _ in shapes} == {'/VMC/Ext/Blend/Val'}
    assert dict(values for _, values in shapes) == {
        'eyeBlinkRight': 0.0,
        'eyeBlinkLeft': 0.75,
        'jawOpen': 1.0,
    }
    assert apply == ('/VMC/Ext/Blend/Apply', [])


@given(st.lists(st.sampled_from([math.nan, 0.0, 0.5, 2.0]), min_size=3, max_size=3))
def test_shapes_that_nothing_measures_are_left_out(openness):
    messages = osc(vmc_packet(replace(FACE, openness=np.array(openness))))
    sent = [values for name, values in messages if name == '/VMC/Ext/Blend/Val']
    assert len(sent) == np.isfinite(openness).sum()
    assert all(0.0 <= value <= 1.0 for _, value in sent)


class Analyzer:
    """Finds two faces in every other image."""

    def __init__(self):
        self.images = 0

    def track(self, image, stamp, camera):
        self.images += 1
        return [turned(yaw=0.5), FACE] if self.images % 2 else []


def test_the_preferred_face_of_every_frame_is_received(receiver):
    options = StreamOptions(ASTRONAUT, opentrack=address(receiver), duration=0.2)
    summary = stream(Analyzer(), options)
    assert summary.frames >= 4
    assert summary.sent == math.ceil(summary.frames / 2)
    assert (summary.lost, summary.interrupted) == (0, False)
    for _ in range(summary.sent):
        assert struct.unpack('<6d', receiver.recv(100))[3] == pytest.approx(math.degrees(0.5))


def test_an_avatar_receives_every_face(receiver):
    summary = stream(Analyzer(), StreamOptions(ASTRONAUT, osc=address(receiver), duration=0.1))
    assert summary.sent
    for _ in range(summary.sent):
        assert osc(receiver.recv(4096))[1][1][0] == 'Head'


def test_without_a_receiver_nothing_is_opened():
    with pytest.raises(HeadposeError, match='--osc HOST:PORT or --opentrack HOST:PORT'):
        stream(Analyzer(), StreamOptions('/nowhere'))


@pytest.mark.parametrize('wrong', ['localhost', ':4242', 'localhost:0', 'localhost:x', 'a:70000'])
def test_an_address_that_is_none_is_named(wrong):
    with pytest.raises(HeadposeError, match=r'--osc is .* expected HOST:PORT'):
        Receiver(wrong, '--osc', vmc_packet)


def test_a_packet_that_the_network_refuses_is_counted(receiver):
    sender = Receiver(address(receiver), '--opentrack', lambda face: bytes(70_000))
    sender.send(FACE)
    sender.close()
    assert sender.lost == 1
