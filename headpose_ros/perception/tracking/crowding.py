"""Faces that meet: which track a face belongs to, and when its landmarks are not its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from headpose_ros.perception.tracking.matching import SIZE_FACTOR, iou
from headpose_ros.perception.tracking.track import Track, center_of

#: Overlap over which two tracks have run onto the same face.
_DUPLICATE_IOU = 0.6
#: Jumps from the expected place shorter than this, in sides of the window, mean nothing.
_USUAL_JUMP = 0.05
#: Nearer than this to another track, in mean usual sides of their windows, a face may be mistaken
#: for it, or is being covered by it, and its landmarks give way: what is measured then changes
#: neither its velocity nor its usual size.
_CROWDED = 0.9


def owners(
    seen: Sequence[Track], stamp: float, is_confirmed: Callable[[Track], bool]
) -> list[Track]:
    """Return the tracks without those that ran onto the face of another.

    A face belongs to the track that expected it there; then to the older one.

    Args:
        seen: Where the tracks are in this image.
        stamp: Time of the image, s.
        is_confirmed: Whether a track is confirmed: those go before all others.
    """
    if len(seen) < 2:
        return list(seen)
    ranked = sorted(seen, key=lambda track: (not is_confirmed(track), _surprise(track, stamp)))
    overlap = iou([t.box for t in ranked], [t.box for t in ranked])
    kept: list[int] = []
    for index in range(len(ranked)):
        if not (overlap[index, kept] > _DUPLICATE_IOU).any():
            kept.append(index)
    return [ranked[index] for index in kept]


def is_crowded(track: Track, tracks: Sequence[Track], stamp: float) -> bool:
    """Return whether another of the tracks is expected near this one."""
    here, side = center_of(track.window), track.motion.side
    return any(
        np.linalg.norm(other.motion.at(stamp) - here) < _CROWDED * (other.motion.side + side) / 2
        for other in tracks
        if other.id != track.id
    )


def is_covered(track: Track, tracks: Sequence[Track], stamp: float) -> bool:
    """Return whether the landmarks have given way to another face that is before this one."""
    shrunk = track.motion.side > SIZE_FACTOR * track.window.side
    return shrunk and is_crowded(track, tracks, stamp)


def _surprise(track: Track, stamp: float) -> float:
    """Return how far a window is from where it was expected, in sides; the usual is 0."""
    jump = np.linalg.norm(center_of(track.window) - track.motion.at(stamp))
    return max(float(jump) / track.window.side - _USUAL_JUMP, 0.0)
