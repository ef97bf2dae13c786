"""The camera node in a process of its own, over real DDS."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')

from sensor_msgs.msg import CameraInfo, Image

from headpose_ros.ros.input.calibration import pinhole, save_calibration
from headpose_ros.ros.input.images import decode
from headpose_ros.ros.node import qos
from headpose_ros.sources.source import SourceError

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = 90.0

Start = Callable[..., 'subprocess.Popen[str]']


@pytest.fixture
def start(ros_domain: int) -> Iterator[Start]:
    """Return a function that starts a camera node with parameters; all end with the test."""
    processes = []

    def start_node(**parameters: Any) -> subprocess.Popen[str]:
        command = [sys.executable, '-m', 'headpose_ros.nodes.camera', '--ros-args']
        for name, value in parameters.items():
            command += ['-p', f'{name}:={value}']
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
        process = subprocess.Popen(
            command,
            env={**os.environ, 'PYTHONPATH': path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start_node
    for process in processes:
        process.kill()
        process.communicate(timeout=TIMEOUT)


class Listener:
    """Subscribes to both topics and keeps what comes."""

    def __init__(self, profile: Any) -> None:
        from rclpy.node import Node

        self.node = Node('test_camera_listener')
        self.images: list[Image] = []
        self.infos: list[CameraInfo] = []
        self.node.create_subscription(Image, 'camera/image_raw', self.images.append, profile)
        self.node.create_subscription(CameraInfo, 'camera/camera_info', self.infos.append, profile)

    def both(self, count: int) -> Callable[[], bool]:
        """Return the condition that so many messages came on both topics."""
        return lambda: min(len(self.images), len(self.infos)) >= count


@pytest.fixture
def listen(ros: int) -> Iterator[Callable[..., Listener]]:
    """Return a function that makes a listener."""
    listeners = []

    def make(profile: Any = None) -> Listener:
        listeners.append(Listener(profile or qos.sensor_data(depth=20)))
        return listeners[-1]

    yield make
    for listener in listeners:
        listener.node.destroy_node()


def stamp(message: Any) -> int:
    """Return the stamp of a message in nanoseconds."""
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def write_images(folder: Path, levels: list[int], size: tuple[int, int] = (80, 60)) -> Path:
    """Write a folder of even pictures."""
    for index, level in enumerate(levels):
        image = np.full((size[1], size[0], 3), level, np.uint8)
        cv2.imwrite(str(folder / f'{index}.png'), image)
    return folder


def wait_for_line(process: subprocess.Popen[str], words: str) -> str:
    """Read a process's stderr until a line with some words and return it; '' at its end."""
    assert process.stderr is not None
    # A process that says nothing must not hold the test up for ever.
    guard = threading.Timer(TIMEOUT, process.kill)
    guard.start()
    try:
        return next((line for line in process.stderr if words in line), '')
    finally:
        guard.cancel()


def test_image_and_info_belong_together(
    start: Start, listen: Any, spin_until: Any, tmp_path: Path
) -> None:
    save_calibration(tmp_path / 'camera.yaml', pinhole(160, 120, 1.0))
    listener = listen()
    start(
        source=write_images(tmp_path, [40, 200]),
        rate=20.0,
        frame_id='eye',
        calibration=tmp_path / 'camera.yaml',
    )

    def pairs() -> list[tuple[Image, CameraInfo]]:
        infos = {stamp(info): info for info in listener.infos}
        return [(i, infos[stamp(i)]) for i in listener.images if stamp(i) in infos]

    def levels() -> set[int]:
        return {int(decode(image)[0, 0, 0]) for image, _ in pairs()}

    # Best effort may lose some, so what is waited for is enough pairs of both pictures.
    assert spin_until(listener.node, lambda: len(pairs()) > 5 and len(levels()) > 1, TIMEOUT)
    assert levels() == {40, 200}
    for image, info in pairs():
        assert image.header.frame_id == info.header.frame_id == 'eye'
        assert (image.encoding, image.width, image.height) == ('bgr8', 80, 60)
        assert (info.width, info.height) == (80, 60)
        assert info.k[0] == pytest.approx(pinhole(80, 60, 1.0).k[0])
    stamps = [stamp(image) for image in listener.images]
    assert stamps == sorted(set(stamps))
    assert abs(time.time_ns() - stamps[-1]) < 60 * 10**9


def test_stamps_advance_at_the_rate(
    start: Start, listen: Any, spin_until: Any, tmp_path: Path
) -> None:
    listener = listen(qos.reliable(50))
    start(source=write_images(tmp_path, [10, 20, 30]), rate=10.0, reliability='reliable')
    assert spin_until(listener.node, listener.both(12), TIMEOUT)
    steps = np.diff([stamp(image) for image in listener.images]) / 1e9
    # A machine that does other things stretches the steps, and never shortens most of them.
    assert 0.05 < np.median(steps) < 0.9


