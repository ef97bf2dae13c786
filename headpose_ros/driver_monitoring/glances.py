"""Eyes off the road: where the head points, and for how long in one glance and in several."""

from __future__ import annotations

from collections import deque

import numpy as np

from headpose_ros.driver_monitoring.options import DriverOptions
from headpose_ros.driver_monitoring.zones import ELSEWHERE, Zones

#: Azimuth, elevation, lean in rad.
Angles = tuple[float, float, float]

#: How far back a movement is looked for, s; no turn of a head to a mirror takes longer.
_MEMORY = 0.8
#: A head has set out when it has done this share of its way.
_SET_OUT = 0.25


class MedianFilter:
    """The median of a direction over a short time: one wrong pose does not move it.

    Args:
        window: How long, s.
    """

    def __init__(self, window: float) -> None:
        self.window = window
        self._past: deque[tuple[float, Angles]] = deque()

    def update(self, stamp: float, angles: Angles) -> Angles:
        """Return the medians of azimuth, elevation and lean, rad; NaN, and a new start, at NaN."""
        if any(angle != angle for angle in angles):
            self._past.clear()
            return angles
        self._past.append((stamp, angles))
        while self._past[0][0] < stamp - _MEMORY:
            self._past.popleft()
        return _medians([past for when, past in self._past if when >= stamp - self.window])

    def moving_since(self, stamp: float, angles: Angles, earliest: float) -> float:
        """Return when the movement began, s, that has led to these angles at a stamp.

        Eyes set out with the head, and a glance begins as they do (ISO 15007), not when the head
        has got out of a zone. Not before `earliest`, when the movement before this one was told.
        """
        recent = [(when, past) for when, past in self._past if when >= earliest]
        before = [past for when, past in recent if when <= stamp - _MEMORY / 2]
        if not before:
            return stamp
        start, now = np.array(_medians(before)[:2]), np.array(angles[:2])
        way = now - start
        since = stamp
        for when, past in reversed(recent):
            if (past[:2] - start) @ way < _SET_OUT * (way @ way):
                break
            since = when
        return since


def _medians(past: list[Angles]) -> Angles:
    azimuth, elevation, lean = (
        sorted(column)[len(past) // 2] for column in zip(*past, strict=True)
    )
    return azimuth, elevation, lean


class RoadTimer:
    """Tells where the driver looks and sums the time off the road.

    Attributes:
        zone: Name of the zone; empty for not known.
        off_road: Whether that is off the road; None for not known.
        since: When `off_road` came to be what it is, s.
        told: When that was known, s.
        accumulated: Time off the road over several glances, s.
    """

    def __init__(self, options: DriverOptions) -> None:
        self.options = options
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self.zone = ''
        self.off_road: bool | None = None
        self.since: float | None = None
        self.told = -np.inf
        self.accumulated = 0.0
        self._glance = 0.0
        self._spent: dict[str, float] = {}

    def look(self, zones: Zones, angles: Angles) -> None:
        """Take over where the head points; NaN for not known."""
        azimuth, elevation, _ = angles
        if azimuth != azimuth or elevation != elevation:
            self.zone, self.off_road = '', None
            return
        self.zone = zones.find(azimuth, elevation, self.zone, self.options.zone_margin)
        self.off_road = zones.role(self.zone) != 'road'

    def look_away(self) -> None:
        """Take over that the face is turned too far away to be found."""
        self.zone, self.off_road = ELSEWHERE, True

    def look_nowhere(self) -> None:
        """Take over that the eyes are closed: that is no glance, whatever the head does."""
        self.zone, self.off_road = '', False

    def count(self, zones: Zones, seconds: float) -> None:
        """Let time pass; nothing changes while it is not known where the driver looks."""
        if self.off_road is None:
            return
        if not self.off_road:
            self.accumulated -= min(self.options.accumulated_refill * seconds, self.accumulated)
            self._glance, self._spent = 0.0, {}
            return
        self._glance += seconds
        self._spent[self.zone] = self._spent.get(self.zone, 0.0) + seconds
        free = self.options.driving_allowance if zones.role(self.zone) == 'driving' else 0.0
        self.accumulated += seconds if self._glance > free else 0.0

    @property
    def main_zone(self) -> str:
        """The zone in which most of the present glance was spent so far."""
        return max(self._spent, key=self._spent.__getitem__) if self._spent else self.zone


class NodDetector:
    """Finds nods: the head drops with closed eyes and jerks back.

    Args:
        options: Depth and length.
    """

    def __init__(self, options: DriverOptions) -> None:
        self.options = options
        self.reset()

    def reset(self) -> None:
        """Forget the drop that is under way."""
        self._since = self._deepest = np.nan
        self._longest = 0.0
        self._closed, self._was_closed = -np.inf, False

    def update(self, stamp: float, elevation: float, closure: float) -> tuple[float, float] | None:
        """Return from when to when a nod went that is over now, s, else None.

        Args:
            stamp: Now, s.
            elevation: Of the head against the neutral pose, rad; NaN for not known.
            closure: How long the eyes have been closed, s; 0 for open, NaN for not known.
        """
        if elevation != elevation:
            self.reset()
            return None
        if elevation < -self.options.nod_depth / 2:
            self._follow(stamp, elevation, closure)
            return None
        since, was_nod = self._since, self._is_nod(stamp)
        self.reset()
        return (since, stamp) if was_nod else None

    def _follow(self, stamp: float, elevation: float, closure: float) -> None:
        if self._since != self._since:
            self._since, self._deepest = stamp, np.inf
        if closure > 0:
            self._closed = stamp
        if elevation < self._deepest:
            # The elevation is a median of the past: the head came to this place a little earlier.
            recently = stamp - self._closed <= self.options.head_window
            self._deepest, self._was_closed = elevation, recently
        # NaN is no closure: without seen eyes nothing tells a nod from a look down.
        self._longest = max(self._longest, closure if closure == closure else 0.0)

    def _is_nod(self, stamp: float) -> bool:
        """Whether a drop that ends now was one: closed at the bottom, and for long enough."""
        return bool(
            self._deepest <= -self.options.nod_depth
            and stamp - self._since <= self.options.nod_longest
            and self._was_closed
            and self._longest >= self.options.nod_closed
        )
