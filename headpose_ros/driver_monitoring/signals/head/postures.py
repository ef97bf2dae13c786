"""How long the head pointed where: a histogram of postures, with forgetting."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bin = tuple[int, int]

#: Bins of azimuth and elevation, rad, and how many about a posture on each side belong to it.
_BIN = float(np.radians(2.0))
_SHAPE = (90, 60)
REACH = 3
#: Weights are scaled back before they outgrow a float.
_LARGEST = 1e12
#: A posture this far above another one and no farther aside, rad, ...
_ABOVE, _ASIDE = float(np.radians(25.0)), float(np.radians(25.0))
#: ... that was held for this share of the time and for this long, s, is taken again and again.
_LEAST_SHARE, _LEAST_HELD = 0.03, 1.5


class Postures:
    """A histogram over the directions in which the face points; each bin sums its rotations."""

    def __init__(self) -> None:
        self._weights = np.zeros(_SHAPE)
        self._sums = np.zeros((*_SHAPE, 3, 3))
        self._unit = 1.0  # weight of one second now; grows, which makes the past weigh less

    def add(self, rotation: Array, seconds: float, memory: float = np.inf) -> None:
        """Add a rotation (3, 3) R_optical_face that was held for some seconds.

        Args:
            rotation: The rotation.
            seconds: How long.
            memory: Time constant with which what was added before is forgotten, s.
        """
        self._unit *= math.exp(seconds / memory)
        index = bin_of(rotation)
        self._weights[index] += seconds * self._unit
        self._sums[index] += seconds * self._unit * rotation
        if self._unit > _LARGEST:
            self._weights /= self._unit
            self._sums /= self._unit
            self._unit = 1.0

    @property
    def seconds(self) -> float:
        """For how long anything was seen, as far as it is not forgotten."""
        return float(self._weights.sum()) / self._unit

    def mode(self) -> Bin:
        """Return the bin about which the head was most of the time."""
        return _largest(_with_neighbours(self._weights))

    def density(self, index: Bin) -> float:
        """Return for how long the head was in a bin or right beside it, s."""
        return self._sum(index, 1)

    def held(self, index: Bin) -> float:
        """Return for how long the posture about a bin was held, s."""
        return self._sum(index, REACH)

    def rotation(self, index: Bin) -> Array:
        """Return the mean (3, 3), on SO(3), of the rotations of the posture about a bin."""
        return _nearest_rotation(self._sums[_around(index, REACH)].sum(axis=(0, 1)))

    def above(self, rotation: Array) -> Bin | None:
        """Return a posture far above another one that is taken again and again; None for none.

        Args:
            rotation: (3, 3) of the other one.
        """
        weights = np.where(self._is_above(rotation), self._weights, 0.0)
        held = float(weights.sum()) / self._unit
        if held < max(_LEAST_HELD, _LEAST_SHARE * self.seconds):
            return None
        return _largest(_with_neighbours(weights))

    def _is_above(self, rotation: Array) -> NDArray[np.bool_]:
        """Return for every bin whether its mean direction lies far above a rotation's."""
        x, y, z = np.moveaxis(self._sums[..., 0] @ rotation, -1, 0)
        return (np.arctan2(z, np.hypot(x, y)) > _ABOVE) & (np.abs(np.arctan2(y, x)) < _ASIDE)

    def _sum(self, index: Bin, reach: int) -> float:
        return float(self._weights[_around(index, reach)].sum()) / self._unit


def bin_of(rotation: Array) -> Bin:
    """Return the bin of where a face (3, 3) points, as seen from the camera."""
    x, _, z = rotation[:, 0]
    azimuth, up = math.atan2(x, -z), elevation(rotation)
    row = math.floor(azimuth / _BIN) + _SHAPE[0] // 2
    column = math.floor(up / _BIN) + _SHAPE[1] // 2
    return min(max(row, 0), _SHAPE[0] - 1), min(max(column, 0), _SHAPE[1] - 1)


def elevation(rotation: Array) -> float:
    """Return how far a face (3, 3) points up against the camera's axis, rad."""
    return math.asin(min(max(-rotation[1, 0], -1.0), 1.0))


def relative(rotation: Array, neutral: Array) -> tuple[float, float, float]:
    """Return azimuth, elevation and lean in rad of a rotation (3, 3) against another one.

    Azimuth is positive to the driver's left, elevation upwards, lean towards the right.
    """
    turned = neutral.T @ rotation
    x, y, z = turned[:, 0]
    # How far the left-hand side points up, beside what turning alone would do.
    lean = math.atan2(turned[2, 1], turned[2, 2])
    return math.atan2(y, x), math.asin(min(max(z, -1.0), 1.0)), lean


def apart(a: Bin, b: Bin) -> int:
    """Return how many bins two postures are apart."""
    return max(abs(a[0] - b[0]), abs(a[1] - b[1]))


def _around(index: Bin, reach: int) -> tuple[slice, slice]:
    row, column = index
    return (
        slice(max(row - reach, 0), row + reach + 1),
        slice(max(column - reach, 0), column + reach + 1),
    )


def _largest(values: Array) -> Bin:
    row, column = np.unravel_index(int(np.argmax(values)), _SHAPE)
    return int(row), int(column)


def _with_neighbours(weights: Array) -> Array:
    """Return the sums over squares of 3 by 3 bins about each bin."""
    padded = np.pad(weights, 1)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]


def _nearest_rotation(sums: Array) -> Array:
    """Return the rotation nearest to a (3, 3) sum of rotations, in the chordal sense."""
    u, _, v = np.linalg.svd(sums)
    return u @ np.diag([1.0, 1.0, np.linalg.det(u @ v)]) @ v
