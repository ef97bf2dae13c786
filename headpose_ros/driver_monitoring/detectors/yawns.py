"""Yawns: a mouth wide open for longer than in speech."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from headpose_ros.driver_monitoring.detectors.detector import Detector
from headpose_ros.driver_monitoring.detectors.episode import Episode
from headpose_ros.driver_monitoring.detectors.recent import RecentCount
from headpose_ros.driver_monitoring.events import STARTED, Event
from headpose_ros.driver_monitoring.filters import Hysteresis
from headpose_ros.driver_monitoring.signals.signals import Signals
from headpose_ros.driver_monitoring.thresholds import check_ascending
from headpose_ros.parameter import parameter


@dataclass(frozen=True)
class YawnOptions:
    """What a yawn is."""

    above: float = parameter(
        0.55,
        'Opening of the mouth of a yawn: gap of the inner lips over width.',
        minimum=0.1,
        maximum=2.0,
        source='ours: above speech',
        former='yawn_above',
    )
    below: float = parameter(
        0.4,
        'A yawn ends below this opening.',
        minimum=0.05,
        maximum=2.0,
        source='hysteresis',
        former='yawn_below',
    )
    minimum: float = parameter(
        1.5,
        'Shortest yawn.',
        minimum=0.5,
        maximum=10.0,
        unit='s',
        source='ours: the wide part of a yawn of some seconds',
        former='yawn_minimum',
    )

    def __post_init__(self) -> None:
        """Refuse thresholds that contradict each other."""
        check_ascending(self, 'below', 'above')


class YawnDetector(Detector):
    """Detects yawns.

    Args:
        options: What a yawn is.
        window: In which yawns are counted, s.
        grace: How long the mouth may be unknown before a yawn is lost, s.
        ids: Source of the ids.

    Attributes:
        recent: How many there were lately.
    """

    def __init__(self, options: YawnOptions, window: float, grace: float, ids: count[int]) -> None:
        super().__init__(Episode('yawn', options.minimum, 0.0, grace, ids))
        self._open = Hysteresis(-options.above, -options.below)
        self.recent = RecentCount(window)

    def update(self, signals: Signals, stamp: float) -> list[Event]:
        """As `Detector.update`."""
        events = self.episodes[0].update(stamp, self._open.update(-signals.mouth))
        began = [event.known for event in events if event.transition == STARTED]
        self.recent.update(signals, stamp, began)
        return events
