"""The result of perception: what is known about one face in one image."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headpose_ros.geometry.rotations import aflw_from_matrix, aligned_from_face


def unknown_covariance() -> NDArray[np.float64]:
    """Return the (6, 6) covariance of a pose of which nothing is known: NaN in both blocks."""
    covariance = np.zeros((6, 6))
    covariance[:3, :3] = covariance[3:, 3:] = np.nan
    return covariance


@dataclass(frozen=True)
class Pose:
    """Where a head is and how it is turned.

    Attributes:
        rotation: float64 (3, 3) R_optical_face.
        position: float64 (3,) metres, the sellion in the optical frame; None where unknown.
    """

    rotation: NDArray[np.float64]
    position: NDArray[np.float64] | None

    def in_frame(self, rotation: NDArray[np.float64], translation: NDArray[np.float64]) -> Pose:
        """Return the pose in another frame; see :meth:`Face.in_frame`."""
        place = None if self.position is None else rotation @ self.position + translation
        return Pose(rotation @ self.rotation, place)


@dataclass(frozen=True)
class Twist:
    """How fast a pose changes, in the camera optical frame.

    Attributes:
        angular: float64 (3,) rad/s about the axes of the optical frame.
        linear: float64 (3,) m/s of the sellion; None where the position is unknown.
    """

    angular: NDArray[np.float64]
    linear: NDArray[np.float64] | None

    def in_frame(self, rotation: NDArray[np.float64]) -> Twist:
        """Return the velocities along and about the axes of another frame, which is at rest."""
        linear = None if self.linear is None else rotation @ self.linear
        return Twist(rotation @ self.angular, linear)


@dataclass(frozen=True)
class Face:
    """One face in one image.

    Attributes:
        id: Stable name while the face is tracked; starts with a letter, never reused.
        box: float64 (4,) x, y, w, h in px around the landmarks, or the detector's box.
        rotation: float64 (3, 3) R_optical_face: REP-155 face axes in the camera optical frame;
            smoothed in videos. Without a calibrated camera: as a camera pointed straight at the
            face sees it.
        landmarks: float64 (68, 2) px, iBUG-68 order, pixel centres at integers; (0, 2) for a
            network without landmarks.
        visibility: float64 (68,) probability that the point is not hidden; (0,) without.
        landmark_confidence: float64 (68,) probability mass of the network's map near the
            point; (0,) without.
        confidence: Probability that this is a face, 0..1: the network's score, or the detector's
            of the last detection where the network has none.
        position: float64 (3,) metres, the sellion in the optical frame, smoothed in videos; None
            without a calibrated camera or landmarks.
        openness: float64 (3,) of the person's right eye, left eye and mouth; NaN where unknown. An
            eye: gap of the lids over that of the relaxed open eye, 0..1. The mouth: gap of the
            inner lips over the distance of the mouth's corners.
        landmark_error: float64 (68,) px, expected distance of each landmark from the truth; (0,)
            for a network that does not estimate it.
        rotation_error: Expected angle between the raw rotation and the true one, radians; NaN
            for a network that does not estimate it.
        covariance: float64 (6, 6) of position and rotation, in m^2, m rad and rad^2, along and
            about the axes of the optical frame; NaN in the block of one that is unknown. The
            rotation's comes from `rotation_error`; where the network does not estimate it,
            from the smoothing filter, which covers noise only.
        interpupillary_distance: Metres between the pupils: the size of the face that the position
            rests on. NaN without a position.
        distance_is_measured: Whether a depth image of this moment gave the distance.
        raw: The pose from this image alone; None where nothing was smoothed.
        twist: How fast the pose changes; None where nothing was smoothed.
    """

    id: str
    box: NDArray[np.float64]
    rotation: NDArray[np.float64]
    landmarks: NDArray[np.float64]
    visibility: NDArray[np.float64]
    landmark_confidence: NDArray[np.float64]
    confidence: float
    position: NDArray[np.float64] | None = None
    openness: NDArray[np.float64] = field(default_factory=lambda: np.full(3, np.nan))
    landmark_error: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    rotation_error: float = np.nan
    covariance: NDArray[np.float64] = field(default_factory=unknown_covariance)
    interpupillary_distance: float = float('nan')
    distance_is_measured: bool = False
    raw: Pose | None = None
    twist: Twist | None = None

    def in_frame(self, rotation: NDArray[np.float64], translation: NDArray[np.float64]) -> Face:
        """Return the same face with its poses in another frame, of which the camera is at rest.

        Args:
            rotation: (3, 3) that turns vectors of the optical frame into those of the other.
            translation: (3,) metres, the optical frame's origin in the other frame.
        """
        turn = np.kron(np.eye(2), rotation)
        pose = Pose(self.rotation, self.position).in_frame(rotation, translation)
        return replace(
            self,
            rotation=pose.rotation,
            position=pose.position,
            covariance=turn @ np.nan_to_num(self.covariance) @ turn.T + 0.0 * self.covariance,
            raw=self.raw and self.raw.in_frame(rotation, translation),
            twist=self.twist and self.twist.in_frame(rotation),
        )

    @property
    def pitch_yaw_roll(self) -> NDArray[np.float64]:
        """(3,) radians for people, in the AFLW2000 factorisation (see `geometry.rotations`)."""
        return aflw_from_matrix(aligned_from_face(self.rotation))

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers and lists, ready for JSON; angles in degrees."""
        pitch, yaw, roll = np.degrees(self.pitch_yaw_roll).round(2).tolist()
        return {
            'id': self.id,
            'box': self.box.round(2).tolist(),
            'confidence': round(self.confidence, 4),
            'pitch_deg': pitch,
            'yaw_deg': yaw,
            'roll_deg': roll,
            'rotation': self.rotation.round(6).tolist(),
            'position': None if self.position is None else self.position.round(4).tolist(),
            'landmarks': self.landmarks.round(2).tolist(),
            'visibility': self.visibility.round(3).tolist(),
            'landmark_confidence': self.landmark_confidence.round(3).tolist(),
            'landmark_error': self.landmark_error.round(2).tolist(),
            'rotation_error_deg': _or_none(np.degrees(self.rotation_error)),
            'openness': [_or_none(value) for value in self.openness],
        }


def _or_none(value: float) -> float | None:
    """Return a rounded number; None for NaN, which JSON lacks."""
    return None if np.isnan(value) else round(float(value), 3)
