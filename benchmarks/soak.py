r"""A pose node at 30 Hz with 1 to 8 faces, for minutes.

python benchmarks/soak.py --minutes 10

Every second another number of faces, every tenth of the time a deactivation and an activation.
Prints the growth of the node's memory, what became of the frames, and the transitions missed. The
exit code is 1 when memory grew by 20 MB or more, a transition was missed, or a frame is not
accounted for.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from typing import Any

import rclpy
import rig as rigs
from pictures import crowd

_RATE = 30.0
_GROWTH = 20.0  # MB
_COUNTS = ('frames_in', 'frames_out', 'frames_dropped', 'frames_late', 'frames_refused')


class Soak:
    """What is counted meanwhile."""

    def __init__(self, rig: rigs.Rig, process: Any) -> None:
        self.rig = rig
        self.process = process
        self.pictures = [crowd(count) for count in range(1, 9)]
        self.sent = 0
        self.missed = 0
        self.transitions = 0
        self.found: Counter[str] = Counter()
        self.ages: list[float] = []

    def second(self, number: int) -> None:
        """Send one second's images of a number of faces that belongs to this second."""
        faces = number * 3 % 8 + 1
        message = self.rig.message(self.pictures[faces - 1])
        begin = time.monotonic()
        for index in range(int(_RATE)):
            message.header = self.rig.header()
            self.rig.images.publish(message)
            self.sent += 1
            self.rig.spin(begin + (index + 1) / _RATE - time.monotonic())
        self._note(faces)

    def _note(self, faces: int) -> None:
        answers, self.rig.faces[:] = list(self.rig.faces), []
        self.found['all'] += len(answers)
        self.found['complete'] += sum(len(answer.faces) == faces for _, answer in answers)

    def restart(self) -> None:
        """Deactivate and activate."""
        for name, state in (('deactivate', 'inactive'), ('activate', 'active')):
            self.transitions += 1
            self.missed += not (self.rig.change(name) and self.rig.state() == state)
        self.rig.until(lambda: self.rig.images.get_subscription_count() > 0)

    def counts(self) -> dict[str, int]:
        """Return the node's own counts, once it has published them."""
        self.rig.values.clear()
        self.rig.until(lambda: self.rig.values)
        return {name: int(self.rig.values.get(name, 0)) for name in _COUNTS}


def run(rig: rigs.Rig, process: Any, seconds: float) -> int:
    """Run the soak and print what came of it."""
    soak = Soak(rig, process)
    start, begun = time.monotonic(), 0.0
    every, number = max(seconds / 10, 1.5), 0
    due = start + every
    while time.monotonic() < start + seconds:
        soak.second(number)
        number += 1
        if time.monotonic() >= due:
            soak.restart()
            due += every
        if not begun and time.monotonic() > start + 0.2 * seconds:
            begun = rigs.resident(process)
    rig.spin(1.0)
    counts = soak.counts()
    growth = rigs.resident(process) - begun
    lost = counts['frames_in'] - sum(counts[name] for name in _COUNTS[1:])
    print(f'memory grew by {growth:.1f} MB in {seconds / 60:.1f} min, from {begun:.0f} MB')
    print(f'frames sent {soak.sent}, ' + ', '.join(f'{k[7:]} {v}' for k, v in counts.items()))
    print(f'frames in minus all that became of them: {lost}')
    print(f'answers with every face: {soak.found["complete"]} of {soak.found["all"]}')
    print(f'transitions {soak.transitions}, missed {soak.missed}')
    print(', '.join(f'{k} {v}' for k, v in sorted(rig.values.items()) if '(ms)' in k))
    return int(growth >= _GROWTH or soak.missed > 0 or lost != 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--minutes', type=float, default=10.0, help='(%(default)s)')
    options = parser.parse_args()
    rigs.isolate()
    rclpy.init()
    process = rigs.start_node()
    rig = rigs.Rig()
    try:
        if not rig.until(lambda: rig.images.get_subscription_count() > 0, rigs.START):
            print('the node did not start', file=sys.stderr)
            return 2
        return run(rig, process, 60 * options.minutes)
    finally:
        rig.close()
        rclpy.try_shutdown()
        process.kill()
        process.wait()


if __name__ == '__main__':
    sys.exit(main())
