"""`headpose doctor` on graphs with something wrong."""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.time import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from test_pose_node import start

from headpose_ros.ros.input.images import encode_bgr
from headpose_ros.ros.node import qos
from headpose_ros.ros.node.shared_memory import abandoned_segments
from headpose_ros.tools.doctor import Report, examine


def test_memory_of_killed_processes_is_found(tmp_path: Path) -> None:
    for name in ('fastdds_00173a9569c30b25', 'fastdds_00b3f390de5c34b3', 'fastdds_port7411'):
        (tmp_path / name).write_bytes(b'x')
        (tmp_path / f'{name}_el').touch()
    (tmp_path / 'fastdds_ffff00001111aaaa').write_bytes(b'without a lock')
    with (tmp_path / 'fastdds_00b3f390de5c34b3_el').open('rb') as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        found = abandoned_segments(tmp_path)
    assert [file.name for file in found] == ['fastdds_00173a9569c30b25']
    assert abandoned_segments(tmp_path / 'nowhere') == []


@pytest.fixture
def empty(own_domain: int) -> Iterator[int]:
    """Initialise rclpy where no other node is."""
    rclpy.init(args=[])
    yield own_domain
    rclpy.try_shutdown()


def test_without_a_pose_node_it_says_how_to_start_one(empty: int) -> None:
    report = examine(0.5)
    assert not report.healthy
    assert 'no pose node is running: ros2 launch' in report.lines[0].text


def test_nodes_of_one_name_are_named(empty: int) -> None:
    twins = [rclpy.create_node('twin', namespace='/left') for _ in range(2)]
    other = rclpy.create_node('twin')
    said = text(examine(0.5))
    for node in (*twins, other):
        node.destroy_node()
    assert 'error 2 nodes have the name /left/twin: ' in said
    assert 'have the name /twin' not in said


def text(report: Report) -> str:
    return '\n'.join(f'{line.level} {line.text}' for line in report.lines)


def report_with(*lines: str, timeout: float = 90.0) -> Report:
    """Examine again and again until a report has these lines: what is diagnosed takes its time."""
    end = time.monotonic() + timeout
    while True:
        report = examine(2.5)
        missing = [line for line in lines if line not in text(report)]
        if not missing:
            return report
        assert time.monotonic() < end, (missing, text(report))


def test_it_tells_topic_policy_and_what_to_do(empty: int) -> None:
    process = start('-p', 'input.reliability:=reliable')
    camera = rclpy.create_node('front_camera')
    elsewhere: Any = camera.create_publisher(Image, 'front/image_raw', qos.reliable())
    try:
        report_with(
            'ok /pose is active',
            'error /camera/image_raw has no publisher; /pose subscribes to it',
            '-r /camera/image_raw:=/front/image_raw',
            'error pose: camera: no images yet on /camera/image_raw',
        )
        camera.destroy_publisher(elsewhere)
        publisher = camera.create_publisher(Image, 'camera/image_raw', qos.sensor_data())
        report_with(
            'error QoS mismatch on /camera/image_raw: front_camera offers best_effort',
            'QoS policy RELIABILITY',
        )
        camera.destroy_publisher(publisher)
        publisher = camera.create_publisher(Image, 'camera/image_raw', qos.reliable())
        timer = camera.create_timer(0.1, lambda: publisher.publish(blank()))
        with spun(camera):
            report = report_with('ok /camera/image_raw has 1 publisher(s)')
            while float(report.values['pose: camera']['rate in (Hz)']) == 0:
                report = report_with('ok /camera/image_raw has 1 publisher(s)')
        camera.destroy_timer(timer)
    finally:
        camera.destroy_node()
        process.kill()
        process.communicate()


def blank() -> Image:
    header = Header(stamp=Time(nanoseconds=time.time_ns()).to_msg(), frame_id='front')
    return encode_bgr(np.zeros((48, 64, 3), np.uint8), header)


@contextmanager
def spun(camera: Any) -> Iterator[None]:
    """Spin the camera in another thread."""
    executor = SingleThreadedExecutor()
    executor.add_node(camera)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    try:
        yield
    finally:
        executor.shutdown()
        thread.join(10)