def test_uncalibrated_camera_says_so(start: Start, listen: Any, spin_until: Any) -> None:
    listener = listen()
    start(source='astronaut', width=160, rate=10.0)
    assert spin_until(listener.node, listener.both(1), TIMEOUT)
    # A still keeps its shape: the photograph is square.
    assert (listener.images[0].width, listener.images[0].height) == (160, 160)
    assert (listener.infos[0].width, listener.infos[0].height) == (160, 160)
    assert not any(listener.infos[0].k)
    assert listener.infos[0].header.frame_id == 'camera_optical_frame'


@pytest.mark.parametrize('name', qos.RELIABILITIES)
def test_reliability_is_the_parameters(
    name: str, start: Start, listen: Any, spin_until: Any, tmp_path: Path
) -> None:
    listener = listen()
    start(source=write_images(tmp_path, [1]), rate=10.0, reliability=name, horizontal_fov=1.2)
    assert spin_until(listener.node, listener.both(1), TIMEOUT)
    for topic in ('camera/image_raw', 'camera/camera_info'):
        (publisher,) = listener.node.get_publishers_info_by_topic(f'/{topic}')
        assert publisher.qos_profile.reliability == qos.from_name(name).reliability
    assert listener.infos[0].k[0] == pytest.approx(pinhole(80, 60, 1.2).k[0])


def test_a_best_effort_camera_reaches_best_effort_subscribers_alone(
    start: Start, listen: Any, spin_until: Any, tmp_path: Path
) -> None:
    deaf, hearing = listen(qos.reliable()), listen(qos.sensor_data())
    start(source=write_images(tmp_path, [1]), rate=20.0, reliability='best_effort')
    assert spin_until(hearing.node, hearing.both(10), TIMEOUT)
    spin_until(deaf.node, deaf.both(1), 1.0)
    assert not deaf.images and not deaf.infos


def test_end_of_a_source_that_does_not_loop(
    start: Start, listen: Any, spin_until: Any, tmp_path: Path
) -> None:
    listener = listen(qos.reliable(20))
    process = start(
        source=write_images(tmp_path, [1, 2, 3]), rate=20.0, loop='false', reliability='reliable'
    )
    assert 'nothing more is published' in wait_for_line(process, 'end of')
    spin_until(listener.node, lambda: len(listener.images) > 3, 1.0)
    assert len(listener.images) <= 3
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0 and 'end of' not in rest


@pytest.mark.parametrize(
    ('parameters', 'words'),
    [
        ({'source': '/no/such/clip.mp4'}, 'no such file or folder: /no/such/clip.mp4'),
        ({'source': 977}, 'no such device: /dev/video977'),
        ({'source': 'FOLDER', 'calibration': '/no/such.yaml'}, 'cannot read calibration'),
        ({'source': 'FOLDER', 'calibration': 'WRONG'}, 'aspect ratio'),
        ({'source': 'FOLDER', 'width': 100, 'height': 100}, 'does not fit 100x100'),
        ({'source': 'FOLDER', 'rate': -1.0}, 'parameter rate is -1.0: expected 0.0 to 1000.0 Hz'),
        ({'source': 'FOLDER', 'calibration': 'WRONG', 'horizontal_fov': 1.0}, 'at most one'),
        ({'source': 'BROKEN'}, 'none of the 1 images'),
    ],
)
def test_errors_are_one_line_and_exit_code_2(
    start: Start, tmp_path: Path, parameters: dict[str, Any], words: str
) -> None:
    for name in ('FOLDER', 'BROKEN'):
        (tmp_path / name).mkdir()
    write_images(tmp_path / 'FOLDER', [1])
    (tmp_path / 'BROKEN' / '1.png').write_bytes(b'broken')
    save_calibration(tmp_path / 'WRONG', pinhole(1280, 720, 1.0))
    own = {k: tmp_path / v if str(v).isupper() else v for k, v in parameters.items()}
    process = start(**own)
    _, output = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 2
    lines = [line for line in output.splitlines() if 'skipped' not in line]
    assert len(lines) == 1 and lines[0].startswith('headpose_ros: error: '), output
    assert words in lines[0]


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('pause', [0.0, 0.02, 0.2])
def test_two_signals_end_cleanly(
    number: signal.Signals, pause: float, start: Start, tmp_path: Path
) -> None:
    process = start(source=write_images(tmp_path, [1]), rate=100.0)
    assert wait_for_line(process, 'publishing')
    process.send_signal(number)
    time.sleep(pause)
    process.send_signal(number)
    _, output = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, output
    assert 'Traceback' not in output and 'Interrupt' not in output and 'Error' not in output


