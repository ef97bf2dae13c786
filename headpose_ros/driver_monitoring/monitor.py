"""Faces in, the driver's state and events out. Time comes from stamps only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from headpose_ros.driver_monitoring.detectors.bank import DetectorBank
from headpose_ros.driver_monitoring.events import Event
from headpose_ros.driver_monitoring.learning.calibration import ZoneCalibrator
from headpose_ros.driver_monitoring.learning.driver import LearnedDriver
from headpose_ros.driver_monitoring.learning.moment import Moment, under_way
from headpose_ros.driver_monitoring.learning.profiles import DriverProfile
from headpose_ros.driver_monitoring.options import DriverOptions
from headpose_ros.driver_monitoring.report import Report
from headpose_ros.driver_monitoring.reporter import Reporter
from headpose_ros.driver_monitoring.signals.extractor import SignalExtractor
from headpose_ros.driver_monitoring.signals.frozen import FrozenPicture
from headpose_ros.driver_monitoring.signals.gaze import Gaze
from headpose_ros.driver_monitoring.signals.seat import DriverChooser
from headpose_ros.driver_monitoring.signals.signals import Signals
from headpose_ros.driver_monitoring.zones import ZoneError, Zones
from headpose_ros.perception.faces import Face


class DriverMonitor:
    """Judges one driver from the faces of consecutive images.

    Args:
        zones: What there is to look at.
        options: Thresholds.
    """

    def __init__(self, zones: Zones, options: DriverOptions | None = None) -> None:
        self.options = options or DriverOptions()
        self._ids = count(1)
        self._stamp: float | None = None
        self._driver = LearnedDriver(self.options)
        self._calibrator = ZoneCalibrator(zones)
        self.configure(self.options)

    def configure(self, options: DriverOptions) -> None:
        """Take over other thresholds; what was learned about the driver stays.

        Events under way are dropped: call :meth:`stop` before to have them ended as lost.
        """
        self.options = options
        self._driver.configure(options)
        self._chooser = DriverChooser(options.seat)
        self._begin()

    @property
    def zones(self) -> Zones:
        """What there is to look at, as calibrated."""
        return self._calibrator.zones

    @property
    def calibration_status(self) -> str:
        """What became of the last calibration, for people; empty before the first."""
        return self._calibrator.status

    def update(
        self,
        stamp: float,
        faces: Sequence[Face],
        size: tuple[int, int],
        covered: bool | None = None,
        still: bool = False,
    ) -> Report:
        """Judge one image.

        Args:
            stamp: Of the image, s. One before the last means that the clock jumped: what was
                learned about the driver stays, events under way are lost.
            faces: All faces in the image.
            size: Width and height of the image, px.
            covered: Whether the picture shows nothing at all; None for not known.
            still: Whether the picture is known to have stood still for `stream.still_seconds`. A
                face that is the same to the pixel for that time is taken as a still picture, too.
        """
        events = self._resume(stamp)
        seconds = 0.0 if self._stamp is None else stamp - self._stamp
        self._stamp = stamp
        seat = self._chooser.update(stamp, faces, size)
        if seat.changed:
            events += self._change_driver(stamp)
        frozen_since = self._frozen.update(stamp, seat.face, still)
        if frozen_since is not None:
            events += self._detectors.lose(stamp, frozen_since)
        frozen = self._frozen.is_frozen
        face = None if frozen else seat.face
        signals = self._extractor.update(stamp, seconds, face, self.zones, covered, frozen)
        events += self._detectors.update(signals, stamp)
        self._reporter.observe(signals, stamp)
        if self._learn(stamp, signals, face):
            self._extractor.restart_gaze()
            events += self._detectors.glances.restart(stamp)
            signals = replace(signals, gaze=Gaze())
        neutral_known = self._driver.is_neutral_known
        return self._reporter.report(stamp, seat, signals, self._detectors, neutral_known, events)

    def stop(self) -> Report | None:
        """End the events under way as lost, as no more images come; None if none came at all."""
        if self._stamp is None:
            return None
        stamp, events = self._stamp, tuple(self._detectors.lose(self._stamp))
        self._stamp = None
        self._begin()
        return Report(
            stamp,
            reason='no images any more',
            neutral_known=self._driver.is_neutral_known,
            events=events,
        )

    def reset_neutral(self) -> None:
        """Forget the neutral pose; it is learned anew."""
        self._driver.forget_neutral()

    def calibrate(self, zone: str, seconds: float) -> None:
        """Learn where a zone is from the directions of the next seconds of known direction.

        Raises:
            ZoneError: There is no such zone, it is the road, or the neutral pose is not known.
        """
        self.zones.to_calibrate(zone)
        if not self._driver.is_neutral_known:
            raise ZoneError('the neutral pose is not known yet: look at the road for a while')
        self._calibrator.start(zone, seconds)

    def profile(self) -> DriverProfile | None:
        """Return what was learned about the driver; None while there is no neutral pose."""
        return self._driver.profile(self.zones)

    def load(self, profile: DriverProfile) -> None:
        """Start from what was learned about a driver before."""
        self._driver.load(profile)
        self._calibrator.zones = profile.zones

    def _begin(self) -> None:
        """Start all that looks back in time anew; what was learned stays."""
        options, driver = self.options, self._driver
        self._frozen = FrozenPicture(options.stream.still_seconds)
        self._extractor = SignalExtractor(
            options, driver.neutral, driver.open_eyes, driver.lid_levels
        )
        self._detectors = DetectorBank(options, self._ids)
        self._reporter = Reporter(options)
        self._calibrator.cancel()

    def _resume(self, stamp: float) -> list[Event]:
        """Return what a gap before a stamp, or a jump back, interrupted."""
        if self._stamp is None or 0 <= stamp - self._stamp <= self.options.stream.gap:
            return []
        lost = self._detectors.lose(self._stamp)
        if stamp < self._stamp:
            self._chooser.clear()
            self._begin()
        else:
            self._extractor.interrupt()
        self._stamp = None
        return lost

    def _change_driver(self, stamp: float) -> list[Event]:
        """Forget the driver before this one; return what is lost with that."""
        lost = self._detectors.lose(stamp)
        self._driver.forget()
        self._begin()
        return lost

    def _learn(self, stamp: float, signals: Signals, face: Face | None) -> bool:
        """Learn from an image what it may teach; return whether the road is found elsewhere."""
        busy = under_way(self._detectors.episodes, stamp)
        moment = Moment(face is not None, signals.eyes.closed, signals.gaze.off_road, busy)
        if moment.awake:
            self._calibrator.update(signals.head, signals.seconds)
        return self._driver.learn(stamp, signals.seconds, face, signals.eyes.measured, moment)
