"""Another seat, another camera angle: the road lies elsewhere than was learned.

Whoever drives looks at the road. When for more than a minute nobody awake looked where the road was
learned to be, and most of the time in one other direction, the road is there. With a phone in the
lap drivers look up again and again, which keeps the road where it is; and the lap itself, or where
a sleeping head hangs, is never taken for the road.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headpose_ros.driver_monitoring.signals.head.neutral import NeutralOptions, NeutralPose
from headpose_ros.driver_monitoring.signals.head.postures import (
    REACH,
    Postures,
    apart,
    bin_of,
    relative,
)

Array = NDArray[np.float64]

#: What is seen here is forgotten with this share of `memory_seconds` as time constant.
_MEMORY = 1 / 12
#: This share of that time must have been seen, ...
_FILLED = 0.8
#: ... this share of it in one posture, ...
_MOST = 0.5
#: ... and this much as much where the road was, at most: one look of 2 s in 20 s is more.
_LEFT = 0.05
#: Whether the driver is awake is seen when the eyes were open for this share.
_SEEN = 0.5
_PERIOD = 0.5


class Reseating:
    """Finds the neutral pose of a driver or a camera that has moved.

    Args:
        options: How long to remember.
        slump: A head that hangs by more than this is not that of somebody who drives, rad.
    """

    def __init__(self, options: NeutralOptions, slump: float) -> None:
        self.options, self.slump = options, slump
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        self._postures = Postures()
        self._open = self._due = 0.0

    def update(
        self, rotation: Array, seconds: float, is_open: bool, neutral: NeutralPose
    ) -> Array | None:
        """Return another neutral rotation (3, 3) when there is no doubt about it, else None.

        Args:
            rotation: (3, 3) R_optical_face of a driver who is not asleep as far as is known.
            seconds: How long it was held.
            is_open: Whether the eyes are seen open.
            neutral: The neutral pose as learned.
        """
        if neutral.rotation is None:
            return None
        memory = _MEMORY * self.options.memory_seconds
        self._postures.add(rotation, seconds, memory)
        self._open = self._open * float(np.exp(-seconds / memory)) + seconds * is_open
        self._due += seconds
        if self._due < _PERIOD:
            return None
        self._due = 0.0
        return self._find(neutral, memory)

    def _find(self, neutral: NeutralPose, memory: float) -> Array | None:
        assert neutral.rotation is not None
        above = self._postures.above(neutral.rotation) if neutral.is_low else None
        if above is not None:
            # A lap that was learned in a parked car.
            return self._postures.rotation(above)
        mode, last, postures = self._postures.mode(), bin_of(neutral.rotation), self._postures
        if apart(mode, last) <= REACH or postures.seconds < _FILLED * memory:
            return None
        is_most = postures.held(mode) > _MOST * postures.seconds
        is_left = postures.density(last) < _LEFT * postures.density(mode)
        if not is_most or not is_left:
            return None
        rotation = postures.rotation(mode)
        return rotation if self._is_upright(rotation, neutral) else None

    def _is_upright(self, rotation: Array, neutral: NeutralPose) -> bool:
        """Whether a posture can be that of somebody who drives."""
        assert neutral.anchor is not None
        _, elevation, lean = relative(rotation, neutral.anchor)
        most = self.slump
        if self._open < _SEEN * self._postures.seconds:
            # Behind sunglasses only an upright head distinguishes a driver from a sleeper.
            return max(abs(elevation), abs(lean)) < most
        return elevation > -most or not neutral.is_firm
