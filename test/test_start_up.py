"""What a node's start waits for, counted in modules: seconds differ from machine to machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: Loaded by what needs them, when it needs them.
LATE = {'matplotlib', 'mcap', 'onnx', 'onnxruntime', 'rich', 'scipy', 'torch', 'torchvision'}
#: More than are loaded today, fewer than one careless import adds.
MOST = 650


def loaded(code: str) -> list[str]:
    """Return the modules that some code loads beyond those of NumPy and OpenCV."""
    program = (
        'import json, sys, cv2, numpy\n'
        'before = set(sys.modules)\n'
        f'{code}\n'
        'print(json.dumps(sorted(set(sys.modules) - before)))'
    )
    done = subprocess.run([sys.executable, '-c', program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_importing_the_pose_node_loads_little():
    pytest.importorskip('rclpy')
    modules = loaded('import headpose_ros.nodes.pose')
    assert not LATE & {name.split('.')[0] for name in modules}
    assert len(modules) < MOST


def test_a_loaded_network_has_loaded_its_runtime_alone():
    modules = {name.split('.')[0] for name in loaded('import headpose_ros; headpose_ros.load()')}
    assert modules & LATE == {'onnxruntime'}
