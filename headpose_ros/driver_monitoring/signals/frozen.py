"""A picture that stands still: what its face shows is not the present."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headpose_ros.perception.faces import Face

#: The tracker looks at a picture that stands still through windows that differ a little. Its faces
#: stay within these: landmarks as a share of the face's side, rotation in rad, openness. With the
#: least noise of a sensor, and nobody moving, landmarks leave theirs three times as far.
_POINTS, _ROTATION, _OPENNESS = 1.5e-3, 4e-4, 0.02
#: Boxes come in whole px.
_BOX = 1.0


class FrozenPicture:
    """Finds out whether the picture stands still.

    Args:
        longest: A face that is the same to the pixel for this long is a frozen picture, s.

    Attributes:
        is_frozen: Whether it stands still now.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._face = StillFace()
        self.is_frozen = False

    def update(self, stamp: float, face: Face | None, known: bool) -> float | None:
        """Return since when the picture stands still, s, once that becomes known; else None.

        Args:
            stamp: Of the image, s.
            face: The driver's face; None when it is not found.
            known: Whether the picture is known to have stood still for long enough.
        """
        before, longest = self.is_frozen, self._longest
        since = min(self._face.update(stamp, face), stamp - longest if known else stamp)
        self.is_frozen = stamp - since >= longest
        return since if self.is_frozen and not before else None


class StillFace:
    """Measures for how long a face has been the same to the pixel."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the face."""
        self._first: Face | None = None
        self.since = np.inf

    def update(self, stamp: float, face: Face | None) -> float:
        """Return since when, s, the face has been the one of this stamp; never less than that one.

        Args:
            stamp: Of the image, s.
            face: The driver's face; None, where it is not found, is no face that stands still.
        """
        if face is None:
            self.reset()
            return stamp
        if self._first is None or not _is_same(face, self._first):
            self._first, self.since = face, stamp
        return self.since


def _is_same(face: Face, first: Face) -> bool:
    if face.landmarks.shape != first.landmarks.shape:
        return False
    if abs(face.rotation[0, 0] - first.rotation[0, 0]) > _ROTATION:
        return False  # as nearly always, at the price of one number
    side = float(first.box[2:].max())
    return (
        _within(face.rotation, first.rotation, _ROTATION)
        and _within(face.openness, first.openness, _OPENNESS)
        and _within(face.box, first.box, _BOX)
        and _within(face.landmarks, first.landmarks, _POINTS * side)
    )


def _within(a: NDArray[np.float64], b: NDArray[np.float64], most: float) -> bool:
    """Whether two arrays differ by no more than `most`; NaN equals NaN."""
    with np.errstate(invalid='ignore'):
        is_near = np.abs(a - b) <= most
    return bool(is_near.all() or (is_near | (np.isnan(a) & np.isnan(b))).all())
