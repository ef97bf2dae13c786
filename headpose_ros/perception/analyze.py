"""The pipeline: detect, crop, infer, follow, smooth.

What `headpose_ros.load` gives and the nodes run.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headpose_ros.errors import HeadposeError
from headpose_ros.geometry.camera import CameraModel
from headpose_ros.geometry.crop import CropWindow
from headpose_ros.geometry.face_shape import INTERPUPILLARY_DISTANCE
from headpose_ros.geometry.landmarks import bounding_box
from headpose_ros.models import DEFAULT_MODEL
from headpose_ros.models.released import find_weights
from headpose_ros.perception.camera_view import CameraView, detect_in
from headpose_ros.perception.depth import DepthImage
from headpose_ros.perception.detect import ALL_TURNS, DetectionOptions, Detector, YuNetDetector
from headpose_ros.perception.faces import Face, Pose, unknown_covariance
from headpose_ros.perception.infer import Estimate, FaceNetwork, best_quarter_turn
from headpose_ros.perception.metric import pose_in_camera
from headpose_ros.perception.sizes import FaceSizes
from headpose_ros.perception.smoothing import PoseFilter, SmoothingOptions
from headpose_ros.perception.tracking import FaceTracker, TrackingOptions
from headpose_ros.perception.tracking.track import Track
from headpose_ros.perception.tracking.tracker import face_names

#: Mean landmark confidence under which a crop shows no face. The report of the weights has the
#: first percentile over faces, far above this; background stays below it (a test looks).
_LOST_CONFIDENCE = 0.5
#: Face score under which a crop shows no face, for networks that tell.
_LEAST_FACE_SCORE = 0.5
#: Expected error of the rotation, rad, over which a pose is withheld, for networks that tell: of
#: such poses of rendered faces four in five are truly off by more than 15 degrees.
_LARGEST_EXPECTED_ERROR = np.radians(25.0)
#: Mean length of three normal errors with a standard deviation of one each.
_MEAN_OF_CHI = np.sqrt(8 / np.pi)
#: A face farther than this from the middle of its window, in sides, is looked at again.
_FARTHEST_SHIFT = 0.2
#: While a face is out of sight the detector looks for it every so many frames.
_SEARCH_EVERY = 3
#: What the detector finds at most.
_MOST_IN_A_PICTURE = 100
_MAX_SIDE = 16384


class FrameError(HeadposeError, ValueError):
    """An image that cannot be analysed."""


@dataclass(frozen=True)
class Frame:
    """An image of one of several videos.

    Attributes:
        image: uint8 (H, W, 3) BGR.
        stamp: Time of the image in seconds.
        camera: The calibrated camera, or None.
        video: Name of the video; each is followed for itself.
        depth: Aligned with the image, for true distances; or None.
    """

    image: NDArray[np.uint8]
    stamp: float
    camera: CameraModel | None = None
    video: str = ''
    depth: DepthImage | None = None


@dataclass
class StageTimes:
    """How long the stages of the last images took together, in milliseconds."""

    detect: float = 0.0
    infer: float = 0.0


@dataclass
class _Stream:
    """What `track` remembers of one video.

    Attributes:
        searches: How often in a row the detector has found nothing.
    """

    tracks: FaceTracker
    view: CameraView = field(default_factory=CameraView)
    stamp: float = -np.inf
    frames_since_detection: int = 0
    searches: int = 0
    had_faces: bool = False
    camera: CameraModel | None = None
    filters: dict[str, PoseFilter] = field(default_factory=dict)
    sizes: FaceSizes = field(default_factory=FaceSizes)

    @property
    def names(self) -> list[str]:
        """Ids of the faces that are followed, in sight or not."""
        return [track.id for track in (*self.tracks.visible, *self.tracks.hidden)]


class _Observation(NamedTuple):
    """What the network says of a track, and where that puts it: nowhere for a face that is lost."""

    track: Track
    estimate: Estimate
    moved: Track | None

    @classmethod
    def at(cls, track: Track, estimate: Estimate) -> _Observation:
        """Return the look through the window of a track."""
        return cls(track, estimate, None if _lost(estimate) else _moved(track, estimate))


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
        self._left_out = 0
        self._streams: dict[str, _Stream] = {}
        self._names = face_names(id_prefix)
        self.tracking = tracking or TrackingOptions()
        self.smoothing = smoothing or SmoothingOptions()

    def configure(self, tracking: TrackingOptions, smoothing: SmoothingOptions) -> None:
        """Change how faces are followed and smoothed, from the next image on; ids stay."""
        self.tracking = tracking
        for stream in self._streams.values():
            stream.tracks.options = tracking
            if smoothing != self.smoothing:
                stream.filters = {}
        self.smoothing = smoothing

    def use(self, network: FaceNetwork) -> None:
        """Go on with another network from the next image on; ids stay, filters start anew."""
        self.network = network
        for stream in self._streams.values():
            stream.tracks.keep_windows = self._has_landmarks
            stream.filters = {}

    def left_out(self, video: str | None = None) -> int:
        """Return how many more faces than `max_faces` were found last.

        Args:
            video: By the detector in which video, where the network has not looked at them; None:
                by both in the image of the last call of the analyzer itself.
        """
        return self._left_out if video is None else self._stream(video).tracks.left_out

    def look(self, view: CameraView, video: str = '') -> None:
        """Set which part of a video's images is looked at, and how its camera is mounted."""
        self._stream(video).view = view

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
        check_image(image)
        # The cap holds for what the network takes for faces, not for what the detector does.
        every = replace(self.tracking, confirm_hits=1, max_faces=_MOST_IN_A_PICTURE)
        stream = _Stream(FaceTracker(every, self._has_landmarks))
        self._detect(image, stream)
        found = self._faces([Frame(image, 0.0, camera)], [stream])[0]
        faces = found[: self.tracking.max_faces]
        self._left_out = len(found) - len(faces) + stream.tracks.left_out
        return self._sized(faces, depth, stream)

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
            check_image(frame.image)
            if not np.isfinite(frame.stamp):
                raise FrameError(f'the stamp is {frame.stamp}, expected finite seconds')
        streams = [self._stream(frame.video) for frame in frames]
        self.times = StageTimes()
        for frame, stream in zip(frames, streams, strict=True):
            self._advance(stream, frame.stamp, frame.camera)
            stream.had_faces = bool(stream.tracks.visible)
            self._look(frame.image, stream)
        found = self._faces(frames, streams)
        for index, (frame, stream) in enumerate(zip(frames, streams, strict=True)):
            if self._has_lost_all(stream):
                self._look(frame.image, stream)
                found[index] = self._faces([frame], [stream])[0]
        return [
            self._smoothed(self._sized(faces, frame.depth, stream), frame.stamp, stream)
            for faces, frame, stream in zip(found, frames, streams, strict=True)
        ]

    def reset(self) -> None:
        """Forget the faces of all videos; ids go on counting."""
        for stream in self._streams.values():
            _restart(stream)

    def _stream(self, video: str) -> _Stream:
        """Return what is remembered of a video, at first nothing."""
        if video not in self._streams:
            tracks = FaceTracker(self.tracking, self._has_landmarks, self._names)
            self._streams[video] = _Stream(tracks)
        return self._streams[video]

    @property
    def _has_landmarks(self) -> bool:
        return self.network.spec.landmarks > 0

    def _advance(self, stream: _Stream, stamp: float, camera: CameraModel | None) -> None:
        if stamp < stream.stamp:
            _restart(stream)
        if not _is_same(camera, stream.camera):
            # Poses from here on are those in another frame: the filters must not mix them.
            stream.filters = {}
        stream.stamp, stream.camera = stamp, camera
        stream.tracks.advance(stamp)

    def _look(self, image: NDArray[np.uint8], stream: _Stream) -> None:
        """Run the detector where it is due."""
        if self._detector_is_due(stream):
            self._detect(image, stream)
            stream.frames_since_detection = 0
        stream.frames_since_detection += 1

    def _has_lost_all(self, stream: _Stream) -> bool:
        """Whether no followed face was where it was expected, and the detector has not looked."""
        looked = stream.frames_since_detection == 1
        return stream.had_faces and not looked and not stream.tracks.visible

    def _detector_is_due(self, stream: _Stream) -> bool:
        # Without landmarks nothing but the detector can follow a face.
        if not self._has_landmarks or not stream.tracks.visible:
            return True
        every = self.tracking.detect_every
        if stream.tracks.hidden:
            every = min(every, _SEARCH_EVERY)
        return stream.frames_since_detection >= every

    def _detect(self, image: NDArray[np.uint8], stream: _Stream) -> None:
        """Run the detector; start to follow new faces, and those that are back."""
        start = time.perf_counter()
        found = detect_in(self.detector, image, stream.view, _turns(stream.searches))
        stream.searches = 0 if found else stream.searches + 1
        settle = stream.tracks.match(found, image.shape)
        self.times.detect += 1e3 * (time.perf_counter() - start)
        self._settle(image, stream.tracks, settle)

    def _settle(self, image: NDArray[np.uint8], tracks: FaceTracker, ids: Sequence[str]) -> None:
        """Move the windows of these faces to where the landmarks put them; drop what is none."""
        if not self._has_landmarks:
            return
        for track in tracks.visible:
            if track.id in ids:
                tracks.place(track, self._settled(image, track))

    def _settled(self, image: NDArray[np.uint8], track: Track) -> Track | None:
        """Try a new face in four turns: YuNet finds turned faces, but as upright.

        Returns:
            Where the landmarks put it; None where the network takes it for no face.
        """
        best = best_quarter_turn(self.network, image, track.window, _middle(track))
        return _Observation.at(track, best).moved

    def _faces(self, frames: Sequence[Frame], streams: Sequence[_Stream]) -> list[list[Face]]:
        """Estimate every face in sight, move its window to where it is now; preferred first."""
        start = time.perf_counter()
        seen = [stream.tracks.visible for stream in streams]
        views = [(f.image, track) for f, group in zip(frames, seen, strict=True) for track in group]
        looked = iter(self._looked_at(views))
        faces = [
            _followed(frame, stream, [next(looked) for _ in group])
            for frame, stream, group in zip(frames, streams, seen, strict=True)
        ]
        self.times.infer += 1e3 * (time.perf_counter() - start)
        return faces

    def _looked_at(self, views: Sequence[tuple[NDArray[np.uint8], Track]]) -> list[_Observation]:
        """Return what the network says of each track.

        A face at the border of its window, after a jump or after an image that showed something
        else, is looked at again in the window that its landmarks ask for.
        """
        looks = self._looks(views)
        again = {
            index: (views[index][0], look.moved)
            for index, look in enumerate(looks)
            if look.moved is not None and _is_beside(look.track.window, look.moved.window)
        }
        for index, look in zip(again, self._looks(list(again.values())), strict=True):
            looks[index] = look
        return looks

    def _looks(self, views: Sequence[tuple[NDArray[np.uint8], Track]]) -> list[_Observation]:
        if not views:
            return []
        found = self.network.estimate_each([(image, track.window) for image, track in views])
        return [_Observation.at(track, one) for (_, track), one in zip(views, found, strict=True)]

    def _sized(
        self, faces: Sequence[Face], depth: DepthImage | None, stream: _Stream
    ) -> list[Face]:
        """Return the faces at their distances; forget the sizes of faces that are gone."""
        stream.sizes.assumed = self.interpupillary_distance
        stream.sizes.keep(stream.names)
        return [stream.sizes.apply(face, depth) for face in faces]

    def _smoothed(self, faces: list[Face], stamp: float, stream: _Stream) -> list[Face]:
        """Return the faces with smoothed poses; forget the filters of faces that are gone."""
        if not self.smoothing.enabled:
            return faces
        filters = stream.filters
        filters = {name: filters.get(name) or PoseFilter(self.smoothing) for name in stream.names}
        stream.filters = filters
        return [_filtered(face, stamp, filters[face.id]) for face in faces]


