"""The level of relaxed open eyes, learned on the way from whatever measures how open they are."""

from __future__ import annotations

import numpy as np

from headpose_ros.driver.options import DriverOptions

_BINS = 120
#: The open eye is this quantile of what is seen: above the middle, as eyes also blink and droop.
_QUANTILE = 0.7


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
        self.seconds = 0.0
        self.level = np.nan

    def update(self, measure: float, seconds: float, options: DriverOptions) -> None:
        """Learn from a measure, 0 <= measure < widest, that was seen for some seconds."""
        self._weights *= np.exp(-seconds / options.eye_memory)
        self._weights[int(measure / self._widest * _BINS)] += seconds
        self.seconds += seconds
        if self.seconds >= options.eye_seconds:
            passed = np.searchsorted(np.cumsum(self._weights), _QUANTILE * self._weights.sum())
            self.level = float((passed + 0.5) * self._widest / _BINS)
