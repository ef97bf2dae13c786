"""A head that hangs for seconds, as that of a sleeper."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from headpose_ros.driver_monitoring.detectors.detector import Detector
from headpose_ros.driver_monitoring.detectors.episode import Episode
from headpose_ros.driver_monitoring.events import Event
from headpose_ros.driver_monitoring.signals.signals import Signals
from headpose_ros.driver_monitoring.thresholds import OURS
from headpose_ros.parameter import parameter

#: A head that hangs has come up when it hangs by less than this share of the angle of a slump.
_RAISED = 0.75


@dataclass(frozen=True)
class SlumpOptions:
    """When a head hangs."""

    angle: float = parameter(
        0.35,
        'How far a slumped head hangs from the neutral pose.',
        minimum=0.1,
        maximum=1.5,
        unit='rad',
        source=OURS,
        former='slump_angle',
    )
    minimum: float = parameter(
        3.0,
        'Time for which a slumped head hangs.',
        minimum=0.5,
        maximum=30.0,
        unit='s',
        source='the alarm for an unresponsive driver is due within 3 s, Euro NCAP v10.4 (2024)',
        former='slump_minimum',
    )


class SlumpDetector(Detector):
    """Detects heads that hang forward with closed eyes, or to a side.

    Args:
        options: When a head hangs.
        release: How long the head must be up for a slump to end, s.
        grace: How long the head may be unknown before a slump is lost, s.
        ids: Source of the ids.
    """

    def __init__(
        self, options: SlumpOptions, release: float, grace: float, ids: count[int]
    ) -> None:
        super().__init__(Episode('slump', options.minimum, release, grace, ids))
        self._angle = options.angle

    def update(self, signals: Signals, stamp: float) -> list[Event]:
        """As `Detector.update`."""
        return self.episodes[0].update(stamp, self._hangs(signals))

    def _hangs(self, signals: Signals) -> bool | None:
        """Whether the head hangs forward or to a side, and the driver does not just look there."""
        head, closed, most = signals.head, signals.eyes.closed, self._angle
        if head.elevation != head.elevation:
            return None
        if self.episodes[0].onset is not None:
            most *= _RAISED
        if abs(head.lean) > most:
            return closed is not False
        return closed if head.elevation < -most else False
