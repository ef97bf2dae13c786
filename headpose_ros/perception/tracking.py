"""Keep faces apart over time: ids, and where to look for each face in the next frame.

All time is that of the images' stamps, in seconds.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headpose_ros.geometry.crop import CropWindow
from headpose_ros.parameter import parameter, region
from headpose_ros.perception.assignment import cheapest_pairs
from headpose_ros.perception.detect import Detection

#: Whom the cap on the number of faces spares: see `TrackingOptions.prefer`.
PREFERENCES = ('size', 'centre', 'region')

#: A detection belongs to a track at most this far from where it is expected, in sides of the
#: window; for each second that the face was not seen, that much more, up to the last.
_REACH, _REACH_PER_SECOND, _LONGEST_REACH = 0.5, 0.5, 1.5
#: And when their sizes differ by less than this factor.
_SIZE_FACTOR = 1.7
#: A track unseen for so long, s, counts as far from a detection as one at the gate's border.
_DOUBTED_AFTER = 0.5
#: Overlap over which two tracks have run onto the same face.
_DUPLICATE_IOU = 0.6
#: Jumps from the expected place shorter than this, in sides of the window, say nothing.
_USUAL_JUMP = 0.05
#: Nearer than this to another track, in mean usual sides of their windows, a face may be mistaken
#: for it, or is being covered by it, and its landmarks give way: what is measured then changes
#: neither its velocity nor its usual size.
_CROWDED = 0.9
#: A velocity is the mean over about this time, and fades in about this time unseen, s.
_VELOCITY_MEMORY, _VELOCITY_FADING = 0.15, 1.0
#: The usual side of a window is the mean over about this time, s.
_SIDE_MEMORY = 0.5
#: The network follows faces that the detector misses (turned far, half hidden). Longer than this
#: and over more looks than this it follows something else.
_UNDETECTED_SECONDS, _UNDETECTED_LOOKS = 2.0, 5
#: Faces out of sight that are remembered: enough, even when stamps stand still and none ages.
_MOST_HIDDEN = 16
#: After a longer gap in the video, s, a face has moved out of its window.
_STALE = 0.5
#: A newcomer takes the place of a followed face, and another face that of the first one, only
#: when it is preferred by this factor.
_LOYALTY = 1.5
#: What the preference of a face outside of the preferred region is multiplied by.
_OUTSIDE = 1e-3
#: Distance from the centre, in diagonals of the image, below which nearer is not better.
_ABOUT_CENTRED = 0.05
_FORBIDDEN = 1e6


@dataclass(frozen=True)
class TrackingOptions:
    """How faces are followed."""

    max_faces: int = parameter(
        8,
        'Largest number of faces followed at a time; `prefer` decides which.',
        minimum=1,
        maximum=64,
        basic=True,
        former='max_faces',
    )
    detect_every: int = parameter(
        10,
        'The detector looks for new faces once in this number of frames; in each frame while no '
        'face is followed, and more often while one is out of sight.',
        minimum=1,
        maximum=1000,
        unit='frames',
        former='detect_every',
    )
    confirm_hits: int = parameter(
        2,
        'A face is reported once it was seen in this number of frames; 1 suits images that are '
        'farther apart than `retain`.',
        minimum=1,
        maximum=100,
        unit='frames',
        former='confirm_hits',
    )
    retain: float = parameter(
        2.0,
        'A face that comes back within this time keeps its id.',
        minimum=0.0,
        maximum=60.0,
        unit='s',
        basic=True,
        former='retain',
    )
    prefer: str = parameter(
        'size',
        'Which faces are followed when there are more than `max_faces`, the first of them in '
        'head_pose: the largest in the image, the nearest to its centre, or those in `region`, '
        'then the largest.',
        choices=PREFERENCES,
        basic=True,
        former='prefer',
    )
    region: tuple[float, float, float, float] = parameter(
        (0.0, 0.0, 1.0, 1.0),
        'Where faces are preferred, such as the seat of the driver: x, y, width and height as '
        "shares of the image's. Used when `prefer` is 'region'.",
        minimum=0.0,
        maximum=1.0,
        former='preferred_region',
    )

    def __post_init__(self) -> None:
        """Refuse an empty region."""
        region('region', self.region)


@dataclass(frozen=True)
class Motion:
    """Where a face was seen last, how it moves and how large it is.

    Attributes:
        center: float64 (2,) px.
        stamp: When it was there, s.
        velocity: float64 (2,) px/s.
        side: Usual side of its window, px.
    """

    center: NDArray[np.float64]
    stamp: float
    velocity: NDArray[np.float64]
    side: float

    def at(self, stamp: float) -> NDArray[np.float64]:
        """Return the (2,) px where the face is expected: it goes on, ever slower."""
        unseen = (stamp - self.stamp) / _VELOCITY_FADING
        return self.center + self.velocity * _VELOCITY_FADING * (1.0 - np.exp(-unseen))

    def moved(self, window: CropWindow, stamp: float, crowded: bool) -> Motion:
        """Return the motion of a face that was seen in a window."""
        dt, center = stamp - self.stamp, _center(window)
        if crowded or dt <= 0.0:
            return replace(self, center=center, stamp=stamp)
        measured = (center - self.center) / dt
        velocity = self.velocity + _share(dt, _VELOCITY_MEMORY) * (measured - self.velocity)
        side = self.side + _share(dt, _SIDE_MEMORY) * (window.side - self.side)
        return Motion(center, stamp, velocity, side)


@dataclass(frozen=True)
class Track:
    """A face that is followed.

    Attributes:
        id: A prefix and a number; never reused.
        box: float64 (4,) x, y, w, h px where it was last seen.
        window: Crop in which to look for it next.
        confidence: Detector's score of its last detection.
        motion: How it moves.
        detected: When the detector last found it, s.
        hits: Frames in which it was seen.
        misses: Consecutive looks of the detector that did not find it.
        hidden: Whether it is out of sight: no window shows it.
    """

    id: str
    box: NDArray[np.float64]
    window: CropWindow
    confidence: float
    motion: Motion
    detected: float
    hits: int = 0
    misses: int = 0
    hidden: bool = False


class FaceTracker:
    """The faces being followed. Ids count on over :meth:`clear`, so none is ever reused.

    For every image: :meth:`advance`; where the detector looked, :meth:`match`; then
    :meth:`follow` with the visible faces where they are now.

    Args:
        options: How they are followed; may be replaced at any time.
        keep_windows: Whether a followed face keeps its window when it is detected again: right
            for networks whose landmarks place it better than the detector does. Otherwise only
            the detector tells that a face is there. May be replaced at any time.
        names: Where ids come from, such as :func:`face_names`; videos that share it share no id.

    Attributes:
        left_out: How many faces the last :meth:`match` did not admit, as `max_faces` were followed.
    """

    def __init__(
        self,
        options: TrackingOptions | None = None,
        keep_windows: bool = True,
        names: Iterator[str] | None = None,
    ) -> None:
        self.options = options or TrackingOptions()
        self.keep_windows = keep_windows
        self._names = face_names() if names is None else names
        self._tracks: list[Track] = []
        self.left_out = 0
        self._stamp = self._gap = 0.0
        self._started = False
        self._first = ''

    @property
    def visible(self) -> tuple[Track, ...]:
        """The faces in sight, confirmed or not, oldest first."""
        return tuple(track for track in self._tracks if not track.hidden)

    @property
    def confirmed(self) -> tuple[Track, ...]:
        """The faces in sight that were seen often enough to be reported, oldest first."""
        return tuple(track for track in self.visible if self._is_confirmed(track))

    @property
    def hidden(self) -> tuple[Track, ...]:
        """The faces out of sight that may come back, oldest first."""
        return tuple(track for track in self._tracks if track.hidden)

    def clear(self) -> None:
        """Forget all faces, for example when time jumps back."""
        self._tracks = []
        self._started = False
        self.left_out = 0

    def advance(self, stamp: float) -> None:
        """Let time pass until an image: faces out of sight age and are given up in the end."""
        self._gap = stamp - self._stamp if self._started else 0.0
        self._stamp, self._started = stamp, True
        # Out of sight, but not forgotten, confirmed or not: nobody looked for them meanwhile.
        stale = {t.id for t in self._tracks if stamp - t.motion.stamp > _STALE}
        self._tracks = [replace(t, hidden=True) if t.id in stale else t for t in self._tracks]
        retained = [t for t in self.hidden if stamp - t.motion.stamp <= self.options.retain]
        forgotten = {t.id for t in self.hidden} - {t.id for t in retained[-_MOST_HIDDEN:]}
        self._tracks = [track for track in self._tracks if track.id not in forgotten]

    def match(self, detections: Sequence[Detection], shape: tuple[int, ...]) -> list[str]:
        """Bring the faces up to date with what a detector found.

        Args:
            detections: What it found.
            shape: Height and width of the image, px; more may follow.

        Returns:
            The ids of faces that are new or back: their windows are the detector's.
        """
        pairs = assign(self._tracks, detections, self._stamp, shape)
        found = {self._tracks[t].id: detections[d] for t, d in pairs.items()}
        back = [t.id for t in self._tracks if t.hidden and t.id in found]
        self._tracks = [
            self._detected(t, found[t.id]) if t.id in found else replace(t, misses=t.misses + 1)
            for t in self._tracks
        ]
        self._lose({t.id for t in self._tracks if self._is_undetected(t)})
        unknown = [d for index, d in enumerate(detections) if index not in pairs.values()]
        return back + self._admit(unknown, shape)

    def place(self, track: Track, moved: Track | None) -> None:
        """Put a face where it is, before :meth:`follow` tells that it was seen.

        Args:
            track: The face.
            moved: The same where it is; None for out of sight.
        """
        if moved is None:
            self._lose({track.id})
            return
        self._tracks = [moved if track.id == moved.id else track for track in self._tracks]

    def follow(self, seen: Sequence[Track]) -> None:
        """Take over where the visible faces are now; those not named are out of sight."""
        now = {t.id: t for t in self._owners(seen) if not self._is_covered(t)}
        self._lose({t.id for t in self.visible} - now.keys())
        self._tracks = [self._seen(now[t.id]) if t.id in now else t for t in self._tracks]

    def ranked(self, shape: tuple[int, ...]) -> list[Track]:
        """Return the confirmed faces in sight, the preferred first.

        The first one stays so until another is clearly preferred: of two people at about the same
        distance a robot looks at one, not in turns at both.

        Args:
            shape: Height and width of the image, px; more may follow.
        """

        def worth(track: Track) -> float:
            loyalty = _LOYALTY if track.id == self._first else 1.0
            return loyalty * self._preference(track.window, shape)

        order = sorted(self.confirmed, key=worth, reverse=True)
        self._first = order[0].id if order else ''
        return order

    def _admit(self, unknown: Sequence[Detection], shape: tuple[int, ...]) -> list[str]:
        """Start to follow new faces as far as the cap allows; return their ids."""
        visible = self.visible
        wanted = [_LOYALTY * self._preference(track.window, shape) for track in visible]
        wanted += [self._preference(detection.window, shape) for detection in unknown]
        self.left_out = max(len(wanted) - self.options.max_faces, 0)
        # Stable: of equals the older.
        chosen = set(np.argsort(-np.array(wanted), kind='stable')[: self.options.max_faces])
        outdone = {t.id for index, t in enumerate(visible) if index not in chosen}
        self._tracks = [track for track in self._tracks if track.id not in outdone]
        taken = [d for index, d in enumerate(unknown, len(visible)) if index in chosen]
        started = [self._start(detection) for detection in taken]
        self._tracks += started
        return [track.id for track in started]

    def _preference(self, window: CropWindow, shape: tuple[int, ...]) -> float:
        """Return how much a face in this window of an image is preferred, > 0, more is better."""
        size = np.array(shape[1::-1], np.float64)
        place = _center(window) / size
        if self.options.prefer == 'size':
            return window.side
        if self.options.prefer == 'centre':
            away = float(np.linalg.norm((place - 0.5) * size) / np.linalg.norm(size))
            return 1.0 / max(away, _ABOUT_CENTRED)
        low = np.array(self.options.region[:2])
        inside = ((low <= place) & (place <= low + self.options.region[2:])).all()
        return window.side * (1.0 if inside else _OUTSIDE)

    def _lose(self, ids: set[str]) -> None:
        """Put faces out of sight; those that were never confirmed are forgotten."""
        self._tracks = [
            replace(track, hidden=True) if track.id in ids else track
            for track in self._tracks
            if track.id not in ids or self._is_confirmed(track)
        ]

    def _owners(self, seen: Sequence[Track]) -> list[Track]:
        """Return the tracks without those that ran onto the face of another.

        A face belongs to the track that expected it there; then to the older one.
        """
        if len(seen) < 2:
            return list(seen)
        ranked = sorted(seen, key=lambda t: (not self._is_confirmed(t), self._surprise(t)))
        overlap = iou([t.box for t in ranked], [t.box for t in ranked])
        kept: list[int] = []
        for index in range(len(ranked)):
            if not (overlap[index, kept] > _DUPLICATE_IOU).any():
                kept.append(index)
        return [ranked[index] for index in kept]

    def _surprise(self, track: Track) -> float:
        """Return how far a window is from where it was expected, in sides; the usual is 0."""
        jump = np.linalg.norm(_center(track.window) - track.motion.at(self._stamp))
        return max(float(jump) / track.window.side - _USUAL_JUMP, 0.0)

    def _is_confirmed(self, track: Track) -> bool:
        return track.hits >= self.options.confirm_hits

    def _is_undetected(self, track: Track) -> bool:
        """Whether the detector's misses mean that the face is gone."""
        if not self.keep_windows:
            return track.misses > 0
        unseen = self._stamp - track.detected
        return track.misses > _UNDETECTED_LOOKS and unseen > _UNDETECTED_SECONDS

    def _is_crowded(self, track: Track) -> bool:
        here, side = _center(track.window), track.motion.side
        return any(
            np.linalg.norm(other.motion.at(self._stamp) - here)
            < _CROWDED * (other.motion.side + side) / 2
            for other in self._tracks
            if other.id != track.id
        )

    def _is_covered(self, track: Track) -> bool:
        """Whether the landmarks have given way to another face that is before this one."""
        return track.motion.side > _SIZE_FACTOR * track.window.side and self._is_crowded(track)

    def _detected(self, track: Track, detection: Detection) -> Track:
        track = replace(track, confidence=detection.confidence, detected=self._stamp, misses=0)
        if self.keep_windows and not track.hidden:
            return track
        return replace(track, box=detection.box, window=detection.window, hidden=False)

    def _seen(self, track: Track) -> Track:
        motion = track.motion.moved(track.window, self._stamp, self._is_crowded(track))
        return replace(track, motion=motion, hits=track.hits + 1)

    def _start(self, detection: Detection) -> Track:
        return Track(
            id=next(self._names),
            box=detection.box,
            window=detection.window,
            confidence=detection.confidence,
            motion=Motion(
                _center(detection.window), self._stamp, np.zeros(2), detection.window.side
            ),
            detected=self._stamp,
            # Images so far apart are pictures, each by itself: no second one could confirm.
            hits=self.options.confirm_hits - 1 if self._gap > self.options.retain else 0,
        )


def face_names(prefix: str = 'f') -> Iterator[str]:
    """Return ids that never come again: the prefix and 1, 2, ..."""
    return (f'{prefix}{number}' for number in itertools.count(1))


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
    jump = np.linalg.norm(_center(detection.window) - expected) / (reach * side)
    growth = abs(np.log(detection.window.side / track.motion.side)) / np.log(_SIZE_FACTOR)
    doubt = min(unseen / _DOUBTED_AFTER, 1.0)
    return float(jump**2 + growth**2 + doubt) if max(jump, growth) < 1.0 else _FORBIDDEN


def _share(dt: float, memory: float) -> float:
    """Return the share of a new value in a mean over about `memory` seconds."""
    return float(1.0 - np.exp(-dt / memory))


def _center(window: CropWindow) -> NDArray[np.float64]:
    return np.array([window.center_x, window.center_y])
