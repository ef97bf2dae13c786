"""Core types as messages: stamps, frames, flags, nothing stale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('rclpy')

from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from headpose_ros.geometry.camera import CameraModel
from headpose_ros.geometry.face_shape import mean_face
from headpose_ros.geometry.rotations import face_from_aligned, matrix_from_aflw
from headpose_ros.msg import FacialLandmarks
from headpose_ros.perception.faces import Face
from headpose_ros.ros.camera_info import CameraInfoError, camera_model
from headpose_ros.ros.markers import FaceMarkers
from headpose_ros.ros.messages import (
    face_from_message,
    faces_message,
    located,
    main_face_message,
)
from headpose_ros.ros.tf import face_transform

HEADER = Header(stamp=Time(sec=12, nanosec=34), frame_id='cabin_optical_frame')
CAMERA = CameraModel(np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]]), np.zeros(0))
SIZE = (640, 480)
ROTATION = face_from_aligned(matrix_from_aflw([0.1, 0.3, -0.2]))


def face(name='f1', place=(0.0, 0.0, 0.8)):
    points = mean_face() @ ROTATION.T + np.array(place)
    pixels = points[:, :2] / points[:, 2:] * 600 + [320, 240]
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    box, ones = np.concatenate([low, high - low]), np.ones(68)
    return Face(name, box, ROTATION, pixels, ones, 0.9 * ones, 0.8, position=np.array(place))


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


def test_a_face_survives_the_message():
    original = replace(face(), openness=np.array([0.25, 1.0, np.nan]))
    message = faces_message(HEADER, SIZE, [located(original, CAMERA)]).faces[0]
    back = face_from_message(message)
    assert (back.id, back.confidence) == ('f1', pytest.approx(0.8))
    assert back.rotation == pytest.approx(original.rotation)
    assert back.landmarks == pytest.approx(original.landmarks, abs=1e-4)
    assert back.openness == pytest.approx(original.openness, nan_ok=True)


def test_the_main_face_is_the_first():
    near, far = face('f1', (0.1, 0, 0.5)), face('f2', (-0.1, 0, 1.5))
    pose = main_face_message(HEADER, [located(far, CAMERA), located(near, CAMERA)])
    assert pose.header == HEADER
    assert pose.pose.position.z == pytest.approx(1.5)
    assert main_face_message(HEADER, []) is None


def test_the_frame_hangs_below_the_camera():
    transform = face_transform(HEADER, located(face('f7'), CAMERA))
    assert (transform.header, transform.child_frame_id) == (HEADER, 'face_f7')
    assert transform.transform.translation.z == pytest.approx(0.8)


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


def info(k, d=(), model='plumb_bob'):
    return CameraInfo(k=np.array(k, np.float64), d=list(d), distortion_model=model)


GOOD = [600.0, 0, 320, 0, 600, 240, 0, 0, 1]


def test_camera_info_becomes_a_camera():
    camera = camera_model(info(GOOD, [0.1, 0, 0, 0], 'equidistant'))
    assert camera.fisheye
    assert camera.K[0, 2] == 320


def test_zero_k_means_uncalibrated():
    assert camera_model(info([0.0] * 9)) is None


@pytest.mark.parametrize(
    ('broken', 'said'),
    [
        (info([float('nan'), *GOOD[1:]]), 'NaN'),
        (info(GOOD, [float('inf'), 0.0, 0.0, 0.0]), 'NaN or infinity'),
        (info([-600.0, *GOOD[1:]]), 'expected positive focal lengths'),
        (info([*GOOD[:8], 0.0]), 'K'),
    ],
)
def test_broken_camera_info_is_refused(broken, said):
    with pytest.raises(CameraInfoError, match=said):
        camera_model(broken)
