"""Where one zone is, learned from the driver who looks at it on request."""

from __future__ import annotations

import numpy as np


class Calibration:
    """Collects directions of looking at one zone.

    Args:
        zone: Its name.
        seconds: How long to look.
    """

    def __init__(self, zone: str, seconds: float) -> None:
        self.zone = zone
        self._left = seconds
        self._directions: list[tuple[float, float]] = []

    def add(self, azimuth: float, elevation: float, seconds: float) -> bool:
        """Add a direction in rad that was held for some seconds; return whether that is enough."""
        self._directions.append((azimuth, elevation))
        self._left -= seconds
        return self._left <= 0

    def direction(self) -> tuple[float, float]:
        """Return the median azimuth and elevation, rad."""
        azimuth, elevation = np.median(self._directions, axis=0)
        return float(azimuth), float(elevation)
