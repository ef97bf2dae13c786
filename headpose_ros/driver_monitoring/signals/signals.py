"""All signals of one image."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from headpose_ros.driver_monitoring.signals.eyelids.eyelids import EyeSignals
from headpose_ros.driver_monitoring.signals.gaze import Gaze
from headpose_ros.driver_monitoring.signals.head.direction import HeadAngles


@dataclass(frozen=True)
class Signals:
    """What is measured of the driver in one image; by default nothing.

    Attributes:
        seconds: Time that the image stands for: since the image before, 0 after a gap.
        presence: One of `report.PRESENCES`.
        head: Where the head points.
        gaze: What the driver looks at.
        eyes: The eyelids.
        mouth: Gap of the inner lips over the distance of the mouth's corners; NaN where unknown.
        confidence: That the face seen last is one, 0..1.
    """

    seconds: float = 0.0
    presence: str = 'unknown'
    head: HeadAngles = field(default_factory=HeadAngles)
    gaze: Gaze = field(default_factory=Gaze)
    eyes: EyeSignals = field(default_factory=EyeSignals)
    mouth: float = np.nan
    confidence: float = 0.0
