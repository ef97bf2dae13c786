"""How many cores the networks of this process may use."""

from __future__ import annotations

import os

_limit: int | None = None


def limit_cpu_threads(count: int) -> None:
    """Set how many cores the networks of this process may use, for all of its threads.

    To be called before a network is made: runtimes take the number over then. One core keeps the
    others free for everything else; docs/performance.md has what a second one gains.
    """
    global _limit
    _limit = count


def cpu_threads() -> int:
    """Return the number that was set, or that of the cores that this process may run on."""
    return _limit or len(os.sched_getaffinity(0))
