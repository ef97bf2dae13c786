"""Workers that are killed at random moments, and what a run made of it all the same.

    python benchmarks/kills.py FOLDER --films 200 --bags 50 --kills 20

makes recordings, works on them undisturbed in one process, then on a local Ray cluster of two
nodes whose workers are killed, one node too, and compares all tables byte by byte.
"""

from __future__ import annotations

import argparse
import functools
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fleet import write_fleet

from headpose_ros.batch.engines import Engine, InProcess, RayCluster
from headpose_ros.batch.folder import Folder
from headpose_ros.batch.inputs import find_recordings
from headpose_ros.batch.options import BatchOptions
from headpose_ros.batch.run import Report, plan, run
from headpose_ros.batch.work import do
from headpose_ros.models.released import find_weights

#: Of each node; Ray would take a share of the machine's memory.
_STORE = 100 * 2**20


@contextmanager
def two_nodes() -> Iterator[Any]:
    """Give a local Ray cluster: a head without cores for work, and two nodes with one each."""
    os.environ['RAY_USAGE_STATS_ENABLED'] = '0'
    from ray.cluster_utils import Cluster

    # Short: its sockets have names of 107 characters at most.
    with tempfile.TemporaryDirectory(dir='/tmp', ignore_cleanup_errors=True) as folder:
        os.environ['RAY_TMPDIR'] = folder
        args = {'num_cpus': 0, 'object_store_memory': _STORE, 'include_dashboard': False}
        cluster = Cluster(initialize_head=True, head_node_args=args)
        try:
            for _ in range(2):
                cluster.add_node(num_cpus=1, object_store_memory=_STORE)
            yield cluster
        finally:
            cluster.shutdown()
            del os.environ['RAY_TMPDIR']


def ray_workers() -> list[int]:
    """Return the process ids of the Ray workers that this process has caused."""
    return [pid for pid in _descendants(os.getpid()) if b'work_remotely' in _read(pid, 'cmdline')]


def _descendants(root: int) -> Iterator[int]:
    children: dict[int, list[int]] = {}
    for name in os.listdir('/proc'):
        if name.isdecimal():
            # The name of a program, which is in parentheses, may hold anything.
            words = _read(int(name), 'stat').rpartition(b')')[2].split()
            if words:
                children.setdefault(int(words[1]), []).append(int(name))
    waiting = [root]
    while waiting:
        found = children.get(waiting.pop(), [])
        yield from found
        waiting += found


def _read(pid: int, name: str) -> bytes:
    with suppress(OSError):
        return Path(f'/proc/{pid}/{name}').read_bytes()
    return b''


class Killer(threading.Thread):
    """Kills a random worker again and again, at random moments.

    Args:
        workers: Gives the process ids of those at work.
        kills: How many to kill.
        pause: The mean time between two kills, s.
        seed: Of the random moments.
    """

    def __init__(
        self, workers: Callable[[], list[int]], kills: int, pause: float, seed: int = 0
    ) -> None:
        super().__init__(daemon=True)
        self._workers, self._left, self._pause = workers, kills, pause
        self._random = random.Random(seed)
        self._ended = threading.Event()
        self.killed = 0

    def run(self) -> None:
        """Kill."""
        while self._left and not self._ended.wait(self._pause * self._random.uniform(0.2, 1.8)):
            found = self._workers()
            if found:
                with suppress(ProcessLookupError):
                    os.kill(self._random.choice(found), signal.SIGKILL)
                    self.killed += 1
                    self._left -= 1

    def __enter__(self) -> Killer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()


def work(words: list[str], out: Path, engine: Callable[[Any], Engine], **given: Any) -> Report:
    """Work on recordings with an engine."""
    options = BatchOptions(model_sha256=find_weights('mnn_lite_free').sha256, **given)
    folder = Folder(out)
    task = functools.partial(do, options=options, out=str(out))
    with folder.owned():
        wanted = plan(find_recordings(words), options, folder)
        return run(wanted, options, folder, engine(task), open(os.devnull, 'w'))


def tables(out: Path) -> dict[str, bytes]:
    """Return all that lies in a folder of tables, but for what the work took."""
    files = (file for file in out.rglob('*.parquet') if file.name != 'cost.parquet')
    return {str(file.relative_to(out)): file.read_bytes() for file in files}


def main() -> int:
    """Do what the head of this file says."""
    parser = argparse.ArgumentParser()
    parser.add_argument('folder', type=Path)
    parser.add_argument('--films', type=int, default=200)
    parser.add_argument('--bags', type=int, default=50)
    parser.add_argument('--seconds', type=float, default=1.0)
    parser.add_argument('--kills', type=int, default=20)
    parser.add_argument('--pause', type=float, default=5.0)
    options = parser.parse_args()
    source, calm, wild = (options.folder / name for name in ('source', 'calm', 'wild'))
    write_fleet(source, options.films, options.bags, options.seconds)
    first = work([str(source)], calm, InProcess)
    print(
        f'undisturbed: {first.finished} finished, {len(first.failed)} failed, {first.seconds:.0f} s'
    )
    with two_nodes() as cluster, Killer(ray_workers, options.kills, options.pause) as killer:
        threading.Timer(4 * options.pause, _replace_node, [cluster]).start()
        second = work([str(source)], wild, lambda task: RayCluster(task, cluster.address))
    print(
        f'{killer.killed} workers and a node killed: {second.finished} finished, '
        f'{len(second.failed)} failed, {second.seconds:.0f} s'
    )
    same = tables(calm) == tables(wild)
    print(f'{len(tables(calm))} tables, {"identical" if same else "NOT identical"}')
    return 0 if same and not second.failed else 1


def _replace_node(cluster: Any) -> None:
    """Kill a node with all that runs on it, and add another."""
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    time.sleep(1.0)
    cluster.add_node(num_cpus=1, object_store_memory=_STORE)


if __name__ == '__main__':
    sys.exit(main())
