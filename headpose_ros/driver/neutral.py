"""The driver's own neutral pose: the most frequent posture, learned while driving.

Drivers look at the road most of the time, so the mode of where the head points is the road. A mean
would be dragged aside by every long glance; the mode is not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headpose_ros.driver.options import DriverOptions

Array = NDArray[np.float64]

#: Bins of azimuth and elevation, rad, and how many are summed about the mode on each side.
_BIN = float(np.radians(2.0))
_SHAPE = (90, 60)
_REACH = 3
#: Another posture becomes the mode when it was held so many times as long.
_SWITCH = 1.3
#: How often the mode is looked for, s: it moves slowly.
_PERIOD = 0.5
#: Weights are scaled back before they outgrow a float.
_LARGEST = 1e12


class NeutralPose:
    """Learns the neutral rotation of one driver from a stream of rotations.

    A histogram over the directions in which the face points, with forgetting; each bin also sums
    its rotations, and the mean of those about the mode (the nearest rotation to their sum, on
    SO(3)) is the neutral pose.

    Args:
        options: How long to learn and to remember.
    """

    def __init__(self, options: DriverOptions) -> None:
        self.options = options
        self.reset()

    def reset(self, rotation: Array | None = None) -> None:
        """Forget everything, or start from a stored neutral rotation (3, 3)."""
        self._weights = np.zeros(_SHAPE)
        self._sums = np.zeros((*_SHAPE, 3, 3))
        self._unit = 1.0  # weight of one second now; grows, which makes the past weigh less
        self._mode: tuple[int, int] | None = None
        self._due = self._pending = 0.0
        self.rotation: Array | None = None
        if rotation is not None:
            # As if it had been held for as long as two learning times.
            self._add(rotation, 2 * self.options.neutral_seconds)
            self._find()

    def update(self, rotation: Array, seconds: float) -> None:
        """Learn from a rotation (3, 3) R_optical_face that was held for some seconds."""
        self._unit *= float(np.exp(seconds / self.options.neutral_memory))
        self._add(rotation, seconds)
        self._due += seconds
        if self._due >= _PERIOD:
            self._due = 0.0
            self._find()

    def relative(self, rotation: Array) -> tuple[float, float, float]:
        """Return azimuth, elevation and lean in rad of a rotation against the neutral one.

        Azimuth is positive to the driver's left, elevation upwards, lean towards the right.
        NaN while the neutral pose is not known.
        """
        if self.rotation is None:
            return np.nan, np.nan, np.nan
        turned = self.rotation.T @ rotation
        x, y, z = turned[:, 0]
        # How far the left-hand side points up, beside what turning alone would do.
        lean = np.arctan2(turned[2, 1], turned[2, 2])
        return float(np.arctan2(y, x)), float(np.arcsin(min(max(z, -1.0), 1.0))), float(lean)

    def _add(self, rotation: Array, seconds: float) -> None:
        index = _bin(rotation)
        self._weights[index] += seconds * self._unit
        self._sums[index] += seconds * self._unit * rotation
        if self._unit > _LARGEST:
            self._weights /= self._unit
            self._sums /= self._unit
            self._unit = 1.0

    def _find(self) -> None:
        """Look for the mode; another one must be clearly more frequent than the present."""
        around = _box_sums(self._weights, 1)
        best = np.unravel_index(int(np.argmax(around)), _SHAPE)
        mode = int(best[0]), int(best[1])
        last = self._mode or mode
        is_near = _apart(mode, last) <= _REACH
        self._mode = mode if is_near or around[mode] > _SWITCH * around[last] else last
        rows, columns = (slice(max(i - _REACH, 0), i + _REACH + 1) for i in self._mode)
        held = float(self._weights[rows, columns].sum()) / self._unit
        if self.rotation is not None or held >= self.options.neutral_seconds:
            self.rotation = _nearest_rotation(self._sums[rows, columns].sum(axis=(0, 1)))


def _bin(rotation: Array) -> tuple[int, int]:
    """Return the bin of where a face points, as seen from the camera."""
    x, y, z = rotation[:, 0]
    azimuth, elevation = np.arctan2(x, -z), np.arcsin(min(max(-y, -1.0), 1.0))
    row = int(np.floor(azimuth / _BIN)) + _SHAPE[0] // 2
    column = int(np.floor(elevation / _BIN)) + _SHAPE[1] // 2
    return min(max(row, 0), _SHAPE[0] - 1), min(max(column, 0), _SHAPE[1] - 1)


def _box_sums(weights: Array, reach: int) -> Array:
    """Return the sums over squares of 2 * reach + 1 bins about each bin."""
    padded = np.pad(weights, reach)
    views = np.lib.stride_tricks.sliding_window_view(padded, (2 * reach + 1, 2 * reach + 1))
    return views.sum(axis=(2, 3))


def _apart(a: tuple[int, int], b: tuple[int, int]) -> int:
    return max(abs(a[0] - b[0]), abs(a[1] - b[1]))


def _nearest_rotation(sums: Array) -> Array:
    """Return the rotation nearest to a (3, 3) sum of rotations, in the chordal sense."""
    u, _, v = np.linalg.svd(sums)
    return u @ np.diag([1.0, 1.0, np.linalg.det(u @ v)]) @ v
