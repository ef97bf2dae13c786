"""Everything that is learned about one driver."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headpose_ros.driver_monitoring.learning.moment import Moment
from headpose_ros.driver_monitoring.learning.profiles import DriverProfile
from headpose_ros.driver_monitoring.options import DriverOptions
from headpose_ros.driver_monitoring.signals.eyelids.levels import LidLevels
from headpose_ros.driver_monitoring.signals.eyelids.openness import OpenEyes
from headpose_ros.driver_monitoring.signals.head.neutral import NeutralPose
from headpose_ros.driver_monitoring.signals.head.reseating import Reseating
from headpose_ros.driver_monitoring.zones import Zones
from headpose_ros.perception.faces import Face


class LearnedDriver:
    """The neutral pose and the eyes of one driver.

    Args:
        options: How long to learn and to remember.

    Attributes:
        neutral: Where the road is.
        open_eyes: Aspect ratios of the open eyes.
        lid_levels: How openness is measured of open and of closed eyes.
    """

    def __init__(self, options: DriverOptions) -> None:
        self.neutral = NeutralPose(options.neutral, options.slumps.angle)
        self.open_eyes = OpenEyes(options.lids)
        self.lid_levels = LidLevels(options.lids)
        self._reseating = Reseating(options.neutral, options.slumps.angle)

    def configure(self, options: DriverOptions) -> None:
        """Take over other options; what was learned stays."""
        for posture in (self.neutral, self._reseating):
            posture.options, posture.slump = options.neutral, options.slumps.angle
        self.open_eyes.options = self.lid_levels.options = options.lids

    @property
    def is_neutral_known(self) -> bool:
        """Whether the neutral pose is known."""
        return self.neutral.rotation is not None

    def forget(self) -> None:
        """Forget everything: another driver."""
        self.forget_neutral()
        self.open_eyes.reset()
        self.lid_levels.reset()

    def forget_neutral(self) -> None:
        """Forget the neutral pose; it is learned anew."""
        self.neutral.reset()
        self._reseating.reset()

    def load(self, profile: DriverProfile) -> None:
        """Start from what was learned about a driver before."""
        self.forget()
        self.neutral.reset(profile.neutral)
        self.open_eyes.reset(profile.open_eyes)

    def profile(self, zones: Zones) -> DriverProfile | None:
        """Return what was learned, with zones; None while there is no neutral pose."""
        if self.neutral.rotation is None:
            return None
        return DriverProfile(self.neutral.rotation, self.open_eyes.aspects, zones)

    def learn(
        self, stamp: float, seconds: float, face: Face | None, measured: float, moment: Moment
    ) -> bool:
        """Learn from an image, if this is a moment to learn from.

        Args:
            stamp: Of the image, s.
            seconds: Since the image before; 0 after a gap.
            face: The driver's; None when it is not found.
            measured: Openness of the eyes in sight, as measured; NaN for none.
            moment: How the driver is judged.

        Returns:
            Whether the road lies elsewhere than was learned, as the driver or the camera moved.
        """
        self.lid_levels.learn(stamp, measured, seconds, moment.attentive)
        if face is None or not moment.awake:
            return False
        if moment.attentive:
            self.open_eyes.learn(face, seconds)
        return self._learn_posture(face.rotation, seconds, moment)

    def _learn_posture(self, rotation: NDArray[np.float64], seconds: float, moment: Moment) -> bool:
        """Learn where the road is; return whether it is elsewhere than was learned."""
        if not np.isfinite(rotation).all():
            return False
        if moment.off_road is False:
            self.neutral.confirm(seconds)
        if moment.attentive:
            self.neutral.update(rotation, seconds)
        is_open = moment.closed is False
        moved = self._reseating.update(rotation, seconds, is_open, self.neutral)
        if moved is None:
            return False
        self.neutral.move(moved)
        self._reseating.reset()
        return True
