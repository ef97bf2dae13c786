"""Conditions over time become events: they begin late enough to be sure, and end with hysteresis.

A condition is True, False or None (not known). Time comes from the caller only.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from itertools import count
from math import inf

#: What events there are, in the order of `KIND_` constants of headpose_ros/DriverEvent, from 1.
KINDS = (
    'glance',
    'long_glance',
    'repeated_glances',
    'closure',
    'microsleep',
    'sleep',
    'perclos',
    'yawn',
    'nod',
    'slump',
)

STARTED, ENDED, LOST = 'started', 'ended', 'lost'


@dataclass(frozen=True)
class Event:
    """Something that the driver does.

    Attributes:
        id: Unique while the program runs.
        kind: One of `KINDS`.
        transition: `started`, `ended`, or `lost` when it could not be followed to its end.
        onset: When it began, s.
        end: Until when it is known to have lasted, s.
        known: When this transition was known, s.
        zone: Name of the zone of a glance, else empty.
    """

    id: int
    kind: str
    transition: str
    onset: float
    end: float
    known: float
    zone: str = ''

    @property
    def duration(self) -> float:
        """How long it is known to have lasted, s."""
        return self.end - self.onset


class Gate:
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


class Episode:
    """The events of one kind.

    Args:
        kind: One of `KINDS`.
        minimum: Shortest event, s: it is reported once it has lasted so long.
        release: So long the condition must be false for the event to end, s.
        grace: So long it may be unknown without the event being lost, s.
        ids: Where the ids come from.
    """

    def __init__(
        self, kind: str, minimum: float, release: float, grace: float, ids: count[int]
    ) -> None:
        self.kind, self.minimum, self.release, self.grace = kind, minimum, release, grace
        self._ids = ids
        self._onset: float | None = None
        self._last = 0.0  # when the condition was last true
        self._false: float | None = None  # since when it is known to be false
        self._ended = 0.0  # since when it really is
        self._unknown: float | None = None  # since when it is unknown
        self.event: Event | None = None

    @property
    def onset(self) -> float | None:
        """Since when the condition holds, also before the event is long enough; None: it does not.

        Within hysteresis it holds on.
        """
        return self._onset

    def update(
        self, stamp: float, condition: bool | None, since: float | None = None, zone: str = ''
    ) -> list[Event]:
        """Return the transitions at a stamp.

        Args:
            stamp: Now, s; never less than at the last call.
            condition: Whether the condition holds now; None for not known.
            since: When that came to be so, where it is known better than by the stamp, s.
            zone: Zone of the event as far as is known.
        """
        if condition is None:
            return self._miss(stamp)
        self._unknown = None
        since = stamp if since is None else min(since, stamp)
        return self._hold(stamp, since, zone) if condition else self._rest(stamp, since)

    def lose(self, stamp: float, seen: float = inf) -> list[Event]:
        """End whatever is under way as lost: it lasted at least until it was last seen.

        Args:
            stamp: Now, s.
            seen: Until when anything was seen at all, s.
        """
        return self._close(LOST, min(self._last, seen), stamp)

    def _hold(self, stamp: float, since: float, zone: str) -> list[Event]:
        if self._onset is None:
            self._onset = since
        self._last, self._false = stamp, None
        if self.event is not None:
            self.event = replace(self.event, end=stamp, zone=zone)
        elif stamp - self._onset >= self.minimum:
            name = next(self._ids)
            self.event = Event(name, self.kind, STARTED, self._onset, stamp, stamp, zone)
            return [self.event]
        return []

    def _rest(self, stamp: float, since: float) -> list[Event]:
        if self._onset is None:
            return []
        if self._false is None:
            self._false, self._ended = stamp, since
        if stamp - self._false >= self.release:
            return self._close(ENDED, self._ended, stamp)
        return []

    def _miss(self, stamp: float) -> list[Event]:
        if self._onset is None:
            return []
        if self._unknown is None:
            self._unknown = stamp
        return self.lose(stamp) if stamp - self._unknown > self.grace else []

    def _close(self, transition: str, end: float, stamp: float) -> list[Event]:
        event, self.event = self.event, None
        self._onset = self._false = self._unknown = None
        if event is None:
            return []
        return [replace(event, transition=transition, end=max(end, event.onset), known=stamp)]


class Shares:
    """The share of time for which something held, over a sliding window of measured time.

    Args:
        window: Length, s.
    """

    def __init__(self, window: float) -> None:
        self.window = window
        self._parts: deque[tuple[float, float, bool]] = deque()
        self._measured = self._held = 0.0

    def add(self, stamp: float, seconds: float, held: bool | None) -> None:
        """Add the `seconds` up to a stamp; None where it was not known whether it held."""
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
