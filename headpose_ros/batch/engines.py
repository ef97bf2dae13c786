"""Where pieces of work run: in this process, in several, or on a Ray cluster.

Each engine takes pieces and gives outcomes, in any order; none knows what a piece is.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for_end
from typing import Any, Protocol

from headpose_ros.batch.work import Outcome, Piece
from headpose_ros.errors import HeadposeError
from headpose_ros.extras import needed_by

Work = Callable[[Piece], Outcome]

#: How often a piece is begun whose worker is killed each time.
ATTEMPTS = 6
#: Until the head of a cluster has answered, s.
_LONGEST_CONNECT = 10.0
_GIVEN_UP = f'its worker was killed {ATTEMPTS} times: is there enough memory for it?'


class EngineError(HeadposeError):
    """An engine that cannot work, or cannot go on."""


class Engine(Protocol):
    """What runs pieces of work.

    Attributes:
        slots: How many pieces are worth handing out at once.
    """

    slots: int

    def submit(self, piece: Piece) -> None:
        """Take a piece of work."""

    def wait(self, seconds: float) -> list[Outcome]:
        """Return what was finished, after some seconds at the latest."""

    def close(self) -> None:
        """End; work that is under way is dropped."""


class InProcess:
    """Works in this process, on one core.

    Args:
        work: What is done with a piece.
    """

    slots = 1

    def __init__(self, work: Work) -> None:
        self._work = work
        self._queue: deque[Piece] = deque()

    def submit(self, piece: Piece) -> None:
        """Take a piece of work."""
        self._queue.append(piece)

    def wait(self, seconds: float) -> list[Outcome]:
        """Do the next piece, however long it takes."""
        return [self._work(self._queue.popleft())] if self._queue else []

    def close(self) -> None:
        """Drop what was not begun."""
        self._queue.clear()


@dataclass
class _Job:
    piece: Piece
    worker: ProcessPoolExecutor
    attempt: int = 1


class Processes:
    """Works in several processes of this machine; a killed one is replaced, its piece begun again.

    Args:
        work: What is done with a piece.
        count: How many processes.
    """

    def __init__(self, work: Work, count: int) -> None:
        self._work = work
        self.slots = count
        # A pool for each process: a killed one breaks its own pool, and no other piece is lost.
        self._workers = [_process() for _ in range(count)]
        self._idle = list(self._workers)
        self._waiting: deque[tuple[Piece, int]] = deque()
        self._jobs: dict[Future[Outcome], _Job] = {}

    def submit(self, piece: Piece) -> None:
        """Take a piece of work."""
        self._waiting.append((piece, 1))
        self._start()

    def wait(self, seconds: float) -> list[Outcome]:
        """Return what was finished, after some seconds at the latest."""
        done, _ = wait(self._jobs, seconds, FIRST_COMPLETED)
        outcomes = [self._ended(future, self._jobs.pop(future)) for future in done]
        self._start()
        return [outcome for outcome in outcomes if outcome is not None]

    def close(self) -> None:
        """End all processes at once."""
        for worker in self._workers:
            for process in list((worker._processes or {}).values()):
                process.kill()
            worker.shutdown(wait=True, cancel_futures=True)

    def _start(self) -> None:
        while self._idle and self._waiting:
            piece, attempt = self._waiting.popleft()
            worker = self._idle.pop()
            try:
                future = worker.submit(self._work, piece)
            except BrokenProcessPool:  # killed while it was idle
                self._replace(worker)
                self._waiting.appendleft((piece, attempt))
                continue
            self._jobs[future] = _Job(piece, worker, attempt)

    def _ended(self, future: Future[Outcome], job: _Job) -> Outcome | None:
        """Return an outcome; None for a piece that is begun again."""
        try:
            outcome = future.result()
        except BrokenProcessPool:
            self._replace(job.worker)
            if job.attempt >= ATTEMPTS:
                return Outcome(job.piece, failure=_GIVEN_UP)
            self._waiting.appendleft((job.piece, job.attempt + 1))
            return None
        self._idle.append(job.worker)
        return outcome

    def _replace(self, worker: ProcessPoolExecutor) -> None:
        worker.shutdown(wait=False)
        self._workers.remove(worker)
        self._workers.append(_process())
        self._idle.append(self._workers[-1])


def _process() -> ProcessPoolExecutor:
    # Not forked: threads of the networks do not survive that.
    context = multiprocessing.get_context('spawn')
    return ProcessPoolExecutor(1, mp_context=context, initializer=_begin_worker)


def _begin_worker() -> None:
    """Leave the keyboard to the head, and end with it, even when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    head = multiprocessing.parent_process()
    if head is not None:
        threading.Thread(target=_end_with, args=(head.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait_for_end([sentinel])
    os._exit(1)


class RayCluster:
    """Works on a Ray cluster, which schedules, and begins pieces of lost workers again.

    Args:
        work: What is done with a piece.
        address: Of the cluster, as `ray.init` takes it: `auto`, `HOST:PORT`, `ray://HOST:PORT`;
            `local` starts one on this machine.
        gpus: Share of a GPU for each worker; 0: none.

    Raises:
        EngineError: The cluster cannot be reached.
    """

    def __init__(self, work: Work, address: str, gpus: float = 0.0) -> None:
        os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')  # nothing leaves the machine
        with needed_by('headpose batch --ray'):
            import ray
        self._ray: Any = ray
        try:
            _check_answers(address)
            ray.init(address=address, log_to_driver=False, logging_level='ERROR')
        except (OSError, ValueError, RuntimeError) as error:
            raise EngineError(
                f'no Ray cluster at {address}: {error}; "ray start --head" starts one'
            ) from error
        self._remote = ray.remote(work_remotely).options(**resources(gpus))
        self._work = ray.put(work)
        # Pieces that wait make a cluster grow, where it can.
        self.slots = max(int(4 * ray.cluster_resources().get('CPU', 1)), 16)
        self._pieces: dict[Any, Piece] = {}

    def submit(self, piece: Piece) -> None:
        """Take a piece of work."""
        self._pieces[self._remote.remote(self._work, piece)] = piece

    def wait(self, seconds: float) -> list[Outcome]:
        """Return what was finished, after some seconds at the latest."""
        if not self._pieces:
            return []
        try:
            done, _ = self._ray.wait(list(self._pieces), timeout=seconds)
        except (ConnectionError, self._ray.exceptions.RaySystemError) as error:
            raise EngineError(
                f'the Ray cluster is gone ({error}): start it and give the same command again'
            ) from error
        return [self._outcome(reference) for reference in done]

    def close(self) -> None:
        """Leave the cluster, which drops what is under way."""
        self._ray.shutdown()

    def _outcome(self, reference: Any) -> Outcome:
        piece = self._pieces.pop(reference)
        try:
            return self._ray.get(reference)
        except (self._ray.exceptions.WorkerCrashedError, self._ray.exceptions.OutOfMemoryError):
            return Outcome(piece, failure=_GIVEN_UP)
        except self._ray.exceptions.RayError as error:
            reason = ' '.join(str(error).split())[:500]
            return Outcome(piece, failure=f'Ray: {reason or type(error).__name__}')


def _check_answers(address: str) -> None:
    """Connect to HOST:PORT: Ray itself tries for minutes, and then ends the process.

    Raises:
        OSError: Nobody answers.
    """
    host, found, port = address.rpartition(':')
    if found and port.isdecimal() and '://' not in address:
        socket.create_connection((host, int(port)), _LONGEST_CONNECT).close()


def resources(gpus: float) -> dict[str, float]:
    """Return what Ray is asked for, for each piece of work: one core, and a share of a GPU."""
    wanted: dict[str, float] = {'num_cpus': 1, 'max_retries': ATTEMPTS - 1}
    return {**wanted, 'num_gpus': gpus} if gpus else wanted


def work_remotely(work: Work, piece: Piece) -> Outcome:
    """Do a piece of work in a worker of the cluster."""
    return work(piece)
