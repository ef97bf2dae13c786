"""Nothing leaves the machine, and no program leaves anything in the home folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
ALONE = Path(__file__).with_name('alone.py')
CLI = [sys.executable, '-m', 'headpose_ros.cli']
#: What tells ONNX Runtime that it runs in a test or a build: it is quiet then, whatever we do.
_TESTING = (
    *('CI', 'BUILD', 'GITHUB', 'GITLAB', 'JENKINS', 'TF_BUILD', 'TRAVIS', 'CIRCLE', 'CODEBUILD'),
    *('TEAMCITY', 'APPVEYOR', 'SYSTEM_TEAM', 'AZURE', 'ORT_', 'XDG_', 'PYTEST'),
)


def _why_not() -> str:
    """Return why programs cannot be run without a network here; empty when they can."""
    if missing := [name for name in ('unshare', 'ip') if shutil.which(name) is None]:
        return f'the program {missing[0]} is missing'
    tried = subprocess.run(
        ['unshare', '-rn', sys.executable, str(ALONE), '[]'], capture_output=True, text=True
    )
    return (tried.stderr.strip().splitlines() or ['?'])[-1] if tried.returncode else ''


@pytest.fixture(scope='module')
def namespaces() -> None:
    if why := _why_not():
        pytest.skip(f'network namespaces are not permitted here: {why}')


def run_alone(home: Path, *programs: tuple[list[str], str], logs: Path | None = None) -> dict:
    """Run programs without a network; return what `alone` reports."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_TESTING)}
    # A node's log is ROS's and its operator's; where it goes is ROS's own setting.
    where = {'ROS_LOG_DIR': str(logs)} if logs else {}
    home.mkdir()
    done = subprocess.run(
        ['unshare', '-rn', sys.executable, str(ALONE), json.dumps(programs)],
        cwd=ROOT,
        env={**kept, **where, 'HOME': str(home), 'PYTHONUNBUFFERED': '1'},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def left_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*'))


def test_the_watcher_sees_who_sends(namespaces, tmp_path):
    code = (
        'import socket, pathlib\n'
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.7', 53))\n"
        "(pathlib.Path.home() / 'mark').touch()\n"
    )
    told = run_alone(tmp_path / 'home', ([sys.executable, '-c', code], ''))
    assert told['sent'] == ['192.0.2.7']
    assert left_in(tmp_path / 'home') == ['mark']


def test_programs_without_ros_send_nothing_and_leave_nothing(namespaces, tmp_path):
    picture = tmp_path / 'grey.png'
    cv2.imwrite(str(picture), np.full((120, 160, 3), 128, np.uint8))
    film = ['video', str(picture), str(tmp_path / 'out.mp4'), '--duration', '0.2']
    words = [['--help'], ['models'], ['image', str(picture)], film]
    told = run_alone(tmp_path / 'home', *(([*CLI, *line], '') for line in words))
    assert [code for code, _ in told['ended']] == [0] * len(words), told['ended']
    assert told['sent'] == []
    assert left_in(tmp_path / 'home') == []


def test_nodes_send_nothing_beyond_dds_and_leave_nothing(namespaces, ros_domain, tmp_path):
    nodes = {
        'pose': ('weights', []),
        'camera': ('publishing', ['-p', 'source:=astronaut', '-p', 'width:=64']),
        'driver': ('zones', []),
        # It says nothing when it is ready, but ROS does.
        'overlay': ("topic name '/overlay/compressed'", ['--log-level', 'rcl:=debug']),
    }
    programs = [
        ([sys.executable, '-m', f'headpose_ros.nodes.{name}', '--ros-args', *words], text)
        for name, (text, words) in nodes.items()
    ]
    told = run_alone(tmp_path / 'home', *programs, logs=tmp_path / 'logs')
    assert [code for code, _ in told['ended']] == [0] * len(nodes), told['ended']
    assert told['sent'] == []
    assert left_in(tmp_path / 'home') == []


def test_tools_that_listen_to_ros_leave_no_log(namespaces, ros_domain, tmp_path):
    doctor = [*CLI, 'doctor', '--seconds', '0.2']
    view = [*CLI, 'view', '--port', '8643']
    told = run_alone(tmp_path / 'home', (doctor, ''), (view, 'http://'))
    assert [code for code, _ in told['ended']] == [1, 0], told['ended']
    assert told['sent'] == []
    assert left_in(tmp_path / 'home') == []
