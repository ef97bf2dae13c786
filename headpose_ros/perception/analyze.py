"""From an image to faces: detect, track, crop, infer, measure, smooth.

What `headpose_ros.load` returns and the nodes run.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from headpose_ros.geometry.camera import CameraModel
from headpose_ros.geometry.face_shape import INTERPUPILLARY_DISTANCE
from headpose_ros.models import DEFAULT_MODEL
from headpose_ros.models.released import find_weights
from headpose_ros.perception.camera_view import CameraView
from headpose_ros.perception.depth import DepthImage
from headpose_ros.perception.detect import DetectionOptions, Detector, YuNetDetector
from headpose_ros.perception.faces import Face
from headpose_ros.perception.frame import Frame, check_frame
from headpose_ros.perception.infer import FaceNetwork
from headpose_ros.perception.measure import measured_face
from headpose_ros.perception.observe import observe, observe_turned
from headpose_ros.perception.smoothing import FaceFilters, SmoothingOptions
from headpose_ros.perception.stream import Stream
from headpose_ros.perception.tracking import FaceTracker, TrackingOptions
from headpose_ros.perception.tracking.tracker import face_names

#: What the detector finds at most.
_MOST_IN_A_PICTURE = 100


@dataclass
class StageTimes:
    """How long the stages of the last images took together, in milliseconds."""

    detect: float = 0.0
    infer: float = 0.0


class Analyzer:
    """Finds faces and estimates their pose and landmarks.

    Args:
        network: The network on its device.
        detector: Finds new faces.
        tracking: How faces are followed.
        smoothing: How the poses of `track` are smoothed.
        id_prefix: What the ids of `track` begin with, before a number.

    Attributes:
        interpupillary_distance: That of people whose faces were not measured with depth, metres;
            may be changed at any time.
    """

    def __init__(
        self,
        network: FaceNetwork,
        detector: Detector,
        tracking: TrackingOptions | None = None,
        smoothing: SmoothingOptions | None = None,
        id_prefix: str = 'f',
    ) -> None:
        self.network = network
        self.detector = detector
        self.interpupillary_distance = INTERPUPILLARY_DISTANCE
        self.times = StageTimes()
        self.tracking = tracking or TrackingOptions()
        self.smoothing = smoothing or SmoothingOptions()
        self._left_out = 0
        self._streams: dict[str, Stream] = {}
        self._names = face_names(id_prefix)

    def __call__(
        self,
        image: NDArray[np.uint8],
        camera: CameraModel | None = None,
        depth: DepthImage | None = None,
    ) -> list[Face]:
        """Analyse a single image: every face is detected anew, and nothing is smoothed.

        Args:
            image: uint8 (H, W, 3) BGR.
            camera: The calibrated camera, for rotations in its frame and positions in metres.
            depth: Aligned with the image, for true distances.

        Returns:
            The faces, the preferred first; ids are `f1`, `f2`, ... of this image.

        Raises:
            FrameError: The image has another shape or type.
        """
        frame = Frame(image, 0.0, camera, depth=depth)
        check_frame(frame)
        # The cap holds for what the network takes for faces, not for what the detector does.
        every = replace(self.tracking, confirm_hits=1, max_faces=_MOST_IN_A_PICTURE)
        stream = Stream(FaceTracker(every, self._has_landmarks), self.smoothing)
        self._detect(frame, stream)
        found = self._infer([frame], [stream])[0]
        faces = found[: self.tracking.max_faces]
        self._left_out = len(found) - len(faces) + stream.tracker.left_out
        return stream.measure(faces, depth, self.interpupillary_distance)

    def track(
        self,
        image: NDArray[np.uint8],
        stamp: float,
        camera: CameraModel | None = None,
        depth: DepthImage | None = None,
    ) -> list[Face]:
        """Analyse the next image of a video: faces keep their ids, poses are smoothed.

        Args:
            image: uint8 (H, W, 3) BGR.
            stamp: Time of the image in seconds. A stamp before the last one (a bag that starts
                again) forgets all faces.
            camera: The calibrated camera, for rotations in its frame and positions in metres.
            depth: Aligned with the image, for true distances.

        Returns:
            The confirmed faces in sight, the preferred first.

        Raises:
            FrameError: The image has another shape or type, or the stamp is not finite.
        """
        return self.track_together([Frame(image, stamp, camera, depth=depth)])[0]

    def track_together(self, frames: Sequence[Frame]) -> list[list[Face]]:
        """Analyse the next image of several videos at once, their faces in one batch.

        Args:
            frames: At most one image of each video; otherwise as for :meth:`track`.

        Returns:
            For every frame its faces, as :meth:`track` does. Ids are unique over all videos.

        Raises:
            FrameError: As :meth:`track`, before any of the frames is used.
        """
        for frame in frames:
            check_frame(frame)
        streams = [self._stream(frame.video) for frame in frames]
        self.times = StageTimes()
        for frame, stream in zip(frames, streams, strict=True):
            stream.advance(frame.stamp, frame.camera)
            if stream.detector_is_due():
                self._detect(frame, stream)
        found = self._infer(frames, streams)
        for index, (frame, stream) in enumerate(zip(frames, streams, strict=True)):
            if stream.has_lost_all():
                self._detect(frame, stream)
                found[index] = self._infer([frame], [stream])[0]
        answers = []
        for faces, frame, stream in zip(found, frames, streams, strict=True):
            sized = stream.measure(faces, frame.depth, self.interpupillary_distance)
            answers.append(stream.smooth(sized, frame.stamp))
        return answers

    def _detect(self, frame: Frame, stream: Stream) -> None:
        """Find faces, and place the windows of new ones by their landmarks."""
        start = time.perf_counter()
        new = stream.run_detector(self.detector, frame.image)
        self.times.detect += _milliseconds_since(start)
        if self._has_landmarks:
            for track in new:
                placed = observe_turned(self.network, frame.image, track).moved
                stream.tracker.place(track, placed)

    def _infer(self, frames: Sequence[Frame], streams: Sequence[Stream]) -> list[list[Face]]:
        """Crop the faces in sight, infer them in one batch, follow them and place their poses.

        Returns:
            For every frame its confirmed faces, the preferred first.
        """
        start = time.perf_counter()
        seen = [stream.tracker.visible for stream in streams]
        views = [
            (frame.image, track)
            for frame, tracks in zip(frames, seen, strict=True)
            for track in tracks
        ]
        observations = iter(observe(self.network, views))
        faces = []
        for frame, stream, tracks in zip(frames, streams, seen, strict=True):
            observed = list(islice(observations, len(tracks)))
            followed = stream.follow(observed, frame.image.shape)
            faces.append([measured_face(track, one, frame.camera) for track, one in followed])
        self.times.infer += _milliseconds_since(start)
        return faces

    def set_view(self, view: CameraView, video: str = '') -> None:
        """Set which part of a video's images is searched, and how its camera is mounted."""
        self._stream(video).view = view

    def configure(self, tracking: TrackingOptions, smoothing: SmoothingOptions) -> None:
        """Change how faces are followed and smoothed, from the next image on; ids stay."""
        for stream in self._streams.values():
            stream.tracker.options = tracking
            if smoothing != self.smoothing:
                stream.filters = FaceFilters(smoothing)
        self.tracking, self.smoothing = tracking, smoothing

    def use(self, network: FaceNetwork) -> None:
        """Go on with another network from the next image on; ids stay, filters start anew."""
        self.network = network
        for stream in self._streams.values():
            stream.tracker.keep_windows = self._has_landmarks
            stream.filters.clear()

    def left_out(self, video: str | None = None) -> int:
        """Return how many more faces than `max_faces` were found last.

        Args:
            video: By the detector in which video, where the network has not seen them; None: by
                both in the image of the last call of the analyzer itself.
        """
        return self._left_out if video is None else self._stream(video).tracker.left_out

    def reset(self) -> None:
        """Forget the faces of all videos; ids go on counting."""
        for stream in self._streams.values():
            stream.restart()

    def _stream(self, video: str) -> Stream:
        """Return the stream of a video, at first a new one."""
        if video not in self._streams:
            tracker = FaceTracker(self.tracking, self._has_landmarks, self._names)
            self._streams[video] = Stream(tracker, self.smoothing)
        return self._streams[video]

    @property
    def _has_landmarks(self) -> bool:
        return self.network.spec.landmarks > 0


def load_analyzer(
    model: str = DEFAULT_MODEL,
    device: str = 'auto',
    *,
    backend: str = 'auto',
    detector_model: str = DetectionOptions.model,
    detector_threshold: float = DetectionOptions.threshold,
    tracking: TrackingOptions | None = None,
    smoothing: SmoothingOptions | None = None,
    id_prefix: str = 'f',
) -> Analyzer:
    """Load weights and detector; see `headpose_ros.load`.

    Raises:
        WeightsError: The weights are missing, damaged, or of another model.
        DetectorError: The face detector's model file is missing.
        DeviceError: The device is unknown or not there.
        BackendError: The backend is unknown.
    """
    network = FaceNetwork(find_weights(model), device, backend)
    detector = YuNetDetector(detector_model, detector_threshold)
    return Analyzer(network, detector, tracking, smoothing, id_prefix)


def _milliseconds_since(start: float) -> float:
    return 1e3 * (time.perf_counter() - start)
