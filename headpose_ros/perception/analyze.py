"""The pipeline: detect, crop, infer, follow. What `headpose_ros.load` gives and the nodes run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from headpose_ros.errors import HeadposeError
from headpose_ros.geometry.crop import CropWindow
from headpose_ros.geometry.landmarks import bounding_box, eye_line_angle
from headpose_ros.models.weights import load_model
from headpose_ros.perception.detect import Detector, YuNetDetector
from headpose_ros.perception.faces import Face
from headpose_ros.perception.infer import Estimate, FaceNetwork
from headpose_ros.perception.tracking import Track, Tracks

#: Mean landmark confidence under which a crop shows no face. The report of the weights has the
#: first percentile over faces, far above this; background stays below it (a test looks).
_LOST_CONFIDENCE = 0.5
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


class Analyzer:
    """Finds faces and estimates their pose and landmarks.

    Args:
        network: The network on its device.
        detector: Finds new faces.
        max_faces: Most faces that are analysed in one image; the largest win.
        detect_every: `track` looks for new faces every so many frames, and whenever none is
            followed.
    """

    def __init__(
        self,
        network: FaceNetwork,
        detector: Detector,
        max_faces: int = 8,
        detect_every: int = 10,
    ) -> None:
        self.network = network
        self.detector = detector
        self.max_faces = max_faces
        # Without landmarks nothing but the detector can follow a face.
        self.detect_every = detect_every if network.spec.landmarks else 1
        self.times = StageTimes()
        self._stream = _Stream(self._new_tracks())

    def __call__(self, image: NDArray[np.uint8]) -> list[Face]:
        """Analyse a single image: every face is detected anew.

        Args:
            image: uint8 (H, W, 3) BGR.

        Returns:
            The faces, largest first; ids are `f1`, `f2`, ... of this image.

        Raises:
            FrameError: The image has another shape or type.
        """
        check_image(image)
        tracks = self._new_tracks()
        self._find_new(image, tracks)
        return self._follow(image, tracks)

    def track(self, image: NDArray[np.uint8], stamp: float) -> list[Face]:
        """Analyse the next image of a video: faces keep their ids.

        Args:
            image: uint8 (H, W, 3) BGR.
            stamp: Time of the image in seconds. A stamp before the last one (a bag that starts
                again) forgets all faces.

        Returns:
            The faces, oldest first.

        Raises:
            FrameError: The image has another shape or type, or the stamp is not finite.
        """
        check_image(image)
        if not np.isfinite(stamp):
            raise FrameError(f'the stamp is {stamp}, expected finite seconds')
        self._advance(stamp)
        stream = self._stream
        if not stream.tracks.active or stream.frames_since_detection >= self.detect_every:
            self._find_new(image, stream.tracks)
            stream.frames_since_detection = 0
        else:
            self.times.detect = 0.0
        stream.frames_since_detection += 1
        return self._follow(image, stream.tracks)

    def reset(self) -> None:
        """Forget the faces of the video; ids go on counting."""
        self._stream.tracks.clear()
        self._stream.stamp = -np.inf
        self._stream.frames_since_detection = 0

    def _advance(self, stamp: float) -> None:
        if stamp < self._stream.stamp:
            self.reset()
        self._stream.stamp = stamp

    def _new_tracks(self) -> Tracks:
        return Tracks(keep_windows=self.network.spec.landmarks > 0)

    def _find_new(self, image: NDArray[np.uint8], tracks: Tracks) -> None:
        """Run the detector and start to follow new faces, the largest first."""
        start = time.perf_counter()
        found = self.detector.detect(image)
        found.sort(key=lambda detection: detection.window.side, reverse=True)
        new = tracks.match(found, self.max_faces)
        self.times.detect = 1e3 * (time.perf_counter() - start)
        self._settle(image, tracks, new)

    def _settle(self, image: NDArray[np.uint8], tracks: Tracks, new: Sequence[str]) -> None:
        """Move the windows of new faces to where the landmarks put them; drop what is no face."""
        if not self.network.spec.landmarks:
            return
        settled = [
            self._settled(image, track) if track.id in new else track for track in tracks.active
        ]
        tracks.update([track for track in settled if track is not None])

    def _settled(self, image: NDArray[np.uint8], track: Track) -> Track | None:
        """Try a new face upright and turned by quarters: YuNet finds turned faces, but as upright.

        The network is sure of its landmarks only where the crop is about upright.
        """
        middle = track.box[:2] + track.box[2:] / 2
        windows = [track.window.turned_about(middle, turn) for turn in _QUARTER_TURNS]
        best = max(self.network.estimate(image, windows), key=_sureness)
        return None if _lost(best) else _moved(track, best)

    def _follow(self, image: NDArray[np.uint8], tracks: Tracks) -> list[Face]:
        """Estimate every followed face and move its window to where it is now."""
        start = time.perf_counter()
        pairs = self._estimate(image, tracks.active)
        tracks.update([_moved(track, estimate) for track, estimate in pairs])
        self.times.infer = 1e3 * (time.perf_counter() - start)
        estimates = {track.id: estimate for track, estimate in pairs}
        return [_face(track, estimates[track.id]) for track in tracks.active]

    def _estimate(
        self, image: NDArray[np.uint8], tracks: Sequence[Track]
    ) -> list[tuple[Track, Estimate]]:
        """Return the faces that are still there, each with its estimate."""
        estimates = self.network.estimate(image, [track.window for track in tracks])
        return [(t, e) for t, e in zip(tracks, estimates, strict=True) if not _lost(e)]


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
    detector_model: str = '',
    detector_threshold: float = 0.6,
    max_faces: int = 8,
    detect_every: int = 10,
) -> Analyzer:
    """Load weights and detector; see `headpose_ros.load`.

    Raises:
        WeightsError: The weights are missing, damaged, or of another model.
        DetectorError: The face detector's model file is missing.
        DeviceError: The device is unknown or not there.
    """
    network = FaceNetwork(load_model(model), device)
    detector = YuNetDetector(detector_model, detector_threshold)
    return Analyzer(network, detector, max_faces, detect_every)


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


def _face(track: Track, estimate: Estimate) -> Face:
    return Face(
        id=track.id,
        box=track.box,
        rotation=estimate.rotation,
        landmarks=estimate.landmarks,
        visibility=estimate.visibility,
        landmark_confidence=estimate.landmark_confidence,
        confidence=track.confidence,
    )
