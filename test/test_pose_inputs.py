"""The pose node's input side over real DDS: cameras, time, QoS, diagnostics, changes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
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
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest
from small_models import write_small
from std_msgs.msg import Header

from headpose_ros import DEFAULT_MODEL
from headpose_ros.errors import HeadposeError
from headpose_ros.msg import Faces
from headpose_ros.nodes.pose import PoseNode
from headpose_ros.nodes.pose_parameters import id_prefix
from headpose_ros.ros.input.calibration import pinhole, uncalibrated
from headpose_ros.ros.input.images import encode_bgr
from headpose_ros.ros.input.still import StillPicture
from headpose_ros.ros.node import qos
from headpose_ros.ros.node.lifecycle import log_failures
from headpose_ros.ros.node.parameters import ParameterProblem
from headpose_ros.sources.photograph import photograph

FRAME = 'cabin_optical_frame'
OK = DiagnosticStatus(message='OK')
TIMEOUT = 60.0


@pytest.fixture(scope='module')
def photo() -> np.ndarray:
    return photograph()


class Desk:
    """The pose node, cameras and a listener in one process; `a__b` sets the parameter `a.b`."""

    def __init__(self, photo: np.ndarray, remap: Sequence[str] = (), **parameters: Any) -> None:
        self.photo = photo
        values = {'network__device': 'cpu', 'tracking__confirm_hits': 1, **parameters}
        rules = [word for rule in remap for word in ('-r', rule)]
        self.pose = PoseNode(
            cli_args=['--ros-args', *rules],
            parameter_overrides=[
                Parameter(name.replace('__', '.'), value=value) for name, value in values.items()
            ],
        )
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


def test_two_nodes_share_neither_ids_nor_statuses_nor_hints(desk, photo):
    ids = []
    for namespace in ('', 'left'):
        one = desk(remap=[f'__ns:=/{namespace}'])
        full = f'/{namespace}'.rstrip('/')
        hint = f'-r {full}/camera/image_raw:=<its topic>'
        assert one.diagnosed(f'{full}/pose: camera'.lstrip('/'), hint)
        camera = one.camera(f'{full}/camera/image_raw')
        answer = one.ask(camera, one.listen(f'{full}/faces'), encode_bgr(photo, header(5.0)))
        ids += [face.id for face in answer.faces]
    assert ids == ['f1', 'f' + ids[1][1:5] + '1']
    assert ids[1][1:5].isalpha()


@pytest.mark.parametrize(('extension', 'kind'), [('.jpg', 'jpeg'), ('.png', 'png')])
def test_compressed_images_do_as_raw_ones(desk, photo, extension, kind):
    one = desk(input__transport='compressed')
    store, camera = one.listen('faces'), one.camera('camera/image_raw/compressed', CompressedImage)
    data = cv2.imencode(extension, photo)[1].tobytes()
    answer = one.ask(camera, store, CompressedImage(header=header(5.0), format=kind, data=data))
    assert (answer.image_width, answer.image_height) == (512, 512)
    assert len(answer.faces) == 1


def test_the_same_frames_give_the_same_at_any_rate_and_in_a_loop(desk, photo):
    one = desk(tracking__confirm_hits=2)
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
    assert one.diagnosed('pose: node', 'use_sim_time is true and /clock has no publisher')
    assert one.statuses['pose: node'].level == DiagnosticStatus.WARN
    clock = one.node.create_publisher(Clock, '/clock', 1)
    assert one.diagnosed('pose: node', '/clock has no message yet')

    def runs() -> bool:
        clock.publish(Clock(clock=Time(sec=5)))
        return one.statuses['pose: node'].message == 'OK'

    assert one.until(runs)


def test_a_frame_that_cannot_be_reached_is_an_error_in_diagnostics(desk, photo):
    one = desk(output__frame='base_link')
    camera = one.camera('camera/image_raw')
    image = encode_bgr(photo, header(5.0))

    def said() -> bool:
        camera.publish(image)
        message = one.statuses.get('pose: camera', OK).message
        return 'no poses are published: no transform' in message

    assert one.until(said)
    assert one.statuses['pose: camera'].level == DiagnosticStatus.ERROR
    assert 'base_link' in one.statuses['pose: camera'].message


def test_old_images_are_dropped_where_an_age_is_set(desk, photo):
    one = desk(input__max_age=0.5)
    store, camera = one.listen('faces'), one.camera('camera/image_raw')
    camera.publish(encode_bgr(photo, header(5.0)))
    assert one.until(lambda: one.pose.summary()['frames_late'] == 1)
    one.ask(camera, store, encode_bgr(photo, header(time.time())))
    summary = one.pose.summary()
    assert (summary['frames_in'], summary['frames_out']) == (2, 1)


class Stream:
    """A camera that sends images, no two alike, for as long as the desk spins."""

    def __init__(self, desk: Desk) -> None:
        self._images = desk.camera('camera/image_raw')
        self._infos = desk.camera('camera/camera_info', CameraInfo)
        self._photos = (np.roll(desk.photo, step, axis=1) for step in count(1))
        self.info: CameraInfo | None = None
        self.ahead = 0.0  # seconds that the stamps are in the future
        self.timer = desk.node.create_timer(0.1, self._send)

    def _send(self) -> None:
        if self.info is not None:
            self._infos.publish(self.info)
        self._images.publish(encode_bgr(next(self._photos), header(time.time() + self.ahead)))


def test_diagnostics_say_what_is_wrong_and_what_to_do(desk, photo):
    one = desk()
    assert one.diagnosed('pose: camera', 'no images yet on /camera/image_raw: it has no publisher')
    assert one.statuses['pose: camera'].level == DiagnosticStatus.ERROR
    stream = Stream(one)

    def shows(text: str, info: Any = None) -> bool:
        stream.info = info
        return one.diagnosed('pose: camera', text)

    assert shows('no camera_info yet')
    zero, nan, good = uncalibrated(512, 512), pinhole(512, 512, 1.0), pinhole(512, 512, 1.0)
    nan.k = np.full(9, np.nan)
    assert shows('uncalibrated (K is zero)', zero)
    assert shows('NaN', nan)
    assert shows("frames differ: images are in 'cabin_optical_frame', camera_info in ''", good)
    good.header.frame_id = FRAME
    good.width = 640
    assert shows('camera_info is for 640x512, images are 512x512', good)
    good.width = 512
    one.statuses.clear()
    assert shows('OK', good)
    values = {v.key: v.value for v in one.statuses['pose: camera'].values}
    assert {'rate in (Hz)', 'rate out (Hz)', 'age p95 (ms)', 'infer median (ms)'} <= set(values)
    stream.ahead = 60.0
    assert one.diagnosed('pose: camera', 'in the future')
    stream.ahead = -60.0
    assert one.diagnosed('pose: camera', 'stale')
    one.node.destroy_timer(stream.timer)
    assert one.diagnosed('pose: camera', 'no images for')


def place(answer: Faces) -> np.ndarray:
    """Return where the only face is, m."""
    (face,) = answer.faces
    assert face.head_pose.translation_is_metric
    position = face.head_pose.pose.pose.position
    return np.array([position.x, position.y, position.z])


def angles(answer: Faces) -> np.ndarray:
    """Return yaw, pitch and roll of the only face in rad."""
    head = answer.faces[0].head_pose
    return np.array([head.yaw, head.pitch, head.roll])


class Calibrated:
    """A camera of a desk that sends a camera_info with every image."""

    def __init__(self, one: Desk, image: str, info: str, kind: Any = Image) -> None:
        self.desk, self.store = one, one.listen('faces')
        self.images, self.infos = one.camera(image, kind), one.camera(info, CameraInfo)
        self.seconds = 5.0

    def answer(self, picture: np.ndarray, info: CameraInfo, frame: str = FRAME) -> Faces:
        self.seconds += 2.0  # filters start anew, ids are forgotten
        head = header(self.seconds, frame)
        message = encode_bgr(picture, head)
        if self.images.msg_type is CompressedImage:
            data = cv2.imencode('.png', picture)[1].tobytes()
            message = CompressedImage(header=head, format='png', data=data)
        info.header = message.header
        self.infos.publish(info)
        camera = self.desk.pose._cameras['camera']
        assert self.desk.until(lambda: camera.info and camera.info.header == head)
        return self.desk.ask(self.images, self.store, message)


def calibrated(one: Desk) -> Calibrated:
    return Calibrated(one, 'camera/image_raw', 'camera/camera_info')


def test_binned_and_cropped_pictures_have_the_pose_of_the_full_one(desk, photo):
    camera = calibrated(desk())
    large = cv2.resize(photo, (1024, 1024), interpolation=cv2.INTER_LINEAR)
    full = pinhole(1024, 1024, 1.0)
    binned = pinhole(1024, 1024, 1.0)
    binned.binning_x = binned.binning_y = 2
    cropped = pinhole(1024, 1024, 1.0)
    cropped.roi = RegionOfInterest(x_offset=300, y_offset=10, width=500, height=480)
    both = pinhole(1024, 1024, 1.0)
    both.roi, both.binning_x, both.binning_y = cropped.roi, 2, 2
    part = np.ascontiguousarray(large[10:490, 300:800])
    half, quarter = (
        cv2.resize(p, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for p in (large, part)
    )
    truth = camera.answer(large, full)
    for picture, info in ((half, binned), (part, cropped), (quarter, both)):
        answer = camera.answer(picture, info)
        assert place(answer) == pytest.approx(place(truth), rel=0.03, abs=0.01)
        assert angles(answer) == pytest.approx(angles(truth), abs=np.radians(2))


@pytest.mark.parametrize(
    ('topic', 'kind', 'parameters'),
    [
        ('/cam/image_rect_color', Image, {}),
        ('/cam/image_rect/compressed', CompressedImage, {'input__transport': 'compressed'}),
        ('/cam/undistorted', Image, {'input__rectified': True}),
    ],
)
def test_of_rectified_pictures_p_counts(desk, photo, topic, kind, parameters):
    inner = 'camera/image_raw' + ('/compressed' if kind is CompressedImage else '')
    rules = [f'{inner}:={topic}', 'camera/camera_info:=/cam/camera_info']
    camera = Calibrated(desk(remap=rules, **parameters), topic, '/cam/camera_info', kind)
    plain, lens = pinhole(512, 512, 1.0), pinhole(512, 512, 1.6)
    lens.p = plain.p
    lens.d = [-0.3, 0.08, 0.0, 0.0, 0.0]
    truth, answer = camera.answer(photo, plain), camera.answer(photo, lens)
    assert place(answer) == pytest.approx(place(truth), abs=0.005)
    lens.p = np.zeros(12)
    answer = camera.answer(photo, lens)
    assert not answer.faces[0].head_pose.translation_is_metric
    assert camera.desk.diagnosed('pose: camera', 'uncalibrated (P is zero)')
    values = {v.key: v.value for v in camera.desk.statuses['pose: camera'].values}
    assert values['calibration'] == 'P, for rectified images'


def test_what_counts_as_rectified_may_change_while_the_node_runs(desk, photo):
    camera = calibrated(desk())
    info = pinhole(512, 512, 1.0)
    info.p = pinhole(512, 512, 2.0).p
    raw = place(camera.answer(photo, info))
    (result,) = camera.desk.pose.set_parameters([Parameter('input.rectified', value='true')])
    assert result.successful, result.reason
    rectified = place(camera.answer(photo, info))
    # Half the field of view at the same size in the picture is farther away.
    ratio = np.tan(1.0) / np.tan(0.5)
    assert np.linalg.norm(raw) / np.linalg.norm(rectified) == pytest.approx(ratio, rel=0.3)


@pytest.fixture
def unthrottled(monkeypatch):
    """Let every warning through: what is told once is so by itself."""
    monkeypatch.setattr('headpose_ros.ros.input.camera_input._WARNING_PERIOD', 0.0)


def test_a_calibration_that_cannot_be_used_costs_no_frame_and_is_told_once(
    desk, photo, capfd, unthrottled
):
    camera = calibrated(desk())
    good = pinhole(512, 512, 1.0)
    bad = [pinhole(512, 512, 1.0) for _ in range(4)]
    bad[0].d = [0.1] * 6
    bad[1].distortion_model = 'omnidirectional'
    bad[2].k[0] = np.nan
    bad[3].width = 256
    said = ('D has 6', "'omnidirectional'", 'K holds NaN', 'is for 256x512, images are 512x512')
    for info, text in zip(bad, said, strict=True):
        for _ in range(3):
            answer = camera.answer(photo, info)
            assert not answer.faces[0].head_pose.translation_is_metric
        assert camera.desk.diagnosed('pose: camera', text)
        assert 'rotations only' in camera.desk.statuses['pose: camera'].message
        place(camera.answer(photo, good))
    summary = camera.desk.pose.summary()
    assert summary['frames_out'] == summary['frames_in'] == 16
    logged = ''.join(capfd.readouterr())
    assert [logged.count(text) for text in said] == [1] * 4
    assert logged.count('rotations only') == logged.count('camera is calibrated') == 4


def test_calibrations_that_alternate_do_not_fill_the_log(desk, capfd):
    camera = desk().pose._cameras['camera']
    good, bad = pinhole(512, 512, 1.0), pinhole(512, 512, 1.0)
    bad.d = [0.1] * 6
    for number in range(50):
        camera._take_info(bad if number % 2 else good)
        found = camera.calibration(header(number), (512, 512))
        assert (found is None) == bool(number % 2)
    logged = ''.join(capfd.readouterr())
    assert logged.count('D has 6') == logged.count('camera is calibrated') == 1


@pytest.mark.parametrize('frame', ['', '/cabin'])
def test_a_frame_that_tf_cannot_have_is_told_once(desk, photo, capfd, unthrottled, frame):
    camera = calibrated(desk())
    for _ in range(3):
        answer = camera.answer(photo, pinhole(512, 512, 1.0), frame)
    assert answer.header.frame_id == frame
    said = 'frame_id is empty: no face has a frame on /tf' if not frame else "is '/cabin': tf2 has"
    assert camera.desk.diagnosed('pose: camera', said)
    assert ''.join(capfd.readouterr()).count(said) == 1
    camera.answer(photo, pinhole(512, 512, 1.0))
    assert camera.desk.until(lambda: said not in camera.desk.statuses['pose: camera'].message)


def test_frame_ids_of_any_length_leave_diagnostics_short(desk, photo):
    camera = calibrated(desk())
    for number in range(3):
        answer = camera.answer(photo, pinhole(512, 512, 1.0), f'{number}' * 10_000)
        assert len(answer.faces) == 1
    assert camera.desk.diagnosed('pose: camera', '')
    status = camera.desk.statuses['pose: camera']
    assert camera.desk.until(lambda: camera.desk.statuses['pose: camera'].hardware_id[:1] == '2')
    assert len(status.hardware_id) + len(status.message) < 2000


def test_a_picture_that_stands_still_is_a_warning(desk, photo):
    one = desk()
    camera, store = one.camera('camera/image_raw'), one.listen('faces')

    def status() -> Any:
        one.ask(camera, store, encode_bgr(photo, header(time.time())))
        return one.statuses.get('pose: camera')

    said = 'the image has not changed for '
    assert one.until(lambda: (found := status()) is not None and said in found.message)
    found = one.statuses['pose: camera']
    assert found.level == DiagnosticStatus.WARN
    assert 'expected where the source is a single image file' in found.message


@pytest.mark.parametrize('kind', [Image, CompressedImage])
def test_only_the_same_bytes_are_a_still_picture(kind):
    still, data = StillPicture(), bytearray(range(256)) * 40
    for now, changed, seconds in ((5.0, 0, 0.0), (6.5, 0, 1.5), (7.0, 1, 0.0), (9.0, 0, 2.0)):
        # Of so few bytes every third is looked at.
        data[100:111] = bytes((value + changed) % 256 for value in data[100:111])
        still.update(now, kind(data=bytes(data)))
        assert still.seconds == pytest.approx(seconds)
    still.update(3.0, kind(data=bytes(data)))
    assert still.seconds == 0.0
    still.update(4.0, kind())
    assert still.seconds == 0.0


def test_a_camera_that_offers_too_little_is_named_with_its_policy(desk):
    one = desk(input__reliability='reliable')
    one.camera('camera/image_raw', reliability='best_effort')
    assert one.diagnosed('pose: camera', 'QoS policy RELIABILITY')
    assert '/camera/image_raw' in one.statuses['pose: camera'].message


def test_the_network_is_changed_while_it_runs_and_a_bad_one_is_refused(
    desk, photo, tmp_path, capfd
):
    one = desk()
    assert f'weights {DEFAULT_MODEL} of the network mnn_lite' in ''.join(capfd.readouterr())
    store, camera = one.listen('faces'), one.camera('camera/image_raw')
    stamps = iter(np.arange(5.0, 10.0, 1 / 30))

    def answer() -> Faces:
        return one.ask(camera, store, encode_bgr(photo, header(next(stamps))))

    face = answer().faces[0]
    bad = tmp_path / 'bad.safetensors'
    bad.write_bytes(b'no weights')
    pipe = tmp_path / 'pipe.safetensors'
    os.mkfifo(pipe)
    paths = [bad, tmp_path / 'nowhere.safetensors', tmp_path, pipe, '/dev/zero']
    for name in (*map(str, paths), 'no_such_model', 'x' * 300 + '.safetensors', 'x' * 70_000):
        (result,) = one.pose.set_parameters([Parameter('network.model', value=name)])
        assert not result.successful
        assert result.reason
        assert answer().faces[0].id == face.id
    assert one.pose.get_parameter('network.model').value == DEFAULT_MODEL
    for name in (str(write_small('hopenet', tmp_path)), DEFAULT_MODEL):
        (result,) = one.pose.set_parameters([Parameter('network.model', value=name)])
        assert result.successful, result.reason
        answer()
        points = answer().faces[0].landmarks.image_points
        assert len(points) == (136 if name == DEFAULT_MODEL else 0)
        assert f'weights {name} of the network' in ''.join(capfd.readouterr())


def test_prefixes_of_ids_are_stable_unlike_and_checked():
    assert id_prefix('', '/pose') == 'f'
    assert id_prefix('', '/left/pose') == 'fbckc'
    made = {id_prefix('', f'/robot{number}/pose') for number in range(50)}
    assert len(made) == 50 and all(prefix.isalpha() for prefix in made)
    assert id_prefix('cam2_', '/pose') == 'cam2_'
    for bad in ('2a', 'a2', '_a', 'a b', 'é', 'a/b'):
        with pytest.raises(ParameterProblem, match='id_prefix'):
            id_prefix(bad, '/pose')


def test_wrong_cameras_regions_and_turns_are_refused(ros):
    for name, value in (
        ('cameras', ['left', 'left']),
        ('cameras', ['no spaces']),
        ('view.region', [0.0, 0.0, 1.0]),
        ('view.region', [0.0, 0.0, 1.0, 0.0]),
        ('view.quarter_turns', [1.0, 2.0]),
        ('view.quarter_turns', [0.5]),
    ):
        with pytest.raises(HeadposeError, match=name):
            PoseNode(parameter_overrides=[Parameter(name, value=value)])


def test_what_a_transition_raises_is_logged_and_undone(ros, capfd):
    class Broken(LifecycleNode):
        undone = False

        @log_failures
        def on_configure(self, state):
            raise RuntimeError('no memory\nleft')

        @log_failures
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
