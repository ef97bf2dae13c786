"""The stream of one camera: what is remembered from image to image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from headpose_ros.geometry.camera import CameraModel
from headpose_ros.perception.camera_view import CameraView, detect_in
from headpose_ros.perception.depth import DepthImage
from headpose_ros.perception.detect import Detector
from headpose_ros.perception.faces import Face
from headpose_ros.perception.observe import Observation
from headpose_ros.perception.sizes import FaceSizes
from headpose_ros.perception.smoothing import FaceFilters, SmoothingOptions
from headpose_ros.perception.tracking import FaceTracker
from headpose_ros.perception.tracking.schedule import DetectorSchedule
from headpose_ros.perception.tracking.track import Track


class Stream:
    """The faces of one camera over time.

    For every image, in this order: :meth:`advance`; :meth:`run_detector` if
    :meth:`detector_is_due`; :meth:`follow`; :meth:`measure`; :meth:`smooth`.

    Args:
        tracker: Follows the faces.
        smoothing: How poses are smoothed.

    Attributes:
        tracker: Follows the faces.
        view: Which part of the images is searched, and how the camera is mounted.
        filters: Smooth the poses; may be replaced at any time.
    """

    def __init__(self, tracker: FaceTracker, smoothing: SmoothingOptions) -> None:
        self.tracker = tracker
        self.view = CameraView()
        self.filters = FaceFilters(smoothing)
        self._schedule = DetectorSchedule()
        self._sizes = FaceSizes()
        self._stamp = -np.inf
        self._camera: CameraModel | None = None

    def advance(self, stamp: float, camera: CameraModel | None) -> None:
        """Let time pass until the next image; a stamp before the last one forgets all faces.

        Args:
            stamp: Time of the image, s.
            camera: Its calibration.
        """
        if stamp < self._stamp:
            self.restart()
        if not _is_same(camera, self._camera):
            # Poses from here on are those in another frame: the filters must not mix them.
            self.filters.clear()
        self._stamp, self._camera = stamp, camera
        self.tracker.advance(stamp)
        self._schedule.next_frame()

    def detector_is_due(self) -> bool:
        """Return whether the detector has to run on this image."""
        return self._schedule.is_due(self.tracker)

    def run_detector(self, detector: Detector, image: NDArray[np.uint8]) -> list[Track]:
        """Find faces; start to follow new ones, and those that are back.

        Args:
            detector: Finds them.
            image: uint8 (H, W, 3) BGR.

        Returns:
            The new faces and those that are back: their windows are the detector's.
        """
        found = detect_in(detector, image, self.view, self._schedule.quarter_turns)
        self._schedule.note_run(len(found))
        names = self.tracker.match(found, image.shape)
        return [track for track in self.tracker.visible if track.id in names]

    def has_lost_all(self) -> bool:
        """Return whether no face is left in sight of an image on which no detector has run."""
        return not self._schedule.has_run and not self.tracker.visible

    def follow(
        self, observations: Sequence[Observation], shape: tuple[int, ...]
    ) -> list[tuple[Track, Observation]]:
        """Move the visible faces to where they were observed.

        Args:
            observations: One of each visible face.
            shape: Height and width of the image, px; more may follow.

        Returns:
            The confirmed faces in sight, the preferred first, each with its observation.
        """
        moved = [found.moved for found in observations if found.moved is not None]
        self.tracker.follow([t for t in moved if self.view.contains(t.middle, shape)])
        by_id = {found.track.id: found for found in observations}
        return [(track, by_id[track.id]) for track in self.tracker.ranked(shape)]

    def measure(
        self, faces: Sequence[Face], depth: DepthImage | None, interpupillary_distance: float
    ) -> list[Face]:
        """Return the faces at their distances in metres.

        Args:
            faces: At the places where the mean adult face fits their landmarks.
            depth: Aligned with the image, or None.
            interpupillary_distance: That of faces that depth never measured, metres.
        """
        self._sizes.assumed = interpupillary_distance
        self._sizes.keep(self.tracker.ids)
        return [self._sizes.apply(face, depth) for face in faces]

    def smooth(self, faces: Sequence[Face], stamp: float) -> list[Face]:
        """Return the faces of an image of this stamp, s, with smoothed poses."""
        self.filters.keep(self.tracker.ids)
        return [self.filters.apply(face, stamp) for face in faces]

    def restart(self) -> None:
        """Forget all but the view."""
        self.tracker.clear()
        self.filters.clear()
        self._sizes = FaceSizes()
        self._schedule.restart()
        self._stamp = -np.inf


def _is_same(one: CameraModel | None, other: CameraModel | None) -> bool:
    """Return whether poses by both calibrations are in one frame."""
    if one is None or other is None:
        return one is other
    return one.is_like(other)
