"""What a node did: counts, and the last seconds' ages and stage times."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np

_REMEMBERED = 1000
_COUNTS = (
    'frames_in',
    'frames_out',
    'frames_dropped',
    'frames_late',
    'frames_refused',
    'faces',
    'faces_left_out',
)


class NodeStatistics:
    """Counts frames and remembers how long they took; safe across threads.

    Every frame that came in and is not being worked on is in exactly one of the other counts.

    Attributes:
        frames_in: Images received.
        frames_out: Faces messages published.
        frames_dropped: Images replaced by a newer one before their turn.
        frames_late: Images older than allowed, or older than the one before.
        frames_refused: Images that could not be used (unknown encoding, short data, ...).
        faces: Faces published, over all frames.
        faces_left_out: Faces beyond `max_faces`, over all frames.
    """

    def __init__(self) -> None:
        self.frames_in = 0
        self.frames_out = 0
        self.frames_dropped = 0
        self.frames_late = 0
        self.frames_refused = 0
        self.faces = 0
        self.faces_left_out = 0
        self._milliseconds: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def note(self, **milliseconds: float) -> None:
        """Remember how long the stages of one frame took, `age` among them."""
        with self._lock:
            for stage, value in milliseconds.items():
                self._milliseconds.setdefault(stage, deque(maxlen=_REMEMBERED)).append(value)

    def stages(self) -> dict[str, list[float]]:
        """Return the remembered milliseconds of every stage."""
        with self._lock:
            return {name: list(values) for name, values in self._milliseconds.items()}

    def summary(self) -> dict[str, Any]:
        """Return counts, and median and 95th percentile of every stage in ms."""
        return summarize([self])


def summarize(parts: Iterable[NodeStatistics]) -> dict[str, Any]:
    """Return what :meth:`NodeStatistics.summary` does, over several of them."""
    parts = list(parts)
    counts = {name: sum(getattr(part, name) for part in parts) for name in _COUNTS}
    stages: dict[str, list[float]] = {}
    for part in parts:
        for name, values in part.stages().items():
            stages.setdefault(name, []).extend(values)
    return {**counts, 'milliseconds': {name: _percentiles(v) for name, v in stages.items()}}


def _percentiles(values: list[float]) -> dict[str, float]:
    median, high = np.percentile(values, [50, 95])
    return {'median': round(float(median), 2), 'p95': round(float(high), 2)}
