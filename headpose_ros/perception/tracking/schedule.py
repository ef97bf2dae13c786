"""When the detector runs on the images of one camera, and how it turns them."""

from __future__ import annotations

from collections.abc import Sequence

from headpose_ros.perception.detect import ALL_TURNS
from headpose_ros.perception.tracking.tracker import FaceTracker

#: While a face is out of sight the detector runs on every such frame at least.
_SEARCH_EVERY = 3


class DetectorSchedule:
    """Counts the frames since the detector ran.

    For every image: :meth:`next_frame`, :meth:`is_due`, and after a run :meth:`note_run`.
    """

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin anew, as before the first image."""
        self._frames_since_run = self._runs_without_faces = 0

    def next_frame(self) -> None:
        """Count another image."""
        self._frames_since_run += 1

    @property
    def has_run(self) -> bool:
        """Whether the detector has run on this image."""
        return self._frames_since_run == 0

    def is_due(self, tracker: FaceTracker) -> bool:
        """Return whether the detector has to run on this image.

        Args:
            tracker: The faces that are followed so far.
        """
        # Without landmarks nothing but the detector can follow a face.
        if not tracker.keep_windows or not tracker.visible:
            return True
        every = tracker.options.detect_every
        if tracker.hidden:
            every = min(every, _SEARCH_EVERY)
        return self._frames_since_run >= every

    def note_run(self, faces: int) -> None:
        """Note that the detector has run on this image.

        Args:
            faces: How many it found.
        """
        self._frames_since_run = 0
        self._runs_without_faces = 0 if faces else self._runs_without_faces + 1

    @property
    def quarter_turns(self) -> Sequence[int]:
        """By how many quarter turns the detector tries the next image, in this order.

        An empty scene must not cost four runs an image: after a first search in all four turns,
        each image is searched upright and by one other turn.
        """
        if self._runs_without_faces == 0:
            return ALL_TURNS
        return (0, ALL_TURNS[1 + self._runs_without_faces % (len(ALL_TURNS) - 1)])
