"""The soak, fault and transport programs run, at a size that takes seconds."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('rclpy')

ROOT = Path(__file__).parents[1]


def run(name: str, *words: str) -> str:
    command = [sys.executable, str(ROOT / 'benchmarks' / name), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def test_faults_of_eight_kinds_are_survived(ros_domain: int) -> None:
    text = run('faults.py', '--count', '8')
    found = re.search(r'tried 8, survived 8,', text)
    assert found, text
    assert len(re.findall(r'tried +1 ', text)) == 8, text


def test_the_soak_accounts_for_every_frame_and_transition(ros_domain: int) -> None:
    text = run('soak.py', '--minutes', '0.07')
    assert 'minus all that became of them: 0' in text
    assert re.search(r'transitions [2-9], missed 0', text), text


def test_ages_are_measured(ros_domain: int) -> None:
    found = re.search(r'(\d+) answers, median age ([\d.]+) ms', run('age.py', '--minutes', '0.03'))
    assert found
    assert float(found[2]) >= 100.0


def test_lost_frames_are_counted(ros_domain: int) -> None:
    text = run('image_transport.py', '--frames', '10')
    assert re.findall(r'(\d+) of 10 arrived', text)[1] != '0', text
