"""The node executables while they still load."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NODES = ('camera', 'driver', 'overlay', 'pose')
#: Sends the process a signal in the middle of the import of its node.
PROGRAM = """
import os, sys, time
from headpose_ros.nodes import programs

class Signalled:
    def find_spec(self, name, *_):
        if name == 'headpose_ros.nodes.{node}':
            os.kill(os.getpid(), {number})
            time.sleep(60)

sys.meta_path.insert(0, Signalled())
sys.exit(programs.{node}_node())
"""


@pytest.mark.parametrize('node', NODES)
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_node_loads_ends_it_in_silence(node: str, number: int) -> None:
    code = PROGRAM.format(node=node, number=int(number))
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


@pytest.mark.parametrize('node', NODES)
def test_every_way_to_start_a_node_is_the_same(node: str) -> None:
    script = (ROOT / 'scripts' / f'{node}_node').read_text(encoding='utf-8')
    assert f'from headpose_ros.nodes.programs import {node}_node' in script
    assert f'sys.exit({node}_node())' in script
    project = (ROOT / 'pyproject.toml').read_text(encoding='utf-8')
    assert re.search(rf'^{node}_node = "headpose_ros.nodes.programs:{node}_node"$', project, re.M)
