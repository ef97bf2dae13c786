"""The eyelids of one image: measured, stretched to this driver, closed or open, hidden."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headpose_ros.driver_monitoring.filters import Hysteresis, WindowShare
from headpose_ros.driver_monitoring.signals.eyelids.blinks import LidStatistics
from headpose_ros.driver_monitoring.signals.eyelids.closure import EyeClosure
from headpose_ros.driver_monitoring.signals.eyelids.levels import LidLevels
from headpose_ros.driver_monitoring.signals.eyelids.options import LidOptions, PerclosOptions

#: Eyes are hidden that are seen for less than this share of a window, until they are seen for more
#: than that one: a network takes a reflex on sunglasses for an eye now and then.
_HIDDEN, _BACK = 0.2, 0.8
#: A window is filled when this share of it was measured: stamps do not meet its edges.
_FILLED = 0.95


@dataclass(frozen=True)
class EyeSignals:
    """What is known about the eyes in one image.

    Attributes:
        measured: Mean openness of the eyes in sight, as measured; NaN for none.
        openness: That between the driver's own levels, 0 (closed) .. 1 (open).
        closed: Whether they are closed by P80; None for not known.
        since: When they came to be closed or open, s; NaN for not known.
        closure: How long they have been closed, s; 0 for open, NaN for not known.
        hidden: Whether the face is in sight and its eyes cannot be seen.
        perclos: Share of the window in which they were closed, 0..1; NaN without enough evidence.
        blink_rate: Blinks per minute; NaN without enough evidence.
        blink_duration: Mean duration of the blinks, s; NaN without any.
        evidence: How much of that window was measured, s.
    """

    measured: float = np.nan
    openness: float = np.nan
    closed: bool | None = None
    since: float = np.nan
    closure: float = np.nan
    hidden: bool = False
    perclos: float = np.nan
    blink_rate: float = np.nan
    blink_duration: float = np.nan
    evidence: float = 0.0

    @property
    def state(self) -> str:
        """One of `report.EYES`."""
        if self.closed is not None:
            return 'closed' if self.closed else 'open'
        return 'hidden' if self.hidden else 'unknown'


class Eyelids:
    """Follows the eyelids from image to image.

    Args:
        lids: Limits of openness.
        perclos: Window of PERCLOS.
        asleep: How long eyes are closed in sleep, s.
        levels: What is measured of this driver's open and closed eyes.
    """

    def __init__(
        self, lids: LidOptions, perclos: PerclosOptions, asleep: float, levels: LidLevels
    ) -> None:
        self._levels = levels
        self._closure = EyeClosure(lids, asleep)
        self._statistics = LidStatistics(lids, perclos)
        self._hidden = HiddenEyes(lids.hidden_seconds)

    def update(
        self, stamp: float, seconds: float, eyes: NDArray[np.float64], in_sight: bool | None
    ) -> EyeSignals:
        """Return what is known about the eyes at a stamp.

        Args:
            stamp: Of the image, s.
            seconds: Since the image before; 0 after a gap.
            eyes: (2,) openness of the right and the left eye as measured; NaN where unknown.
            in_sight: Whether an eye can be seen though it may not be measured yet; None without a
                face.
        """
        measured = _mean_of_known(float(eyes[0]), float(eyes[1]))
        seen = None if in_sight is None else bool(np.isfinite(measured)) or in_sight
        self._hidden.update(stamp, seconds, seen)
        if self._hidden.state:
            # What is measured now and then behind sunglasses are no eyes.
            measured = np.nan
        openness, closure = self._levels.stretch(measured), self._closure
        closure.update(stamp, openness, seconds, self._levels.is_known)
        self._statistics.update(stamp, openness, seconds, closure.closed)
        return EyeSignals(
            measured=measured,
            openness=openness,
            closed=closure.closed,
            since=closure.since,
            closure=closure.closed_for(stamp),
            hidden=self._hidden.state and in_sight is not None,
            perclos=self._statistics.perclos,
            blink_rate=self._statistics.blink_rate,
            blink_duration=self._statistics.blink_duration,
            evidence=self._statistics.measured,
        )


class HiddenEyes:
    """Separates eyes that cannot be seen, as behind sunglasses, from ones missed for a moment.

    Args:
        window: How long a face must have been in sight for that, s.
    """

    def __init__(self, window: float) -> None:
        self._seen = WindowShare(window)
        self._gate = Hysteresis(_HIDDEN, _BACK)

    def update(self, stamp: float, seconds: float, seen: bool | None) -> None:
        """Take over whether an eye was seen in the `seconds` up to a stamp; None without a face."""
        self._seen.add(stamp, seconds, seen)
        share = self._seen.share
        filled = self._seen.measured >= _FILLED * self._seen.window
        # Without a face for the whole window, hidden eyes stay hidden until it is back.
        if share == share and (filled or self.state):
            self._gate.update(share)

    @property
    def state(self) -> bool:
        """Whether the eyes are hidden."""
        return bool(self._gate.state)


def _mean_of_known(right: float, left: float) -> float:
    """Return the mean of the numbers that are not NaN; NaN for none."""
    if right != right or left != left:
        return left if right != right else right
    return (right + left) / 2