def _is_same(one: CameraModel | None, other: CameraModel | None) -> bool:
    """Return whether poses by both calibrations are in one frame."""
    if one is None or other is None:
        return one is other
    return one.is_like(other)


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


def _turns(searches: int) -> Sequence[int]:
    """Return by how many quarter turns the next image is searched.

    An empty scene must not cost four searches an image: after a first look at all four, each image
    is searched upright and by one other turn.
    """
    return ALL_TURNS if searches == 0 else (0, ALL_TURNS[1 + searches % (len(ALL_TURNS) - 1)])


def _restart(stream: _Stream) -> None:
    """Forget all of a video but its view."""
    stream.tracks.clear()
    stream.filters = {}
    stream.sizes = FaceSizes()
    stream.stamp = -np.inf
    stream.frames_since_detection = stream.searches = 0


def _followed(frame: Frame, stream: _Stream, looks: Sequence[_Observation]) -> list[Face]:
    """Move the tracks to where the looks put them; return the faces, the preferred first."""
    shape = frame.image.shape
    moved = [look.moved for look in looks if look.moved is not None]
    stream.tracks.follow([t for t in moved if stream.view.contains(_middle(t), shape)])
    by_id = {look.track.id: look for look in looks}
    return [_face(now, by_id[now.id], frame.camera) for now in stream.tracks.ranked(shape)]


