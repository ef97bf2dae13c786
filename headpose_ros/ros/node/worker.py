"""Threads that nobody can stop, and how they are noticed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

#: How long the end of a worker is waited for as the process ends, s.
JOIN = 2.0
#: A pause between two looks counts for no more than this, s: while the process itself stood still,
#: by SIGSTOP or on a machine without a free core, its worker could not answer.
_LONGEST_STEP = 2.0


class Worker(threading.Thread):
    """A thread that the end of the process does not wait for."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        super().__init__(target=work, name=name, daemon=True)

    def ends(self, within: float = JOIN) -> bool:
        """Wait some seconds for the end; return whether it came."""
        self.join(within)
        return not self.is_alive()


def hanging() -> list[str]:
    """Return the names of the workers that have not ended."""
    return [thread.name for thread in threading.enumerate() if isinstance(thread, Worker)]


class Watch:
    """Measures for how long a worker has had work and given no answer; safe across threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting = False
        self._looked = self._silence = 0.0

    def given(self) -> None:
        """Note that the worker has something to do."""
        with self._lock:
            if not self._waiting:
                self._waiting, self._silence, self._looked = True, 0.0, time.monotonic()

    def answered(self) -> None:
        """Note that the worker is done with something, whatever came of it."""
        with self._lock:
            self._waiting = False

    def silence(self) -> float:
        """Return the seconds without an answer; 0 while there is nothing to do.

        To be called every second or so.
        """
        with self._lock:
            if not self._waiting:
                return 0.0
            now = time.monotonic()
            self._silence += min(now - self._looked, _LONGEST_STEP)
            self._looked = now
            return self._silence
