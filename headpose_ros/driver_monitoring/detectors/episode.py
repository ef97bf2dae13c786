"""A condition over time as an episode: it begins late enough to be certain, and may be lost."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from math import inf

from headpose_ros.driver_monitoring.events import ENDED, LOST, STARTED, Event


class Episode:
    """Follows one kind of episode from beginning to end.

    Args:
        kind: One of `events.KINDS`.
        minimum: Shortest episode, s: it is reported once it has lasted this long.
        release: How long the condition must be false for the episode to end, s.
        grace: How long the condition may be unknown before the episode is lost, s.
        ids: Source of the ids.

    Attributes:
        event: What was reported last about the episode under way; None for none.
    """

    def __init__(
        self, kind: str, minimum: float, release: float, grace: float, ids: count[int]
    ) -> None:
        self.kind, self.minimum, self.release, self.grace = kind, minimum, release, grace
        self._ids = ids
        self._onset: float | None = None
        self._last = 0.0  # when the condition was last true
        self._false: float | None = None  # when it was known to be false
        self._ended = 0.0  # when it became false
        self._unknown: float | None = None  # when it became unknown
        self.event: Event | None = None

    @property
    def onset(self) -> float | None:
        """When the condition came to hold, s, reported or not yet; None while it does not hold.

        A condition within its hysteresis still holds.
        """
        return self._onset

    def update(
        self, stamp: float, condition: bool | None, since: float | None = None, zone: str = ''
    ) -> list[Event]:
        """Return the transitions at a stamp.

        Args:
            stamp: Now, s; never less than at the last call.
            condition: Whether the condition holds now; None for not known.
            since: When that came to be, where it is known better than by the stamp, s.
            zone: Zone of the episode as far as is known.
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
