"""What goes wrong inside of the pose node costs one image, is counted, and is diagnosed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import TransitionCallbackReturn
from test_pose_inputs import TIMEOUT, Desk, header

from headpose_ros.perception.infer import FaceNetwork
from headpose_ros.ros.input.images import encode_bgr
from headpose_ros.sources.photograph import photograph


@pytest.fixture(scope='module')
def photo() -> np.ndarray:
    return photograph()


@pytest.fixture
def desk(ros: int, photo: np.ndarray) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(**parameters: Any) -> Desk:
        made.append(Desk(photo, **parameters))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_before_the_first_image_diagnostics_say_that_they_wait(desk):
    one = desk()
    (status,) = [s for s in one.pose._statuses() if s.name == 'pose: camera']
    assert status.level == DiagnosticStatus.WARN
    assert status.message.startswith('waiting for the first image on /camera/image_raw')


def test_refused_images_are_counted_and_diagnosed(desk, photo):
    one = desk()
    store, camera = one.listen('faces'), one.camera('camera/image_raw')
    bad = encode_bgr(photo, header(5.0))
    bad.encoding = 'no_such_encoding'
    negative = encode_bgr(photo, header(5.0))
    negative.header.stamp.sec = -1
    for count, image in enumerate((bad, negative), 1):
        camera.publish(image)
        assert one.until(lambda count=count: one.pose.summary()['frames_refused'] == count)
        one.ask(camera, store, encode_bgr(photo, header(5.0 + count)))
    counts = one.pose.summary()
    assert (counts['frames_in'], counts['frames_out'], counts['frames_dropped']) == (4, 2, 0)
    # A failure is diagnosed while it is new: this camera goes on as it is.
    timer = one.node.create_timer(0.2, lambda: camera.publish(negative))
    assert one.diagnosed('pose: failures', '/camera/image_raw: the stamp is -1 s')
    one.node.destroy_timer(timer)
    values = {v.key: v.value for v in one.statuses['pose: failures'].values}
    assert int(values['/camera/image_raw']) >= 2


class Panic(BaseException):
    """As an extension in Rust raises it."""


@pytest.mark.parametrize('fault', [RuntimeError('CUDA error'), MemoryError(), Panic('index')])
def test_what_the_network_raises_costs_one_image(desk, photo, monkeypatch, fault):
    one = desk()
    store, camera = one.listen('faces'), one.camera('camera/image_raw')
    one.ask(camera, store, encode_bgr(photo, header(5.0)))
    worker = one.pose._worker
    good = FaceNetwork.estimate_each

    def fails(self: Any, views: Any) -> Any:
        monkeypatch.setattr(FaceNetwork, 'estimate_each', good)
        raise fault

    monkeypatch.setattr(FaceNetwork, 'estimate_each', fails)
    camera.publish(encode_bgr(photo, header(5.1)))
    assert one.until(lambda: one.pose.failures.counts())
    assert one.pose.summary()['frames_refused'] == 1
    assert len(one.ask(camera, store, encode_bgr(photo, header(5.2))).faces) == 1
    assert one.pose._worker is worker and worker.is_alive()


def test_deactivating_waits_for_the_image_under_way(desk, photo, monkeypatch):
    one = desk()
    camera = one.camera('camera/image_raw')
    begun, release, done = threading.Event(), threading.Event(), []
    good = FaceNetwork.estimate_each

    def slow(self: Any, views: Any) -> Any:
        begun.set()
        release.wait(TIMEOUT)
        time.sleep(0.2)
        done.append(True)
        return good(self, views)

    monkeypatch.setattr(FaceNetwork, 'estimate_each', slow)
    camera.publish(encode_bgr(photo, header(5.0)))
    assert one.until(begun.is_set)
    worker = one.pose._worker
    release.set()
    assert one.pose.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    assert done and not worker.is_alive()
