"""Which face is the driver's: where it is, how large it is, and who it was before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headpose_ros.driver_monitoring.thresholds import OURS
from headpose_ros.parameter import Region, parameter, region
from headpose_ros.perception.faces import Face

#: A face this near to where the driver was, in sides of that face, ...
_SAME_PLACE = 1.0
#: ... and at most this many times larger or smaller is the driver's, whatever its id.
_SAME_SIZE = 1.5


@dataclass(frozen=True)
class SeatOptions:
    """Which face is the driver's, and for how long it may be out of sight."""

    region: Region = parameter(  # noqa: RUF009
        (0.0, 0.0, 1.0, 1.0),
        "Where the driver's face may be: x, y, width and height as shares of the image's.",
        minimum=0.0,
        maximum=1.0,
        basic=True,
        former='seat_region',
    )
    smallest_face: float = parameter(
        0.05,
        "Smallest side of a driver's face as a share of the image's height.",
        minimum=0.0,
        maximum=1.0,
        source=OURS,
        former='smallest_face',
    )
    takeover: float = parameter(
        1.5,
        'A face this many times as large as the driver is the driver after takeover_seconds.',
        minimum=1.0,
        maximum=10.0,
        source=OURS,
        former='takeover',
    )
    takeover_seconds: float = parameter(
        2.0,
        'See takeover; also how long a face out of sight is waited for.',
        minimum=0.0,
        maximum=60.0,
        unit='s',
        source=OURS,
        former='takeover_seconds',
    )
    absent_seconds: float = parameter(
        5.0,
        'Time without a face after which the seat is empty, unless the face had turned away.',
        minimum=0.5,
        maximum=60.0,
        unit='s',
        source=OURS,
        former='absent_seconds',
    )
    forget_seconds: float = parameter(
        20.0,
        'Time without a face after which another driver may come: what was learned is dropped.',
        minimum=1.0,
        maximum=600.0,
        unit='s',
        source=OURS,
        former='forget_seconds',
    )

    def __post_init__(self) -> None:
        """Refuse a region that is none."""
        region('region', self.region)


@dataclass(frozen=True)
class Seat:
    """Who sits there.

    Attributes:
        face: The driver's; None when it is not in sight.
        candidates: How many faces are where the driver may be.
        changed: Whether this is another driver than the one before.
    """

    face: Face | None
    candidates: int
    changed: bool = False


class DriverChooser:
    """Follows the driver from image to image.

    Args:
        options: Region, sizes and times.
    """

    def __init__(self, options: SeatOptions) -> None:
        self.options = options
        self.clear()

    def clear(self) -> None:
        """Forget who the driver was."""
        self._last: Face | None = None
        self._seen = 0.0
        self._rival_since: float | None = None

    def update(self, stamp: float, faces: Sequence[Face], size: tuple[int, int]) -> Seat:
        """Return the driver's face at a stamp.

        Args:
            stamp: Of the image, s.
            faces: All faces in it.
            size: Width and height of the image, px.
        """
        candidates = [face for face in faces if self._may_drive(face, size)]
        if self._last is not None and stamp - self._seen > self.options.forget_seconds:
            self.clear()
        first = self._last is None
        same = self._same(candidates)
        chosen = self._challenged(stamp, same, candidates) if same else None
        if same is None:
            chosen = self._newcomer(stamp, candidates)
        if chosen is not None:
            self._last, self._seen = chosen, stamp
        changed = chosen is not None and chosen is not same and not first
        return Seat(chosen, len(candidates), changed)

    def _may_drive(self, face: Face, size: tuple[int, int]) -> bool:
        """Whether a face is in the seat's region and large enough."""
        if not np.isfinite(face.box).all() or min(size) <= 0:
            return False
        x, y, width, height = self.options.region
        place = _center(face) / size
        inside = x <= place[0] <= x + width and y <= place[1] <= y + height
        return bool(inside and _side(face) >= self.options.smallest_face * size[1])

    def _same(self, candidates: Sequence[Face]) -> Face | None:
        """Return the driver of before: by id, else by place and size."""
        last = self._last
        if last is None:
            return None
        for face in candidates:
            if face.id == last.id:
                return face
        near = [face for face in candidates if _is_near(face, last)]
        return max(near, key=_side, default=None)

    def _challenged(self, stamp: float, driver: Face, candidates: Sequence[Face]) -> Face:
        """Return the driver, or who has been clearly larger for long enough."""
        rival = max(candidates, key=_side)
        if _side(rival) <= self.options.takeover * _side(driver):
            self._rival_since = None
            return driver
        if self._rival_since is None:
            self._rival_since = stamp
        if stamp - self._rival_since < self.options.takeover_seconds:
            return driver
        self._rival_since = None
        return rival

    def _newcomer(self, stamp: float, candidates: Sequence[Face]) -> Face | None:
        """Return a face in place of a driver who has not been seen for long enough."""
        waiting = self._last is not None and stamp - self._seen < self.options.takeover_seconds
        return None if waiting else max(candidates, key=_side, default=None)


def _is_near(face: Face, last: Face) -> bool:
    growth = max(_side(face), 1e-9) / max(_side(last), 1e-9)
    away = float(np.linalg.norm(_center(face) - _center(last)))
    return away < _SAME_PLACE * _side(last) and 1 / _SAME_SIZE < growth < _SAME_SIZE


def _center(face: Face) -> NDArray[np.float64]:
    return face.box[:2] + face.box[2:] / 2


def _side(face: Face) -> float:
    return float(max(face.box[2], face.box[3]))
