"""What makes any head a little its own: smooth shifts of its shape, other left than right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]

_BUMPS = 14
#: Standard deviation of one bump's height and the range of their reach, metres.
_HEIGHT = 0.0006
_REACH = (0.018, 0.045)


def smooth_warp(rng: np.random.Generator, anchors: Float, points: Float) -> Float:
    """Return (P, 3) offsets in metres: a few wide Gaussian bumps about places on the face.

    Args:
        rng: Source of randomness.
        anchors: (N, 3) places that bumps are centred on.
        points: (P, 3) places to give the offset at.
    """
    centres = anchors[rng.choice(len(anchors), _BUMPS, replace=False)]
    heights = rng.normal(0.0, _HEIGHT, (_BUMPS, 3)).astype(np.float32)
    reaches = rng.uniform(*_REACH, _BUMPS).astype(np.float32)
    points, centres = points.astype(np.float32), centres.astype(np.float32)
    # -(p - c)^2 / (2 r^2), multiplied out: one product of matrices.
    falls = -0.5 / np.square(reaches)
    square = np.einsum('pi,pi->p', points, points)[:, None] * falls
    power = square + points @ (-2.0 * falls * centres.T) + falls * np.square(centres).sum(axis=1)
    return np.exp(power) @ heights
