r"""What the package weighs: its environment, its memory, its start; for docs/performance.md.

python benchmarks/footprint.py

Clones the last commit, runs `make demo` there with a warm cache of pip, and then measures the
programs of that environment. Ratios are between processes that start in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
_NODE = 'node, start to first pose, over a bare node'
_IMAGE = 'headpose image, over its imports'
#: Unit and bar of every figure.
FIGURES = {
    'environment of make demo': ('MB', 750.0),
    'make demo': ('s', 100.0),
    'pose node at work, resident': ('MB', 260.0),
    _IMAGE: ('times', 2.5),
    _NODE: ('times', 2.0),
}
#: What `headpose image` cannot do without.
IMPORTS = 'import cv2, numpy, onnxruntime'
#: What any node that runs a network needs.
BARE_NODE = (
    f'{IMPORTS}, os, rclpy; from sensor_msgs.msg import Image; rclpy.init(); '
    'rclpy.create_node("bare").create_subscription(Image, "image", print, 1); os._exit(0)'
)
_WARM_UP = 5.0  # s of images at 30 Hz, after which a node holds what it needs


def in_demo(times: int) -> dict[str, float]:
    """Make new clones, run `make demo` in each, and measure in the last."""
    sizes, seconds = [], []
    for index in range(times):
        print(f'make demo, {index + 1} of {times}', file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            clone = Path(folder) / 'clone'
            subprocess.run(['git', 'clone', '--quiet', str(ROOT), str(clone)], check=True)
            begin = time.monotonic()
            # Its table is for people; a failure is not.
            subprocess.run(['make', 'demo'], cwd=clone, stdout=subprocess.DEVNULL, check=True)
            seconds.append(time.monotonic() - begin)
            sizes.append(_megabytes(clone / '.venv'))
            if index == times - 1:
                python = [str(clone / '.venv' / 'bin' / 'python'), 'benchmarks/footprint.py']
                words = [*python, '--programs', '--times', str(times)]
                done = subprocess.run(words, cwd=clone, stdout=subprocess.PIPE, check=True)
                programs = json.loads(done.stdout.splitlines()[-1])
    return {
        'environment of make demo': median(sizes),
        'make demo': median(seconds),
        **programs,
    }


def _megabytes(folder: Path) -> float:
    """Return what `du` says."""
    said = subprocess.run(['du', '-sm', str(folder)], capture_output=True, text=True, check=True)
    return float(said.stdout.split()[0])


def programs(times: int) -> dict[str, float]:
    """Measure the programs of the environment that runs this."""
    import rclpy
    import rig as rigs

    rigs.isolate()
    rclpy.init()
    photo = str(ROOT / 'headpose_ros' / 'perception' / 'astronaut.jpg')
    image = _ratio(
        times,
        lambda: _run('-m', 'headpose_ros.cli', 'image', photo),
        lambda: _run('-c', IMPORTS),
    )
    memory: list[float] = []
    node = _ratio(times, lambda: _first_pose(memory), lambda: _run('-c', BARE_NODE))
    rclpy.try_shutdown()
    return {'pose node at work, resident': median(memory), _IMAGE: image, _NODE: node}


def _ratio(times: int, ours: Callable[[], float], other: Callable[[], float]) -> float:
    """Return the median over rounds of our seconds over the other's; one round is for the disk."""
    rounds = [ours() / other() for _ in range(times + 1)]
    return median(rounds[1:])


def _run(*words: str) -> float:
    begin = time.monotonic()
    subprocess.run([sys.executable, *words], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - begin


def _first_pose(memory: list[float]) -> float:
    """Start a node before a camera; note its memory at work, return the seconds to its answer."""
    import live
    import rig as rigs

    cameras = live.Cameras(['camera'], faces=1)
    begin = time.monotonic()
    process = rigs.start_node()
    try:
        while not cameras.ages and time.monotonic() < begin + rigs.START:
            cameras.run(1 / 30)
        if not cameras.ages:
            raise RuntimeError('the node did not answer')
        seconds = time.monotonic() - begin
        cameras.run(_WARM_UP)
        memory.append(rigs.resident(process))
        return seconds
    finally:
        cameras.close()
        process.kill()
        process.wait()


def table(measured: dict[str, Any] | None) -> list[str]:
    """Return the section of docs/performance.md."""
    lines = ['## What it weighs', '']
    if measured is None:
        return [*lines, 'Not measured: `python benchmarks/footprint.py` does it.']
    lines += [
        'On a CPU, without PyTorch; medians, by `python benchmarks/footprint.py`; '
        f'{measured["about"]}.',
        '',
        '| what | unit | measured | limit |',
        '| --- | --- | --- | --- |',
    ]
    for name, value in measured['values'].items():
        unit, most = FIGURES[name]
        lines.append(f'| {name} | {unit} | {value:.1f} | <= {most:g} |')
    return lines


def _about(times: int) -> str:
    cores, load = os.cpu_count(), os.getloadavg()[0]
    return f'{times} of each, {cores} cores, load {load:.1f} at the end'


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--times', type=int, default=3, help='of each (%(default)s)')
    parser.add_argument(
        '--programs', action='store_true', help='only those of this environment, as JSON'
    )
    options = parser.parse_args(arguments)
    if options.programs:
        print(json.dumps(programs(options.times)))
        return 0
    import run  # first: what it lacks shall not end a long run

    values = in_demo(options.times)
    docs = ROOT / 'docs'
    content = json.loads((docs / 'performance.json').read_text(encoding='utf-8'))
    content['footprint'] = {'about': _about(options.times), 'values': values}
    run.write_page(content, docs)
    print(*table(content['footprint']), sep='\n')
    return int(any(value > FIGURES[name][1] for name, value in values.items()))


if __name__ == '__main__':
    sys.exit(main())
