"""Faces and reports of drivers as rows of the tables, and faces back out of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headpose_ros import __version__
from headpose_ros.driver_monitoring.report import Report
from headpose_ros.geometry.rotations import matrix_from_quaternion, quaternion_from_matrix
from headpose_ros.perception.faces import Face

Row = dict[str, Any]

_BOX = ('box_x', 'box_y', 'box_width', 'box_height')
_QUATERNION = ('qx', 'qy', 'qz', 'qw')
_POSITION = ('x', 'y', 'z')
_OPENNESS = ('right_eye_openness', 'left_eye_openness', 'mouth_openness')
_GAZE = ('gaze_x', 'gaze_y', 'gaze_z')


def face_row(face: Face, model_sha256: str) -> Row:
    """Return a row of `faces`, without what is known of its image."""
    pitch, yaw, roll = np.degrees(face.pitch_yaw_roll)
    has_landmarks = len(face.landmarks) > 0
    return {
        'id': face.id,
        **_named(_BOX, face.box),
        'confidence': face.confidence,
        **_named(_QUATERNION, quaternion_from_matrix(face.rotation)),
        'yaw': yaw,
        'pitch': pitch,
        'roll': roll,
        **_named(_POSITION, np.full(3, np.nan) if face.position is None else face.position),
        'covariance': face.covariance.ravel(),
        'landmarks_x': face.landmarks[:, 0] if has_landmarks else None,
        'landmarks_y': face.landmarks[:, 1] if has_landmarks else None,
        'visibility': face.visibility if len(face.visibility) else None,
        'landmark_confidence': face.landmark_confidence if len(face.landmark_confidence) else None,
        'rotation_error': face.rotation_error,
        **_named(_OPENNESS, face.openness),
        **_named(_GAZE, getattr(face, 'gaze', None) or np.full(3, np.nan)),
        'model_sha256': model_sha256,
        'version': __version__,
    }


def face_of(row: Row) -> Face:
    """Return the face of a row, as exact as the table is."""
    position = np.array([row[name] for name in _POSITION], np.float64)
    points = [_numbers(row['landmarks_x']), _numbers(row['landmarks_y'])]
    return Face(
        id=row['id'],
        box=np.array([row[name] for name in _BOX], np.float64),
        rotation=matrix_from_quaternion([row[name] for name in _QUATERNION]),
        landmarks=np.column_stack(points),
        visibility=_numbers(row['visibility']),
        landmark_confidence=_numbers(row['landmark_confidence']),
        confidence=_number(row['confidence']),
        position=None if np.isnan(position).any() else position,
        openness=np.array([_number(row[name]) for name in _OPENNESS]),
        rotation_error=_number(row['rotation_error']),
        covariance=_numbers(row['covariance']).reshape(6, 6),
    )


def driver_row(report: Report, faces: int) -> Row:
    """Return a row of `driver`, without what is known of its image and its duration."""
    return {
        'faces': faces,
        'driver_id': report.driver_id,
        'state': report.state,
        'confidence': report.confidence,
        'presence': report.presence,
        'eyes': report.eyes,
        'neutral_known': report.neutral_known,
        'zone': report.zone,
        'on_road': report.on_road,
        **{name: signal.value for name, signal in report.signals.items()},
    }


def _named(names: tuple[str, ...], values: Any) -> Row:
    return dict(zip(names, map(float, values), strict=True))


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _numbers(values: list[float | None] | None) -> NDArray[np.float64]:
    """Return float64 numbers; None becomes NaN, and no list none."""
    return np.array(values or [], np.float64)
