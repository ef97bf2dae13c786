"""Faces as RViz markers: axes, head box, cone, landmarks, label. Nothing stale stays."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from headpose_ros.perception.faces import Face
from headpose_ros.ros.output.messages import LocatedFace, pose_message

LIFETIME = Duration(nanosec=500_000_000)
_AXIS_LENGTH = 0.12  # metres: longer than the nose, so that x shows
_AXIS_WIDTH = 0.006
_POINT_SIZE = 0.004
_TEXT_SIZE = 0.03
#: About an adult's head in the face frame: least and largest x, y, z in metres.
_HEAD_BOX = ((-0.19, -0.08, -0.13), (0.02, 0.08, 0.11))
_BOX_WIDTH = 0.002
#: Where the head points to: length in metres, half angle in radians, corners of the base.
_CONE_LENGTH, _CONE_ANGLE, _CONE_CORNERS = 0.6, 0.12, 24
_CONE_COLOR = ColorRGBA(r=1.0, g=0.9, b=0.2, a=0.25)
_RGB = ((1.0, 0.0, 0.0), (0.0, 0.8, 0.0), (0.2, 0.4, 1.0))
_SEEN, _HIDDEN = (0.4, 1.0, 0.4), (1.0, 0.3, 0.3)


class FaceMarkers:
    """Makes marker arrays, and remembers which faces RViz shows to delete them in time."""

    def __init__(self) -> None:
        self._shown: dict[str, int] = {}

    def message(self, header: Any, faces: list[LocatedFace]) -> MarkerArray:
        """Return the markers of one image; only faces with a known place have some."""
        placed = {
            located.face.id: located for located in faces if located.face.position is not None
        }
        gone = [self._shown.pop(name) for name in list(self._shown) if name not in placed]
        array = MarkerArray()
        for number in gone:
            array.markers += [_deletion(header, kind, number) for kind in _KINDS]
        for name, located in placed.items():
            number = self._shown.setdefault(name, int(name[1:]))
            array.markers += [make(header, number, located) for make in _KINDS.values()]
        return array


def face_marker(header: Any, namespace: str, number: int, shape: int, face: Face) -> Marker:
    """Return a white marker at the place of a face, in the face's axes.

    Args:
        header: Of the image.
        namespace: Of the marker.
        number: Its id.
        shape: One of Marker's types.
        face: With a position.
    """
    return Marker(
        header=header,
        ns=namespace,
        id=number,
        type=shape,
        action=Marker.ADD,
        pose=pose_message(face),
        lifetime=LIFETIME,
        color=_color((1.0, 1.0, 1.0)),
    )


def _deletion(header: Any, kind: str, number: int) -> Marker:
    return Marker(header=header, ns=kind, id=number, action=Marker.DELETE)


def _axes(header: Any, number: int, located: LocatedFace) -> Marker:
    marker = face_marker(header, 'axes', number, Marker.LINE_LIST, located.face)
    marker.scale = Vector3(x=_AXIS_WIDTH, y=0.0, z=0.0)
    for axis, rgb in enumerate(_RGB):
        tip = [0.0, 0.0, 0.0]
        tip[axis] = _AXIS_LENGTH
        marker.points += [Point(), Point(x=tip[0], y=tip[1], z=tip[2])]
        marker.colors += [_color(rgb)] * 2
    return marker


def _landmarks(header: Any, number: int, located: LocatedFace) -> Marker:
    marker = face_marker(header, 'landmarks', number, Marker.SPHERE_LIST, located.face)
    marker.scale = Vector3(x=_POINT_SIZE, y=_POINT_SIZE, z=_POINT_SIZE)
    points = np.zeros((0, 3)) if located.face_points is None else located.face_points
    marker.points = [Point(x=x, y=y, z=z) for x, y, z in points.tolist()]
    marker.colors = [_color(_visibility_color(v)) for v in located.face.visibility.tolist()]
    return marker


def _visibility_color(visibility: float) -> tuple[float, float, float]:
    """Return green for a point in sight, red for a hidden one, and what lies between."""
    mixed = np.array(_HIDDEN) + visibility * (np.array(_SEEN) - _HIDDEN)
    return (float(mixed[0]), float(mixed[1]), float(mixed[2]))


def _box(header: Any, number: int, located: LocatedFace) -> Marker:
    marker = face_marker(header, 'box', number, Marker.LINE_LIST, located.face)
    marker.scale = Vector3(x=_BOX_WIDTH, y=0.0, z=0.0)
    marker.points = [_point(corner) for edge in _box_edges() for corner in edge]
    return marker


def _box_edges() -> list[tuple[list[float], list[float]]]:
    """Return the twelve edges of the head box: corners that differ in one coordinate."""
    corners = list(product(*zip(*_HEAD_BOX, strict=True)))
    pairs = [(list(a), list(b)) for a, b in combinations(corners, 2)]
    return [(a, b) for a, b in pairs if sum(p != q for p, q in zip(a, b, strict=True)) == 1]


def _cone(header: Any, number: int, located: LocatedFace) -> Marker:
    """Return the cone of directions in which the head points; eyes may look elsewhere."""
    marker = face_marker(header, 'cone', number, Marker.TRIANGLE_LIST, located.face)
    marker.scale = Vector3(x=1.0, y=1.0, z=1.0)
    marker.color = _CONE_COLOR
    marker.points = cone_points(_CONE_LENGTH, _CONE_ANGLE)
    return marker


def cone_points(length: float, angle: float) -> list[Point]:
    """Return the triangles of a cone along x with its tip at the origin.

    Args:
        length: Metres.
        angle: Between its axis and its side, radians.
    """
    turns = np.linspace(0.0, 2 * np.pi, _CONE_CORNERS + 1)
    radius = length * np.tan(angle)
    rim = np.column_stack(
        [np.full_like(turns, length), radius * np.cos(turns), radius * np.sin(turns)]
    )
    points: list[Point] = []
    for first, second in zip(rim[:-1].tolist(), rim[1:].tolist(), strict=True):
        points += [Point(), _point(first), _point(second)]
    return points


def _point(xyz: list[float]) -> Point:
    return Point(x=xyz[0], y=xyz[1], z=xyz[2])


def _label(header: Any, number: int, located: LocatedFace) -> Marker:
    marker = face_marker(header, 'label', number, Marker.TEXT_VIEW_FACING, located.face)
    pitch, yaw, roll = np.degrees(located.seen.pitch_yaw_roll)
    marker.text = f'{located.face.id}  yaw {yaw:+.0f}  pitch {pitch:+.0f}  roll {roll:+.0f}'
    marker.scale = Vector3(x=0.0, y=0.0, z=_TEXT_SIZE)
    lift(marker, located.face, _AXIS_LENGTH * 1.2)
    return marker


def lift(marker: Marker, face: Face, height: float) -> None:
    """Move a marker up along the face, by metres."""
    up = face.rotation[:, 2] * height
    marker.pose.position.x += float(up[0])
    marker.pose.position.y += float(up[1])
    marker.pose.position.z += float(up[2])


def _color(rgb: tuple[float, float, float]) -> ColorRGBA:
    return ColorRGBA(r=rgb[0], g=rgb[1], b=rgb[2], a=1.0)


_KINDS = {'axes': _axes, 'box': _box, 'cone': _cone, 'landmarks': _landmarks, 'label': _label}
