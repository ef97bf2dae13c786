"""The overlay node in a process of its own, over real DDS."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')

import rclpy
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from headpose_ros.geometry.rotations import FRONTAL
from headpose_ros.msg import Faces
from headpose_ros.perception.draw import AXIS_COLORS
from headpose_ros.perception.faces import Face
from headpose_ros.ros.input.images import decode, encode_bgr
from headpose_ros.ros.input.pictures import StampMatcher, seen_face
from headpose_ros.ros.node import qos
from headpose_ros.ros.output.messages import faces_message, located

ROOT = Path(__file__).parents[1]
SIZE = (160, 120)


def header(index: int) -> Header:
    return Header(stamp=Time(sec=100 + index), frame_id='camera')


def faces(index: int) -> Faces:
    face = Face(
        id='f1',
        box=np.array([50.0, 40.0, 50.0, 50.0]),
        rotation=FRONTAL,
        landmarks=np.zeros((0, 2)),
        visibility=np.zeros(0),
        landmark_confidence=np.zeros(0),
        confidence=1.0,
    )
    return faces_message(header(index), SIZE, [located(face, None)])


def image(index: int, encoding: str = 'bgr8') -> Image:
    message = encode_bgr(np.full((SIZE[1], SIZE[0], 3), 90, np.uint8), header(index))
    message.encoding = encoding
    return message


class Rig:
    """Camera and pose node in the test's process, the overlay node in another."""

    def __init__(self, spin_until: Any) -> None:
        self.node = rclpy.create_node('rig')
        self._spin_until = spin_until
        self._images = self.node.create_publisher(Image, 'camera/image_raw', qos.reliable())
        self._faces = self.node.create_publisher(Faces, 'faces', qos.reliable())
        self._sent = 0

    def until(self, predicate: Any, timeout: float = 60.0) -> bool:
        return self._spin_until(self.node, predicate, timeout)

    def listeners(self) -> int:
        return self.node.count_subscribers('/camera/image_raw')

    def send(self, encoding: str = 'bgr8', faces_first: bool = False) -> int:
        self._sent += 1
        pair = [(self._images, image(self._sent, encoding)), (self._faces, faces(self._sent))]
        for publisher, message in reversed(pair) if faces_first else pair:
            publisher.publish(message)
        return self._sent

    def picture(self, kind: Any, topic: str, **how: Any) -> Any:
        """Look at a topic until a picture comes."""
        seen: list[Any] = []
        subscription = self.node.create_subscription(kind, topic, seen.append, qos.reliable())

        def came() -> bool:
            self.send(**how)
            return bool(seen)

        assert self.until(came), f'nothing on {topic}'
        self.node.destroy_subscription(subscription)
        return seen[0]


@pytest.fixture
def rig(ros: int, spin_until: Any) -> Iterator[Rig]:
    words = [sys.executable, '-m', 'headpose_ros.nodes.overlay', '--ros-args', '-p', 'style:=paper']
    process = subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
    )  # fmt: skip
    rig = Rig(spin_until)
    rig.process = process
    try:
        assert rig.until(lambda: 'overlay' in rig.node.get_node_names())
        yield rig
    finally:
        rig.node.destroy_node()
        process.kill()
        process.communicate()


def test_it_draws_while_somebody_looks_and_only_then(rig: Rig) -> None:
    assert not rig.until(lambda: rig.listeners() > 0, timeout=1.5)
    picture = rig.picture(Image, 'overlay')
    assert picture.header.frame_id == 'camera'
    pixels = decode(picture)
    assert pixels.shape == (SIZE[1], SIZE[0], 3)
    green = np.argwhere(np.abs(pixels.astype(int) - AXIS_COLORS[1]).max(axis=2) < 40)
    assert green[:, 0].mean() > 70  # paper style: green goes down from the middle of the box
    assert rig.until(lambda: rig.listeners() == 0)


def test_compressed_and_faces_before_their_image_and_a_bad_image(rig: Rig) -> None:
    jpeg = rig.picture(CompressedImage, 'overlay/compressed', faces_first=True)
    assert cv2.imdecode(np.frombuffer(jpeg.data, np.uint8), cv2.IMREAD_COLOR).shape[1] == SIZE[0]
    looker = rig.node.create_subscription(Image, 'overlay', lambda _: None, qos.reliable())
    assert rig.until(lambda: rig.listeners() == 1)
    rig.send(encoding='unknown')
    rig.node.destroy_subscription(looker)
    assert rig.picture(Image, 'overlay').width == SIZE[0]
    rig.process.send_signal(signal.SIGINT)
    text = rig.process.communicate(timeout=60)[0]
    assert rig.process.returncode == 0, text
    assert 'Traceback' not in text


def test_matcher_pairs_by_stamp_in_any_order_and_forgets_the_oldest() -> None:
    matcher = StampMatcher(depth=2)
    assert matcher.image(image(1)) is None
    pair = matcher.faces(faces(1))
    assert pair is not None and pair[0].header == pair[1].header
    assert matcher.faces(faces(2)) is None
    assert matcher.image(image(2)) is not None
    for index in (3, 4, 5):
        assert matcher.image(image(index)) is None
    assert matcher.faces(faces(3)) is None
    assert matcher.faces(faces(5)) is not None


def test_a_face_is_drawn_as_the_camera_sees_it_in_whatever_frame_the_pose_is() -> None:
    message = faces(1).faces[0]
    message.head_pose.pose.pose.orientation.w = 1.0
    message.head_pose.pose.pose.orientation.x = 0.0
    np.testing.assert_allclose(seen_face(message).rotation, FRONTAL, atol=1e-6)
