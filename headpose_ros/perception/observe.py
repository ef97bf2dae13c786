"""Crop and infer: what the network finds in the windows of followed faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headpose_ros.geometry.crop import CropWindow
from headpose_ros.geometry.landmarks import bounding_box
from headpose_ros.perception.infer import Estimate, FaceNetwork, best_quarter_turn
from headpose_ros.perception.tracking.track import Track

#: Mean landmark confidence under which a crop shows no face. The report of the weights has the
#: first percentile over faces, far above this; background stays below it (a test checks).
_LEAST_LANDMARK_CONFIDENCE = 0.5
#: Face score under which a crop shows no face, for networks that give one.
_LEAST_FACE_SCORE = 0.5
#: Expected error of the rotation, rad, over which a pose is withheld, for networks that give one:
#: of such poses of rendered faces four in five are truly off by more than 15 degrees.
_LARGEST_EXPECTED_ERROR = np.radians(25.0)
#: A face farther than this from the middle of its window, in sides, is observed again.
_FARTHEST_SHIFT = 0.2


class Observation(NamedTuple):
    """A track, what the network estimates through its window, and the track where that puts it.

    Attributes:
        track: As it was expected.
        estimate: From the crop of its window.
        moved: The track at the landmarks; None where the window shows no face.
    """

    track: Track
    estimate: Estimate
    moved: Track | None

    @classmethod
    def of(cls, track: Track, estimate: Estimate) -> Observation:
        """Return the observation of a track by an estimate through its window."""
        return cls(track, estimate, _moved(track, estimate) if _shows_face(estimate) else None)


def observe(
    network: FaceNetwork, views: Sequence[tuple[NDArray[np.uint8], Track]]
) -> list[Observation]:
    """Observe tracks, each in its own image, in one batch.

    A face at the border of its window, after a jump or after an image that showed something else,
    is observed again in the window that its landmarks ask for.

    Args:
        network: Estimates the windows.
        views: uint8 (H, W, 3) BGR image and track.
    """
    observations = _observe_once(network, views)
    again = {
        index: (views[index][0], found.moved)
        for index, found in enumerate(observations)
        if found.moved is not None and _is_beside(found.track.window, found.moved.window)
    }
    for index, found in zip(again, _observe_once(network, list(again.values())), strict=True):
        observations[index] = found
    return observations


def observe_turned(network: FaceNetwork, image: NDArray[np.uint8], track: Track) -> Observation:
    """Observe a new face in the best of four turns: YuNet finds turned faces, but as upright.

    Args:
        network: Estimates the windows.
        image: uint8 (H, W, 3) BGR.
        track: With the window of the detector.
    """
    return Observation.of(track, best_quarter_turn(network, image, track.window, track.middle))


def _observe_once(
    network: FaceNetwork, views: Sequence[tuple[NDArray[np.uint8], Track]]
) -> list[Observation]:
    if not views:
        return []
    estimates = network.estimate_each([(image, track.window) for image, track in views])
    return [Observation.of(track, one) for (_, track), one in zip(views, estimates, strict=True)]


def _is_beside(window: CropWindow, asked: CropWindow) -> bool:
    """Return whether a window is so far from the one asked for that its crop misled the network."""
    shift = np.hypot(window.center_x - asked.center_x, window.center_y - asked.center_y)
    return bool(shift > _FARTHEST_SHIFT * asked.side)


def _shows_face(estimate: Estimate) -> bool:
    """Return whether a window shows a face: for every network, since detectors take lamps for one.

    NaN is no face.
    """
    if not np.isnan(estimate.face_score):
        doubtful = estimate.rotation_error > _LARGEST_EXPECTED_ERROR
        return not (doubtful or estimate.face_score < _LEAST_FACE_SCORE)
    if not len(estimate.landmark_confidence):
        return True
    return estimate.sureness >= _LEAST_LANDMARK_CONFIDENCE


def _moved(track: Track, estimate: Estimate) -> Track:
    """Return the track where the landmarks are now; without landmarks it stays."""
    if not len(estimate.landmarks):
        return track
    return replace(track, box=bounding_box(estimate.landmarks), window=estimate.window)
