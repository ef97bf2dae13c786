r"""CPU use, memory and age of a pose node whose cameras send at 30 Hz and 720p.

python benchmarks/live.py --seconds 10

Cameras and listener are this process, on the same machine: what they take is missing to the node.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import rig as rigs
from pictures import crowd
from rclpy.executors import SingleThreadedExecutor
from rclpy.time import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from headpose_ros.msg import Faces
from headpose_ros.ros.input.images import encode_bgr
from headpose_ros.ros.node import qos

_RATE = 30.0
#: Faces and cameras of the rows.
CASES = ((0, 1), (1, 1), (8, 1), (1, 2), (1, 4))
_SETTLE = 2.0  # s in which a node finds its faces and its memory


class Cameras:
    """Several cameras with the same picture, and a listener to all their faces."""

    def __init__(self, names: list[str], faces: int) -> None:
        self.node = rclpy.create_node('cameras')
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.message = encode_bgr(crowd(faces), Header(frame_id=rigs.FRAME))
        self.ages: list[float] = []
        self.sent = 0
        best_effort = qos.sensor_data()
        self.images = [
            self.node.create_publisher(Image, f'{name}/image_raw', best_effort) for name in names
        ]
        for name in names:
            topic = 'faces' if len(names) == 1 else f'{name}/faces'
            self.node.create_subscription(Faces, topic, self._answered, qos.reliable(100))

    def wait(self, seconds: float) -> bool:
        """Wait until the node listens to all cameras."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.1)
            if all(images.get_subscription_count() for images in self.images):
                return True
        return False

    def run(self, seconds: float) -> None:
        """Send at 30 Hz, the cameras evenly one after the other."""
        begin, index, count = time.monotonic(), 0, len(self.images)
        while time.monotonic() < begin + seconds:
            self.message.header.stamp = Time(nanoseconds=time.time_ns()).to_msg()
            self.images[index % count].publish(self.message)
            self.sent += 1
            index += 1
            while (left := begin + index / (_RATE * count) - time.monotonic()) > 0:
                self.executor.spin_once(timeout_sec=left)

    def close(self) -> None:
        self.node.destroy_node()
        self.executor.shutdown()

    def _answered(self, faces: Faces) -> None:
        age = time.time_ns() - Time.from_msg(faces.header.stamp).nanoseconds
        self.ages.append(1e-6 * age)


def measure(faces: int, cameras: int, seconds: float) -> dict[str, float]:
    """Return what a node takes and how old its answers are."""
    names = ['camera'] if cameras == 1 else [f'camera{i}' for i in range(cameras)]
    process = rigs.start_node('-p', f'cameras:=[{", ".join(names)}]')
    rig = Cameras(names, faces)
    try:
        if not rig.wait(rigs.START):
            raise RuntimeError('the node did not start')
        rig.run(_SETTLE)
        rig.ages.clear()
        rig.sent, used, begin = 0, _cpu_seconds(process), time.monotonic()
        rig.run(seconds)
        share = (_cpu_seconds(process) - used) / (time.monotonic() - begin)
        ages = rig.ages or [float('nan')]
        return {
            'cpu': share,
            'memory': rigs.resident(process),
            'age': float(np.median(ages)),
            'age95': float(np.percentile(ages, 95)),
            'answered': len(rig.ages) / rig.sent,
        }
    finally:
        rig.close()
        process.kill()
        process.wait()


def rows(seconds: float) -> dict[str, dict[str, float]]:
    """Measure all cases, one after the other."""
    rigs.isolate()
    rclpy.init()
    measured = partial(measure, seconds=seconds)
    try:
        return {
            f'{faces} faces, {cameras} camera{"s" * (cameras > 1)}': measured(faces, cameras)
            for faces, cameras in CASES
        }
    finally:
        rclpy.try_shutdown()


def line(name: str, row: dict[str, float]) -> str:
    """Return a row of the table."""
    return (
        f'| {name} | {row["cpu"]:.0%} | {row["memory"]:.0f} | {row["age"]:.1f} '
        f'| {row["age95"]:.1f} | {row["answered"]:.0%} |'
    )


HEAD = (
    '| at 30 Hz, 720p | CPU of a core | memory MB | median age ms | 95 % age ms | answered |',
    '| --- ' * 6 + '|',
)


def _cpu_seconds(process: subprocess.Popen[Any]) -> float:
    """Return the CPU time that a process took so far, of all its threads."""
    fields = Path(f'/proc/{process.pid}/stat').read_text().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seconds', type=float, default=10.0, help='(%(default)s)')
    print(*HEAD, sep='\n')
    for name, row in rows(parser.parse_args().seconds).items():
        print(line(name, row))


if __name__ == '__main__':
    main()
