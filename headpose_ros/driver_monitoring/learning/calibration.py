"""Where one zone is, learned from the driver who looks at it on request."""

from __future__ import annotations

import numpy as np

from headpose_ros.driver_monitoring.signals.head.direction import HeadAngles
from headpose_ros.driver_monitoring.zones import ZoneError, Zones


class ZoneCalibrator:
    """Calibrates zones, one at a time.

    Args:
        zones: The zones as they are.

    Attributes:
        zones: The zones as calibrated.
        status: What became of the last calibration, for people; empty before the first.
    """

    def __init__(self, zones: Zones) -> None:
        self.zones, self.status = zones, ''
        self._look: _Look | None = None

    def start(self, zone: str, seconds: float) -> None:
        """Learn where a zone is from the directions of the next seconds of known direction.

        Raises:
            ZoneError: There is no such zone, or it is the road.
        """
        self.zones.to_calibrate(zone)
        self._look = _Look(zone, seconds)
        self.status = f'looking at {zone}'

    def cancel(self) -> None:
        """Drop the calibration under way."""
        self._look = None

    def update(self, angles: HeadAngles, seconds: float) -> None:
        """Take over where somebody awake looked for some seconds."""
        look = self._look
        if look is None or angles.azimuth != angles.azimuth:
            return
        if not look.add(angles, seconds):
            return
        self._look = None
        try:
            self.zones = self.zones.calibrated(look.zone, *look.direction())
            self.status = f'{look.zone} is calibrated'
        except ZoneError as error:
            self.status = f'{look.zone} is not calibrated: {error}'


class _Look:
    """Collects directions of looking at one zone for some seconds."""

    def __init__(self, zone: str, seconds: float) -> None:
        self.zone = zone
        self._left = seconds
        self._directions: list[tuple[float, float]] = []

    def add(self, angles: HeadAngles, seconds: float) -> bool:
        """Add a direction that was held for some seconds; return whether that is enough."""
        self._directions.append((angles.azimuth, angles.elevation))
        self._left -= seconds
        return self._left <= 0

    def direction(self) -> tuple[float, float]:
        """Return the median azimuth and elevation, rad."""
        azimuth, elevation = np.median(self._directions, axis=0)
        return float(azimuth), float(elevation)