class FakeDevice:
    """A live source that gives numbered frames as fast as a camera of 100 Hz, then is gone."""

    name, fps, is_live, is_still = '/dev/video0', 100.0, True, False
    is_film, time = False, 0.0

    def __init__(self, frames: int) -> None:
        self.left = frames
        self.readers: set[int] = set()
        self.closed = False

    def read(self) -> np.ndarray | None:
        self.readers.add(threading.get_ident())
        time.sleep(0.01)
        self.left -= 1
        return np.full((6, 8, 3), self.left % 256, np.uint8) if self.left >= 0 else None

    def rewind(self) -> None:
        """Go on."""

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def device_node(ros: int, monkeypatch: Any) -> Iterator[Callable[..., Any]]:
    """Return a function that makes a camera node on a fake device in this process."""
    from rclpy.parameter import Parameter

    from headpose_ros.nodes import camera

    nodes = []

    def make(device: FakeDevice, **options: Any) -> Any:
        monkeypatch.setattr(camera, 'open_stream', lambda *_, **__: device)
        rate = Parameter('rate', value=options.pop('rate', 0.0))
        reliable = Parameter('reliability', value='reliable')
        node = camera.CameraNode(parameter_overrides=[rate, reliable], **options)
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        node.destroy_node()


def test_device_is_read_in_a_thread_and_opened_again_when_it_is_gone(
    device_node: Any, listen: Any, spin_until: Any, monkeypatch: Any, capfd: Any
) -> None:
    from headpose_ros.nodes import camera
    from headpose_ros.ros.node.diagnostics import ERROR

    monkeypatch.setattr(camera, '_FIRST_PAUSE', 0.01)
    listener = listen(qos.reliable(200))
    first, second = FakeDevice(10**9), FakeDevice(10**9)
    node = device_node(first)
    assert spin_until(listener.node, listener.both(10), TIMEOUT)
    assert threading.get_ident() in first.readers  # the first frame, while opening
    assert len(first.readers) == 2
    tried: list[float] = []
    is_back = threading.Event()

    def open_again(*_: Any, **__: Any) -> FakeDevice:
        tried.append(time.monotonic())
        if len(tried) < 5 or not is_back.is_set():
            raise SourceError('no such device: /dev/video0')
        return second

    monkeypatch.setattr(camera, 'open_stream', open_again)
    monkeypatch.setattr(camera, 'SILENT_AFTER', 0.0)
    first.left = 0
    assert spin_until(listener.node, lambda: len(tried) > 2, TIMEOUT)
    (status,) = node._statuses()
    is_back.set()
    assert status.level == ERROR and 'no frames from /dev/video0' in status.message
    assert spin_until(listener.node, lambda: bool(second.readers), TIMEOUT)
    seen = len(listener.images)
    assert spin_until(listener.node, lambda: len(listener.images) > seen, TIMEOUT)
    assert first.closed and not node.finished
    # Each pause is at least twice the one before the last one, however busy the machine is.
    assert tried[4] - tried[3] >= 0.01 * 2**4
    log = capfd.readouterr().err
    assert log.count('no more frames from /dev/video0') == log.count('opened /dev/video0') == 1


def test_a_device_that_comes_and_goes_is_reported_once(monkeypatch: Any) -> None:
    from headpose_ros.nodes.camera import _Outage

    outage, now = _Outage(), 0.0
    pauses = []
    for _ in range(8):
        assert outage.is_new() == (not pauses)
        pauses.append(outage.pause())
        for _ in range(3):
            now += 1.0
            outage.note_frame(now)
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]
    for _ in range(12):
        now += 1.0
        outage.note_frame(now)
    assert outage.is_new()


def test_a_device_that_raises_is_as_good_as_gone(
    device_node: Any, listen: Any, spin_until: Any, monkeypatch: Any
) -> None:
    from headpose_ros.nodes import camera

    monkeypatch.setattr(camera, '_FIRST_PAUSE', 0.01)
    listener = listen(qos.reliable(200))
    device = FakeDevice(10**9)
    node = device_node(device)
    failures: list[cv2.error] = []

    def read(self: FakeDevice) -> np.ndarray | None:
        if len(failures) < 2:
            failures.append(cv2.error('the driver is gone'))
            raise failures[-1]
        return good(self)

    good = FakeDevice.read
    assert spin_until(listener.node, listener.both(3), TIMEOUT)
    monkeypatch.setattr(FakeDevice, 'read', read)
    assert spin_until(listener.node, lambda: len(failures) == 2, TIMEOUT)
    seen = len(listener.images)
    assert spin_until(listener.node, lambda: len(listener.images) > seen + 3, TIMEOUT)
    assert node.failures.counts()['/dev/video0'] >= 1


def test_device_rate_is_reduced_to_the_wanted_one(
    device_node: Any, listen: Any, spin_until: Any
) -> None:
    listener = listen(qos.reliable(200))
    device_node(FakeDevice(10**9), rate=10.0)
    assert spin_until(listener.node, listener.both(8), TIMEOUT)
    stamps = [stamp(image) for image in listener.images]
    assert (stamps[-1] - stamps[0]) / 1e9 / (len(stamps) - 1) > 0.08


