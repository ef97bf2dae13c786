"""Eyes off the road: single glances, long ones, and many that add up."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from headpose_ros.driver_monitoring.detectors.detector import Detector
from headpose_ros.driver_monitoring.detectors.episode import Episode
from headpose_ros.driver_monitoring.events import Event
from headpose_ros.driver_monitoring.filters import Hysteresis, known_or
from headpose_ros.driver_monitoring.signals.gaze import Gaze
from headpose_ros.driver_monitoring.signals.signals import Signals
from headpose_ros.driver_monitoring.thresholds import ATTEND, EURO_NCAP, NHTSA, check_ascending
from headpose_ros.parameter import parameter


@dataclass(frozen=True)
class GlanceOptions:
    """How long eyes may be off the road."""

    zone_margin: float = parameter(
        0.035,
        'How far the head must leave a zone for it to be left.',
        minimum=0.0,
        maximum=0.3,
        unit='rad',
        source='ours: the error of the pose within a second, docs/weights.md',
        former='zone_margin',
    )
    minimum: float = parameter(
        0.5,
        'Shortest glance: time of looking away from the road.',
        minimum=0.12,
        maximum=2.0,
        unit='s',
        source='above the shortest fixation of 0.12 s, ISO 15007:2020',
        former='glance_minimum',
    )
    release: float = parameter(
        0.2,
        'Time of looking at the road after which a glance has ended.',
        minimum=0.0,
        maximum=2.0,
        unit='s',
        source='above 0.12 s, ISO 15007:2020; refill delay of 0.1 s, ' + ATTEND,
        former='glance_release',
    )
    limit: float = parameter(
        2.0,
        'Longest single glance; Euro NCAP warns at 3 s at the latest.',
        minimum=0.5,
        maximum=10.0,
        unit='s',
        source=f'{NHTSA}; {EURO_NCAP}',
        basic=True,
        former='glance_limit',
    )
    accumulated_limit: float = parameter(
        12.0,
        'Most time off the road in several glances; Euro NCAP: 10 s within 30 s.',
        minimum=1.0,
        maximum=60.0,
        unit='s',
        source=f'{NHTSA}; {EURO_NCAP}',
        basic=True,
        former='accumulated_limit',
    )
    accumulated_refill: float = parameter(
        0.5,
        'Seconds taken off the accumulated time by each second of looking at the road.',
        minimum=0.01,
        maximum=10.0,
        source='ours: 12 s are gone after 24 s, near the 30 s of Euro NCAP; AttenD has 1',
        former='accumulated_refill',
    )
    driving_allowance: float = parameter(
        1.0,
        'Beginning of each glance at mirrors and instruments that is not accumulated.',
        minimum=0.0,
        maximum=5.0,
        unit='s',
        source=ATTEND,
        former='driving_allowance',
    )

    def __post_init__(self) -> None:
        """Refuse thresholds that contradict each other."""
        check_ascending(self, 'minimum', 'limit')


class GlanceDetector(Detector):
    """Detects glances, long glances and repeated glances.

    Args:
        options: How long eyes may be off the road.
        grace: How long the gaze may be unknown before a glance is lost, s.
        ids: Source of the ids.
    """

    def __init__(self, options: GlanceOptions, grace: float, ids: count[int]) -> None:
        self._glance = Episode('glance', options.minimum, options.release, grace, ids)
        self._long = Episode('long_glance', options.limit, options.release, grace, ids)
        self._repeated = Episode('repeated_glances', 0.0, 0.0, grace, ids)
        super().__init__(self._glance, self._long, self._repeated)
        self._options = options
        self._timer = OffRoadTimer(options)
        limit = options.accumulated_limit
        self._overdrawn = Hysteresis(-limit, -limit / 2)

    @property
    def accumulated(self) -> float:
        """Time off the road over several glances, s."""
        return self._timer.accumulated

    def off_road_for(self, stamp: float) -> float:
        """Return how long the eyes have been off the road in the present glance, s."""
        onset = self._glance.onset
        return 0.0 if onset is None else stamp - onset

    def update(self, signals: Signals, stamp: float) -> list[Event]:
        """As `Detector.update`."""
        gaze, timer = signals.gaze, self._timer
        timer.update(gaze, signals.seconds)
        off, since = gaze.off_road, known_or(gaze.since, stamp)
        zone = timer.main_zone or gaze.zone
        events = self._glance.update(stamp, off, since, zone)
        events += self._long.update(stamp, off, since, zone)
        overdrawn = None if off is None else self._overdrawn.update(-timer.accumulated)
        return events + self._repeated.update(stamp, overdrawn)

    def restart(self, stamp: float) -> list[Event]:
        """Take over that the road lies elsewhere; return the glances that are lost for that."""
        self._timer = OffRoadTimer(self._options)
        return self.lose(stamp)


class OffRoadTimer:
    """Sums the time off the road: zones of the present glance, and all glances as a budget.

    Args:
        options: What is free, and how the budget refills.

    Attributes:
        accumulated: Time off the road over several glances, s, less what was refilled.
    """

    def __init__(self, options: GlanceOptions) -> None:
        self._options = options
        self.accumulated = 0.0
        self._glance = 0.0
        self._spent: dict[str, float] = {}

    def update(self, gaze: Gaze, seconds: float) -> None:
        """Let time pass; nothing changes while it is not known where the driver looks."""
        if gaze.off_road is None:
            return
        if not gaze.off_road:
            refilled = self._options.accumulated_refill * seconds
            self.accumulated -= min(refilled, self.accumulated)
            self._glance, self._spent = 0.0, {}
            return
        self._glance += seconds
        self._spent[gaze.zone] = self._spent.get(gaze.zone, 0.0) + seconds
        free = self._options.driving_allowance if gaze.role == 'driving' else 0.0
        self.accumulated += seconds if self._glance > free else 0.0

    @property
    def main_zone(self) -> str:
        """The zone in which most of the present glance was spent; empty without a glance."""
        return max(self._spent, key=self._spent.__getitem__) if self._spent else ''
