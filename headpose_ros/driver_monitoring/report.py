"""What is reported about the driver at one image."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from headpose_ros.driver_monitoring.events import Event

#: In the order of the STATE_, PRESENCE_ and EYES_ constants of headpose_ros/DriverState, from 0.
STATES = ('unknown', 'attentive', 'distracted', 'drowsy', 'microsleep', 'asleep', 'no_driver')
PRESENCES = ('unknown', 'visible', 'turned_away', 'hidden', 'absent', 'covered')
EYES = ('unknown', 'open', 'closed', 'hidden')
#: The signals of a report, in the order of headpose_ros/DriverState.
SIGNALS = (
    'azimuth',
    'elevation',
    'lean',
    'eye_openness',
    'mouth_openness',
    'off_road',
    'off_road_accumulated',
    'closure',
    'perclos',
    'blink_rate',
    'blink_duration',
    'yawns',
    'nods',
)


class Signal(NamedTuple):
    """A number and what it rests on.

    Attributes:
        value: NaN where not known.
        window: Seconds of evidence; 0 for one image.
    """

    value: float = np.nan
    window: float = 0.0

    @property
    def valid(self) -> bool:
        """Whether the value is known."""
        return math.isfinite(self.value)


@dataclass(frozen=True)
class Report:
    """What is known about the driver at one stamp; fields as in headpose_ros/DriverState.

    Attributes:
        stamp: Of the image, s.
        state: One of `STATES`.
        confidence: Of the state, 0..1.
        reason: Why this state, for people.
        presence: One of `PRESENCES`.
        driver_id: Id of the driver's face, empty when it is not in sight.
        candidates: How many faces are where the driver may be.
        eyes: One of `EYES`.
        neutral_known: Whether the neutral pose is known.
        zone: Where the head points; empty for not known.
        on_road: Whether that is the road.
        signals: By the names of `SIGNALS`.
        active: The events under way.
        events: The transitions at this stamp.
    """

    stamp: float
    state: str = 'unknown'
    confidence: float = 0.0
    reason: str = ''
    presence: str = 'unknown'
    driver_id: str = ''
    candidates: int = 0
    eyes: str = 'unknown'
    neutral_known: bool = False
    zone: str = ''
    on_road: bool = False
    signals: dict[str, Signal] = field(default_factory=lambda: dict.fromkeys(SIGNALS, Signal()))
    active: tuple[Event, ...] = ()
    events: tuple[Event, ...] = ()
