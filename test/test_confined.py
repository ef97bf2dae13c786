"""What is tried in a process of its own cannot leave its bounds."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from headpose_ros.confined import Bounds, ConfinedError, run_confined

SMALL = Bounds(memory=2**28, memory_each=0, core=1, clock=30.0)
OUTSIDE = Path(__file__).with_name('written_by_a_confined_function')


def takes_it(content):
    assert content == b'\0\n' * 100_000


def prints_and_raises(content):
    print('noise', flush=True)
    os.write(1, b'noise')
    raise ValueError(content.decode() * 1000)


def allocates(content):
    bytearray(2**30)


def never_ends(content):
    while True:
        pass


def sleeps(content):
    time.sleep(60)


def dies(content):
    os.abort()


def exits(content):
    raise SystemExit(0)


def writes(content):
    OUTSIDE.write_bytes(content)


def test_what_works_raises_nothing():
    run_confined(takes_it, b'\0\n' * 100_000)


@pytest.mark.parametrize(
    ('function', 'said'),
    [
        (prints_and_raises, '^(why )+why?$'),
        (allocates, 'too much memory'),
        (never_ends, 'more than 1 s of a core'),
        (dies, r'ends its process \(exit code -6\)'),
        (exits, '0'),
        (writes, 'File too large'),
    ],
)
def test_what_fails_is_refused_with_its_reason(function, said):
    with pytest.raises(ConfinedError, match=said) as caught:
        run_confined(function, b'why ', SMALL)
    assert len(str(caught.value)) <= 300
    OUTSIDE.unlink(missing_ok=True)


def test_what_waits_is_ended():
    start = time.monotonic()
    with pytest.raises(ConfinedError, match='does not end within 3 s'):
        run_confined(sleeps, b'', Bounds(clock=3.0))
    assert time.monotonic() - start < 30.0


def test_without_an_interpreter_nothing_is_trusted(monkeypatch):
    monkeypatch.setattr('sys.executable', '/nowhere/python')
    with pytest.raises(ConfinedError, match='cannot be tried'):
        run_confined(takes_it, b'')
