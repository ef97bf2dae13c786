"""How fast `headpose batch` is with one process, two, and a Ray cluster of two nodes.

    python benchmarks/batch.py FOLDER --films 4 --seconds 60

makes films of 640 x 480 px and prints for each engine: images a second, how many times as fast as
one process, and the overhead: how much longer its cores were taken than work was done on them.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fleet import write_fleet
from kills import two_nodes, work

from headpose_ros.batch.engines import Engine, InProcess, Processes, RayCluster
from headpose_ros.batch.folder import Folder
from headpose_ros.tools.text_table import text_table


def main() -> int:
    """Do what the head of this file says."""
    parser = argparse.ArgumentParser()
    parser.add_argument('folder', type=Path)
    parser.add_argument('--films', type=int, default=4)
    parser.add_argument('--seconds', type=float, default=60.0)
    options = parser.parse_args()
    write_fleet(options.folder / 'source', options.films, 0, options.seconds, width=640)
    rows = [['engine', 'images/s', 'times one', 'overhead']]
    one = _measured(options.folder, 'one', InProcess)
    rows.append(_row('one process', 1, one, one))
    two = _measured(options.folder, 'two', functools.partial(Processes, count=2))
    rows.append(_row('--workers 2', 2, two, one))
    with two_nodes() as cluster:
        ray = _measured(
            options.folder, 'ray', functools.partial(RayCluster, address=cluster.address)
        )
    rows.append(_row('--ray, two nodes', 2, ray, one))
    print(text_table(rows))
    return 0


def _measured(folder: Path, name: str, engine: Callable[[Any], Engine]) -> tuple[float, float, int]:
    """Return how long a run took, how long work took in it, both in s, and its images."""
    report = work([str(folder / 'source')], folder / name, engine)
    cost = sum(row['work'] for row in Folder(folder / name).rows('cost'))
    return report.seconds, cost, report.images


def _row(
    name: str, cores: int, run: tuple[float, float, int], one: tuple[float, float, int]
) -> list[str]:
    seconds, cost, images = run
    overhead = cores * seconds / cost - 1.0
    return [name, f'{images / seconds:.1f}', f'{one[0] / seconds:.2f}', f'{100 * overhead:.0f} %']


if __name__ == '__main__':
    sys.exit(main())
