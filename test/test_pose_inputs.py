"""The pose node's input side over real DDS: cameras, time, QoS, diagnostics, changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')

import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image
from small_models import write_small
from std_msgs.msg import Header

from headpose_ros import DEFAULT_MODEL
from headpose_ros.errors import HeadposeError
from headpose_ros.msg import Faces
from headpose_ros.nodes.pose import PoseNode
from headpose_ros.ros import qos
from headpose_ros.ros.calibration import pinhole, uncalibrated
from headpose_ros.ros.images import encode_bgr
from headpose_ros.ros.lifecycle import reporting

FRAME = 'cabin_optical_frame'
TIMEOUT = 60.0


@pytest.fixture(scope='module')
def photo() -> np.ndarray:
    data = pytest.importorskip('skimage.data', reason='scikit-image carries the photograph')
    return np.ascontiguousarray(data.astronaut()[:, :, ::-1])


class Desk:
    """The pose node, cameras and a listener in one process."""

    def __init__(self, photo: np.ndarray, **parameters: Any) -> None:
        self.photo = photo
        values = {'device': 'cpu', 'confirm_hits': 1, **parameters}
        self.pose = PoseNode(parameter_overrides=[Parameter(k, value=v) for k, v in values.items()])
        self.node = rclpy.create_node('desk')
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.pose)
        self.executor.add_node(self.node)
        self.faces: dict[str, list[Faces]] = {}
        self.statuses: dict[str, DiagnosticStatus] = {}
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._diagnosed, 10)

    def close(self) -> None:
        self.pose.destroy_node()
        self.node.destroy_node()
        self.executor.shutdown()

    def _diagnosed(self, message: DiagnosticArray) -> None:
        self.statuses |= {status.name: status for status in message.status}

    def until(self, predicate: Callable[[], Any]) -> bool:
        end = time.monotonic() + TIMEOUT
        while not predicate() and time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.05)
        return bool(predicate())

    def diagnosed(self, name: str, text: str) -> bool:
        def said() -> bool:
            return name in self.statuses and text in self.statuses[name].message

        return self.until(said)

    def listen(self, topic: str) -> list[Faces]:
        store = self.faces.setdefault(topic, [])
        self.node.create_subscription(Faces, topic, store.append, qos.reliable())
        return store

    def camera(self, topic: str, kind: Any = Image, reliability: str = 'reliable') -> Any:
        publisher = self.node.create_publisher(kind, topic, qos.from_name(reliability))
        if reliability == 'reliable':
            assert self.until(publisher.get_subscription_count)
        return publisher

    def ask(self, camera: Any, store: list[Faces], message: Any) -> Faces:
        """Publish an image and return the answer to it."""
        count = len(store)
        camera.publish(message)
        assert self.until(lambda: len(store) > count), 'no answer'
        assert store[-1].header == message.header
        return store[-1]


@pytest.fixture
def desk(ros: int, photo: np.ndarray) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(**parameters: Any) -> Desk:
        made.append(Desk(photo, **parameters))
        return made[-1]

    yield make
    for one in made:
        one.close()


def header(seconds: float, frame: str = FRAME) -> Header:
    nanoseconds = round(seconds * 1e9)
    stamp = Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)
    return Header(stamp=stamp, frame_id=frame)


def test_two_cameras_share_a_network_and_no_id(desk, photo):
    one = desk(cameras=['left', '/car/right'])
    stores = [one.listen('left/faces'), one.listen('/car/right/faces')]
    cameras = [one.camera('left/image_raw'), one.camera('/car/right/image_raw')]
    ids = set()
    for store, camera, frame in zip(stores, cameras, ('l', 'r'), strict=True):
        answer = one.ask(camera, store, encode_bgr(photo, header(5.0, frame)))
        assert answer.header.frame_id == frame
        ids.add(answer.faces[0].id)
    assert len(ids) == 2
    assert one.diagnosed('pose: left', '') and one.diagnosed('pose: /car/right', '')


@pytest.mark.parametrize(('extension', 'kind'), [('.jpg', 'jpeg'), ('.png', 'png')])
def test_compressed_images_do_as_raw_ones(desk, photo, extension, kind):
    one = desk(image_transport='compressed')
    store, camera = one.listen('faces'), one.camera('camera/image_raw/compressed', CompressedImage)
    data = cv2.imencode(extension, photo)[1].tobytes()
    answer = one.ask(camera, store, CompressedImage(header=header(5.0), format=kind, data=data))
    assert (answer.image_width, answer.image_height) == (512, 512)
    assert len(answer.faces) == 1


def test_the_same_frames_give_the_same_at_any_rate_and_in_a_loop(desk, photo):
    one = desk(confirm_hits=2)
    store, camera = one.listen('faces'), one.camera('camera/image_raw')
    pictures = [np.roll(photo, 3 * shift, axis=1) for shift in range(15)]

    def play(pause: float) -> list[Any]:
        answers = []
        for index, picture in enumerate(pictures):
            answers.append(one.ask(camera, store, encode_bgr(picture, header(50 + index / 20))))
            time.sleep(pause)
        for face in (face for answer in answers for face in answer.faces):
            face.id = ''  # a recording that starts again brings new ids
        return [answer.faces for answer in answers]

    def same(one: Any, other: Any) -> bool:
        return str(one) == str(other)  # as text, since NaN stands for what is unknown

    slow, fast, again = play(0.05), play(0.0), play(0.0)
    assert [len(faces) for faces in slow] == [0] + [1] * 14
    assert same(slow, fast)
    assert same(fast, again)


def test_overtaken_images_are_dropped_and_cost_no_id(desk, photo):
    one = desk()
    store, camera = one.listen('faces'), one.camera('camera/image_raw')
    first = one.ask(camera, store, encode_bgr(photo, header(5.0)))
    camera.publish(encode_bgr(photo, header(4.9)))
    one.until(lambda: one.pose.summary()['frames_late'] == 1)
    second = one.ask(camera, store, encode_bgr(photo, header(5.1)))
    assert first.faces[0].id == second.faces[0].id
    assert len(store) == 2


def test_a_changed_frame_rate_costs_no_id(desk, photo):
    one = desk()
    store, camera = one.listen('faces'), one.camera('camera/image_raw')
    stamps = np.cumsum([5.0, *[1 / 30] * 4, *[1 / 5] * 4, *[1 / 120] * 4])
    ids = {one.ask(camera, store, encode_bgr(photo, header(s))).faces[0].id for s in stamps}
    assert len(ids) == 1


def test_simulated_time_that_stands_still_stops_nothing(desk, photo):
    one = desk(use_sim_time=True)
    store, camera = one.listen('faces'), one.camera('camera/image_raw')
    assert len(one.ask(camera, store, encode_bgr(photo, header(5.0))).faces) == 1
    assert one.diagnosed('pose: camera', 'no camera_info')


def test_old_images_are_dropped_where_an_age_is_set(desk, photo):
    one = desk(max_age=0.5)
    store, camera = one.listen('faces'), one.camera('camera/image_raw')
    camera.publish(encode_bgr(photo, header(5.0)))
    assert one.until(lambda: one.pose.summary()['frames_late'] == 1)
    one.ask(camera, store, encode_bgr(photo, header(time.time())))
    summary = one.pose.summary()
    assert (summary['frames_in'], summary['frames_out']) == (2, 1)


def test_diagnostics_say_what_is_wrong_and_what_to_do(desk, photo):
    one = desk()
    assert one.diagnosed('pose: camera', 'no images yet on /camera/image_raw: nobody publishes it')
    assert one.statuses['pose: camera'].level == DiagnosticStatus.ERROR
    camera, store = one.camera('camera/image_raw'), one.listen('faces')

    def shows(text: str, info: Any = None) -> bool:
        if info is not None:
            infos.publish(info)
        one.ask(camera, store, encode_bgr(photo, header(time.time())))
        return one.diagnosed('pose: camera', text)

    assert shows('no camera_info yet')
    from sensor_msgs.msg import CameraInfo

    infos = one.camera('camera/camera_info', CameraInfo)
    zero, nan, good = uncalibrated(512, 512), pinhole(512, 512, 1.0), pinhole(512, 512, 1.0)
    nan.k = np.full(9, np.nan)
    assert shows('uncalibrated (K is zero)', zero)
    assert shows('NaN', nan)
    assert shows("frames differ: images are in 'cabin_optical_frame', camera_info in ''", good)
    good.header.frame_id = FRAME
    good.width = 640
    assert shows('camera_info is for 640x512, images are 512x512', good)
    good.width = 512
    assert shows('OK', good)
    values = {v.key: v.value for v in one.statuses['pose: camera'].values}
    assert {'rate in (Hz)', 'rate out (Hz)', 'age p95 (ms)', 'infer median (ms)'} <= set(values)
    assert int(values['frames_in']) == int(values['frames_out'])
    one.ask(camera, store, encode_bgr(photo, header(time.time() + 60)))
    assert one.diagnosed('pose: camera', 'in the future')
    one.ask(camera, store, encode_bgr(photo, header(time.time() - 60)))
    assert one.diagnosed('pose: camera', 'stale')
    assert one.diagnosed('pose: camera', 'no images for')


def test_a_camera_that_offers_too_little_is_named_with_its_policy(desk):
    one = desk(image_reliability='reliable')
    one.camera('camera/image_raw', reliability='best_effort')
    assert one.diagnosed('pose: camera', 'QoS policy RELIABILITY')
    assert '/camera/image_raw' in one.statuses['pose: camera'].message


def test_the_network_is_changed_while_it_runs_and_a_bad_one_is_refused(desk, photo, tmp_path):
    one = desk()
    store, camera = one.listen('faces'), one.camera('camera/image_raw')
    stamps = iter(np.arange(5.0, 10.0, 1 / 30))

    def answer() -> Faces:
        return one.ask(camera, store, encode_bgr(photo, header(next(stamps))))

    face = answer().faces[0]
    bad = tmp_path / 'bad.safetensors'
    bad.write_bytes(b'no weights')
    for name in (str(bad), 'no_such_model', str(tmp_path / 'nowhere.safetensors')):
        (result,) = one.pose.set_parameters([Parameter('model', value=name)])
        assert not result.successful
        assert result.reason
        assert answer().faces[0].id == face.id
    assert one.pose.get_parameter('model').value == DEFAULT_MODEL
    for name in (str(write_small('hopenet', tmp_path)), DEFAULT_MODEL):
        (result,) = one.pose.set_parameters([Parameter('model', value=name)])
        assert result.successful, result.reason
        answer()
        points = answer().faces[0].landmarks.image_points
        assert len(points) == (136 if name == DEFAULT_MODEL else 0)


def test_wrong_cameras_regions_and_turns_are_refused(ros):
    for name, value in (
        ('cameras', ['left', 'left']),
        ('cameras', ['no spaces']),
        ('image_region', [0.0, 0.0, 1.0]),
        ('image_region', [0.0, 0.0, 1.0, 0.0]),
        ('quarter_turns', [1.0, 2.0]),
        ('quarter_turns', [0.5]),
    ):
        with pytest.raises(HeadposeError, match=name):
            PoseNode(parameter_overrides=[Parameter(name, value=value)])


def test_what_a_transition_raises_is_logged_and_undone(ros, capfd):
    class Broken(LifecycleNode):
        undone = False

        @reporting
        def on_configure(self, state):
            raise RuntimeError('no memory\nleft')

        @reporting
        def on_error(self, state):
            self.undone = True
            return TransitionCallbackReturn.SUCCESS

    node = Broken('broken')
    assert node.trigger_configure() == TransitionCallbackReturn.ERROR
    assert node.undone
    assert 'configure failed: RuntimeError: no memory left (test_pose_inputs.py:' in ''.join(
        capfd.readouterr()
    )
    node.destroy_node()


def test_a_device_that_cannot_be_taken_again_ends_unconfigured(desk, monkeypatch):
    one = desk()
    one.pose.trigger_deactivate()

    def no_memory(self: Any) -> None:
        raise HeadposeError('out of memory')

    monkeypatch.setattr('headpose_ros.perception.infer.FaceNetwork.wake', no_memory)
    one.pose.trigger_activate()
    assert one.pose._analyzer is None
    monkeypatch.undo()
    assert one.pose.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert one.pose.trigger_activate() == TransitionCallbackReturn.SUCCESS
