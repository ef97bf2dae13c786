"""What is measured of one driver's open and closed eyes, learned on the way.

Networks shrink what they are unsure of towards the middle, and eyes differ: of one driver closed
lids may be measured as a third open. The level of open eyes is a high quantile of what is seen
while the driver is attentive; that of closed ones is seen in blinks, which close the eyes for a
moment. Between the two openness is stretched to 0..1.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from headpose_ros.driver_monitoring.levels import OpenLevel
from headpose_ros.driver_monitoring.options import DriverOptions

#: Measures of openness beyond this count as this.
_WIDEST = 1.2
#: A dip under this share of the open eye is one of a blink, until it is over this share again.
_DIP, _OVER = 0.75, 0.85
#: So many of the last blinks tell how closed eyes are measured; of most the lowest point falls
#: between two images, so the level is a low quantile of their lowest measures.
_FEWEST_BLINKS, _BLINKS_KEPT, _CLOSED_QUANTILE = 5, 40, 0.2
#: Closed eyes are never taken for more open than this share of open ones: what stays above squints.
_HIGHEST_CLOSED = 0.55


class LidLevels:
    """Stretches the measured openness of one driver's eyes to 0 (closed) .. 1 (open).

    Args:
        options: How long to learn and to remember.
    """

    def __init__(self, options: DriverOptions) -> None:
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
