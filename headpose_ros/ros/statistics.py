"""What a node did: counts, and the last seconds' ages and stage times."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import numpy as np

_REMEMBERED = 1000


class NodeStatistics:
    """Counts frames and remembers how long they took; safe across threads.

    Attributes:
        frames_in: Images received.
        frames_out: Faces messages published.
        frames_dropped: Images replaced by a newer one before their turn.
        frames_refused: Images that could not be used (unknown encoding, short data, ...).
        faces: Faces published, over all frames.
    """

    def __init__(self) -> None:
        self.frames_in = 0
        self.frames_out = 0
        self.frames_dropped = 0
        self.frames_refused = 0
        self.faces = 0
        self._milliseconds: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def note(self, **milliseconds: float) -> None:
        """Remember how long the stages of one frame took, `age` among them."""
        with self._lock:
            for stage, value in milliseconds.items():
                self._milliseconds.setdefault(stage, deque(maxlen=_REMEMBERED)).append(value)

    def summary(self) -> dict[str, Any]:
        """Return counts, and median and 95th percentile of every stage in ms."""
        with self._lock:
            stages = {name: list(values) for name, values in self._milliseconds.items()}
        return {
            'frames_in': self.frames_in,
            'frames_out': self.frames_out,
            'frames_dropped': self.frames_dropped,
            'frames_refused': self.frames_refused,
            'faces': self.faces,
            'milliseconds': {name: _percentiles(values) for name, values in stages.items()},
        }


def _percentiles(values: list[float]) -> dict[str, float]:
    median, high = np.percentile(values, [50, 95])
    return {'median': round(float(median), 2), 'p95': round(float(high), 2)}
