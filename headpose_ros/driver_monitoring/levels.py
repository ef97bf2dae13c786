"""The level of relaxed open eyes, learned on the way from whatever measures how open they are."""

from __future__ import annotations

import math

import numpy as np

from headpose_ros.driver_monitoring.options import DriverOptions

_BINS = 120
#: The open eye is this quantile of what is seen while the eyes are open: above the middle, as they
#: droop as well. With the blinks in between it would be 0.7 of all that is seen.
_QUANTILE = 0.66
#: How often the quantile is looked for, s: it moves slowly.
_PERIOD = 0.5
#: Weights are scaled back before they outgrow a float.
_LARGEST = 1e12


class OpenLevel:
    """A histogram of measures with forgetting, and its high quantile.

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

    def update(self, measure: float, seconds: float, options: DriverOptions) -> None:
        """Learn from a measure, 0 <= measure < widest, that was seen for some seconds."""
        self._unit *= math.exp(seconds / options.eye_memory)
        self._weights[int(measure / self._widest * _BINS)] += seconds * self._unit
        self.seconds += seconds
        self._due += seconds
        if self.seconds >= options.eye_seconds and (self._due >= _PERIOD or np.isnan(self.level)):
            self._due = 0.0
            self._find()

    def _find(self) -> None:
        total = np.cumsum(self._weights)
        passed = np.searchsorted(total, _QUANTILE * total[-1])
        self.level = float((passed + 0.5) * self._widest / _BINS)
        if self._unit > _LARGEST:
            self._weights /= self._unit
            self._unit = 1.0
