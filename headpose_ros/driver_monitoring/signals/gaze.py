"""What the driver looks at, as far as the head shows, and since when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headpose_ros.driver_monitoring.signals.eyelids.eyelids import EyeSignals
from headpose_ros.driver_monitoring.signals.head.direction import HeadAngles, HeadDirection
from headpose_ros.driver_monitoring.zones import ELSEWHERE, Zones


@dataclass(frozen=True)
class Gaze:
    """What the driver looks at in one image.

    Attributes:
        zone: Name of the zone (area of interest); empty for not known.
        role: One of `zones.ROLES`; empty for not known.
        off_road: Whether that is off the road; None for not known.
        since: When `off_road` came to be what it is, s; NaN for not known.
    """

    zone: str = ''
    role: str = ''
    off_road: bool | None = None
    since: float = np.nan


class GazeClassifier:
    """Follows from image to image what the driver looks at.

    Args:
        head: Where the head points, and since when it moves.
        margin: How far the head must leave a zone for it to be left, rad.
        blink_longest: Eyes closed for longer look at nothing, s.
    """

    def __init__(self, head: HeadDirection, margin: float, blink_longest: float) -> None:
        self._head, self._margin, self._blink_longest = head, margin, blink_longest
        self.restart()

    def restart(self) -> None:
        """Forget the past."""
        self._gaze = Gaze()
        self._reported = -np.inf  # when the last change of `off_road` was reported

    def interrupt(self) -> None:
        """Take over that nobody knows where the eyes were meanwhile."""
        self._gaze = Gaze(since=self._gaze.since)

    def update(
        self, stamp: float, zones: Zones, presence: str, angles: HeadAngles, eyes: EyeSignals
    ) -> Gaze:
        """Return what the driver looks at.

        Args:
            stamp: Of the image, s.
            zones: What there is to look at.
            presence: One of `report.PRESENCES`.
            angles: Where the head points.
            eyes: Whether the eyes are closed.
        """
        if presence != 'turned_away' and eyes.closed and not self._is_blink(eyes):
            # Where the head goes with closed eyes is no part of a glance after that.
            self._reported = stamp
        gaze, since = self.classify_gaze(zones, presence, angles, eyes), self._gaze.since
        before = self._gaze.off_road
        if gaze.off_road is not before:
            is_turn = before is not None and bool(gaze.zone)
            since = stamp
            if is_turn:
                since = self._head.moving_since(stamp, angles, self._reported)
            self._reported = stamp
        self._gaze = Gaze(gaze.zone, gaze.role, gaze.off_road, since)
        return self._gaze

    def classify_gaze(
        self, zones: Zones, presence: str, angles: HeadAngles, eyes: EyeSignals
    ) -> Gaze:
        """Return the zone that the driver looks at; arguments as those of `update`."""
        if presence == 'turned_away':
            # A face that had come back would have been found.
            return Gaze(ELSEWHERE, zones.role(ELSEWHERE), True)
        if eyes.closed:
            # A blink does not move the eyes. Eyes closed for longer are no glance.
            return self._gaze if self._is_blink(eyes) else Gaze('', '', False)
        if not angles.is_known:
            return Gaze()
        zone = zones.find(angles.azimuth, angles.elevation, self._gaze.zone, self._margin)
        role = zones.role(zone)
        return Gaze(zone, role, role != 'road')

    def _is_blink(self, eyes: EyeSignals) -> bool:
        return eyes.closure < self._blink_longest
