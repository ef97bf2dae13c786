"""What RViz draws of a face, and that it goes when the face goes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')

from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from headpose_ros.driver_monitoring.report import STATES, Report
from headpose_ros.geometry.camera import CameraModel
from headpose_ros.geometry.rotations import FRONTAL
from headpose_ros.perception.faces import Face
from headpose_ros.ros.output.driver_markers import NAMESPACES, STATE_COLORS, DriverMarkers
from headpose_ros.ros.output.markers import FaceMarkers
from headpose_ros.ros.output.messages import located

KINDS = {'axes', 'box', 'cone', 'landmarks', 'label'}
CAMERA = CameraModel(np.array([[500.0, 0, 160], [0, 500, 120], [0, 0, 1]]), np.zeros(0))


def face(name: str = 'f7', position: Any = (0.0, 0.0, 1.0)) -> Any:
    points = np.random.default_rng(1).uniform(100, 140, (68, 2))
    found = Face(
        id=name,
        box=np.array([100.0, 100.0, 40.0, 40.0]),
        rotation=FRONTAL,
        landmarks=points,
        visibility=np.linspace(0, 1, 68),
        landmark_confidence=np.ones(68),
        confidence=1.0,
        position=None if position is None else np.array(position),
    )
    return located(found, CAMERA)


def markers_of(array: Any) -> dict[str, Any]:
    return {marker.ns: marker for marker in array.markers}


def corners(marker: Any) -> np.ndarray:
    return np.array([[p.x, p.y, p.z] for p in marker.points])


def test_every_marker_has_a_lifetime_and_the_face_frame() -> None:
    header = Header(frame_id='camera')
    found = markers_of(FaceMarkers().message(header, [face()]))
    assert set(found) == KINDS
    for marker in found.values():
        assert (marker.header, marker.id, marker.action) == (header, 7, Marker.ADD)
        assert 0 < marker.lifetime.sec + marker.lifetime.nanosec * 1e-9 <= 0.5
    assert found['axes'].pose.position.z == 1.0


def test_the_cone_points_out_of_the_face_and_the_box_holds_the_head() -> None:
    found = markers_of(FaceMarkers().message(Header(), [face()]))
    cone, box = corners(found['cone']), corners(found['box'])
    assert len(cone) % 3 == 0
    np.testing.assert_allclose(cone.mean(axis=0)[1:], 0, atol=1e-9)
    assert cone[:, 0].max() == pytest.approx(0.6)
    assert len(box) == 24
    edges = box[0::2] - box[1::2]
    assert ((edges != 0).sum(axis=1) == 1).all()
    assert len(np.unique(box, axis=0)) == 8
    assert box[:, 0].min() < -0.15 and box[:, 0].max() < 0.05  # the head lies behind the sellion


def test_axes_are_red_green_blue_along_x_y_z() -> None:
    axes = markers_of(FaceMarkers().message(Header(), [face()]))['axes']
    for axis in range(3):
        tip, color = corners(axes)[2 * axis + 1], axes.colors[2 * axis + 1]
        assert np.argmax(tip) == axis == np.argmax([color.r, color.g, color.b])


def test_landmarks_go_from_red_to_green_with_their_visibility() -> None:
    colors = markers_of(FaceMarkers().message(Header(), [face()]))['landmarks'].colors
    red, green = (np.array([getattr(c, name) for c in colors]) for name in 'rg')
    assert (np.diff(red) < 0).all() and (np.diff(green) > 0).all()


def test_a_face_that_goes_or_loses_its_place_is_deleted_once() -> None:
    maker, header = FaceMarkers(), Header(frame_id='camera')
    maker.message(header, [face('f1'), face('f2')])
    gone = maker.message(header, [face('f1'), face('f2', None)]).markers
    deleted = [m for m in gone if m.action == Marker.DELETE]
    assert {(m.ns, m.id) for m in deleted} == {(kind, 2) for kind in KINDS}
    again = maker.message(header, [face('f1')]).markers
    assert all(m.action == Marker.ADD and m.id == 1 for m in again)
    assert {m.action for m in maker.message(header, []).markers} == {Marker.DELETE}
    assert not maker.message(header, []).markers


def test_the_driver_has_a_cone_and_words_that_go_with_the_face() -> None:
    maker, driver = DriverMarkers(), face().face
    report = Report(1.0, state='distracted', reason='eyes off the road')
    found = markers_of(maker.message(Header(frame_id='camera'), driver, report))
    assert tuple(found) == NAMESPACES
    assert found['driver_state'].text == 'distracted\neyes off the road'
    gaze = found['driver_gaze']
    assert corners(gaze)[:, 0].max() == 1.0 and len(gaze.points) % 3 == 0
    assert (gaze.color.r, gaze.color.g) == (224 / 255, 161 / 255)
    assert all(0 < m.lifetime.nanosec <= 500_000_000 for m in found.values())
    # Above the head: up in the optical frame is -y.
    assert found['driver_state'].pose.position.y < gaze.pose.position.y
    for gone in (None, face(position=None).face):
        maker.message(Header(), driver, report)
        deleted = maker.message(Header(), gone, report).markers
        assert [m.ns for m in deleted] == list(NAMESPACES)
        assert all(m.action == Marker.DELETE for m in deleted)
        assert not maker.message(Header(), gone, report).markers


def test_every_state_has_a_colour() -> None:
    assert set(STATE_COLORS) == set(STATES)
