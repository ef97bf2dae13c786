"""Whether the eyes are closed; a sleeper's are until there is evidence that they are open."""

from __future__ import annotations

import numpy as np

from headpose_ros.driver_monitoring.filters import Hysteresis, crossing
from headpose_ros.driver_monitoring.signals.eyelids.options import LidOptions

#: Evidence that wakes a sleeper: seconds of seen eyes times how far openness is above the limit.
#: One image is little evidence. Shorter closures are over with the first image of open eyes.
_WOKEN = 0.1
#: No single image counts for longer, s.
_LONGEST_IMAGE = 0.1


class EyeClosure:
    """Closed eyes by P80, with hysteresis and evidence.

    Args:
        options: Limits of openness.
        asleep: How long eyes are closed in sleep, s.

    Attributes:
        closed: Whether they are closed; None for not known.
        since: When they came to be so, s; NaN for not known.
    """

    def __init__(self, options: LidOptions, asleep: float) -> None:
        self.options, self._asleep = options, asleep
        self._gate = Hysteresis(options.closed_below, options.open_above)
        self._last = (0.0, np.nan)
        self._opening, self._opened = 0.0, np.nan
        self.closed: bool | None = None
        self.since = np.nan

    def update(self, stamp: float, openness: float, seconds: float, known: bool = True) -> None:
        """Take over an openness at a stamp.

        Args:
            stamp: Of the image, s.
            openness: 0 (closed) to 1 (open); NaN where unknown.
            seconds: Since the image before; 0 after a gap.
            known: Whether the driver's own open eye is known. Before that nobody knows how far
                above the limit it will be, and above the limit is open.
        """
        options, was = self.options, self.closed
        self._gate.leave = options.open_above if known else options.closed_below
        self.closed = self._gate.update(openness)
        if was and self.closed is False and not self._is_opened(stamp, openness, seconds):
            self.closed = True
        if self.closed is None:
            self.since = np.nan
        elif self.closed and not was:
            self.since = self._crossing(stamp, openness, options.closed_below)
        elif was and not self.closed:
            self.since = self._opened
        if not self.closed or self._gate.state:
            self._opening, self._opened = 0.0, np.nan
        self._last = (stamp, openness)

    def closed_for(self, stamp: float) -> float:
        """Return how long the eyes have been closed, s; 0 for open, NaN for not known."""
        if self.closed is None:
            return np.nan
        return stamp - self.since if self.closed else 0.0

    def _is_opened(self, stamp: float, openness: float, seconds: float) -> bool:
        """Whether closed eyes are seen to be open by now, this image being one that shows it."""
        limit = self._gate.leave
        if np.isnan(self._opened):
            self._opened = self._crossing(stamp, openness, limit)
        # Nobody saw the eyes closed during a gap, so what comes after it needs no more evidence.
        if seconds == 0 or self._opened - self.since < self._asleep:
            return True
        self._opening += (openness - limit) * min(seconds, _LONGEST_IMAGE)
        if self._opening < 0:
            self._opening, self._opened = 0.0, np.nan
        return self._opening >= _WOKEN

    def _crossing(self, stamp: float, openness: float, level: float) -> float:
        return crossing(self._last, (stamp, openness), level)
