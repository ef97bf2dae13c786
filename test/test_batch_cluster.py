"""`headpose batch` on a real Ray cluster of two nodes on this machine, with workers that die."""

from __future__ import annotations

import importlib
import threading
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('ray', reason='pip install ray')
pytest.importorskip('pyarrow', reason='pip install pyarrow')
pytest.importorskip('rosbags', reason='pip install rosbags')

from headpose_ros.batch.engines import EngineError, InProcess, RayCluster
from headpose_ros.batch.tables import read_rows

ROOT = Path(__file__).parents[1]
FILMS, BAGS = 6, 2


@pytest.fixture(scope='module')
def kills() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / 'benchmarks'))
        # Workers import the sources that are tested, as this process does.
        patch.setenv('PYTHONPATH', str(ROOT), prepend=':')
        yield importlib.import_module('kills')


@pytest.fixture(scope='module')
def cluster(kills: Any) -> Any:
    with kills.two_nodes() as cluster:
        yield cluster


def test_killed_workers_and_a_lost_node_leave_the_same_tables(kills, cluster, tmp_path):
    source = tmp_path / 'source'
    importlib.import_module('fleet').write_fleet(source, FILMS, BAGS, seconds=1.0, width=160)
    (source / 'noise.mp4').write_bytes(b'no film')
    kills.work([str(source)], tmp_path / 'calm', InProcess)
    lost = threading.Thread(target=lose_node, args=(cluster, tmp_path / 'wild'))
    lost.start()
    with kills.Killer(kills.ray_workers, kills=2, pause=2.0) as killer:
        report = kills.work(
            [str(source)], tmp_path / 'wild', lambda task: RayCluster(task, cluster.address)
        )
    lost.join()
    assert killer.killed
    assert report.finished == FILMS + BAGS
    assert [Path(r.uri).name for r in report.failed] == ['noise.mp4']
    assert kills.tables(tmp_path / 'wild') == kills.tables(tmp_path / 'calm')
    assert len(list(read_rows(tmp_path / 'wild' / 'summary.parquet'))) == FILMS + BAGS


def lose_node(cluster: Any, out: Path) -> None:
    """Kill a node, with all that runs on it, once the first source is finished."""
    end = time.monotonic() + 120.0
    while not list(out.glob('recordings/*')) and time.monotonic() < end:
        time.sleep(0.05)
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)


def test_a_cluster_that_is_not_there_is_named():
    with pytest.raises(EngineError, match=r'no Ray cluster at 127\.0\.0\.1:1'):
        RayCluster(print, '127.0.0.1:1')
