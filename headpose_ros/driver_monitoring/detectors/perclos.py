"""Eyes closed for much of the time: PERCLOS."""

from __future__ import annotations

from itertools import count

import numpy as np

from headpose_ros.driver_monitoring.detectors.detector import Detector
from headpose_ros.driver_monitoring.detectors.episode import Episode
from headpose_ros.driver_monitoring.events import Event
from headpose_ros.driver_monitoring.filters import Hysteresis
from headpose_ros.driver_monitoring.signals.eyelids.options import PerclosOptions
from headpose_ros.driver_monitoring.signals.signals import Signals


class PerclosDetector(Detector):
    """Detects times in which PERCLOS is beyond its limit.

    Args:
        options: The limit, and where it is left.
        grace: How long the driver may be out of the seat before an episode is lost, s.
        ids: Source of the ids.
    """

    def __init__(self, options: PerclosOptions, grace: float, ids: count[int]) -> None:
        super().__init__(Episode('perclos', 0.0, 0.0, grace, ids))
        self._drowsy = Hysteresis(-options.limit, -options.release)

    def update(self, signals: Signals, stamp: float) -> list[Event]:
        """As `Detector.update`."""
        return self.episodes[0].update(stamp, self._is_drowsy(signals))

    def _is_drowsy(self, signals: Signals) -> bool | None:
        """Return whether PERCLOS is beyond its limit; None while nobody is there."""
        if signals.presence in ('unknown', 'absent'):
            return None
        eyes = signals.eyes
        # What leaves the window while the eyes are not seen makes nobody drowsy.
        if eyes.closed is not None or not np.isfinite(eyes.perclos):
            return self._drowsy.update(-eyes.perclos)
        return self._drowsy.state
