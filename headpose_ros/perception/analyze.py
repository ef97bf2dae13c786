"""The pipeline: detect, crop, infer, follow, smooth.

What `headpose_ros.load` gives and the nodes run.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from headpose_ros.errors import HeadposeError
from headpose_ros.geometry.camera import CameraModel
from headpose_ros.geometry.crop import CropWindow
from headpose_ros.geometry.landmarks import bounding_box, eye_line_angle
from headpose_ros.models.weights import load_model
from headpose_ros.perception.detect import Detector, YuNetDetector
from headpose_ros.perception.faces import Face, Pose
from headpose_ros.perception.infer import Estimate, FaceNetwork
from headpose_ros.perception.metric import pose_in_camera
from headpose_ros.perception.smoothing import PoseFilter, SmoothingOptions
from headpose_ros.perception.tracking import Track, TrackingOptions, Tracks

#: Mean landmark confidence under which a crop shows no face. The report of the weights has the
#: first percentile over faces, far above this; background stays below it (a test looks).
_LOST_CONFIDENCE = 0.5
#: While a face is out of sight the detector looks for it every so many frames.
_SEARCH_EVERY = 3
_MAX_SIDE = 16384
_QUARTER_TURNS = (0.0, np.pi / 2, np.pi, -np.pi / 2)


class FrameError(HeadposeError, ValueError):
    """An image that cannot be analysed."""


@dataclass
class StageTimes:
    """How long the stages of the last image took, in milliseconds."""

    detect: float = 0.0
    infer: float = 0.0


@dataclass
class _Stream:
    """What `track` remembers of one video."""

    tracks: Tracks
    stamp: float = -np.inf
    frames_since_detection: int = 0
    calibrated: bool = False
    filters: dict[str, PoseFilter] = field(default_factory=dict)


class Analyzer:
    """Finds faces and estimates their pose and landmarks.

    Args:
        network: The network on its device.
        detector: Finds new faces.
        tracking: How faces are followed.
        smoothing: How the poses of `track` are smoothed.
    """

    def __init__(
        self,
        network: FaceNetwork,
        detector: Detector,
        tracking: TrackingOptions | None = None,
        smoothing: SmoothingOptions | None = None,
    ) -> None:
        self.network = network
        self.detector = detector
        self.times = StageTimes()
        self._stream = _Stream(Tracks(keep_windows=self._has_landmarks))
        self.smoothing = smoothing or SmoothingOptions()
        self.configure(tracking or TrackingOptions(), self.smoothing)

    def configure(self, tracking: TrackingOptions, smoothing: SmoothingOptions) -> None:
        """Change how faces are followed and smoothed, from the next image on; ids stay."""
        self.tracking = self._stream.tracks.options = tracking
        if smoothing != self.smoothing:
            self.smoothing = smoothing
            self._stream.filters = {}

    def __call__(self, image: NDArray[np.uint8], camera: CameraModel | None = None) -> list[Face]:
        """Analyse a single image: every face is detected anew, and nothing is smoothed.

        Args:
            image: uint8 (H, W, 3) BGR.
            camera: The calibrated camera, for rotations in its frame and positions in metres.

        Returns:
            The faces, the preferred first; ids are `f1`, `f2`, ... of this image.

        Raises:
            FrameError: The image has another shape or type.
        """
        check_image(image)
        tracks = Tracks(replace(self.tracking, confirm_hits=1), self._has_landmarks)
        self._detect(image, tracks)
        return self._faces(image, tracks, camera)

    def track(
        self, image: NDArray[np.uint8], stamp: float, camera: CameraModel | None = None
    ) -> list[Face]:
        """Analyse the next image of a video: faces keep their ids, poses are smoothed.

        Args:
            image: uint8 (H, W, 3) BGR.
            stamp: Time of the image in seconds. A stamp before the last one (a bag that starts
                again) forgets all faces.
            camera: The calibrated camera, for rotations in its frame and positions in metres.

        Returns:
            The confirmed faces in sight, the preferred first.

        Raises:
            FrameError: The image has another shape or type, or the stamp is not finite.
        """
        check_image(image)
        if not np.isfinite(stamp):
            raise FrameError(f'the stamp is {stamp}, expected finite seconds')
        self._advance(stamp, camera is not None)
        stream = self._stream
        self.times.detect = 0.0
        if self._detector_is_due(stream):
            self._detect(image, stream.tracks)
            stream.frames_since_detection = 0
        stream.frames_since_detection += 1
        faces = self._faces(image, stream.tracks, camera)
        return self._smoothed(faces, stamp) if self.smoothing.enabled else faces

    def reset(self) -> None:
        """Forget the faces of the video; ids go on counting."""
        self._stream.tracks.clear()
        self._stream.filters = {}
        self._stream.stamp = -np.inf
        self._stream.frames_since_detection = 0

    @property
    def _has_landmarks(self) -> bool:
        return self.network.spec.landmarks > 0

    def _advance(self, stamp: float, calibrated: bool) -> None:
        stream = self._stream
        if stamp < stream.stamp:
            self.reset()
        if calibrated != stream.calibrated:
            # Rotations from here on are those in another frame: the filters must not mix them.
            stream.filters = {}
        stream.stamp, stream.calibrated = stamp, calibrated
        stream.tracks.advance(stamp)

    def _detector_is_due(self, stream: _Stream) -> bool:
        # Without landmarks nothing but the detector can follow a face.
        if not self._has_landmarks or not stream.tracks.visible:
            return True
        every = self.tracking.detect_every
        if stream.tracks.hidden:
            every = min(every, _SEARCH_EVERY)
        return stream.frames_since_detection >= every

    def _detect(self, image: NDArray[np.uint8], tracks: Tracks) -> None:
        """Run the detector; start to follow new faces, and those that are back."""
        start = time.perf_counter()
        settle = tracks.match(self.detector.detect(image), image.shape)
        self.times.detect = 1e3 * (time.perf_counter() - start)
        self._settle(image, tracks, settle)

    def _settle(self, image: NDArray[np.uint8], tracks: Tracks, ids: Sequence[str]) -> None:
        """Move the windows of these faces to where the landmarks put them."""
        if not self._has_landmarks:
            return
        for track in tracks.visible:
            if track.id in ids:
                tracks.place(self._settled(image, track))

    def _settled(self, image: NDArray[np.uint8], track: Track) -> Track:
        """Try a new face upright and turned by quarters: YuNet finds turned faces, but as upright.

        The network is sure of its landmarks only where the crop is about upright.
        """
        middle = track.box[:2] + track.box[2:] / 2
        windows = [track.window.turned_about(middle, turn) for turn in _QUARTER_TURNS]
        best = max(self.network.estimate(image, windows), key=_sureness)
        return track if _lost(best) else _moved(track, best)

    def _faces(
        self, image: NDArray[np.uint8], tracks: Tracks, camera: CameraModel | None
    ) -> list[Face]:
        """Estimate every face in sight, move its window to where it is now; preferred first."""
        start = time.perf_counter()
        seen = tracks.visible
        estimates = self.network.estimate(image, [track.window for track in seen])
        found = {t.id: (t, e) for t, e in zip(seen, estimates, strict=True) if not _lost(e)}
        tracks.follow([_moved(*pair) for pair in found.values()])
        faces = [_face(now, *found[now.id], camera) for now in tracks.ranked(image.shape)]
        self.times.infer = 1e3 * (time.perf_counter() - start)
        return faces

    def _smoothed(self, faces: Sequence[Face], stamp: float) -> list[Face]:
        """Return the faces with smoothed poses; forget the filters of faces that are gone."""
        tracks, filters = self._stream.tracks, self._stream.filters
        names = [track.id for track in (*tracks.visible, *tracks.hidden)]
        filters = {name: filters.get(name) or PoseFilter(self.smoothing) for name in names}
        self._stream.filters = filters
        return [_filtered(face, stamp, filters[face.id]) for face in faces]


def check_image(image: NDArray[np.uint8]) -> None:
    """Raise FrameError unless the image is uint8 (H, W, 3) of a possible size."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = getattr(image, 'dtype', type(image).__name__)
        raise FrameError(f'the image is {kind}, expected a uint8 array (H, W, 3) in BGR order')
    if image.ndim != 3 or image.shape[2] != 3 or not min(image.shape[:2]) >= 1:
        raise FrameError(f'the image has shape {image.shape}, expected (H, W, 3) in BGR order')
    if max(image.shape[:2]) > _MAX_SIDE:
        raise FrameError(f'the image has shape {image.shape}, expected at most {_MAX_SIDE} px')


