"""All detectors, fed with the same signals."""

from __future__ import annotations

from itertools import count
from math import inf

from headpose_ros.driver_monitoring.detectors.closures import ClosureDetector
from headpose_ros.driver_monitoring.detectors.detector import Detector
from headpose_ros.driver_monitoring.detectors.glances import GlanceDetector
from headpose_ros.driver_monitoring.detectors.nods import NodDetector
from headpose_ros.driver_monitoring.detectors.perclos import PerclosDetector
from headpose_ros.driver_monitoring.detectors.slumps import SlumpDetector
from headpose_ros.driver_monitoring.detectors.yawns import YawnDetector
from headpose_ros.driver_monitoring.events import Event
from headpose_ros.driver_monitoring.options import DriverOptions
from headpose_ros.driver_monitoring.signals.signals import Signals


class DetectorBank:
    """Runs all detectors over the signals of one driver.

    Args:
        options: Thresholds.
        ids: Source of the ids of events.

    Attributes:
        glances: Has the time off the road, beside its events.
        yawns: Has a count of the last ones.
        nods: Has a count of the last ones.
        episodes: All episodes by kind, in the order of `events.KINDS`.
    """

    def __init__(self, options: DriverOptions, ids: count[int]) -> None:
        grace, window = options.stream.unknown_grace, options.drowsiness.window
        self.glances = GlanceDetector(options.glances, grace, ids)
        self.yawns = YawnDetector(options.yawns, window, grace, ids)
        self.nods = NodDetector(options.nods, options.head.window, window, ids)
        self._detectors: tuple[Detector, ...] = (
            self.glances,
            ClosureDetector(options.closures, grace, ids),
            PerclosDetector(options.perclos, grace, ids),
            self.yawns,
            SlumpDetector(options.slumps, options.glances.release, grace, ids),
            self.nods,
        )
        self.episodes = {e.kind: e for detector in self._detectors for e in detector.episodes}

    def update(self, signals: Signals, stamp: float) -> list[Event]:
        """Return the transitions at a stamp."""
        return [e for detector in self._detectors for e in detector.update(signals, stamp)]

    def lose(self, stamp: float, seen: float = inf) -> list[Event]:
        """End whatever is under way as lost; nothing was seen after `seen`."""
        return [e for detector in self._detectors for e in detector.lose(stamp, seen)]

    @property
    def active(self) -> tuple[Event, ...]:
        """The events under way."""
        return tuple(e.event for e in self.episodes.values() if e.event is not None)
