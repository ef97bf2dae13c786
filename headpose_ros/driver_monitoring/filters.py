"""Numbers over time: hysteresis, shares of a sliding window, crossings. Time is given by callers.

A condition is True, False or None, which stands for not known.
"""

from __future__ import annotations

from collections import deque


class Hysteresis:
    """A number as a condition, with hysteresis.

    Args:
        enter: The condition becomes true below this value.
        leave: It becomes false above this value, `enter` <= `leave`.
    """

    def __init__(self, enter: float, leave: float) -> None:
        self.enter, self.leave = enter, max(enter, leave)
        self.state: bool | None = None

    def update(self, value: float) -> bool | None:
        """Return the condition at a value; None at NaN, which also forgets the state."""
        if value != value:
            self.state = None
        elif value < self.enter:
            self.state = True
        elif value > self.leave or self.state is None:
            self.state = False
        return self.state


class WindowShare:
    """The share of time for which a condition held, over a sliding window of measured time.

    Args:
        window: Length, s.
    """

    def __init__(self, window: float) -> None:
        self.window = window
        self._parts: deque[tuple[float, float, bool]] = deque()
        self._measured = self._held = 0.0

    def add(self, stamp: float, seconds: float, held: bool | None) -> None:
        """Add whether the condition held in the `seconds` up to a stamp; None for not known."""
        if held is not None and seconds > 0:
            self._parts.append((stamp, seconds, held))
            self._measured += seconds
            self._held += seconds * held
        while self._parts and self._parts[0][0] <= stamp - self.window:
            _, old, was = self._parts.popleft()
            self._measured -= old
            self._held -= old * was

    @property
    def measured(self) -> float:
        """How much of the window was measured, s."""
        return max(self._measured, 0.0)

    @property
    def share(self) -> float:
        """Share of the measured time for which it held, 0..1; NaN where nothing was measured."""
        return min(max(self._held / self._measured, 0.0), 1.0) if self._parts else float('nan')


def crossing(before: tuple[float, float], now: tuple[float, float], level: float) -> float:
    """Return when a value passed a level between two stamps, on a straight line.

    Args:
        before: A stamp, s, and the value, which may be NaN.
        now: The same later, not NaN.
        level: The level.
    """
    (then, value), (stamp, newer) = before, now
    if value != value or value == newer:
        return stamp
    share = min(max((level - value) / (newer - value), 0.0), 1.0)
    return then + share * (stamp - then)


def known_or(value: float, other: float) -> float:
    """Return a value, or another one where it is NaN."""
    return value if value == value else other
