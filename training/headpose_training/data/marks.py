"""Where people mark the landmarks of a face, beside the landmarks of a head model.

A head model's landmarks are places on its skin, with names of anatomy. Annotators of photographs
mark others: the outer corner of an eye inside of where the lids meet, the wings of the nose higher.
The numbers were measured: `headpose-train study-annotation` has a network that learned from
photographs look at rendered faces, and says how far its points lie from those marked here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from headpose_ros.geometry.landmarks import COUNT, MIRROR, OUTER_EYE_CORNERS
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Lines of landmarks, and the shares of their lengths at which people mark them. Of the lids, from
#: the outer corner, those of the right eye: the corner is marked inside of where the lids meet.
_LIDS = (((36, 37, 38, 39), (0.08, 0.42, 0.70, 1.0)), ((36, 41, 40, 39), (0.08, 0.40, 0.70, 1.0)))
_LIPS = (
    ((48, 59, 58, 57, 56, 55, 54), (0.0, 0.205, 0.39, 0.5, 0.61, 0.795, 1.0)),
    ((60, 61, 62, 63, 64), (0.04, 0.38, 0.5, 0.62, 0.96)),
    ((60, 67, 66, 65, 64), (0.04, 0.37, 0.5, 0.63, 0.96)),
)
_LINES = [
    *((np.array(line), shares) for line, shares in _LIDS + _LIPS),
    *((MIRROR[list(line)], shares) for line, shares in _LIDS),
]
#: What is marked beside its place on the skin: towards the middle of the face and up, in shares of
#: the distance between the outer corners of the eyes; of the right half and the middle.
_ASIDE = {
    0: (-0.006, -0.048),
    1: (0.001, -0.046),
    2: (-0.002, -0.04),
    3: (0.003, -0.036),
    4: (0.004, -0.036),
    5: (0.015, -0.034),
    6: (0.017, -0.029),
    7: (0.007, -0.031),
    8: (0.0, -0.015),
    17: (-0.007, -0.023),
    18: (0.004, -0.003),
    19: (0.016, 0.006),
    20: (0.016, 0.008),
    21: (0.021, -0.015),
    29: (0.0, -0.011),
    31: (-0.006, 0.03),
    32: (-0.006, 0.02),
    33: (0.0, 0.003),
    49: (0.008, -0.024),
    50: (0.002, -0.01),
    51: (0.0, -0.022),
}


def marked(landmarks: Array) -> Array:
    """Return (68, 3) places in the face frame that people mark on a face seen from its front.

    Args:
        landmarks: (68, 3) places on the skin, in any unit.
    """
    return spread(landmarks) + aside(landmarks)


def spread(landmarks: Array) -> Array:
    """Return (68, 3) landmarks, those of lids and lips where people mark them along their lines."""
    total, count = np.zeros_like(landmarks), np.zeros((COUNT, 1))
    for line, shares in _LINES:
        total[line] += _along(landmarks[line], shares)
        count[line] += 1
    # A corner is on two lines.
    return np.where(count > 0, total / np.maximum(count, 1), landmarks)


def _along(marks: Array, shares: Sequence[float]) -> Array:
    """Return the places at shares of the length of the line through (N, 3) marks."""
    length = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(marks, axis=0), axis=1)))
    wanted = np.array(shares) * length[-1]
    return np.stack([np.interp(wanted, length, axis) for axis in marks.T], 1)


def aside(landmarks: Array) -> Array:
    """Return (68, 3) steps from places on the skin to what is marked, as long as the landmarks."""
    right, left = OUTER_EYE_CORNERS
    eyes = float(np.linalg.norm(landmarks[left] - landmarks[right]))
    steps = np.zeros((COUNT, 3))
    for mark, (inward, up) in _ASIDE.items():
        steps[mark] = [0.0, inward * eyes, up * eyes]
        steps[MIRROR[mark]] = [0.0, -inward * eyes, up * eyes]
    return steps
