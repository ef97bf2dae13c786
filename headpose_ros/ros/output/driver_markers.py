"""The driver in RViz: the state, and in its colour a cone of where the head points."""

from __future__ import annotations

from typing import Any

import numpy as np
from geometry_msgs.msg import Vector3
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from headpose_ros.driver_monitoring.report import Report
from headpose_ros.perception.faces import Face
from headpose_ros.ros.output.markers import cone_points, face_marker, lift

#: How states look: in RViz, plots, videos and pages.
STATE_COLORS = {
    'unknown': '#8a8f98',
    'attentive': '#3fae5a',
    'distracted': '#e0a100',
    'drowsy': '#c77dff',
    'microsleep': '#ff6b3d',
    'asleep': '#e04848',
    'no_driver': '#4a4f58',
}
NAMESPACES = ('driver_gaze', 'driver_state')

#: Longer and narrower than the cone of every face, metres and radians.
_CONE_LENGTH, _CONE_ANGLE = 1.0, 0.09
_TEXT_SIZE, _TEXT_HEIGHT = 0.05, 0.22  # metres
_CONE_ALPHA = 0.4


class DriverMarkers:
    """Makes marker arrays, and remembers whether RViz shows some to delete them in time."""

    def __init__(self) -> None:
        self._shown = False

    def message(self, header: Any, face: Face | None, report: Report) -> MarkerArray:
        """Return the markers of one report; a driver without a known place has none.

        Args:
            header: Of the Faces message.
            face: The driver's; None when it is not in sight.
            report: What is known.
        """
        if face is None or face.position is None:
            return self._deletions(header)
        self._shown = True
        red, green, blue = _rgb(STATE_COLORS[report.state])
        gaze = face_marker(header, NAMESPACES[0], 0, Marker.TRIANGLE_LIST, face)
        gaze.scale = Vector3(x=1.0, y=1.0, z=1.0)
        gaze.color = ColorRGBA(r=red, g=green, b=blue, a=_CONE_ALPHA)
        gaze.points = cone_points(_CONE_LENGTH, _CONE_ANGLE)
        text = face_marker(header, NAMESPACES[1], 0, Marker.TEXT_VIEW_FACING, face)
        text.scale = Vector3(x=0.0, y=0.0, z=_TEXT_SIZE)
        text.color = ColorRGBA(r=red, g=green, b=blue, a=1.0)
        text.text = f'{report.state.replace("_", " ")}\n{report.reason}'
        lift(text, face, _TEXT_HEIGHT)
        return MarkerArray(markers=[gaze, text])

    def _deletions(self, header: Any) -> MarkerArray:
        """Return what deletes the markers that are shown."""
        shown, self._shown = self._shown, False
        deletions = [Marker(header=header, ns=n, action=Marker.DELETE) for n in NAMESPACES]
        return MarkerArray(markers=deletions if shown else [])


def _rgb(color: str) -> tuple[float, float, float]:
    red, green, blue = (np.array(list(bytes.fromhex(color[1:]))) / 255.0).tolist()
    return red, green, blue
