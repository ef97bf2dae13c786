"""Which detection belongs to which followed face."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headpose_ros.perception.detect import Detection
from headpose_ros.perception.tracking.assignment import cheapest_pairs
from headpose_ros.perception.tracking.track import Track, center_of

#: A detection belongs to a track at most this far from where it is expected, in sides of the
#: window; for each second that the face was not seen, that much more, up to the last.
_REACH, _REACH_PER_SECOND, _LONGEST_REACH = 0.5, 0.5, 1.5
#: And when their sizes differ by less than this factor.
SIZE_FACTOR = 1.7
#: A track unseen for this long, s, counts as far from a detection as one at the gate's border.
_DOUBTED_AFTER = 0.5
_FORBIDDEN = 1e6


def assign(
    tracks: Sequence[Track],
    detections: Sequence[Detection],
    stamp: float,
    shape: tuple[int, ...],
) -> dict[int, int]:
    """Pair tracks with detections so that the sum of their costs is least (Hungarian method).

    Pairs beyond the gate, in distance from the expected place or in size, are never made.

    Args:
        tracks: The followed faces.
        detections: What the detector found.
        stamp: When, s.
        shape: Height and width of the image, px; more may follow.

    Returns:
        Index of the detection by index of the track.
    """
    if not tracks or not detections:
        return {}
    cost = np.array([[_cost(t, d, stamp, shape) for d in detections] for t in tracks])
    return {t: d for t, d in cheapest_pairs(cost) if cost[t, d] < _FORBIDDEN}


def iou(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Return the (M, N) intersection over union of (M, 4) and (N, 4) boxes x, y, w, h."""
    a = np.asarray(first, np.float64).reshape(-1, 1, 4)
    b = np.asarray(second, np.float64).reshape(1, -1, 4)
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    common = np.clip(high - low, 0, None).prod(axis=-1)
    union = a[..., 2:].prod(axis=-1) + b[..., 2:].prod(axis=-1) - common
    return common / np.maximum(union, 1e-9)


def _cost(track: Track, detection: Detection, stamp: float, shape: tuple[int, ...]) -> float:
    """Return 0..3 within the gate, `_FORBIDDEN` beyond.

    Of two tracks that are equally near the one seen last wins: the other one's face is behind it.
    """
    unseen = stamp - track.motion.stamp
    reach = min(_REACH + _REACH_PER_SECOND * unseen, _LONGEST_REACH)
    side = np.sqrt(track.motion.side * detection.window.side)
    # Who has left the picture comes back at its border.
    expected = np.clip(track.motion.at(stamp), 0.0, shape[1::-1])
    jump = np.linalg.norm(center_of(detection.window) - expected) / (reach * side)
    growth = abs(np.log(detection.window.side / track.motion.side)) / np.log(SIZE_FACTOR)
    doubt = min(unseen / _DOUBTED_AFTER, 1.0)
    return float(jump**2 + growth**2 + doubt) if max(jump, growth) < 1.0 else _FORBIDDEN
