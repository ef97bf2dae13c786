"""Whether the driver's face is in sight, and if not, why."""

from __future__ import annotations

import numpy as np

from headpose_ros.driver_monitoring.signals.head.direction import HeadAngles
from headpose_ros.driver_monitoring.signals.seat import SeatOptions


class PresenceClassifier:
    """Follows from image to image whether the driver is there.

    Args:
        options: How long a face may be out of sight.
        turned_away: Turn from neutral beyond which a detector may lose a face, rad.
    """

    def __init__(self, options: SeatOptions, turned_away: float) -> None:
        self._options, self._turned_away = options, turned_away
        self._last_seen: float | None = None
        self._last_angles = HeadAngles()

    def update(
        self, stamp: float, angles: HeadAngles | None, covered: bool | None, frozen: bool
    ) -> str:
        """Return one of `report.PRESENCES`.

        Args:
            stamp: Of the image, s.
            angles: Direction of the driver's head; None when the face is not found.
            covered: Whether the picture shows nothing at all; None for not known.
            frozen: Whether the picture stands still, and so shows nothing of the present.
        """
        if angles is not None:
            self._last_seen, self._last_angles = stamp, angles
        if frozen:
            return 'unknown'
        if angles is not None:
            return 'visible'
        if covered:
            return 'covered'
        if self._last_seen is None:
            return 'hidden'
        gone = stamp - self._last_seen
        if self._was_turned and gone <= self._options.forget_seconds:
            return 'turned_away'
        return 'hidden' if gone < self._options.absent_seconds else 'absent'

    @property
    def _was_turned(self) -> bool:
        """Whether the face was last seen turned so far that the detector may lose it."""
        azimuth, elevation, _ = self._last_angles
        return bool(np.hypot(azimuth, elevation) > self._turned_away)
