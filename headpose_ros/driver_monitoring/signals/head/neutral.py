"""The driver's own neutral pose: the most frequent posture, learned while driving.

Drivers look at the road most of the time, so the mode of where the head points is the road. A mean
would be dragged aside by every long glance; the mode is not.

What the first posture is, nothing has judged yet: it may be a look at a phone in the lap. Of a face
that points well below the camera's axis more is asked for that reason, and a posture far above it
that is taken again and again is the road.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headpose_ros.driver_monitoring.signals.head.postures import (
    REACH,
    Bin,
    Postures,
    apart,
    bin_of,
    elevation,
    relative,
)
from headpose_ros.driver_monitoring.thresholds import OURS
from headpose_ros.parameter import parameter

Array = NDArray[np.float64]

#: Another posture becomes the mode when it was held this many times as long.
_SWITCH = 1.3
#: How often the mode is looked for, s: it moves slowly.
_PERIOD = 0.5
#: A face that points farther than this below the camera's axis, rad, may look into the lap: cameras
#: stand at the wheel, on the dashboard or at the mirror, 25 degrees below to 10 above the eyes.
_LOW = float(np.radians(-15.0))
#: Such a posture must be held for this many times `learning_seconds`; any posture must be returned
#: to for as long before it is beyond doubt.
_PATIENCE = 10


@dataclass(frozen=True)
class NeutralOptions:
    """How the neutral pose is learned."""

    learning_seconds: float = parameter(
        6.0,
        'Time in the most frequent posture after which it counts as neutral.',
        minimum=1.0,
        maximum=600.0,
        unit='s',
        source=OURS,
        former='neutral_seconds',
    )
    memory_seconds: float = parameter(
        300.0,
        'Time constant with which former postures are forgotten.',
        minimum=10.0,
        maximum=7200.0,
        unit='s',
        source=OURS,
        former='neutral_memory',
    )


class NeutralPose:
    """Learns the neutral rotation of one driver from a stream of rotations.

    Args:
        options: How long to learn and to remember.
        slump: A head that hangs by more than this is no neutral pose, rad.

    Attributes:
        rotation: (3, 3) R_optical_face; None while not known.
        anchor: (3, 3) the posture against which a head that sinks is judged: where the neutral
            pose was first, or went up to since; None while not known.
    """

    def __init__(self, options: NeutralOptions, slump: float) -> None:
        self.options, self.slump = options, slump
        self.reset()

    def reset(self, rotation: Array | None = None) -> None:
        """Forget everything, or start from a stored neutral rotation (3, 3)."""
        self.rotation: Array | None = None
        self.anchor: Array | None = None
        self._postures = Postures()
        self._mode: Bin | None = None
        self._due = self._confirmed = 0.0
        if rotation is not None:
            self._take(rotation)
            self._confirmed = _PATIENCE * self.options.learning_seconds

    def update(self, rotation: Array, seconds: float) -> None:
        """Learn from a rotation (3, 3) R_optical_face that was held for some seconds."""
        self._postures.add(rotation, seconds, self.options.memory_seconds)
        self._due += seconds
        if self._due >= _PERIOD:
            self._due = 0.0
            if self.rotation is None:
                self._begin()
            else:
                self._follow()

    def confirm(self, seconds: float) -> None:
        """Take over that the driver, awake, looked at the road for some seconds more."""
        self._confirmed += seconds

    def move(self, rotation: Array) -> None:
        """Take over that another posture (3, 3) is neutral now, and learn on from there."""
        anchor = self.anchor
        self._take(rotation)
        if anchor is not None and self.is_firm and relative(rotation, anchor)[1] < 0:
            self.anchor = anchor

    @property
    def is_low(self) -> bool:
        """Whether the face pointed so far down from the first that this may be the lap."""
        return self.anchor is not None and elevation(self.anchor) < _LOW

    @property
    def is_firm(self) -> bool:
        """Whether it was returned to often enough to be no mistake of the first minute."""
        return self._confirmed >= _PATIENCE * self.options.learning_seconds and not self.is_low

    def relative(self, rotation: Array) -> tuple[float, float, float]:
        """Return azimuth, elevation and lean in rad of a rotation against the neutral one.

        As `postures.relative`; NaN while the neutral pose is not known.
        """
        if self.rotation is None:
            return np.nan, np.nan, np.nan
        return relative(rotation, self.rotation)

    def _begin(self) -> None:
        """Look for the first neutral pose."""
        postures, needed = self._postures, self.options.learning_seconds
        mode = postures.mode()
        rotation = postures.rotation(mode)
        is_low = elevation(rotation) < _LOW
        above = postures.above(rotation) if is_low else None
        if above is not None:
            if postures.held(above) >= needed:
                self._take(postures.rotation(above))
        elif postures.held(mode) >= needed * (_PATIENCE if is_low else 1):
            self._mode, self.rotation, self.anchor = mode, rotation, rotation

    def _follow(self) -> None:
        """Look for the mode; another one must be clearly more frequent than the present."""
        mode = self._postures.mode()
        last = self._mode or mode
        is_near = apart(mode, last) <= REACH
        if not is_near and self._postures.density(mode) <= _SWITCH * self._postures.density(last):
            mode = last
        rotation = self._postures.rotation(mode)
        if not self._is_sunken(rotation):
            self._mode, self.rotation = mode, rotation

    def _take(self, rotation: Array) -> None:
        """Start anew from a rotation, as if it had been held for two learning times."""
        self._postures = Postures()
        self._postures.add(rotation, 2 * self.options.learning_seconds)
        self._mode = bin_of(rotation)
        self.rotation = self.anchor = rotation

    def _is_sunken(self, rotation: Array) -> bool:
        """Whether a head has sunk to a rotation little by little."""
        if self.anchor is None:
            return False
        return relative(rotation, self.anchor)[1] < -self.slump
