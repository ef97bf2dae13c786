"""Eyes off the road: where the head points, and for how long in one glance and in several."""

from __future__ import annotations

from collections import deque

import numpy as np

from headpose_ros.driver.options import DriverOptions
from headpose_ros.driver.zones import Zones


class Steady:
    """The median of a direction over a short time: one wrong pose does not move it.

    Args:
        window: How long, s.
    """

    def __init__(self, window: float) -> None:
        self.window = window
        self._past: deque[tuple[float, tuple[float, float, float]]] = deque()

    def update(
        self, stamp: float, angles: tuple[float, float, float]
    ) -> tuple[float, float, float]:
        """Return the medians of azimuth, elevation and lean, rad; NaN, and a new start, at NaN."""
        if any(angle != angle for angle in angles):
            self._past.clear()
            return angles
        self._past.append((stamp, angles))
        while self._past[0][0] < stamp - self.window:
            self._past.popleft()
        columns = zip(*(past for _, past in self._past), strict=True)
        azimuth, elevation, lean = (sorted(column)[len(self._past) // 2] for column in columns)
        return azimuth, elevation, lean


class RoadTimer:
    """Tells where the driver looks and sums the time off the road.

    Attributes:
        zone: Name of the zone; empty for not known.
        off_road: Whether that is off the road; None for not known.
        accumulated: Time off the road over several glances, s.
    """

    def __init__(self, options: DriverOptions) -> None:
        self.options = options
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self.zone = ''
        self.off_road: bool | None = None
        self.accumulated = 0.0
        self._glance = 0.0
        self._spent: dict[str, float] = {}

    def look(self, zones: Zones, azimuth: float, elevation: float) -> None:
        """Take over where the head points, rad; NaN for not known."""
        if azimuth != azimuth or elevation != elevation:
            self.zone, self.off_road = '', None
            return
        self.zone = zones.find(azimuth, elevation, self.zone, self.options.zone_margin)
        self.off_road = zones.role(self.zone) != 'road'

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


class Dip:
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
        self._closed = self._passed = 0.0

    def update(
        self, stamp: float, elevation: float, closed: bool | None, seconds: float
    ) -> tuple[float, float] | None:
        """Return from when to when a nod went that is over now, s, else None.

        Args:
            stamp: Now, s.
            elevation: Of the head against the neutral pose, rad; NaN for not known.
            closed: Whether the eyes are closed; None for not known.
            seconds: Since the image before.
        """
        if elevation != elevation:
            self.reset()
            return None
        if elevation < -self.options.nod_depth / 2:
            self._follow(stamp, elevation, closed, seconds)
            return None
        since, was_nod = self._since, self._is_nod(stamp)
        self.reset()
        return (since, stamp) if was_nod else None

    def _follow(self, stamp: float, elevation: float, closed: bool | None, seconds: float) -> None:
        if self._since != self._since:
            self._since, self._deepest = stamp, elevation
            return
        self._deepest = min(self._deepest, elevation)
        self._passed += seconds
        self._closed += seconds * (closed is True)

    def _is_nod(self, stamp: float) -> bool:
        """Whether a drop that ends now was one; without seen eyes nothing tells it from a look."""
        return bool(
            self._deepest <= -self.options.nod_depth
            and stamp - self._since <= self.options.nod_longest
            and self._closed > 0.6 * self._passed
        )
