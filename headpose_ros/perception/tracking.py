"""Keep faces apart over time: ids, and where to look for each face in the next frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from headpose_ros.geometry.crop import CropWindow
from headpose_ros.perception.detect import Detection

#: Overlap under which a detection is another face than a track.
_SAME_FACE_IOU = 0.3
#: Overlap over which two tracks have run onto the same face.
_DUPLICATE_IOU = 0.6
#: Looks of the detector without this face until it is given up. The network follows faces that
#: the detector misses (turned far, half hidden), so a few misses mean little.
_MISSES_ALLOWED = 5


@dataclass(frozen=True)
class Track:
    """A face that is followed.

    Attributes:
        id: `f` and a number; never reused.
        box: float64 (4,) x, y, w, h px where it was last seen.
        window: Crop in which to look for it next.
        confidence: Detector's score of its last detection.
        misses: Consecutive looks of the detector that did not find it.
    """

    id: str
    box: NDArray[np.float64]
    window: CropWindow
    confidence: float
    misses: int = 0


class Tracks:
    """The faces being followed. Ids count on over :meth:`clear`, so none is ever reused.

    Args:
        keep_windows: Whether a followed face keeps its window when it is detected again: right
            for networks whose landmarks place it better than the detector does.
    """

    def __init__(self, keep_windows: bool = True) -> None:
        self._keep_windows = keep_windows
        self._active: list[Track] = []
        self._started = 0

    @property
    def active(self) -> tuple[Track, ...]:
        """The followed faces, oldest first."""
        return tuple(self._active)

    def clear(self) -> None:
        """Forget all faces, for example when time jumps back."""
        self._active = []

    def match(self, detections: Sequence[Detection], limit: int) -> list[str]:
        """Bring the faces up to date with what a detector found.

        Args:
            detections: What it found, the preferred faces first.
            limit: Most faces to follow; the followed ones come first.

        Returns:
            The ids of the faces that are new.
        """
        overlap = iou([t.box for t in self._active], [d.box for d in detections])
        pairs = zip(*linear_sum_assignment(-overlap), strict=True)
        same = {int(t): int(d) for t, d in pairs if overlap[t, d] > _SAME_FACE_IOU}
        seen = [
            self._seen(track, detections[same[index]]) if index in same else self._missed(track)
            for index, track in enumerate(self._active)
        ]
        self._active = [track for track in seen if track.misses <= _MISSES_ALLOWED]
        unknown = [d for index, d in enumerate(detections) if index not in same.values()]
        started = [self._start(d) for d in unknown[: max(limit - len(self._active), 0)]]
        self._active += started
        return [track.id for track in started]

    def update(self, tracks: Sequence[Track]) -> None:
        """Take over where the faces are now; faces not named, and duplicates, are forgotten."""
        overlap = iou([t.box for t in tracks], [t.box for t in tracks])
        self._active = [
            track
            for index, track in enumerate(tracks)
            if not (overlap[index, :index] > _DUPLICATE_IOU).any()
        ]

    def _seen(self, track: Track, detection: Detection) -> Track:
        window = track.window if self._keep_windows else detection.window
        box = track.box if self._keep_windows else detection.box
        return replace(track, box=box, window=window, confidence=detection.confidence, misses=0)

    def _missed(self, track: Track) -> Track:
        return replace(track, misses=track.misses + 1)

    def _start(self, detection: Detection) -> Track:
        self._started += 1
        return Track(f'f{self._started}', detection.box, detection.window, detection.confidence)


def iou(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Return the (M, N) intersection over union of (M, 4) and (N, 4) boxes x, y, w, h."""
    a = np.asarray(first, np.float64).reshape(-1, 1, 4)
    b = np.asarray(second, np.float64).reshape(1, -1, 4)
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    common = np.clip(high - low, 0, None).prod(axis=-1)
    union = a[..., 2:].prod(axis=-1) + b[..., 2:].prod(axis=-1) - common
    return common / np.maximum(union, 1e-9)
