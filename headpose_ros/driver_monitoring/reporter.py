"""From signals, detectors and state to the report of one image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headpose_ros.driver_monitoring.detectors.bank import DetectorBank
from headpose_ros.driver_monitoring.events import Event
from headpose_ros.driver_monitoring.filters import known_or
from headpose_ros.driver_monitoring.options import DriverOptions
from headpose_ros.driver_monitoring.report import SIGNALS, Report, Signal
from headpose_ros.driver_monitoring.signals.seat import Seat
from headpose_ros.driver_monitoring.signals.signals import Signals
from headpose_ros.driver_monitoring.state import Confidence, classify_state


class Reporter:
    """Makes the reports about one driver.

    Args:
        options: Thresholds.
    """

    def __init__(self, options: DriverOptions) -> None:
        self._options = options
        self._confidence = Confidence(options.stream.confidence_window)

    def observe(self, signals: Signals, stamp: float) -> None:
        """Take over what was measured of an image, as evidence for its state and the next ones."""
        self._confidence.update(signals, stamp)

    def report(
        self,
        stamp: float,
        seat: Seat,
        signals: Signals,
        detectors: DetectorBank,
        neutral_known: bool,
        events: Sequence[Event],
    ) -> Report:
        """Return what is known at a stamp.

        Args:
            stamp: Of the image, s.
            seat: Whose face is the driver's.
            signals: Of the image.
            detectors: What is under way.
            neutral_known: Whether the neutral pose is known.
            events: The transitions at this stamp.
        """
        options = self._options
        state, reason = classify_state(signals, detectors, neutral_known, options.drowsiness)
        return Report(
            stamp=stamp,
            state=state,
            confidence=self._confidence.of(state),
            reason=reason,
            presence=signals.presence,
            driver_id='' if seat.face is None else seat.face.id,
            candidates=seat.candidates,
            eyes=signals.eyes.state,
            neutral_known=neutral_known,
            zone=signals.gaze.zone,
            on_road=bool(signals.gaze.zone) and signals.gaze.off_road is False,
            signals=_numbers(signals, stamp, detectors, options),
            active=detectors.active,
            events=tuple(events),
        )


def _numbers(
    signals: Signals, stamp: float, detectors: DetectorBank, options: DriverOptions
) -> dict[str, Signal]:
    """Return the numbers of a report by name, each with its window of evidence."""
    eyes, is_gaze_known = signals.eyes, signals.gaze.off_road is not None
    glance = detectors.glances.off_road_for(stamp)
    accumulated = detectors.glances.accumulated
    values = {
        **{name: (angle, options.head.window) for name, angle in signals.head._asdict().items()},
        'eye_openness': (eyes.openness, 0.0),
        'mouth_openness': (signals.mouth, 0.0),
        'off_road': (glance if is_gaze_known else np.nan, glance),
        'off_road_accumulated': (
            accumulated if is_gaze_known else np.nan,
            options.glances.accumulated_limit,
        ),
        'closure': (eyes.closure, known_or(eyes.closure, 0.0)),
        'perclos': (eyes.perclos, eyes.evidence),
        'blink_rate': (eyes.blink_rate, eyes.evidence),
        'blink_duration': (eyes.blink_duration, eyes.evidence),
    }
    for name, recent in (('yawns', detectors.yawns.recent), ('nods', detectors.nods.recent)):
        values[name] = (float(recent.count) if recent.evidence else np.nan, recent.evidence)
    return {name: Signal(*values[name]) for name in SIGNALS}
