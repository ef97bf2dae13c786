r"""How long a fresh pose node takes until its first pose, on the CPU.

python benchmarks/startup.py --times 5

Every time in a process of its own: torch is imported, then the node's modules; then the node is
configured, activated, and shown images until a face is published.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time

import numpy as np

#: Seconds at most, by what is measured; see issue "fast".
BARS = {'import beyond torch': 0.7, 'configure to first pose': 3.0}
_MOST_FRAMES = 10


def measure(times: int) -> dict[str, float]:
    """Return median seconds of each step."""
    environment = {**os.environ, 'OMP_NUM_THREADS': '2'}
    words = [sys.executable, __file__, '--once']
    found = []
    for index in range(times + 1):
        print(f'start {index} of {times}', file=sys.stderr)
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f'the node did not start: {done.stderr.strip().splitlines()[-1]}')
        found.append(json.loads(done.stdout.splitlines()[-1]))
    # The first one fills the disk's cache.
    return {name: float(np.median([once[name] for once in found[1:]])) for name in found[0]}


def once() -> dict[str, float]:
    """Start a node in this process and return the seconds of each step."""
    begin = time.perf_counter()
    import torch  # noqa: F401

    torch_there = time.perf_counter()
    import rclpy

    from headpose_ros.nodes.pose import PoseNode

    node_there = time.perf_counter()
    rclpy.init(args=['--ros-args', '-p', 'device:=cpu', '-p', 'autostart:=false'])
    pose = PoseNode()
    from rows import image_messages

    messages = image_messages('bgr8')
    next(messages)  # makes them all
    configure = time.perf_counter()
    pose.trigger_configure()
    pose.trigger_activate()
    _until_a_face(pose, messages)
    end = time.perf_counter()
    return {
        'import torch': torch_there - begin,
        'import beyond torch': node_there - torch_there,
        'configure to first pose': end - configure,
    }


def _until_a_face(pose: object, messages: object) -> None:
    from rows import analyse

    for _ in range(_MOST_FRAMES):
        analyse(pose, messages)
        if pose.summary()['faces']:
            return
    raise RuntimeError('no face was published')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--times', type=int, default=5, help='(%(default)s)')
    parser.add_argument('--once', action='store_true', help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        print(json.dumps(once()), flush=True)
        os._exit(0)  # the node has threads that nobody needs to wait for
    for name, seconds in measure(options.times).items():
        print(f'{name}: {seconds:.2f} s' + (f' (<= {BARS[name]})' if name in BARS else ''))


if __name__ == '__main__':
    main()
