r"""Age of the results at 30 Hz and 720p, with inference slowed to 100 ms.

python benchmarks/age.py --minutes 10

Age is the time from an image's stamp to the arrival of its faces in another process. Prints the
median of the first and the last third, and the rest of the way beyond inference.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
import rclpy
import rig as rigs
from pictures import crowd
from rclpy.time import Time

_RATE = 30.0


def measure(rig: rigs.Rig, seconds: float) -> list[float]:
    """Send images and return the ages of the answers, ms."""
    message = rig.message(crowd(1))
    begin, index = time.monotonic(), 0
    while time.monotonic() < begin + seconds:
        message.header = rig.header()
        rig.images.publish(message)
        index += 1
        due = begin + index / _RATE
        rig.spin(due - time.monotonic())
    return [
        1e3 * arrived - Time.from_msg(answer.header.stamp).nanoseconds * 1e-6
        for arrived, answer in rig.faces
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--minutes', type=float, default=1.0, help='(%(default)s)')
    parser.add_argument('--inference', type=float, default=0.1, help='seconds (%(default)s)')
    options = parser.parse_args()
    rigs.isolate()
    os.environ['HEADPOSE_BENCHMARK_INFERENCE'] = str(options.inference)
    rclpy.init()
    program = [str(Path(__file__).with_name('slow_node.py'))]
    process = rigs.start_node(program=program)
    rig = rigs.Rig()
    try:
        rig.until(lambda: rig.images.get_subscription_count() > 0, rigs.START)
        measure(rig, 2.0)
        rig.faces.clear()
        ages = measure(rig, 60 * options.minutes)
        rig.until(lambda: 'age median (ms)' in rig.values)
    finally:
        rig.close()
        rclpy.try_shutdown()
        process.kill()
        process.wait()
    if not ages:
        print('no answers', file=sys.stderr)
        return 2
    third = max(len(ages) // 3, 1)
    first, last = (float(np.median(part)) for part in (ages[:third], ages[-third:]))
    print(f'{len(ages)} answers, median age {np.median(ages):.1f} ms, ', end='')
    print(f'95 % below {np.percentile(ages, 95):.1f} ms; first third {first:.1f}, last {last:.1f}')
    print(', '.join(f'{k} {v}' for k, v in sorted(rig.values.items()) if '(ms)' in k))
    return 0


if __name__ == '__main__':
    sys.exit(main())
