"""How nodes end: by a signal, by an error, by a network or a device that hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')

import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from headpose_ros.nodes.runner import GRACE
from headpose_ros.ros.input.images import encode_bgr
from headpose_ros.ros.node import qos, worker
from headpose_ros.ros.node.diagnostics import ERROR
from headpose_ros.ros.node.worker import Watch, Worker, hanging

ROOT = Path(__file__).parents[1]
TIMEOUT = 90.0
#: A process that a busy machine wakes late is no failure; one that waits for its worker is.
LATE = 15.0

HANGING_NETWORK = """
import sys, time
from headpose_ros.nodes import pose
from headpose_ros.perception.analyze import Analyzer
Analyzer.track_together = lambda self, frames: time.sleep(1e6)
if 'soon' in sys.argv:
    pose.STALLED_AFTER = 1.0
sys.exit(pose.main())
"""
BUSY_CALLBACK = """
import sys, time
from headpose_ros.nodes import driver
def watch(self):
    print('busy', flush=True)
    time.sleep(1e6)
driver.DriverNode._watch_silence = watch
sys.exit(driver.main())
"""
HANGING_DEVICE = """
import sys, time, numpy
from headpose_ros.nodes import camera
from headpose_ros.sources.source import Source
class Device(Source):
    is_live, name, first = True, '/dev/video0', True
    def read(self):
        if not self.first:
            print('busy', flush=True)
            time.sleep(1e6)
        self.first = False
        return numpy.zeros((6, 8, 3), numpy.uint8)
    def rewind(self):
        pass
camera.open_stream = lambda *_, **__: Device()
sys.exit(camera.main())
"""
FAILING_CONFIGURE = """
import sys
from headpose_ros.nodes import driver
def make(self):
    raise RuntimeError('no zones left')
driver.DriverNode._make_monitor = make
sys.exit(driver.main())
"""
FAILING_ACTIVATE = """
import sys
from headpose_ros.nodes import driver
def create(self, *_, **__):
    raise RuntimeError('no topics left')
driver.DriverNode.create_subscription = create
sys.exit(driver.main())
"""
SEVERAL = """
import sys
from headpose_ros.nodes.overlay import OverlayNode
from headpose_ros.nodes.runner import run
from headpose_ros.errors import HeadposeError
class First(OverlayNode):
    def destroy_node(self):
        print('first is destroyed', flush=True)
        super().destroy_node()
def second():
    if 'broken' in sys.argv:
        raise HeadposeError('no second node')
    node = OverlayNode()
    node.create_timer(0.1, lambda: node.end('the second node is tired'))
    return node
