"""The pose node in a process of its own, over real DDS."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')

import rclpy
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, TransformStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from small_models import write_small
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from headpose_ros.models.registry import MODELS
from headpose_ros.msg import Attention, Faces
from headpose_ros.ros.input.calibration import pinhole, uncalibrated
from headpose_ros.ros.input.images import encode_bgr
from headpose_ros.ros.node import qos
from headpose_ros.sources.photograph import photograph

ROOT = Path(__file__).parents[1]
FRAME = 'cabin_optical_frame'
TIMEOUT = 90.0


@pytest.fixture(scope='module')
def photo() -> np.ndarray:
    return photograph()


def start(*arguments: str) -> subprocess.Popen[str]:
    words = [
        sys.executable,
        '-m',
        'headpose_ros.nodes.pose',
        '--ros-args',
        '-p',
        'network.device:=cpu',
    ]
    return subprocess.Popen(
        [*words, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
    )


class Rig:
    """A camera and a listener in the test's process, and the node in another."""

    def __init__(self, spin_until: Any, photo: np.ndarray) -> None:
        self.photo = photo
        self.node = rclpy.create_node('rig')
        self._spin_until = spin_until
        self._sent = 0
        self._info: CameraInfo | None = None
        self.depth: Image | None = None
        self.received: dict[str, list[Any]] = {}
        for topic, kind in (
            ('faces', Faces),
            ('head_pose', PoseStamped),
            ('markers', MarkerArray),
            ('/tf', TFMessage),
        ):
            store = self.received.setdefault(topic, [])
            self.node.create_subscription(kind, topic, store.append, qos.reliable())
        self.camera('reliable')

    def camera(self, reliability: str) -> None:
        """Publish from now on with this reliability."""
        profile = qos.from_name(reliability)
        self.images = self.node.create_publisher(Image, 'camera/image_raw', profile)
        self.infos = self.node.create_publisher(CameraInfo, 'camera/camera_info', profile)
        topic = 'camera/depth_registered/image_raw'
        self.depths = self.node.create_publisher(Image, topic, profile)

    def until(self, predicate: Any) -> bool:
        return self._spin_until(self.node, predicate, TIMEOUT)

    def image(self) -> Image:
        """Return the next good image, one thirtieth of a second later."""
        self._sent += 1
        stamp = Time(sec=1000 + self._sent // 30, nanosec=self._sent % 30 * 33_000_000)
        return encode_bgr(self.photo, Header(stamp=stamp, frame_id=FRAME))

    def calibrate(self, info: CameraInfo) -> None:
        """Send this camera_info with every image from now on, as cameras do."""
        info.header.frame_id = FRAME
        self._info = info

    def answer(self, want: Any = lambda message: True) -> Any:
        """Send good images until the node answers one of them as wanted."""
        faces, found = self.received['faces'], []
        sent: set[tuple[int, int]] = set()
        last = 0.0

        def answered() -> bool:
            nonlocal last
            if time.monotonic() - last > 0.25:
                last, image = time.monotonic(), self.image()
                sent.add((image.header.stamp.sec, image.header.stamp.nanosec))
                if self._info is not None:
                    self.infos.publish(self._info)
                if self.depth is not None:
                    self.depth.header = image.header
                    self.depths.publish(self.depth)
                self.images.publish(image)
            found.extend(m for m in faces if _stamp(m) in sent and want(m))
            faces.clear()
            return bool(found)

        assert self.until(answered), 'the node gave no such answer'
        return found[0]


def _stamp(message: Any) -> tuple[int, int]:
    return message.header.stamp.sec, message.header.stamp.nanosec


@contextmanager
def running(spin_until: Any, photo: np.ndarray, *arguments: str) -> Iterator[Rig]:
    process = start('-p', 'tracking.detect_every:=3', *arguments)
    rig = Rig(spin_until, photo)
    rig.process = process
    try:
        yield rig
    finally:
        rig.node.destroy_node()
        process.kill()
        if not process.stdout.closed:
            rig.log, _ = process.communicate()


@pytest.fixture
def rig(ros: int, spin_until: Any, photo: np.ndarray) -> Iterator[Rig]:
    with running(spin_until, photo) as rig:
        rig.answer(one_face)
        yield rig


def one_face(message: Faces) -> bool:
    return len(message.faces) == 1


def metric(message: Faces) -> bool:
    return one_face(message) and message.faces[0].head_pose.translation_is_metric


def test_results_carry_stamp_and_frame_of_the_image(rig: Rig) -> None:
    rig.calibrate(pinhole(512, 512, 1.0))
    faces = rig.answer(metric)
    stamp, face = _stamp(faces), faces.faces[0]
    assert faces.header.frame_id == FRAME
    assert (faces.image_width, faces.image_height) == (512, 512)
    assert 0.2 < face.head_pose.pose.pose.position.z < 3.0

    def with_stamp(topic: str) -> list[Any]:
        return [m for m in rig.received[topic] if _stamp(m) == stamp]

    frames = rig.received['/tf']
    assert rig.until(lambda: with_stamp('head_pose'))
    assert rig.until(lambda: any(_stamp(t) == stamp for m in frames for t in m.transforms))
    transform = next(t for m in frames for t in m.transforms if _stamp(t) == stamp)
    assert transform.header.frame_id == FRAME
    assert transform.child_frame_id == f'face_{face.id}'
    assert rig.until(
        lambda: any(
            _stamp(marker) == stamp for m in rig.received['markers'] for marker in m.markers
        )
    )
    marker = rig.received['markers'][-1].markers[0]
    assert marker.header.frame_id == FRAME


@pytest.mark.parametrize('reliability', qos.RELIABILITIES)
def test_every_camera_connects_and_results_are_reliable(rig: Rig, reliability: str) -> None:
    rig.camera(reliability)
    rig.answer(one_face)
    (publisher,) = rig.node.get_publishers_info_by_topic('/faces')
    assert publisher.qos_profile.reliability == qos.reliable().reliability


@pytest.mark.parametrize('model', ['ccr', 'hopenet', 'mnn', 'parts3d', 'ranking'])
def test_every_published_network_runs_in_the_node(
    model: str, spin_until: Any, photo: np.ndarray, ros: int, tmp_path: Path
) -> None:
    process = start('-p', f'network.model:={write_small(model, tmp_path)}')
    rig = Rig(spin_until, photo)
    try:
        face = rig.answer(one_face).faces[0]
    finally:
        rig.node.destroy_node()
        process.kill()
        process.communicate()
    count = 68 if MODELS[model].landmarks else 0
    assert len(face.landmarks.image_points) == 2 * count
    orientation = face.head_pose.pose.pose.orientation
    assert orientation.x**2 + orientation.y**2 + orientation.z**2 + orientation.w**2 == (
        pytest.approx(1.0)
    )


def broken_images(good: Image) -> list[Image]:
    """Return one image for each way in which a camera can be wrong."""

    def changed(**fields: Any) -> Image:
        image = Image(header=good.header, data=good.data)
        for name in ('width', 'height', 'step', 'encoding', 'is_bigendian'):
            setattr(image, name, fields.get(name, getattr(good, name)))
        if 'data' in fields:
            image.data = fields['data']
        return image

    return [
        changed(encoding='no_such_encoding'),
        changed(encoding=''),
        changed(data=good.data[:1000]),
        changed(data=good.data[:0]),
        changed(width=0, height=0),
        changed(width=2**31, height=2**31),
        changed(step=1),
    ]


def test_bad_images_are_dropped_and_good_ones_after_them_work(rig: Rig) -> None:
    for broken in broken_images(rig.image()):
        rig.images.publish(broken)
        rig.answer(one_face)
    assert rig.process.poll() is None


def test_bad_camera_info_costs_the_metres_only(rig: Rig) -> None:
    nan = pinhole(512, 512, 1.0)
    nan.k = np.array([float('nan')] * 9)
    for bad in (uncalibrated(512, 512), nan):
        rig.calibrate(pinhole(512, 512, 1.0))
        rig.answer(metric)
        rig.calibrate(bad)
        rotation_only = rig.answer(lambda message: one_face(message) and not metric(message))
        assert rotation_only.faces[0].head_pose.pose.covariance[0] == -1


def depth_image(metres: float, size: int = 512, encoding: str = '16UC1') -> Image:
    values = np.full((size, size), metres * 1000, np.uint16)
    image = Image(width=size, height=size, step=2 * size, encoding=encoding)
    image.data = array('B', values.tobytes())
    return image


def distance(message: Faces) -> float:
    return message.faces[0].head_pose.pose.pose.position.z


def measured(message: Faces) -> bool:
    return metric(message) and message.faces[0].head_pose.distance_is_measured


def test_depth_gives_the_distance_and_bad_depth_costs_nothing_else(
    ros: int, spin_until: Any, photo: np.ndarray
) -> None:
    start_time = time.monotonic()
    with running(
        spin_until, photo, '-p', 'input.depth:=true', '-p', 'smoothing.enabled:=false'
    ) as rig:
        rig.calibrate(pinhole(512, 512, 1.0))
        for _ in range(4):  # until the crop has followed the landmarks
            assumed = rig.answer(metric)
        assert not assumed.faces[0].head_pose.distance_is_measured
        there = 0.85 * distance(assumed)
        assert rig.until(lambda: rig.depths.get_subscription_count() > 0)
        for bad in (depth_image(there, 256), depth_image(there, encoding='mono16')):
            rig.depth = bad
            # On a busy machine one of them may come too late for its image.
            for _ in range(3):
                still = rig.answer(metric)
                assert distance(still) == pytest.approx(distance(assumed), rel=0.01)
        rig.depth = depth_image(there)
        near = rig.answer(measured)
        # A flat depth is the sellion's to a few centimetres.
        assert distance(near) == pytest.approx(there, abs=0.04)
        size = near.faces[0].head_pose.interpupillary_distance
        assert size == pytest.approx(0.063 * distance(near) / distance(assumed), rel=0.02)
    assert 'expected depth that is aligned with the colour image' in rig.log
    lines = [line for line in rig.log.splitlines() if 'distances rest on the assumed size' in line]
    # Of each kind at most every five seconds; images come four times a second.
    assert 2 <= len(lines) <= 4 + 2 * (time.monotonic() - start_time) / 5


def test_poses_come_in_the_output_frame(ros: int, spin_until: Any, photo: np.ndarray) -> None:
    with running(spin_until, photo, '-p', 'output.frame:=base_link') as rig:
        profile = qos.reliable()
        profile.durability = DurabilityPolicy.TRANSIENT_LOCAL
        link = TransformStamped(child_frame_id=FRAME)
        link.header.frame_id = 'base_link'
        link.transform.translation.x = 5.0
        rig.node.create_publisher(TFMessage, '/tf_static', profile).publish(
            TFMessage(transforms=[link])
        )
        rig.calibrate(pinhole(512, 512, 1.0))
        message = rig.answer(metric)
        assert message.header.frame_id == 'base_link'
        assert message.faces[0].head_pose.pose.pose.position.x > 4.0


def test_attention_is_published_where_it_is_asked_for(
    ros: int, spin_until: Any, photo: np.ndarray
) -> None:
    targets = '["camera","screen"]'
    options = ('-p', 'output.attention:=true', '-p', f'attention.targets:={targets}')
    with running(spin_until, photo, *options) as rig:
        found: list[Attention] = []
        rig.node.create_subscription(Attention, 'attention', found.append, qos.reliable())
        rig.answer(lambda faces: any(message.targets for message in found))
        message = next(message for message in found if message.targets)
        camera, screen = message.targets
        assert message.header.frame_id == FRAME
        assert (camera.target, screen.target) == ('camera', 'screen')
        # The photograph shows a face turned aside: attending or not, but known.
        assert 0.0 <= camera.probability <= 1.0
        # Nobody publishes the transform of a screen.
        assert np.isnan(screen.probability)
        assert not screen.attending


def call(rig: Rig, kind: Any, name: str, request: Any) -> Any:
    client = rig.node.create_client(kind, name)
    assert rig.until(client.service_is_ready)
    future = client.call_async(request)
    assert rig.until(future.done)
    return future.result()


def test_parameters_are_checked_at_run_time(rig: Rig) -> None:
    def set_to(name: str, value: Any) -> Any:
        parameter = Parameter(name, value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[parameter])
        return call(rig, SetParameters, 'pose/set_parameters', request).results[0]

    for name, bad in (
        ('tracking.max_faces', 0),
        ('tracking.prefer', 'beauty'),
        ('tracking.region', [0.0, 1.0]),
        ('tracking.region', [0.5, 0.5, 0.0, 0.5]),
        ('smoothing.rotation_noise', 0.0),
    ):
        refused = set_to(name, bad)
        assert not refused.successful
        assert name in refused.reason
    for name, good in (
        ('tracking.max_faces', 2),
        ('tracking.prefer', 'region'),
        ('tracking.region', [0.5, 0.0, 0.5, 1.0]),
        ('tracking.retain', 0.5),
        ('smoothing.enabled', False),
        ('metric.interpupillary_distance', 0.055),
        ('output.tf', False),
    ):
        assert set_to(name, good).successful
        rig.answer(one_face)


def test_lifecycle_stops_and_starts_again(rig: Rig) -> None:
    def change(transition: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        return call(rig, ChangeState, 'pose/change_state', request).success

    first = rig.answer(one_face).faces[0].id
    for _ in range(2):
        assert change(Transition.TRANSITION_DEACTIVATE)
        rig.images.publish(rig.image())
        assert change(Transition.TRANSITION_ACTIVATE)
    assert rig.answer(one_face).faces[0].id != first
    assert change(Transition.TRANSITION_DEACTIVATE)
    assert change(Transition.TRANSITION_CLEANUP)
    assert change(Transition.TRANSITION_CONFIGURE)
    assert change(Transition.TRANSITION_ACTIVATE)
    rig.answer(one_face)


def test_two_sigints_end_it_cleanly(rig: Rig) -> None:
    rig.process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    rig.process.send_signal(signal.SIGINT)
    text, _ = rig.process.communicate(timeout=TIMEOUT)
    assert rig.process.returncode == 0, text
    assert 'Traceback' not in text


@pytest.mark.parametrize(
    ('parameter', 'said'),
    [
        ('network.model:=no_such_model', 'no weights for model'),
        ('network.device:=abacus', "unknown device 'abacus'"),
        ('max_faces:=0', 'tracking.max_faces is 0'),
        ('detection.model:=/nowhere.onnx', 'no face detector model at /nowhere.onnx'),
        ('tracking.max_faces:=0', 'tracking.max_faces'),
        ('detection.threshold:=.nan', 'detection.threshold'),
        ('tracking.max_faces:=many', 'tracking.max_faces'),
        ('tracking.region:=[0.1, 0.2]', 'tracking.region'),
        ('metric.interpupillary_distance:=0.5', 'metric.interpupillary_distance'),
    ],
)
def test_wrong_parameters_end_it_with_one_line(ros_domain: int, parameter: str, said: str) -> None:
    process = start('-p', parameter)
    text, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 2, text
    errors = [line for line in text.splitlines() if line.startswith('headpose_ros: error:')]
    assert len(errors) == 1, text
    assert said in errors[0]
    assert 'Traceback' not in text


def test_asking_for_hri_without_its_messages_ends_it_with_one_line(ros_domain: int) -> None:
    if importlib.util.find_spec('hri_msgs') is not None:
        pytest.skip('hri_msgs is installed')
    text, _ = (process := start('-p', 'output.hri:=true')).communicate(timeout=TIMEOUT)
    assert process.returncode == 2, text
    assert 'output.hri needs the package hri_msgs' in text
    assert 'Traceback' not in text
