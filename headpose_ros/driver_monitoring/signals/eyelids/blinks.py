"""Blinks and PERCLOS over a sliding window of seen eyes."""

from __future__ import annotations

from collections import deque

import numpy as np

from headpose_ros.driver_monitoring.filters import Hysteresis, WindowShare, crossing
from headpose_ros.driver_monitoring.signals.eyelids.options import LidOptions, PerclosOptions

#: A shorter dip is noise of a single image: no blink is that quick, s.
_QUICKEST_BLINK = 0.03


class LidStatistics:
    """PERCLOS (P80), rate and duration of blinks; all NaN without enough evidence.

    Args:
        lids: What a blink is.
        perclos: The window, and how much of it must be measured.
    """

    def __init__(self, lids: LidOptions, perclos: PerclosOptions) -> None:
        self._options, self._window = lids, perclos.window
        # Never more than the window can hold, whatever the options are.
        self._evidence = min(perclos.evidence, 0.9 * perclos.window)
        self._blink = Hysteresis(lids.blink_below, lids.blink_below + 0.1)
        self._closed = WindowShare(perclos.window)
        self._blinks: deque[tuple[float, float]] = deque()  # when it was over, duration
        self._last = (0.0, np.nan)
        self._blink_since = np.nan

    def update(self, stamp: float, openness: float, seconds: float, closed: bool | None) -> None:
        """Take over an openness at a stamp.

        Args:
            stamp: Of the image, s.
            openness: 0 (closed) to 1 (open); NaN where unknown.
            seconds: Since the image before; 0 after a gap.
            closed: Whether the eyes are closed by P80; None for not known.
        """
        self._follow_blink(stamp, openness)
        self._closed.add(stamp, seconds, closed)
        while self._blinks and self._blinks[0][0] <= stamp - self._window:
            self._blinks.popleft()
        self._last = (stamp, openness)

    @property
    def measured(self) -> float:
        """How much of the window the eyes were seen, s."""
        return self._closed.measured

    @property
    def perclos(self) -> float:
        """Share of the time with the eyes closed, 0..1."""
        return self._closed.share if self._is_enough else np.nan

    @property
    def blink_rate(self) -> float:
        """Blinks per minute of seen eyes."""
        return 60.0 * len(self._blinks) / self.measured if self._is_enough else np.nan

    @property
    def blink_duration(self) -> float:
        """Mean duration of blinks, s; NaN without any."""
        if not self._blinks or not self._is_enough:
            return np.nan
        return sum(duration for _, duration in self._blinks) / len(self._blinks)

    @property
    def _is_enough(self) -> bool:
        return self.measured >= self._evidence

    def _follow_blink(self, stamp: float, openness: float) -> None:
        was, below = self._blink.state, self._blink.update(openness)
        if below and was is False:
            self._blink_since = self._half_closed(stamp, openness)
        elif below is None:
            self._blink_since = np.nan
        elif was and not below:
            duration = self._half_closed(stamp, openness) - self._blink_since
            if _QUICKEST_BLINK <= duration <= self._options.blink_longest:
                self._blinks.append((stamp, duration))
            self._blink_since = np.nan

    def _half_closed(self, stamp: float, openness: float) -> float:
        return crossing(self._last, (stamp, openness), self._options.blink_below)
