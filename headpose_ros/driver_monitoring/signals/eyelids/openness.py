"""How far eyes and mouth are open in one face: by the network, else from the landmarks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headpose_ros.driver_monitoring.signals.eyelids.levels import OpenLevel
from headpose_ros.driver_monitoring.signals.eyelids.options import LidOptions
from headpose_ros.geometry.landmarks import COUNT, GROUPS
from headpose_ros.perception.faces import Face

Array = NDArray[np.float64]

_EYES = tuple(np.array(GROUPS[name]) for name in ('right_eye', 'left_eye'))
_MOUTH = np.array(GROUPS['inner_lips'])
#: Aspect ratios of eyes lie below this; people's open eyes have 0.2 to 0.45.
_WIDEST = 0.6
#: Eyes of a smaller aspect ratio are closed, whoever's they are.
_SHUT = 0.12


class OpenEyes:
    """Learns the aspect ratio of one driver's relaxed open eyes, right and left, with forgetting.

    Args:
        options: How long to learn and to remember.
    """

    def __init__(self, options: LidOptions) -> None:
        self.options = options
        self.reset()

    def reset(self, aspects: Array | None = None) -> None:
        """Forget everything, or start from stored aspect ratios (2,) of the open eyes."""
        self._levels = OpenLevel(_WIDEST), OpenLevel(_WIDEST)
        if aspects is not None:
            for eye, aspect in enumerate(aspects):
                self._update(eye, float(aspect), 2 * self.options.learning_seconds)

    @property
    def aspects(self) -> Array:
        """(2,) aspect ratios of the open right and left eye; NaN where not known."""
        return np.array([eye.level for eye in self._levels])

    @property
    def is_learning(self) -> bool:
        """Whether an eye was measured, but not yet for long enough to know it open."""
        return any(0.0 < eye.seconds < self.options.learning_seconds for eye in self._levels)

    def learn(self, face: Face, seconds: float) -> None:
        """Learn from a face whose eyes are open, seen for some seconds.

        An eye whose openness the network gives needs no aspect ratio.
        """
        for eye in _eyes_by_landmarks(face, self.options):
            self._update(eye, _aspect(face, eye, self.options.farthest_turn), seconds)

    def _update(self, eye: int, aspect: float, seconds: float) -> None:
        if _SHUT <= aspect < _WIDEST and seconds > 0:
            self._levels[eye].update(aspect, seconds, self.options)


def measure_openness(face: Face, eyes: OpenEyes) -> Array:
    """Return the openness (3,) of right eye, left eye and mouth; NaN where unknown.

    The network's openness is taken; where it gives none, an eye's aspect ratio (Soukupová and
    Čech 2016) is compared with that of the driver's own open eye. An eye whose landmarks are
    hidden is unknown in either case.

    Args:
        face: The face.
        eyes: What is known about the driver's open eyes.
    """
    options, least = eyes.options, eyes.options.visibility
    openness = np.array(face.openness, np.float64)
    openness[~np.isfinite(openness)] = np.nan
    for eye in _eyes_by_landmarks(face, options):
        openness[eye] = _eye(face, eye, eyes)
    for eye, points in enumerate(_EYES):
        if not _is_visible(face, points, least):
            openness[eye] = np.nan
    if np.isnan(openness[2]) and _has_points(face) and _is_visible(face, _MOUTH, least):
        openness[2] = _mouth(face.landmarks[_MOUTH])
    return openness


def eyes_in_sight(face: Face, options: LidOptions) -> bool:
    """Whether the landmarks of an eye can be seen."""
    return any(_is_visible(face, points, options.visibility) for points in _EYES)


def _eyes_by_landmarks(face: Face, options: LidOptions) -> list[int]:
    """Return which eyes, right (0) and left (1), must be and can be measured from landmarks."""
    if not _has_points(face):
        return []
    return [
        eye
        for eye, points in enumerate(_EYES)
        if not np.isfinite(face.openness[eye]) and _is_visible(face, points, options.visibility)
    ]


def _has_points(face: Face) -> bool:
    return face.landmarks.shape == (COUNT, 2)


def _is_visible(face: Face, points: Array, least: float) -> bool:
    """Whether these landmarks can be seen; they are where a network gives no visibility."""
    if len(face.visibility) != COUNT:
        return True
    # NaN compares as hidden.
    return bool(face.visibility[points].sum() >= least * len(points))


def _eye(face: Face, eye: int, eyes: OpenEyes) -> float:
    aspect, own = _aspect(face, eye, eyes.options.farthest_turn), eyes.aspects[eye]
    if np.isnan(own) and aspect < _SHUT:
        return 0.0
    closed = eyes.options.closed_aspect
    return float(np.clip((aspect / own - closed) / (1 - closed), 0.0, 1.5))


def _aspect(face: Face, eye: int, most: float) -> float:
    """Return height over width of an eye as seen from its front; NaN from too far aside."""
    x, y, z = face.rotation[:, 0]
    azimuth, elevation = np.arctan2(x, -z), np.arcsin(np.clip(y, -1.0, 1.0))
    if not np.hypot(azimuth, elevation) <= most:
        return np.nan
    corner, a, b, other, c, d = face.landmarks[_EYES[eye]]
    width = 2 * np.linalg.norm(other - corner)
    heights = np.linalg.norm(a - d) + np.linalg.norm(b - c)
    return float(heights / width * np.cos(azimuth) / np.cos(elevation)) if width > 0 else np.nan


def _mouth(points: Array) -> float:
    """Return the gap of the inner lips over the distance of the mouth's corners."""
    width = np.linalg.norm(points[4] - points[0])
    return float(np.linalg.norm(points[6] - points[2]) / width) if width > 0 else np.nan
