"""What is measured of one driver's open and closed eyes, learned while driving.

Networks shrink what they are unsure of towards the middle, and eyes differ: closed lids of one
driver may be measured as a third open. The level of open eyes is a high quantile of what is seen
while the driver is attentive; that of closed ones is seen in blinks, which close the eyes for a
moment. Between the two levels, openness is stretched to 0..1.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from headpose_ros.driver_monitoring.signals.eyelids.options import LidOptions

_BINS = 120
#: The open eye is this quantile of what is seen while the eyes are open: above the middle, as they
#: droop as well. With the blinks in between it would be 0.7 of all that is seen.
_QUANTILE = 0.66
#: How often the quantile is computed, s: it moves slowly.
_PERIOD = 0.5
#: Weights are scaled back before they outgrow a float.
_LARGEST = 1e12
#: Measures of openness beyond this count as this.
_WIDEST = 1.2
#: A dip under the first share of the open eye is one of a blink, until it is over the second.
_DIP, _OVER = 0.75, 0.85
#: The last blinks show how closed eyes are measured; of most the lowest point falls between two
#: images, so the level is a low quantile of their lowest measures.
_FEWEST_BLINKS, _BLINKS_KEPT, _CLOSED_QUANTILE = 5, 40, 0.2
#: Closed eyes are never taken for more open than this share of open ones: what stays above squints.
_HIGHEST_CLOSED = 0.55


class OpenLevel:
    """The level of relaxed open eyes: the high quantile of a histogram with forgetting.

    Args:
        widest: Measures lie below this.

    Attributes:
        level: The measure of open eyes; NaN while they were seen for too short a time.
        seconds: For how long they were seen.
    """

    def __init__(self, widest: float) -> None:
        self._widest = widest
        self._weights = np.zeros(_BINS)
        self._unit = 1.0  # weight of one second now; grows, which makes the past weigh less
        self._due = 0.0
        self.seconds = 0.0
        self.level = np.nan

    def update(self, measure: float, seconds: float, options: LidOptions) -> None:
        """Learn from a measure, 0 <= measure < widest, that was seen for some seconds."""
        self._unit *= math.exp(seconds / options.memory_seconds)
        self._weights[int(measure / self._widest * _BINS)] += seconds * self._unit
        self.seconds += seconds
        self._due += seconds
        is_due = self._due >= _PERIOD or np.isnan(self.level)
        if self.seconds >= options.learning_seconds and is_due:
            self._due = 0.0
            self._find()

    def _find(self) -> None:
        total = np.cumsum(self._weights)
        passed = np.searchsorted(total, _QUANTILE * total[-1])
        self.level = float((passed + 0.5) * self._widest / _BINS)
        if self._unit > _LARGEST:
            self._weights /= self._unit
            self._unit = 1.0


class LidLevels:
    """Stretches the measured openness of one driver's eyes to 0 (closed) .. 1 (open).

    Args:
        options: How long to learn and to remember.

    Attributes:
        open: How open eyes are measured.
        closed: How closed eyes are measured.
    """

    def __init__(self, options: LidOptions) -> None:
        self.options = options
        self.reset()

    def reset(self) -> None:
        """Forget the driver."""
        self._level = OpenLevel(_WIDEST)
        self._lowest: deque[float] = deque(maxlen=_BLINKS_KEPT)
        self._dip_since, self._dip_lowest = np.nan, np.inf
        self.open, self.closed = 1.0, 0.0

    @property
    def is_known(self) -> bool:
        """Whether the driver's own open eyes are known."""
        return bool(np.isfinite(self._level.level))

    def stretch(self, openness: float) -> float:
        """Return a measured openness between the driver's own levels; NaN for NaN.

        Args:
            openness: Mean of the eyes in sight.
        """
        if not np.isfinite(openness):
            return np.nan
        return max((openness - self.closed) / (self.open - self.closed), 0.0)

    def learn(self, stamp: float, openness: float, seconds: float, attentive: bool) -> None:
        """Take over a measured openness.

        Args:
            stamp: Of the image, s.
            openness: Mean of the eyes in sight; NaN where unknown.
            seconds: How long the eyes were seen like this.
            attentive: Whether the driver is judged attentive at this stamp. Levels are learned
                from no other moment; a blink is followed through, and learned when it is over.
        """
        if not np.isfinite(openness):
            self._dip_since = np.nan
            return
        if attentive:
            self._learn_open(openness, seconds)
        self._follow_blink(stamp, openness, attentive)

    def _learn_open(self, openness: float, seconds: float) -> None:
        self._level.update(float(np.clip(openness, 0.0, 0.999 * _WIDEST)), seconds, self.options)
        if self.is_known:
            self.open = self._level.level
            self.closed = min(self.closed, _HIGHEST_CLOSED * self.open)

    def _follow_blink(self, stamp: float, openness: float, attentive: bool) -> None:
        if openness < _DIP * self.open:
            if np.isnan(self._dip_since):
                self._dip_since, self._dip_lowest = stamp, np.inf
            self._dip_lowest = min(self._dip_lowest, openness)
        elif openness > _OVER * self.open and not np.isnan(self._dip_since):
            if attentive and stamp - self._dip_since <= self.options.blink_longest:
                self._take_blink(self._dip_lowest)
            self._dip_since = np.nan

    def _take_blink(self, lowest: float) -> None:
        self._lowest.append(lowest)
        if len(self._lowest) >= _FEWEST_BLINKS:
            level = float(np.quantile(self._lowest, _CLOSED_QUANTILE))
            self.closed = min(level, _HIGHEST_CLOSED * self.open)