def load_analyzer(
    model: str = 'mnn_lite',
    device: str = 'auto',
    *,
    backend: str = 'auto',
    detector_model: str = '',
    detector_threshold: float = 0.6,
    tracking: TrackingOptions | None = None,
    smoothing: SmoothingOptions | None = None,
) -> Analyzer:
    """Load weights and detector; see `headpose_ros.load`.

    Raises:
        WeightsError: The weights are missing, damaged, or of another model.
        DetectorError: The face detector's model file is missing.
        DeviceError: The device is unknown or not there.
        BackendError: The backend is unknown.
    """
    network = FaceNetwork(load_model(model), device, backend)
    detector = YuNetDetector(detector_model, detector_threshold)
    return Analyzer(network, detector, tracking, smoothing)


def _sureness(estimate: Estimate) -> float:
    return float(estimate.landmark_confidence.mean())


def _lost(estimate: Estimate) -> bool:
    return len(estimate.landmark_confidence) > 0 and _sureness(estimate) < _LOST_CONFIDENCE


def _moved(track: Track, estimate: Estimate) -> Track:
    """Return the track where the landmarks are now; without landmarks it stays."""
    points = estimate.landmarks
    if not len(points):
        return track
    window = CropWindow.around_landmarks(points, eye_line_angle(points))
    return replace(track, box=bounding_box(points), window=window)


def _face(now: Track, track: Track, estimate: Estimate, camera: CameraModel | None) -> Face:
    """Return the face of a track that was seen through its earlier window."""
    pose = Pose(estimate.rotation, None)
    if camera is not None:
        crop_center = np.array([track.window.center_x, track.window.center_y])
        pose = pose_in_camera(estimate.landmarks, estimate.rotation, crop_center, camera)
    return Face(
        id=now.id,
        box=now.box,
        rotation=pose.rotation,
        landmarks=estimate.landmarks,
        visibility=estimate.visibility,
        landmark_confidence=estimate.landmark_confidence,
        confidence=now.confidence,
        position=pose.position,
    )


def _filtered(face: Face, stamp: float, pose_filter: PoseFilter) -> Face:
    raw = Pose(face.rotation, face.position)
    pose, twist = pose_filter.update(stamp, raw)
    return replace(face, rotation=pose.rotation, position=pose.position, raw=raw, twist=twist)
