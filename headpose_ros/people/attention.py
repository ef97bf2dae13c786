"""Whether a head points at a target, how probable that is by its pose, and for how long it does.

The direction of the head stands for that of the gaze, which nothing measures. In meetings the head
alone showed whom people looked at in 89 % of the time (Stiefelhagen and Zhu, "Head orientation and
gaze direction in meetings", CHI 2002).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headpose_ros.parameter import ParameterProblem, parameter
from headpose_ros.perception.faces import Face

#: Name of the target that is the camera itself.
CAMERA = 'camera'
#: Attention begins at the first probability and ends at the second: noise between them is ignored.
BEGINS, ENDS = 0.6, 0.4
#: Standard deviation of a direction whose error the network does not state, rad: about the mean
#: error of the released weights on photographs.
_USUAL_ERROR = math.radians(5.0)
#: No direction is known better than this, rad.
_LEAST_ERROR = 1e-3
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)
#: Standard deviations beyond which a normal distribution is empty.
_TAILS = 8.0


@dataclass(frozen=True)
class AttentionOptions:
    """Whom or what faces may attend to."""

    targets: tuple[str, ...] = parameter(
        (CAMERA,),
        'Targets on the topic attention: TF frames such as screen, whose origins are looked at, or '
        "'camera' for the camera that took the image.",
        read_only=True,
    )
    cone: float = parameter(
        0.26,
        'A head attends to a target when it points at most this far past it.',
        minimum=0.02,
        maximum=1.0,
        unit='rad',
        source='ours',
    )
    dwell: float = parameter(
        2.0,
        'Attention to the camera of this length engages a person of ROS4HRI, and inattention of '
        'this length disengages it.',
        minimum=0.0,
        maximum=60.0,
        unit='s',
        source='ours',
    )

    def __post_init__(self) -> None:
        """Refuse targets that are empty or named twice."""
        names = self.targets
        if not names or not all(names) or len(set(names)) < len(names):
            raise ParameterProblem(
                f'parameter targets is {list(names)}: expected different names of '
                'frames, at least one'
            )


@dataclass(frozen=True)
class Attending:
    """Whether one face attends to one target.

    Attributes:
        face: Id of the face.
        target: The target.
        probability: 0..1; NaN where it is unknown.
        attending: Whether it attends, with hysteresis; False while unknown.
        duration: Seconds since `attending` became what it is.
    """

    face: str
    target: str
    probability: float
    attending: bool
    duration: float


class Attention:
    """Follows over time which faces attend to which targets.

    Args:
        cone: Half angle of the cone, rad; may be changed at any time.
    """

    def __init__(self, cone: float) -> None:
        self.cone = cone
        self._since: dict[tuple[str, str], tuple[bool, float]] = {}
        self._stamp = -np.inf

    def update(
        self, stamp: float, faces: Iterable[Face], targets: Mapping[str, NDArray[np.float64] | None]
    ) -> list[Attending]:
        """Return the attention of all faces in one image to all targets.

        Args:
            stamp: Of the image, s. One before the last image's starts all durations anew.
            faces: The faces, in the optical frame.
            targets: (3,) metres in the optical frame by name; None where it is unknown.
        """
        if stamp < self._stamp:
            self._since = {}
        self._stamp = stamp
        found = [
            self._one(stamp, face, name, place) for face in faces for name, place in targets.items()
        ]
        here = {(one.face, one.target) for one in found}
        self._since = {key: since for key, since in self._since.items() if key in here}
        return found

    def _one(
        self, stamp: float, face: Face, name: str, place: NDArray[np.float64] | None
    ) -> Attending:
        probability = points_at(face, place, self.cone)
        was, since = self._since.get((face.id, name), (False, stamp))
        now = probability >= (ENDS if was else BEGINS)  # False for NaN
        if now != was:
            since = stamp
        self._since[face.id, name] = (now, since)
        return Attending(face.id, name, probability, now, stamp - since)


def points_at(face: Face, target: NDArray[np.float64] | None, cone: float) -> float:
    """Return the probability that a head points at a target within a cone.

    The direction of the head is taken as a normal distribution about the estimated one, of equal
    width across it: of the covariance of the rotation and of that of the place.

    Args:
        face: The face, in the optical frame.
        target: (3,) metres in the optical frame, the origin being the camera; None for unknown.
        cone: Half angle, rad.

    Returns:
        0..1; NaN where the target is unknown, or the place of the face is and the target is not
        the camera: the rotation then is that seen by a camera pointed at the face.
    """
    if target is None:
        return math.nan
    if face.position is None:
        if target.any():
            return math.nan
        way, distance = np.array([0.0, 0.0, -1.0]), math.inf
    else:
        offset = target - face.position
        distance = float(np.linalg.norm(offset))
        if not distance:
            return math.nan
        way = offset / distance
    direction = face.rotation[:, 0]
    angle = math.atan2(float(np.linalg.norm(np.cross(direction, way))), float(direction @ way))
    error = math.hypot(_turn_error(face, direction), _place_error(face, way, distance))
    return within_cone(angle, cone, max(error, _LEAST_ERROR))


def within_cone(angle: float, cone: float, error: float) -> float:
    """Return the probability that a direction lies in a cone, for small angles on a plane.

    The integral of a normal distribution in two dimensions over a disc that is off its middle.

    Args:
        angle: Between the expected direction and the axis of the cone, rad.
        cone: Half angle, rad.
        error: Standard deviation of the direction along each of two axes across it, rad.
    """
    low, high = max(-cone, angle - _TAILS * error), min(cone, angle + _TAILS * error)
    if low >= high:
        return 0.0
    # x runs through the disc along the line to the expected direction; across it, erf is exact.
    # The substitution x = middle + half sin(t) takes the root's steep ends away.
    middle, half = (low + high) / 2, (high - low) / 2
    turn = _NODES * math.pi / 2
    x = middle + half * np.sin(turn)
    density = np.exp(-0.5 * ((x - angle) / error) ** 2) / (error * math.sqrt(2 * math.pi))
    reach = np.sqrt(np.maximum(cone**2 - x**2, 0.0)) / (error * math.sqrt(2))
    across = np.array([math.erf(value) for value in reach.tolist()])
    total = (_WEIGHTS * half * np.cos(turn) * math.pi / 2 * density * across).sum()
    return float(min(max(total, 0.0), 1.0))


def _turn_error(face: Face, direction: NDArray[np.float64]) -> float:
    """Return the standard deviation of the head's direction by its rotation, rad."""
    covariance = face.covariance[3:, 3:]
    if not np.isfinite(covariance).all():
        return _USUAL_ERROR
    # A small rotation w moves the direction d by w x d: what is about d itself moves nothing.
    return math.sqrt(max(np.trace(covariance) - direction @ covariance @ direction, 0.0) / 2)


def _place_error(face: Face, way: NDArray[np.float64], distance: float) -> float:
    """Return the standard deviation of the direction to the target by the face's place, rad."""
    covariance = face.covariance[:3, :3]
    if not np.isfinite(covariance).all():
        return 0.0
    across = max(np.trace(covariance) - way @ covariance @ way, 0.0) / 2
    return math.sqrt(across) / distance
