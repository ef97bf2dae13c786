"""What the other tests stand on: processes that run tests never meet, and leave nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: A test that kills a node and leaves a file in its home, run by two workers.
UNTIDY = """
import json, os, subprocess, sys
from pathlib import Path

NODE = '''
import rclpy
rclpy.init()
node = rclpy.create_node('killed')
print('up', flush=True)
rclpy.spin(node)
'''


def test_untidy():
    with subprocess.Popen([sys.executable, '-c', NODE], stdout=subprocess.PIPE, text=True) as node:
        try:
            assert node.stdout.readline() == 'up\\n'
            mapped = Path(f'/proc/{node.pid}/maps').read_text().split()
            environment = Path(f'/proc/{node.pid}/environ').read_bytes().decode()
        finally:
            node.kill()
    (Path.home() / 'left').touch()
    found = dict(line.split('=', 1) for line in environment.split('\\0') if '=' in line)
    found['memory'] = sorted({word for word in mapped if word.startswith('/dev/shm/fastdds_')})
    name = os.environ['PYTEST_XDIST_WORKER']
    Path(__file__).with_name(f'{name}.json').write_text(json.dumps(found))
"""


@pytest.fixture(scope='module')
def workers(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Run the untidy test in two workers and return what its node found in each."""
    pytest.importorskip('rclpy')
    pytest.importorskip('xdist', reason="pytest-xdist is needed: pip install '.[test]'")
    folder = tmp_path_factory.mktemp('inner')
    (folder / 'test_untidy.py').write_text(UNTIDY)
    environment = {k: v for k, v in os.environ.items() if not k.startswith('PYTEST_')}
    environment |= {'XDG_CACHE_HOME': '/nonexistent', 'ROS_LOG_DIR': '/nonexistent'}
    words = ['-p', 'conftest', '-n', '2', '--dist', 'each', f'--rootdir={folder}', str(folder)]
    command = [sys.executable, '-m', 'pytest', *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(file.read_text()) for file in sorted(folder.glob('gw*.json'))]


@pytest.mark.parametrize('name', ['HOME', 'TMPDIR', 'ROS_DOMAIN_ID'])
def test_each_worker_and_its_nodes_have_their_own(workers: list[dict[str, Any]], name: str) -> None:
    values = {worker[name] for worker in workers}
    assert len(values) == 2
    assert os.environ[name] not in values  # this run's domain is taken, too


def test_nothing_leads_out_of_a_worker(workers: list[dict[str, Any]]) -> None:
    for worker in workers:
        assert worker.get('ROS_AUTOMATIC_DISCOVERY_RANGE') == 'LOCALHOST' or (
            worker.get('ROS_LOCALHOST_ONLY') == '1'
        )
        assert not {'XDG_CACHE_HOME', 'ROS_LOG_DIR'} & set(worker)


def test_files_and_shared_memory_of_killed_nodes_go_with_the_run(
    workers: list[dict[str, Any]],
) -> None:
    for worker in workers:
        assert not Path(worker['HOME']).exists()
        domain = 7400 + 250 * int(worker['ROS_DOMAIN_ID'])
        own = [
            file
            for file in map(Path, worker['memory'])
            if 'port' not in file.name or int(file.name.removeprefix('fastdds_port')) >= domain
        ]
        assert len(own) >= 2  # a segment and a port, or this test shows nothing
        assert not [file for file in own if file.exists()]
