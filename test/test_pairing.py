"""Colour images with their depth: which go together, and that none is lost or late."""

from __future__ import annotations

import importlib.util
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip('rclpy')

from builtin_interfaces.msg import Time

from headpose_ros.ros.input.pairing import DepthPairing

PERIOD = 1 / 30
KINDS = ['stand-in', 'message_filters']


@pytest.fixture(params=KINDS, autouse=True)
def kind(request, monkeypatch):
    if request.param == 'stand-in':
        monkeypatch.setitem(sys.modules, 'message_filters', None)
    elif importlib.util.find_spec('message_filters') is None:
        pytest.skip('message_filters is not on PyPI, a distribution has it')
    return request.param


def at(seconds):
    seconds = round(seconds, 9)
    stamp = Time(sec=int(seconds // 1), nanosec=min(round(seconds % 1 * 1e9), 999_999_999))
    return SimpleNamespace(header=SimpleNamespace(stamp=stamp), seconds=seconds)


def run(events):
    """Feed (kind, stamp) events and return (image's stamp, depth's stamp or None), in order."""
    delivered = []
    pairing = DepthPairing(
        lambda image, depth: delivered.append((image.seconds, depth and depth.seconds))
    )
    for kind, stamp in events:
        (pairing.add_image if kind == 'image' else pairing.add_depth)(at(stamp))
    return delivered


def frames(count, start=10.0):
    return [round(start + number * PERIOD, 9) for number in range(count)]


def test_depth_of_the_same_stamp_goes_with_the_image_whoever_comes_first():
    first = [e for t in frames(20) for e in (('image', t), ('depth', t))]
    second = [e for t in frames(20) for e in (('depth', t), ('image', t))]
    assert run(second) == [(t, t) for t in frames(20)]
    # Before there is any depth nothing waits for it.
    assert run(first) == [(10.0, None)] + [(t, t) for t in frames(20)[1:]]


def test_free_running_cameras_pair_with_the_nearest():
    pairs = list(zip(frames(20), frames(20, 10.013), strict=True))
    events = [e for t, later in pairs for e in (('depth', later), ('image', t))]
    assert run(events) == pairs


def test_without_depth_no_image_waits():
    delivered = run([('image', t) for t in frames(5)])
    assert delivered == [(t, None) for t in frames(5)]


def test_when_the_depth_camera_dies_all_images_come_and_soon_none_waits():
    events = [e for t in frames(5) for e in (('depth', t), ('image', t))]
    later = frames(65)[5:]
    delivered = run(events + [('image', t) for t in later])
    assert [t for t, _ in delivered] == pytest.approx(frames(65))
    assert all(depth is None for _, depth in delivered[5:])
    assert delivered[-1][0] == later[-1]


def test_depth_at_half_the_rate_goes_with_every_other_image():
    events = []
    for number, stamp in enumerate(frames(21)):
        events += [('depth', stamp)] if number % 2 == 0 else []
        events += [('image', stamp)]
    delivered = run([*events, ('image', frames(22)[-1])])
    assert [depth is not None for _, depth in delivered[:20]] == [True, False] * 10


def test_a_bag_that_starts_again_pairs_as_before():
    once = [e for t in frames(30) for e in (('depth', t), ('image', t))]
    assert run(once + once) == [(t, t) for t in frames(30)] * 2


@given(
    st.lists(
        st.tuples(
            st.sampled_from(['image', 'depth']), st.floats(0.0, 3.0).map(lambda s: round(s, 9))
        ),
        max_size=40,
    )
)
def test_every_image_but_the_waiting_one_comes_once_and_in_order(events):
    sent = [stamp for kind, stamp in events if kind == 'image']
    came = [stamp for stamp, _ in run(events)]
    assert came in (sent, sent[:-1])
    assert all(depth is None or abs(depth - image) <= 0.02 + 1e-6 for image, depth in run(events))
