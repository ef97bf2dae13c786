"""Eyelids over time: closures, blinks, PERCLOS, and eyes that cannot be seen."""

from __future__ import annotations

from collections import deque

import numpy as np

from headpose_ros.driver_monitoring.closure import Closure, crossing
from headpose_ros.driver_monitoring.episodes import Gate, Shares
from headpose_ros.driver_monitoring.options import DriverOptions

#: A shorter dip is noise of a single image: no blink is that quick, s.
_QUICKEST_BLINK = 0.03
#: Eyes are hidden that are seen for less than this share of a window, until they are seen for more
#: than that one: a network takes a reflex on sunglasses for an eye now and then.
_HIDDEN, _BACK = 0.2, 0.8
#: A window is filled when so much of it was measured: stamps do not meet its edges.
_FILLED = 0.95


class Eyelids:
    """Follows the openness of the eyes."""

    def __init__(self, options: DriverOptions) -> None:
        self.options = options
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        options = self.options
        self._closure = Closure(options)
        self._blink = Gate(options.blink_below, options.blink_below + 0.1)
        self._shares = Shares(options.perclos_window)
        self._blinks: deque[tuple[float, float]] = deque()
        self._last = (0.0, np.nan)
        self._blink_since = np.nan

    def update(self, stamp: float, openness: float, seconds: float, known: bool = True) -> None:
        """Take over an openness at a stamp; arguments as those of `Closure.update`."""
        self._closure.update(stamp, openness, seconds, known)
        self._follow_blink(stamp, openness)
        self._shares.add(stamp, seconds, self.closed)
        while self._blinks and self._blinks[0][0] <= stamp - self.options.perclos_window:
            self._blinks.popleft()
        self._last = (stamp, openness)

    @property
    def closed(self) -> bool | None:
        """Whether they are closed by P80; None for not known."""
        return self._closure.closed

    @property
    def since(self) -> float:
        """When they came to be closed or open, s; NaN for not known."""
        return self._closure.since

    @property
    def measured(self) -> float:
        """How much of the window the eyes were seen, s."""
        return self._shares.measured

    @property
    def perclos(self) -> float:
        """Share of the time with the eyes closed, 0..1; NaN without enough evidence."""
        return self._shares.share if self._is_enough else np.nan

    @property
    def blink_rate(self) -> float:
        """Blinks per minute of seen eyes; NaN without enough evidence."""
        return 60.0 * len(self._blinks) / self.measured if self._is_enough else np.nan

    @property
    def blink_duration(self) -> float:
        """Mean duration of blinks, s; NaN without any."""
        if not self._blinks or not self._is_enough:
            return np.nan
        return sum(duration for _, duration in self._blinks) / len(self._blinks)

    @property
    def _is_enough(self) -> bool:
        # Never more than the window can hold, whatever the options say.
        needed = min(self.options.perclos_evidence, 0.9 * self.options.perclos_window)
        return self.measured >= needed

    def _follow_blink(self, stamp: float, openness: float) -> None:
        was, below = self._blink.state, self._blink.update(openness)
        if below and was is False:
            self._blink_since = self._half_closed(stamp, openness)
        elif below is None:
            self._blink_since = np.nan
        elif was and not below:
            duration = self._half_closed(stamp, openness) - self._blink_since
            if _QUICKEST_BLINK <= duration <= self.options.blink_longest:
                self._blinks.append((stamp, duration))
            self._blink_since = np.nan

    def _half_closed(self, stamp: float, openness: float) -> float:
        return crossing(self._last, (stamp, openness), self.options.blink_below)


class HiddenEyes:
    """Tells eyes that cannot be seen, as behind sunglasses, from ones that are missed for a moment.

    Args:
        window: How long a face must have been in sight to tell, s.
    """

    def __init__(self, window: float) -> None:
        self._seen = Shares(window)
        self._gate = Gate(_HIDDEN, _BACK)

    def update(self, stamp: float, seconds: float, seen: bool | None) -> None:
        """Take over whether an eye was seen in the `seconds` up to a stamp; None without a face."""
        self._seen.add(stamp, seconds, seen)
        share = self._seen.share
        filled = self._seen.measured >= _FILLED * self._seen.window
        # Without a face for so long that nothing is left, hidden eyes stay so until it is back.
        if share == share and (filled or self.state):
            self._gate.update(share)

    @property
    def state(self) -> bool:
        """Whether the eyes are hidden."""
        return bool(self._gate.state)
