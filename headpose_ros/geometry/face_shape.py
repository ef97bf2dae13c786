"""The mean face: 68 landmarks of an average adult head in metres, in the REP-155 face frame."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headpose_ros.geometry.rotations import FRONTAL

#: Distance between the pupils of an average adult, metres: the mean face is such a person's.
INTERPUPILLARY_DISTANCE = 0.063

_FILE = Path(__file__).with_name('mean_face_68.csv')


@lru_cache(maxsize=1)
def mean_face() -> NDArray[np.float64]:
    """Return the (68, 3) landmarks, x out of the face, y to the person's left, z up, metres.

    The origin is the sellion (landmark 27). From the neutral head of ICT-FaceKit (MIT licence,
    see docs/NOTICE.md), turned so that its zero pitch is that of the AFLW2000-3D annotations;
    `headpose-train mean-face` makes the file again.
    """
    points = np.loadtxt(_FILE, delimiter=',', comments='#')
    points.flags.writeable = False
    return points


def aligned_mean_face() -> NDArray[np.float64]:
    """Return the (68, 3) landmarks of :func:`mean_face` in camera-aligned axes, metres."""
    return mean_face() @ FRONTAL.T