sys.exit(run([First, second], []))
"""

Start = Callable[..., 'subprocess.Popen[str]']


@pytest.fixture
def start(ros_domain: int) -> Iterator[Start]:
    """Return a function that runs a program; all end with the test."""
    processes = []

    def start_program(program: str, *arguments: str) -> subprocess.Popen[str]:
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
        process = subprocess.Popen(
            [sys.executable, '-c', program, *arguments],
            env={**os.environ, 'PYTHONPATH': path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        processes.append(process)
        return process

    yield start_program
    for process in processes:
        process.kill()
        process.communicate(timeout=TIMEOUT)


def read_until(process: subprocess.Popen[str], words: str) -> None:
    """Read what a process writes until some words come."""
    assert process.stdout is not None
    guard = threading.Timer(TIMEOUT, process.kill)
    guard.start()
    assert any(words in line for line in process.stdout), f'never wrote {words!r}'
    guard.cancel()


def end(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """Send a signal; return what the process writes until it ends, which must be soon."""
    begun = time.monotonic()
    process.send_signal(number)
    text, _ = process.communicate(timeout=TIMEOUT)
    assert time.monotonic() - begun < LATE, text
    return text


class Camera:
    """A camera of grey images, and a listener to diagnostics."""

    def __init__(self, spin_until: Any) -> None:
        self.node = rclpy.create_node('camera_stand_in')
        self._spin_until = spin_until
        self._images = self.node.create_publisher(Image, 'camera/image_raw', qos.reliable())
        self._second = 1000
        self.errors: set[str] = set()
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._diagnosed, 10)
        self.node.create_timer(0.1, self._send)

    def until(self, predicate: Callable[[], Any]) -> bool:
        return bool(self._spin_until(self.node, predicate, TIMEOUT))

    def _send(self) -> None:
        self._second += 1
        header = Header(stamp=Time(sec=self._second), frame_id='camera')
        self._images.publish(encode_bgr(np.full((48, 64, 3), 90, np.uint8), header))

    def _diagnosed(self, message: Any) -> None:
        self.errors |= {f'{s.name}: {s.message}' for s in message.status if s.level == ERROR}


@pytest.fixture
def camera(ros: int, spin_until: Any) -> Iterator[Camera]:
    one = Camera(spin_until)
    yield one
    one.node.destroy_node()


def stalled(camera: Camera) -> bool:
    return any('pose: node: no result for' in error for error in camera.errors)


def test_a_network_that_hangs_ends_the_node_with_its_reason(start: Start, camera: Camera) -> None:
    process = start(HANGING_NETWORK, '--ros-args', '-p', 'network.device:=cpu')
    assert camera.until(lambda: process.poll() is not None)
    text, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 2, text
    errors = [line for line in text.splitlines() if line.startswith('headpose_ros: error:')]
    assert len(errors) == 1 and 'pose: no result for' in errors[0], text
    assert 'inference did not end' in text and 'Traceback' not in text
    assert stalled(camera)


def test_a_network_that_hangs_may_stay_and_a_signal_ends_it(start: Start, camera: Camera) -> None:
    words = ['-p', 'network.device:=cpu', '-p', 'exit_on_stall:=false']
    process = start(HANGING_NETWORK, 'soon', '--ros-args', *words)
    assert camera.until(lambda: stalled(camera))
    # The diagnostics after the one that would have ended it.
    camera.errors.clear()
    assert camera.until(lambda: stalled(camera))
    assert process.poll() is None
    text = end(process, signal.SIGTERM)
    assert process.returncode == 0, text
    assert 'ended by force: inference did not end' in text and 'Traceback' not in text


@pytest.mark.parametrize(
    ('program', 'number'), [(BUSY_CALLBACK, signal.SIGINT), (HANGING_DEVICE, signal.SIGTERM)]
)
def test_a_signal_ends_a_node_whatever_it_does(
    start: Start, program: str, number: signal.Signals
) -> None:
    process = start(program)
    read_until(process, 'busy')
    text = end(process, number)
    assert process.returncode == 0, text
    assert 'ended by force' in text and 'Traceback' not in text


@pytest.mark.parametrize(
    ('program', 'said'),
    [
        (FAILING_CONFIGURE, 'configure failed: RuntimeError: no zones left'),
        (FAILING_ACTIVATE, 'activate failed: RuntimeError: no topics left'),
    ],
)
def test_a_failed_autostart_ends_with_its_reason(start: Start, program: str, said: str) -> None:
    process = start(program)
    text, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 2, text
    errors = [line for line in text.splitlines() if line.startswith('headpose_ros: error:')]
    assert len(errors) == 1 and said in errors[0], text
    assert 'Traceback' not in text


@pytest.mark.parametrize(
    ('argument', 'said'),
    [('broken', 'no second node'), ('', 'overlay: the second node is tired')],
)
def test_several_nodes_end_together(start: Start, argument: str, said: str) -> None:
    process = start(SEVERAL, argument)
    text, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 2, text
    assert f'headpose_ros: error: {said}' in text and 'first is destroyed' in text


def test_the_end_leaves_a_second_to_spare() -> None:
    assert worker.JOIN < GRACE < 5.0


@pytest.fixture
def now(monkeypatch: Any) -> list[float]:
    time_ = [100.0]
    monkeypatch.setattr(worker.time, 'monotonic', lambda: time_[0])
    return time_


def test_silence_counts_from_the_first_work_without_answer(now: list[float]) -> None:
    watch = Watch()
    now[0] += 50
    assert watch.silence() == 0
    watch.given()
    for second in range(1, 6):
        now[0] += 1
        watch.given()
        assert watch.silence() == second
    watch.answered()
    assert watch.silence() == 0
    now[0] += 50
    watch.given()
    now[0] += 1
    assert watch.silence() == 1


def test_a_process_that_stood_still_has_not_stalled(now: list[float]) -> None:
    watch = Watch()
    watch.given()
    now[0] += 3600
    assert watch.silence() == 2


def test_a_worker_that_does_not_end_is_named() -> None:
    go = threading.Event()
    one = Worker('stubborn', lambda: go.wait(TIMEOUT) and None)
    one.start()
    assert not one.ends(within=0.01)
    assert hanging() == ['stubborn']
    go.set()
    assert one.ends(TIMEOUT)
    assert hanging() == []
