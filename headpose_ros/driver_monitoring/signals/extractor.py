"""From the driver's face in one image to its signals."""

from __future__ import annotations

import numpy as np

from headpose_ros.driver_monitoring.filters import known_or
from headpose_ros.driver_monitoring.options import DriverOptions
from headpose_ros.driver_monitoring.signals.eyelids.eyelids import Eyelids
from headpose_ros.driver_monitoring.signals.eyelids.levels import LidLevels
from headpose_ros.driver_monitoring.signals.eyelids.openness import (
    OpenEyes,
    eyes_in_sight,
    measure_openness,
)
from headpose_ros.driver_monitoring.signals.gaze import GazeClassifier
from headpose_ros.driver_monitoring.signals.head.direction import HeadDirection
from headpose_ros.driver_monitoring.signals.head.neutral import NeutralPose
from headpose_ros.driver_monitoring.signals.presence import PresenceClassifier
from headpose_ros.driver_monitoring.signals.signals import Signals
from headpose_ros.driver_monitoring.zones import Zones
from headpose_ros.perception.faces import Face


class SignalExtractor:
    """Measures the signals of one driver from image to image.

    Args:
        options: Thresholds.
        neutral: The driver's neutral pose.
        open_eyes: Aspect ratios of the driver's open eyes.
        lid_levels: What is measured of the driver's open and closed eyes.
    """

    def __init__(
        self,
        options: DriverOptions,
        neutral: NeutralPose,
        open_eyes: OpenEyes,
        lid_levels: LidLevels,
    ) -> None:
        self._open_eyes, self._lids = open_eyes, options.lids
        self._head = HeadDirection(options.head, neutral)
        self._presence = PresenceClassifier(options.seat, options.head.turned_away)
        self._eyelids = Eyelids(options.lids, options.perclos, options.closures.sleep, lid_levels)
        self._gaze = GazeClassifier(
            self._head, options.glances.zone_margin, options.lids.blink_longest
        )
        self._confidence = 0.0

    def update(
        self,
        stamp: float,
        seconds: float,
        face: Face | None,
        zones: Zones,
        covered: bool | None = None,
        frozen: bool = False,
    ) -> Signals:
        """Return the signals of an image.

        Args:
            stamp: Of the image, s.
            seconds: Since the image before; 0 after a gap.
            face: The driver's; None when it is not found or the picture stands still.
            zones: What there is to look at.
            covered: Whether the picture shows nothing at all; None for not known.
            frozen: Whether the picture stands still.
        """
        openness, in_sight = np.full(3, np.nan), None
        if face is not None:
            openness = measure_openness(face, self._open_eyes)
            in_sight = self._open_eyes.is_learning and eyes_in_sight(face, self._lids)
            self._confidence = min(max(known_or(face.confidence, 0.0), 0.0), 1.0)
        angles = self._head.update(stamp, face)
        seen = None if face is None else angles
        presence = self._presence.update(stamp, seen, covered, frozen)
        eyes = self._eyelids.update(stamp, seconds, openness[:2], in_sight)
        return Signals(
            seconds=seconds,
            presence=presence,
            head=angles,
            gaze=self._gaze.update(stamp, zones, presence, angles, eyes),
            eyes=eyes,
            mouth=float(openness[2]),
            confidence=self._confidence,
        )

    def interrupt(self) -> None:
        """Take over that images are missing: where the driver looked meanwhile is not known."""
        self._head.restart()
        self._gaze.interrupt()

    def restart_gaze(self) -> None:
        """Take over that the road lies elsewhere than was learned."""
        self._head.restart()
        self._gaze.restart()
