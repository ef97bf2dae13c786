"""The life of a followed face: birth, confirmation, out of sight, back, forgotten."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from headpose_ros.perception.detect import Detection
from headpose_ros.perception.tracking.crowding import is_covered, is_crowded, owners
from headpose_ros.perception.tracking.matching import assign
from headpose_ros.perception.tracking.options import TrackingOptions
from headpose_ros.perception.tracking.preference import LOYALTY, preference
from headpose_ros.perception.tracking.track import Track

#: The network follows faces that the detector misses (turned far, half hidden). Longer than this
#: and over more runs than this it follows something else.
_UNDETECTED_SECONDS, _UNDETECTED_RUNS = 2.0, 5
#: Faces out of sight that are remembered: enough, even when stamps stand still and none ages.
_MOST_HIDDEN = 16
#: After a longer gap in the video, s, a face has moved out of its window.
_STALE = 0.5


class FaceTracker:
    """The faces being followed. Ids count on over :meth:`clear`, so none is ever reused.

    For every image: :meth:`advance`; where the detector ran, :meth:`match`; then :meth:`follow`
    with the visible faces where they are now.

    A face is born when the detector finds it, confirmed after `confirm_hits` images, hidden while
    nothing shows it, and forgotten after `retain` seconds out of sight. A confirmed face gives its
    place under `max_faces` to a newcomer only when that is confirmed, too: until then both are
    followed, so up to twice as many faces as `max_faces` are visible for a few images.

    Args:
        options: How they are followed; may be replaced at any time.
        keep_windows: Whether a followed face keeps its window when it is detected again: right
            for networks whose landmarks place it better than the detector does. Otherwise only
            the detector finds out whether a face is there. May be replaced at any time.
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
        self._shape: tuple[int, ...] = ()

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

    @property
    def ids(self) -> list[str]:
        """Ids of all followed faces, those in sight first."""
        return [track.id for track in (*self.visible, *self.hidden)]

    def clear(self) -> None:
        """Forget all faces, for example when time jumps back."""
        self._tracks = []
        self._started = False
        self.left_out = 0

    def advance(self, stamp: float) -> None:
        """Let time pass until an image: faces out of sight age and are forgotten in the end."""
        self._gap = stamp - self._stamp if self._started else 0.0
        self._stamp, self._started = stamp, True
        self._hide_stale()
        self._forget_aged()

    def match(self, detections: Sequence[Detection], shape: tuple[int, ...]) -> list[str]:
        """Bring the faces up to date with what a detector found.

        Args:
            detections: What it found.
            shape: Height and width of the image, px; more may follow.

        Returns:
            The ids of faces that are new or back: their windows are the detector's.
        """
        self._shape = shape
        pairs = assign(self._tracks, detections, self._stamp, shape)
        found = {self._tracks[t].id: detections[d] for t, d in pairs.items()}
        back = [t.id for t in self._tracks if t.hidden and t.id in found]
        self._tracks = [
            t.detected_again(found[t.id], self._stamp, self.keep_windows)
            if t.id in found
            else t.missed()
            for t in self._tracks
        ]
        self._lose({t.id for t in self._tracks if self._is_undetected(t)})
        unknown = [d for index, d in enumerate(detections) if index not in pairs.values()]
        return back + self._admit(unknown, shape)

    def place(self, track: Track, moved: Track | None) -> None:
        """Put a face where it is, before :meth:`follow` notes that it was seen.

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
        stamp, everybody = self._stamp, self._tracks
        owned = owners(seen, stamp, self._is_confirmed)
        now = {t.id: t for t in owned if not is_covered(t, everybody, stamp)}
        self._lose({t.id for t in self.visible} - now.keys())
        others = self._tracks
        self._tracks = [
            now[t.id].seen(stamp, is_crowded(now[t.id], others, stamp)) if t.id in now else t
            for t in others
        ]
        self._hold_cap()

    def ranked(self, shape: tuple[int, ...]) -> list[Track]:
        """Return the confirmed faces in sight, the preferred first.

        The first one stays so until another is clearly preferred: of two people at about the same
        distance a robot attends to one, not in turns to both.

        Args:
            shape: Height and width of the image, px; more may follow.
        """

        def worth(track: Track) -> float:
            loyalty = LOYALTY if track.id == self._first else 1.0
            return loyalty * preference(track.window, shape, self.options)

        order = sorted(self.confirmed, key=worth, reverse=True)
        self._first = order[0].id if order else ''
        return order

    def _admit(self, unknown: Sequence[Detection], shape: tuple[int, ...]) -> list[str]:
        """Start to follow new faces as far as the cap allows; return their ids.

        Of those followed, the less preferred give way: at once where they are not confirmed,
        otherwise when the newcomer is, see :meth:`_hold_cap`.
        """
        visible, options = self.visible, self.options
        wanted = [LOYALTY * preference(track.window, shape, options) for track in visible]
        wanted += [preference(detection.window, shape, options) for detection in unknown]
        self.left_out = max(len(wanted) - options.max_faces, 0)
        # Stable: of equals the older.
        chosen = set(np.argsort(-np.array(wanted), kind='stable')[: options.max_faces])
        outdone = [track for index, track in enumerate(visible) if index not in chosen]
        self._forget({track.id for track in outdone if not self._is_confirmed(track)})
        taken = [d for index, d in enumerate(unknown, len(visible)) if index in chosen]
        started = [self._begin(detection) for detection in taken]
        self._tracks += started
        return [track.id for track in started]

    def _hold_cap(self) -> None:
        """Forget the least preferred of the confirmed faces beyond the cap."""
        confirmed, options = self.confirmed, self.options
        if len(confirmed) <= options.max_faces:
            return

        def worth(track: Track) -> float:
            is_newcomer = track.hits == options.confirm_hits
            loyalty = 1.0 if is_newcomer else LOYALTY
            return loyalty * preference(track.window, self._shape, options)

        order = sorted(confirmed, key=worth, reverse=True)
        self._forget({track.id for track in order[options.max_faces :]})

    def _begin(self, detection: Detection) -> Track:
        # Images so far apart are pictures, each by itself: no second one could confirm.
        alone = self._gap > self.options.retain
        hits = self.options.confirm_hits - 1 if alone else 0
        return Track.begin(next(self._names), detection, self._stamp, hits)

    def _is_confirmed(self, track: Track) -> bool:
        return track.hits >= self.options.confirm_hits

    def _is_undetected(self, track: Track) -> bool:
        """Return whether the detector's misses mean that the face is gone."""
        if not self.keep_windows:
            return track.misses > 0
        unseen = self._stamp - track.detected
        return track.misses > _UNDETECTED_RUNS and unseen > _UNDETECTED_SECONDS

    def _hide_stale(self) -> None:
        """Put faces out of sight that were not seen for a while, confirmed or not.

        None of them is forgotten: nobody searched for them meanwhile.
        """
        self._tracks = [
            replace(track, hidden=True) if self._unseen(track) > _STALE else track
            for track in self._tracks
        ]

    def _forget_aged(self) -> None:
        """Forget faces that are out of sight for longer than `retain`."""
        retained = [t for t in self.hidden if self._unseen(t) <= self.options.retain]
        kept = {track.id for track in retained[-_MOST_HIDDEN:]}
        self._tracks = [t for t in self._tracks if not t.hidden or t.id in kept]

    def _unseen(self, track: Track) -> float:
        """Return the seconds since a face was seen last."""
        return self._stamp - track.motion.stamp

    def _forget(self, ids: set[str]) -> None:
        self._tracks = [track for track in self._tracks if track.id not in ids]

    def _lose(self, ids: set[str]) -> None:
        """Put faces out of sight; those that were never confirmed are forgotten."""
        self._tracks = [
            replace(track, hidden=True) if track.id in ids else track
            for track in self._tracks
            if track.id not in ids or self._is_confirmed(track)
        ]


def face_names(prefix: str = 'f') -> Iterator[str]:
    """Return ids that never come again: the prefix and 1, 2, ..."""
    return (f'{prefix}{number}' for number in itertools.count(1))
