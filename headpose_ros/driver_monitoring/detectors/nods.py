"""Nods: the head drops with closed eyes and jerks back."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from math import inf

import numpy as np

from headpose_ros.driver_monitoring.detectors.detector import Detector
from headpose_ros.driver_monitoring.detectors.recent import RecentCount
from headpose_ros.driver_monitoring.events import ENDED, STARTED, Event
from headpose_ros.driver_monitoring.filters import known_or
from headpose_ros.driver_monitoring.signals.signals import Signals
from headpose_ros.driver_monitoring.thresholds import BLINKS, OURS
from headpose_ros.parameter import parameter


@dataclass(frozen=True)
class NodOptions:
    """What a nod is."""

    depth: float = parameter(
        0.17,
        'How far the head drops in a nod.',
        minimum=0.05,
        maximum=1.0,
        unit='rad',
        source=OURS,
        former='nod_depth',
    )
    longest: float = parameter(
        2.5,
        'A nod is over within this time; a longer drop is a slump.',
        minimum=0.5,
        maximum=5.0,
        unit='s',
        source=OURS,
        former='nod_longest',
    )
    closed: float = parameter(
        0.4,
        'How long the eyes are closed in a nod.',
        minimum=0.1,
        maximum=3.0,
        unit='s',
        source='ours: longer than most blinks, ' + BLINKS,
        former='nod_closed',
    )


class NodDetector(Detector):
    """Detects nods; they are reported as a whole once they are over.

    Args:
        options: What a nod is.
        delay: How far back the direction of the head is a median of, s.
        window: In which nods are counted, s.
        ids: Source of the ids.

    Attributes:
        recent: How many there were lately.
    """

    def __init__(self, options: NodOptions, delay: float, window: float, ids: count[int]) -> None:
        super().__init__()
        self._options, self._delay, self._ids = options, delay, ids
        self.recent = RecentCount(window)
        self._restart()

    def update(self, signals: Signals, stamp: float) -> list[Event]:
        """As `Detector.update`."""
        onset = self._follow(signals.head.elevation, signals.eyes.closure, stamp)
        self.recent.update(signals, stamp, [] if onset is None else [stamp])
        if onset is None:
            return []
        name = next(self._ids)
        return [Event(name, 'nod', way, onset, stamp, stamp) for way in (STARTED, ENDED)]

    def lose(self, stamp: float, seen: float = inf) -> list[Event]:
        """Forget the drop that is under way: it was not reported yet."""
        self._restart()
        return []

    def _restart(self) -> None:
        self._onset = self._deepest = np.nan
        self._longest = 0.0
        self._closed, self._was_closed = -np.inf, False

    def _follow(self, elevation: float, closure: float, stamp: float) -> float | None:
        """Return when a nod that is over now began, s, else None."""
        if elevation < -self._options.depth / 2:
            self._drop(elevation, closure, stamp)
            return None
        # Without a known elevation nobody knows how a drop ended.
        is_nod = elevation == elevation and self._is_nod(stamp)
        onset = self._onset
        self._restart()
        return onset if is_nod else None

    def _drop(self, elevation: float, closure: float, stamp: float) -> None:
        if self._onset != self._onset:
            self._onset, self._deepest = stamp, np.inf
        if closure > 0:
            self._closed = stamp
        if elevation < self._deepest:
            # The elevation is a median of the past: the head came to this place a little earlier.
            recently = stamp - self._closed <= self._delay
            self._deepest, self._was_closed = elevation, recently
        # NaN is no closure: eyes that are not seen cannot separate a nod from a look down.
        self._longest = max(self._longest, known_or(closure, 0.0))

    def _is_nod(self, stamp: float) -> bool:
        """Whether a drop that ends now was one: closed at the bottom, and for long enough."""
        return bool(
            self._deepest <= -self._options.depth
            and stamp - self._onset <= self._options.longest
            and self._was_closed
            and self._longest >= self._options.closed
        )
