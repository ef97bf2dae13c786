"""Time rows in turn: a little of each, round after round, so that a busy machine hits all alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
#: Rounds after round, calls of each row in one round.
_CALLS = 3


class Worker:
    """A row's process."""

    def __init__(self, name: str) -> None:
        self.name = name
        environment = {**os.environ, 'OMP_NUM_THREADS': '2', 'OMP_WAIT_POLICY': 'PASSIVE'}
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / 'worker.py'), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.about: dict[str, Any] = self._answer() or {'missing': 'the process ended'}
        self.rounds: list[list[float]] = []

    @property
    def works(self) -> bool:
        return 'missing' not in self.about

    def measure(self, calls: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f'{calls}\n')
        self._process.stdin.flush()
        self.rounds.append(self._answer())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return json.loads(line) if line else None


def measure(names: Iterable[str], rounds: int) -> dict[str, dict[str, Any]]:
    """Return for each row what was measured, or what is missing."""
    workers = []
    for name in names:
        print(f'setting up {name}', file=sys.stderr)
        workers.append(Worker(name))
    running = [worker for worker in workers if worker.works]
    for index in range(rounds):
        print(f'round {index + 1} of {rounds}', file=sys.stderr)
        for worker in running:
            worker.measure(_CALLS)
    for worker in workers:
        worker.close()
    return {worker.name: _summary(worker) for worker in workers}


def _summary(worker: Worker) -> dict[str, Any]:
    if not worker.works:
        return worker.about
    values = np.concatenate(worker.rounds)
    median, high = np.percentile(values, [50, 95])
    rounds = [float(np.median(values)) for values in worker.rounds]
    return {**worker.about, 'median': float(median), 'p95': float(high), 'rounds': rounds}


def ratio(results: dict[str, dict[str, Any]], ours: str, other: str) -> float | None:
    """Return the median over rounds of one row's time over another's; None where one is missing."""
    if 'rounds' not in results.get(ours, {}) or 'rounds' not in results.get(other, {}):
        return None
    return float(np.median(np.divide(results[ours]['rounds'], results[other]['rounds'])))
