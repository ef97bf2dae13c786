"""Where the head points: relative to the neutral pose, and steadied."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from headpose_ros.driver_monitoring.signals.head.neutral import NeutralPose
from headpose_ros.driver_monitoring.thresholds import OURS
from headpose_ros.parameter import parameter
from headpose_ros.perception.faces import Face

#: How far back a movement is looked for, s; no turn of a head to a mirror takes longer.
_MEMORY = 0.8
#: A head has set out when it has done this share of its way.
_SET_OUT = 0.25


@dataclass(frozen=True)
class HeadOptions:
    """How the direction of the head is measured."""

    window: float = parameter(
        0.1,
        'The direction of the head is the median over this time.',
        minimum=0.0,
        maximum=1.0,
        unit='s',
        source=OURS,
        former='head_window',
    )
    turned_away: float = parameter(
        0.7,
        'A face lost while turned farther than this from neutral is turned away, not gone.',
        minimum=0.3,
        maximum=2.0,
        unit='rad',
        source=OURS,
        former='turned_away',
    )


class HeadAngles(NamedTuple):
    """Direction of the head relative to the neutral pose, rad; NaN where not known.

    Attributes:
        azimuth: To the driver's left.
        elevation: Upwards.
        lean: Towards the driver's right shoulder.
    """

    azimuth: float = np.nan
    elevation: float = np.nan
    lean: float = np.nan

    @property
    def is_known(self) -> bool:
        """Whether azimuth and elevation are known."""
        return self.azimuth == self.azimuth and self.elevation == self.elevation


class HeadDirection:
    """Measures the direction of the head.

    Args:
        options: How long to look back.
        neutral: The driver's neutral pose.
    """

    def __init__(self, options: HeadOptions, neutral: NeutralPose) -> None:
        self._neutral = neutral
        self._filter = MedianFilter(options.window)

    def update(self, stamp: float, face: Face | None) -> HeadAngles:
        """Return the direction at a stamp; NaN without a face or a neutral pose."""
        angles = HeadAngles()
        if face is not None and np.isfinite(face.rotation).all():
            angles = HeadAngles(*self._neutral.relative(face.rotation))
        return self._filter.update(stamp, angles)

    def restart(self) -> None:
        """Forget the past: what comes is not the end of a movement seen before."""
        self._filter = MedianFilter(self._filter.window)

    def moving_since(self, stamp: float, angles: HeadAngles, earliest: float) -> float:
        """As `MedianFilter.moving_since`."""
        return self._filter.moving_since(stamp, angles, earliest)


class MedianFilter:
    """The median of a direction over a short time: one wrong pose does not move it.

    Args:
        window: How long, s.
    """

    def __init__(self, window: float) -> None:
        self.window = window
        self._past: deque[tuple[float, HeadAngles]] = deque()

    def update(self, stamp: float, angles: HeadAngles) -> HeadAngles:
        """Return the median of each angle; NaN, and a new start, at NaN."""
        if any(angle != angle for angle in angles):
            self._past.clear()
            return angles
        self._past.append((stamp, angles))
        while self._past[0][0] < stamp - _MEMORY:
            self._past.popleft()
        return _medians([past for when, past in self._past if when >= stamp - self.window])

    def moving_since(self, stamp: float, angles: HeadAngles, earliest: float) -> float:
        """Return when the movement began, s, that has led to these angles at a stamp.

        Eyes set out with the head, and a glance begins as they do (ISO 15007), not when the head
        has left a zone. Not before `earliest`, when the movement before this one was reported.
        """
        recent = [(when, past) for when, past in self._past if when >= earliest]
        before = [past for when, past in recent if when <= stamp - _MEMORY / 2]
        if not before:
            return stamp
        start, now = np.array(_medians(before)[:2]), np.array(angles[:2])
        way = now - start
        since = stamp
        for when, past in reversed(recent):
            if (past[:2] - start) @ way < _SET_OUT * (way @ way):
                break
            since = when
        return since


def _medians(past: list[HeadAngles]) -> HeadAngles:
    columns = zip(*past, strict=True)
    return HeadAngles(*(sorted(column)[len(past) // 2] for column in columns))