def _is_beside(window: CropWindow, asked: CropWindow) -> bool:
    """Whether a window is so far from the one asked for that its crop misled the network."""
    shift = np.hypot(window.center_x - asked.center_x, window.center_y - asked.center_y)
    return bool(shift > _FARTHEST_SHIFT * asked.side)


def _middle(track: Track) -> NDArray[np.float64]:
    return track.box[:2] + track.box[2:] / 2


def _lost(estimate: Estimate) -> bool:
    """Whether a window shows no face to go by: the network's word, for every front end.

    A detector takes lamps and patterns for faces, too.
    """
    if not np.isnan(estimate.face_score):
        doubtful = estimate.rotation_error > _LARGEST_EXPECTED_ERROR
        return doubtful or estimate.face_score < _LEAST_FACE_SCORE
    # Neither is one that is not a number sure.
    sure = estimate.sureness >= _LOST_CONFIDENCE if len(estimate.landmark_confidence) else True
    return not sure


def _moved(track: Track, estimate: Estimate) -> Track:
    """Return the track where the landmarks are now; without landmarks it stays."""
    if not len(estimate.landmarks):
        return track
    return replace(track, box=bounding_box(estimate.landmarks), window=estimate.window)


def _face(now: Track, look: _Observation, camera: CameraModel | None) -> Face:
    """Return the face of a track that was seen through its earlier window."""
    track, estimate = look.track, look.estimate
    pose = Pose(estimate.rotation, None)
    if camera is not None:
        crop_center = np.array([track.window.center_x, track.window.center_y])
        pose = pose_in_camera(estimate.landmarks, estimate.rotation, crop_center, camera)
    covariance = unknown_covariance()
    covariance[3:, 3:] = (estimate.rotation_error / _MEAN_OF_CHI) ** 2 * np.eye(3)
    return Face(
        id=now.id,
        box=now.box,
        rotation=pose.rotation,
        landmarks=estimate.landmarks,
        visibility=estimate.visibility,
        landmark_confidence=estimate.landmark_confidence,
        confidence=now.confidence if np.isnan(estimate.face_score) else estimate.face_score,
        position=pose.position,
        openness=estimate.openness,
        landmark_error=estimate.landmark_error,
        rotation_error=estimate.rotation_error,
        covariance=covariance,
    )


def _filtered(face: Face, stamp: float, pose_filter: PoseFilter) -> Face:
    raw = Pose(face.rotation, face.position)
    pose, twist = pose_filter.update(stamp, raw, face.rotation_error)
    rotation_variance, position_variance = pose_filter.variances
    covariance = face.covariance.copy()
    if np.isnan(face.rotation_error):
        covariance[3:, 3:] = rotation_variance * np.eye(3)
    if pose.position is not None:
        covariance[:3, :3] += position_variance * np.eye(3)
    return replace(
        face,
        rotation=pose.rotation,
        position=pose.position,
        covariance=covariance,
        raw=raw,
        twist=twist,
    )
