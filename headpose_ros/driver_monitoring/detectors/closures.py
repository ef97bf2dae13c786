"""Closed eyes: closures longer than a blink, micro-sleep, sleep."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from headpose_ros.driver_monitoring.detectors.detector import Detector
from headpose_ros.driver_monitoring.detectors.episode import Episode
from headpose_ros.driver_monitoring.events import Event
from headpose_ros.driver_monitoring.filters import known_or
from headpose_ros.driver_monitoring.signals.signals import Signals
from headpose_ros.driver_monitoring.thresholds import BLINKS, EURO_NCAP, check_ascending
from headpose_ros.parameter import parameter


@dataclass(frozen=True)
class ClosureOptions:
    """How long eyes are closed in a closure, in micro-sleep and in sleep."""

    minimum: float = parameter(
        0.5,
        'Shortest closure: time with closed eyes.',
        minimum=0.3,
        maximum=3.0,
        unit='s',
        source='longer than the longest blinks, ' + BLINKS,
        former='closure_minimum',
    )
    microsleep: float = parameter(
        1.0,
        'Time with closed eyes after which it is micro-sleep.',
        minimum=0.5,
        maximum=5.0,
        unit='s',
        source=f'{EURO_NCAP}: 1 to 2 s',
        basic=True,
        former='microsleep_minimum',
    )
    sleep: float = parameter(
        3.0,
        'Time with closed eyes after which it is sleep.',
        minimum=1.0,
        maximum=10.0,
        unit='s',
        source=EURO_NCAP,
        basic=True,
        former='sleep_minimum',
    )

    def __post_init__(self) -> None:
        """Refuse thresholds that contradict each other."""
        check_ascending(self, 'minimum', 'microsleep', 'sleep')


class ClosureDetector(Detector):
    """Detects closures, micro-sleep and sleep.

    Args:
        options: How long eyes are closed in each.
        grace: How long the eyes may be unknown before an episode is lost, s.
        ids: Source of the ids.
    """

    def __init__(self, options: ClosureOptions, grace: float, ids: count[int]) -> None:
        super().__init__(
            Episode('closure', options.minimum, 0.0, grace, ids),
            Episode('microsleep', options.microsleep, 0.0, grace, ids),
            Episode('sleep', options.sleep, 0.0, grace, ids),
        )

    def update(self, signals: Signals, stamp: float) -> list[Event]:
        """As `Detector.update`."""
        closed, since = signals.eyes.closed, known_or(signals.eyes.since, stamp)
        return [e for episode in self.episodes for e in episode.update(stamp, closed, since)]
