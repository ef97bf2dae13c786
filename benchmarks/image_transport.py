r"""HD frames lost on their way to another process, with and without the shared-memory profile.

python benchmarks/image_transport.py --frames 240

1280x720 bgr8 at 30 Hz, best effort. Prints for each configuration how many frames arrived, their
median latency, and the CPU time of the subscriber for each. `malloc` is `ros/node/memory.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.time import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from headpose_ros.ros.input.images import decode, encode_bgr
from headpose_ros.ros.node import qos
from headpose_ros.ros.node.memory import keep_large_buffers

_PROFILE = Path(__file__).parents[1] / 'config' / 'fastdds_shm.xml'
_RATE = 30.0
_PATIENCE = 3.0  # s without an image after which no more comes


def subscribe(keep: bool, frames: int) -> None:
    """Receive until nothing comes, then print what came as JSON."""
    if keep:
        keep_large_buffers()
    rclpy.init()
    node = rclpy.create_node('subscriber')
    latencies: list[float] = []
    last = time.monotonic() + 20.0  # to begin with, time to find the publisher

    def take(message: Any) -> None:
        nonlocal last
        last = time.monotonic()
        decode(message).sum()
        latencies.append((time.time_ns() - Time.from_msg(message.header.stamp).nanoseconds) * 1e-6)

    node.create_subscription(Image, 'hd', take, qos.sensor_data())
    used = time.process_time()
    while time.monotonic() < last + _PATIENCE and len(latencies) < frames:
        rclpy.spin_once(node, timeout_sec=0.1)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    answer = {'latencies': latencies, 'cpu': time.process_time() - used, 'faults': faults}
    print(json.dumps(answer))


def publish(frames: int) -> None:
    rclpy.init()
    node = rclpy.create_node('publisher')
    publisher = node.create_publisher(Image, 'hd', qos.sensor_data())
    while not publisher.get_subscription_count():
        time.sleep(0.05)
    time.sleep(0.5)
    picture = np.random.default_rng(0).integers(0, 256, (720, 1280, 3)).astype(np.uint8)
    start = time.monotonic()
    for index in range(frames):
        header = Header(stamp=node.get_clock().now().to_msg())
        publisher.publish(encode_bgr(picture, header))
        time.sleep(max(start + (index + 1) / _RATE - time.monotonic(), 0.0))


def measure(shared_memory: bool, keep: bool, frames: int) -> str:
    """Run both sides and return a line about what came."""
    environment = {
        'ROS_DOMAIN_ID': str(os.getpid() % 100 + 1),
        **os.environ,
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
    }
    environment.pop('FASTDDS_DEFAULT_PROFILES_FILE', None)
    if shared_memory:
        environment['FASTDDS_DEFAULT_PROFILES_FILE'] = str(_PROFILE)
    words = [sys.executable, __file__, '--frames', str(frames)]
    role = ['--role', 'subscribe', *(['--keep'] if keep else [])]
    with (
        subprocess.Popen([*words, *role], env=environment, stdout=subprocess.PIPE) as subscriber,
        subprocess.Popen([*words, '--role', 'publish'], env=environment) as publisher,
    ):
        text, _ = subscriber.communicate()
        publisher.wait()
    answer = json.loads(text.splitlines()[-1])
    came = len(answer['latencies'])
    median = np.median(answer['latencies']) if came else float('nan')
    cost = 1e3 * answer['cpu'] / came if came else float('nan')
    return (
        f'{came:4} of {frames} arrived, {frames - came} lost, latency {median:5.1f} ms, '
        f'CPU {cost:5.2f} ms and {answer["faults"] / max(came, 1):.0f} page faults a frame'
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--frames', type=int, default=240, help='(%(default)s)')
    parser.add_argument('--role', choices=['subscribe', 'publish'], help=argparse.SUPPRESS)
    parser.add_argument('--keep', action='store_true', help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role == 'subscribe':
        subscribe(options.keep, options.frames)
    elif options.role == 'publish':
        publish(options.frames)
    else:
        for name, shared_memory, keep in (
            ('default', False, False),
            ('profile', True, False),
            ('profile + malloc', True, True),
        ):
            print(f'{name:18}{measure(shared_memory, keep, options.frames)}', flush=True)


if __name__ == '__main__':
    main()
