"""Steady poses: a Kalman filter on rotations and positions that works from stamps.

An error-state filter with a velocity that fades. All three axes of a rotation share one noise, so
the covariance of the six error states is `kron(P, I)` with P (2, 2): the filter costs a few
scalars, and turning the camera or the face frame turns its output likewise.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from headpose_ros.parameter import parameter
from headpose_ros.perception.faces import Face, Pose, Twist

Array = NDArray[np.float64]

#: After a longer silence than this, s, an old velocity is worthless: the filter restarts.
_LONGEST_GAP = 0.5
#: This many measurements in a row that do not fit are no outliers: the head is there now.
_OUTLIERS_BELIEVED = 3
#: An outlier is farther than this from what is expected, rad and as a share of the distance, ...
_OUTLIER_ANGLE, _OUTLIER_DISTANCE = 0.5, 0.25
#: ... and this many standard deviations.
_OUTLIER_SIGMAS = 5.0
#: Heads do not go on turning: a velocity fades in about this time, s.
_FADING = 1.0
#: Errors that point the same way for about this time, s, mean that the head moves otherwise than
#: expected; the filter then follows faster, by at most this factor.
_ERROR_MEMORY, _MOST_EAGER = 0.15, 30.0
#: A network's doubt is compared with what it was over about this many images, and counts for at
#: most these factors of the noise.
_DOUBT_MEMORY, _LEAST_DOUBT, _MOST_DOUBT = 30, 0.5, 5.0


@dataclass(frozen=True)
class SmoothingOptions:
    """How poses are smoothed."""

    enabled: bool = parameter(True, 'Smooth the poses over time.', basic=True, former='smooth')
    rotation_noise: float = parameter(
        0.026,
        'Standard deviation of a measured rotation about each axis; more smooths more.',
        minimum=0.0001,
        maximum=1.0,
        unit='rad',
        former='rotation_noise',
    )
    rotation_agility: float = parameter(
        0.25,
        'How far the angular velocity of a calm head wanders in a second; less smooths more.',
        minimum=0.001,
        maximum=100.0,
        unit='rad/s',
        former='rotation_agility',
    )
    position_noise: float = parameter(
        0.01,
        'Standard deviation of a measured position as a share of its distance; more smooths more.',
        minimum=0.0001,
        maximum=1.0,
        former='position_noise',
    )
    position_agility: float = parameter(
        0.05,
        'How far the velocity of a calm head wanders in a second; less smooths more.',
        minimum=0.001,
        maximum=100.0,
        unit='m/s',
        former='position_agility',
    )


class FaceFilters:
    """Smooths the faces of one camera, each by a filter of its own.

    Args:
        options: How; without `enabled` every face stays as it is.
    """

    def __init__(self, options: SmoothingOptions) -> None:
        self._options = options
        self._filters: dict[str, PoseFilter] = {}

    def apply(self, face: Face, stamp: float) -> Face:
        """Return the face with its smoothed pose, its velocities and its raw pose.

        Args:
            face: As measured.
            stamp: Time of its image, s.
        """
        if not self._options.enabled:
            return face
        pose_filter = self._filters.get(face.id)
        if pose_filter is None:
            pose_filter = self._filters[face.id] = PoseFilter(self._options)
        return _smoothed(face, stamp, pose_filter)

    def keep(self, names: Collection[str]) -> None:
        """Forget the filters of all other faces."""
        self._filters = {name: f for name, f in self._filters.items() if name in names}

    def clear(self) -> None:
        """Forget all filters: the next pose of each face is taken as it is."""
        self._filters = {}


def _smoothed(face: Face, stamp: float, pose_filter: PoseFilter) -> Face:
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


class PoseFilter:
    """Smooths the poses of one face.

    Args:
        options: Noise of the measurements and agility of the head.
    """

    def __init__(self, options: SmoothingOptions | None = None) -> None:
        self._options = options or SmoothingOptions()
        self._rotation = _Filter(_angle, _turned, self._options.rotation_agility)
        self._position = _Filter(_difference, _moved, self._options.position_agility)
        self._usual_doubt = np.nan

    @property
    def variances(self) -> tuple[float, float]:
        """Variance of the last rotation about each axis, rad^2, and of the position, m^2."""
        return self._rotation.variance, self._position.variance

    def update(self, stamp: float, pose: Pose, doubt: float = np.nan) -> tuple[Pose, Twist]:
        """Take in a measured pose and return the smoothed one.

        Of a network's expected error most stays the same from image to image and is no noise. How
        it changes shows which images to trust less: the noise grows and shrinks with it.

        Args:
            stamp: Time of the measurement in seconds. Not after the last one, or long after it:
                the filter starts anew.
            pose: Measured in the optical frame; its position may be missing.
            doubt: Expected error of the rotation, rad; NaN where the network does not estimate it.

        Returns:
            The pose, whose position is missing where the measured one is, and how fast it changes.
        """
        measured = _orthonormal(pose.rotation)
        noise = self._options.rotation_noise * self._share_of_usual(doubt)
        rotation = self._rotation.update(stamp, measured, noise, _OUTLIER_ANGLE)
        if pose.position is None:
            self._position.reset()
            return Pose(rotation, None), Twist(self._rotation.rate, None)
        distance = float(np.linalg.norm(pose.position))
        noise, gate = self._options.position_noise * distance, _OUTLIER_DISTANCE * distance
        position = self._position.update(stamp, pose.position, noise, gate)
        return Pose(rotation, position), Twist(self._rotation.rate, self._position.rate)

    def _share_of_usual(self, doubt: float) -> float:
        """Return a doubt over the mean of the last ones, within bounds; 1 where unknown."""
        if not doubt > 0.0:
            return 1.0
        if np.isnan(self._usual_doubt):
            self._usual_doubt = doubt
        share = float(np.clip(doubt / self._usual_doubt, _LEAST_DOUBT, _MOST_DOUBT))
        self._usual_doubt += (doubt - self._usual_doubt) / _DOUBT_MEMORY
        return share


class _Filter:
    """A Kalman filter of a value and its velocity, with one noise for all axes.

    Args:
        minus: The (3,) change from the second value to the first.
        plus: The value after a (3,) change.
        agility: Standard deviation of the velocity's change in one second.
    """

    def __init__(
        self,
        minus: Callable[[Array, Array], Array],
        plus: Callable[[Array, Array], Array],
        agility: float,
    ) -> None:
        self._minus, self._plus, self._agility = minus, plus, agility
        self.reset()

    def reset(self) -> None:
        """Forget all measurements."""
        self._stamp = -np.inf
        self._outliers = 0
        self._error, self._error_variance = np.zeros(3), 0.0
        self.rate: Array = np.zeros(3)
        self._P: Array = np.full((2, 2), np.nan)

    @property
    def variance(self) -> float:
        """Variance of the value on each axis."""
        return float(self._P[0, 0])

    def update(self, stamp: float, measured: Array, noise: float, gate: float) -> Array:
        """Return the value after a measurement.

        Args:
            stamp: s.
            measured: The value.
            noise: Its standard deviation on each axis.
            gate: No outlier is nearer to the expected value than this.
        """
        dt = stamp - self._stamp
        # Without time between images nothing limits how far a head may have moved.
        if not 0.0 < dt <= _LONGEST_GAP:
            return self._start(stamp, measured, noise)
        self._predict(dt)
        self._stamp = stamp
        error = self._minus(measured, self._value)
        variance = float(self._P[0, 0]) + noise**2
        if np.linalg.norm(error) > max(gate, _OUTLIER_SIGMAS * np.sqrt(variance)):
            self._outliers += 1
            believed = self._outliers >= _OUTLIERS_BELIEVED
            return self._start(stamp, measured, noise) if believed else self._value
        self._outliers = 0
        self._note(error, variance, dt)
        return self._correct(error, variance)

    def _start(self, stamp: float, measured: Array, noise: float) -> Array:
        self.reset()
        self._stamp, self._value = stamp, measured
        # The head may already move.
        self._P = np.diag([noise**2, (_MOST_EAGER * self._agility) ** 2])
        return measured

    def _predict(self, dt: float) -> None:
        """Go on at the fading velocity; a wandering velocity widens the covariance."""
        fade = float(np.exp(-dt / _FADING))
        reach = _FADING * (1.0 - fade)
        step = np.array([[1.0, reach], [0.0, fade]])
        wander = np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        self._P = step @ self._P @ step.T + (self._eagerness() * self._agility) ** 2 * wander
        self._value = self._plus(self._value, reach * self.rate)
        self.rate = fade * self.rate

    def _eagerness(self) -> float:
        """Return how many times more agile the head seems, 1 or more.

        The mean error of a head that moves as expected is as small as chance has it.
        """
        if not self._error_variance:
            return 1.0
        seen = float(self._error @ self._error) / self._error_variance
        return min(max(seen, 1.0), _MOST_EAGER)

    def _note(self, error: Array, variance: float, dt: float) -> None:
        """Update the mean error (3,), and what its square would be by chance."""
        share = 1.0 - float(np.exp(-dt / _ERROR_MEMORY))
        self._error = self._error + share * (error - self._error)
        self._error_variance = (1 - share) ** 2 * self._error_variance + share**2 * 3 * variance

    def _correct(self, error: Array, variance: float) -> Array:
        gain = self._P[:, 0] / variance
        self._P = self._P - np.outer(gain, self._P[0])
        self._value = self._plus(self._value, gain[0] * error)
        self.rate = self.rate + gain[1] * error
        return self._value


# OpenCV's conversions, as SciPy's take ten times as long for a single rotation. They take turns of
# less than 1e-5 rad for none: a thousandth of the noise.
def _angle(rotation: Array, reference: Array) -> Array:
    """Return the rotation vector (3,), in the optical frame, from a reference to a rotation."""
    return np.asarray(cv2.Rodrigues(rotation @ reference.T)[0][:, 0], np.float64)


def _turned(rotation: Array, change: Array) -> Array:
    return np.asarray(cv2.Rodrigues(change)[0], np.float64) @ rotation


def _orthonormal(rotation: Array) -> Array:
    """Return the rotation (3, 3) nearest to one with rounding errors."""
    u, _, vt = np.linalg.svd(rotation)
    return u @ vt


def _difference(position: Array, reference: Array) -> Array:
    return position - reference


def _moved(position: Array, change: Array) -> Array:
    return position + change