@pytest.mark.parametrize(
    ('device', 'wanted', 'left'),
    [
        (30.0, 0.0, 30.0),
        (30.0, 10.0, 10.0),
        (30.0, 29.0, 29.0),
        (15.0, 10.0, 10.0),
        (10.0, 30.0, 10.0),
    ],
)
def test_pace_keeps_the_wanted_rate(device: float, wanted: float, left: float) -> None:
    from headpose_ros.nodes.camera import _Pace

    pace = _Pace(wanted)
    times = np.arange(0.0, 20.0, 1.0 / device)
    published = [float(t) for t in times if pace.due(float(t))]
    assert len(published) / 20.0 == pytest.approx(left, rel=0.05)
    # After a pause of the device no burst follows.
    assert pace.due(100.0) and pace.due(100.0 + 1e-6) == (wanted == 0.0)


@pytest.mark.parametrize('rate', [0.0, 20.0])
def test_frames_are_due_at_their_presentation_times(rate: float) -> None:
    from headpose_ros.nodes.camera import _Timetable

    shown = [0.0, 0.033, 0.066, 0.266, 0.466]
    due = [0.0, 0.033, 0.066, 0.266, 0.466, 0.466 + 1 / 30, 0.5 + 1 / 30 - 1 / 1000]
    timetable = _Timetable(rate, 30.0)
    # A second round follows one usual step behind the first.
    pauses = [timetable.pause(time, 100.0) for time in [*shown, 0.0, 0.033]]
    expected = np.arange(7) / rate if rate else due
    np.testing.assert_allclose(pauses, expected, atol=1e-9)
    # After a delay of the machine no burst follows.
    assert timetable.pause(0.066, 200.0) == 0.0
    assert timetable.pause(0.099, 200.0) == pytest.approx(1 / rate if rate else 0.033)


def test_a_film_plays_at_its_own_times(
    start: Start, listen: Any, spin_until: Any, tmp_path: Path
) -> None:
    video = pytest.importorskip('headpose_ros.sources.video_writer', reason='PyAV is needed')
    times = [0.0, 0.05, 0.1, 0.15, 0.2, 0.8, 1.4, 2.0]
    with video.VideoWriter(tmp_path / 'film.mp4') as writer:
        for index, time_s in enumerate(times):
            writer.write(np.full((60, 80, 3), 20 + 25 * index, np.uint8), time_s)
    listener = listen(qos.reliable(20))
    process = start(source=tmp_path / 'film.mp4', loop='true')
    assert 'at the times of its frames' in wait_for_line(process, 'publishing')
    assert spin_until(listener.node, listener.both(30), TIMEOUT)
    levels = np.array([int(decode(image)[30, 40, 0]) for image in listener.images])
    frames = np.round((levels - 20) / 25).astype(int)
    steps = np.diff([stamp(image) for image in listener.images]) / 1e9
    follows = np.diff(frames) == 1
    film = np.diff(times)[frames[:-1][follows]]
    # A busy machine makes single pictures late; half of them are not.
    assert np.median(np.abs(steps[follows] - film)) < 0.03


def test_the_first_line_says_what_to_set_for_metres(device_node: Any, capfd: Any) -> None:
    node = device_node(FakeDevice(10**9))
    (line,) = [line for line in ''.join(capfd.readouterr()).splitlines() if 'publishing' in line]
    assert 'poses are rotations only' in line and 'horizontal_fov' in line
    node._config = replace(node._config, horizontal_fov=1.0)
    assert node._hint() == ''


def test_destroying_the_node_closes_the_device(device_node: Any) -> None:
    device = FakeDevice(10**9)
    node = device_node(device)
    node.destroy_node()
    assert device.closed
    left = device.left
    time.sleep(0.1)
    assert device.left == left


def test_frames_of_a_wrong_shape_are_dropped_and_the_next_good_one_comes(
    start: Start, listen: Any, spin_until: Any, tmp_path: Path
) -> None:
    write_images(tmp_path, [50])
    cv2.imwrite(str(tmp_path / '1.png'), np.full((80, 80, 3), 99, np.uint8))
    cv2.imwrite(str(tmp_path / '2.png'), np.full((60, 80, 3), 150, np.uint8))
    listener = listen()
    start(source=tmp_path, rate=20.0, width=80, height=60)

    def levels() -> set[int]:
        return {int(decode(image)[0, 0, 0]) for image in listener.images}

    assert spin_until(listener.node, lambda: len(levels()) >= 2, TIMEOUT)
    spin_until(listener.node, lambda: 99 in levels(), 1.0)
    assert levels() == {50, 150}
