"""Core types as messages: stamps, frames, flags, nothing stale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('rclpy')

from builtin_interfaces.msg import Time
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from headpose_ros.geometry.camera import CameraModel
from headpose_ros.geometry.face_shape import mean_face
from headpose_ros.geometry.rotations import face_from_aligned, matrix_from_aflw
from headpose_ros.msg import Face as Face_
from headpose_ros.msg import FacialLandmarks
from headpose_ros.perception.faces import Face, Pose, Twist
from headpose_ros.perception.sizes import FaceSizes
from headpose_ros.ros.output.markers import FaceMarkers
from headpose_ros.ros.output.messages import (
    face_from_message,
    faces_message,
    located,
    main_face_message,
)
from headpose_ros.ros.output.tf import face_transform, gaze_transform

HEADER = Header(stamp=Time(sec=12, nanosec=34), frame_id='cabin_optical_frame')
CAMERA = CameraModel(np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]]), np.zeros(0))
SIZE = (640, 480)
ROTATION = face_from_aligned(matrix_from_aflw([0.1, 0.3, -0.2]))


def face(name='f1', place=(0.0, 0.0, 0.8)):
    points = mean_face() @ ROTATION.T + np.array(place)
    pixels = points[:, :2] / points[:, 2:] * 600 + [320, 240]
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    box, ones = np.concatenate([low, high - low]), np.ones(68)
    face = Face(name, box, ROTATION, pixels, ones, 0.9 * ones, 0.8, position=np.array(place))
    return FaceSizes().apply(face, None)


def test_a_calibrated_face_is_metric():
    message = faces_message(HEADER, SIZE, [located(face(), CAMERA)])
    assert (message.header, message.image_width, message.image_height) == (HEADER, *SIZE)
    head = message.faces[0].head_pose
    assert head.translation_is_metric
    place = head.pose.pose.position
    assert (place.x, place.y, place.z) == pytest.approx((0, 0, 0.8), abs=1e-6)
    assert head.pose.covariance[14] == pytest.approx((0.057 * 0.8) ** 2)
    assert head.pose.covariance[21] == -1  # the rotation's is unknown
    assert (head.pitch, head.yaw, head.roll) == pytest.approx((0.1, 0.3, -0.2))
    points = np.array(message.faces[0].landmarks.face_points).reshape(68, 3)
    assert points == pytest.approx(mean_face(), abs=1e-5)


def test_an_uncalibrated_face_invents_no_metres():
    message = faces_message(HEADER, SIZE, [located(face(), None)])
    head = message.faces[0].head_pose
    assert not head.translation_is_metric
    place = head.pose.pose.position
    assert (place.x, place.y, place.z) == (0, 0, 0)
    assert head.pose.covariance[0] == -1
    assert len(message.faces[0].landmarks.face_points) == 0
    assert len(message.faces[0].landmarks.image_points) == 136


def test_a_network_without_landmarks_says_so():
    empty = np.zeros(0)
    points = np.zeros((0, 2))
    bare = replace(face(), landmarks=points, visibility=empty, landmark_confidence=empty)
    bare = replace(bare, position=None)
    message = faces_message(HEADER, SIZE, [located(bare, CAMERA)]).faces[0]
    assert message.landmarks.scheme == FacialLandmarks.SCHEME_NONE
    assert not message.head_pose.translation_is_metric


def test_the_region_is_clipped_to_the_image():
    beyond = replace(face(), box=np.array([-20.0, 400.0, 100.0, 200.0]))
    roi = faces_message(HEADER, SIZE, [located(beyond, CAMERA)]).faces[0].roi
    assert (roi.x_offset, roi.y_offset, roi.width, roi.height) == (0, 400, 80, 80)


def smoothed(face):
    covariance = face.covariance.copy()
    covariance[3:, 3:] = np.diag([1e-4, 2e-4, 3e-4])
    return replace(
        face,
        covariance=covariance,
        raw=Pose(face_from_aligned(np.eye(3)), np.array([0.1, 0.2, 0.7])),
        twist=Twist(np.array([0.1, 0.2, 0.3]), np.array([0.4, 0.5, 0.6])),
    )


def fields(face):
    """Return all numbers of a face by the name of their field."""
    values = {name: value for name, value in vars(face).items() if name not in ('raw', 'twist')}
    values |= {f'raw.{name}': value for name, value in vars(face.raw or face).items()}
    values |= {f'twist.{name}': value for name, value in vars(face.twist or face).items()}
    return values


def unplaced(face):
    bare = replace(face, position=None, interpupillary_distance=float('nan'))
    bare = replace(bare, raw=bare.raw and Pose(bare.raw.rotation, None))
    covariance = bare.covariance.copy()
    covariance[:3, :3] = np.nan
    twist = bare.twist and Twist(bare.twist.angular, None)
    return replace(bare, covariance=covariance, twist=twist, distance_is_measured=False)


@pytest.mark.parametrize(
    'original',
    [face(), smoothed(face()), unplaced(face()), unplaced(smoothed(face()))],
    ids=['raw', 'smoothed', 'raw, not metric', 'smoothed, not metric'],
)
def test_a_face_survives_the_message(original):
    box = np.round(original.box)
    original = replace(
        original,
        openness=np.array([0.25, 1.0, np.nan]),
        landmark_error=np.linspace(0.5, 2.0, 68),
        box=box,
        distance_is_measured=True,
    )
    if original.position is None:
        original = replace(original, distance_is_measured=False)
    message = faces_message(HEADER, SIZE, [located(original, CAMERA)]).faces[0]
    back, expected = fields(face_from_message(message)), fields(original)
    assert back.keys() == expected.keys()
    for name, value in expected.items():
        if value is None or isinstance(value, (str, bool)):
            assert back[name] == value, name
        else:
            assert back[name] == pytest.approx(value, abs=1e-4, nan_ok=True), name


def test_what_was_not_smoothed_says_so_and_has_no_speed():
    message = faces_message(HEADER, SIZE, [located(face(), CAMERA)]).faces[0]
    assert not message.smoothed
    assert message.raw_pose == message.head_pose.pose.pose
    assert message.twist == Face_().twist


def test_both_blocks_of_the_covariance_are_known_where_the_pose_is_smoothed():
    head = faces_message(HEADER, SIZE, [located(smoothed(face()), CAMERA)]).faces[0].head_pose
    covariance = np.array(head.pose.covariance).reshape(6, 6)
    assert covariance[:3, :3] == pytest.approx(face().covariance[:3, :3])
    assert np.diag(covariance)[3:] == pytest.approx([1e-4, 2e-4, 3e-4])
    assert not covariance[:3, 3:].any() and not covariance[3:, :3].any()


#: From the optical frame to one with x ahead, y left, z up (REP 103), a metre higher.
AHEAD = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
UP = np.array([0.0, 0.0, 1.0])


def test_in_another_frame_poses_move_and_what_the_image_shows_stays():
    here = located(smoothed(face(place=(0.1, 0.2, 0.8))), CAMERA)
    there = here.in_frame(AHEAD, UP)
    message = faces_message(HEADER, SIZE, [there]).faces[0]
    place, speed = message.head_pose.pose.pose.position, message.twist
    assert (place.x, place.y, place.z) == pytest.approx((0.8, -0.1, 0.8))
    raw = message.raw_pose.position
    assert (raw.x, raw.y, raw.z) == pytest.approx((0.7, -0.1, 0.8))
    assert (speed.linear.x, speed.linear.y, speed.linear.z) == pytest.approx((0.6, -0.4, -0.5))
    assert (speed.angular.x, speed.angular.y) == pytest.approx((0.3, -0.1))
    covariance = np.array(message.head_pose.pose.covariance).reshape(6, 6)
    assert np.diag(covariance)[3:] == pytest.approx([3e-4, 1e-4, 2e-4])
    assert covariance[0, 0] == pytest.approx(here.face.covariance[2, 2])
    angles = message.head_pose
    assert (angles.pitch, angles.yaw, angles.roll) == pytest.approx((0.1, 0.3, -0.2))
    before = faces_message(HEADER, SIZE, [here]).faces[0]
    assert (message.roi, message.landmarks) == (before.roi, before.landmarks)
    assert there.points == pytest.approx(here.points @ AHEAD.T + UP)


def test_an_unknown_covariance_stays_unknown_in_another_frame():
    there = located(unplaced(face()), None).in_frame(AHEAD, UP)
    covariance = faces_message(HEADER, SIZE, [there]).faces[0].head_pose.pose.covariance
    assert (covariance[0], covariance[21]) == (-1, -1)


def test_the_main_face_is_the_first():
    near, far = face('f1', (0.1, 0, 0.5)), face('f2', (-0.1, 0, 1.5))
    pose = main_face_message(HEADER, [located(far, CAMERA), located(near, CAMERA)])
    assert pose.header == HEADER
    assert pose.pose.position.z == pytest.approx(1.5)
    assert main_face_message(HEADER, []) is None


def test_the_frame_hangs_below_the_camera():
    transform = face_transform(HEADER, face('f7'))
    assert (transform.header, transform.child_frame_id) == (HEADER, 'face_f7')
    assert transform.transform.translation.z == pytest.approx(0.8)


def test_the_gaze_frame_is_where_the_face_is_with_z_out_of_it_and_y_down():
    header, frontal = HEADER, replace(face('f7'), rotation=face_from_aligned(np.eye(3)))
    transform = gaze_transform(header, frontal)
    assert (transform.header, transform.child_frame_id) == (header, 'gaze_f7')
    t, q = transform.transform.translation, transform.transform.rotation
    assert (t.x, t.y, t.z) == pytest.approx((0.0, 0.0, 0.8))
    # Who looks into the camera sees x to the own right, which is left in the image.
    turn = Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix()
    assert turn == pytest.approx(np.array([[-1.0, 0, 0], [0, 1, 0], [0, 0, -1]]))


def test_markers_of_a_face_that_left_are_deleted_once():
    maker, here = FaceMarkers(), [located(face('f3'), CAMERA)]
    first = maker.message(HEADER, here).markers
    assert {(m.ns, m.id, m.action) for m in first} == {
        (kind, 3, Marker.ADD) for kind in ('axes', 'box', 'cone', 'landmarks', 'label')
    }
    assert all(m.header == HEADER and m.lifetime.nanosec for m in first)
    gone = maker.message(HEADER, []).markers
    assert {(m.ns, m.id, m.action) for m in gone} == {
        (kind, 3, Marker.DELETE) for kind in ('axes', 'box', 'cone', 'landmarks', 'label')
    }
    assert maker.message(HEADER, []).markers == []
