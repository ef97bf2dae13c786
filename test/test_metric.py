from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headpose_ros.geometry.camera import CameraModel
from headpose_ros.geometry.face_shape import mean_face
from headpose_ros.geometry.rotations import face_from_aligned, matrix_from_aflw
from headpose_ros.perception.metric import lift, locate, position_covariance

K = np.array([[620.0, 0, 322.0], [0, 615.0, 236.0], [0, 0, 1]])
CAMERAS = {
    'no distortion': CameraModel(K, np.zeros(0)),
    'plumb_bob': CameraModel(K, np.array([-0.28, 0.08, 1e-3, -5e-4, 0.0])),
    'rational_polynomial': CameraModel(K, np.array([0.3, 0.05, 1e-4, -1e-4, 0.01, 0.6, 0.1, 0.02])),
    'equidistant': CameraModel(K, np.array([0.02, -0.01, 0.003, -0.001]), fisheye=True),
}
ANGLES = st.tuples(*[st.floats(-0.9, 0.9)] * 3)
PLACES = st.tuples(st.floats(-0.3, 0.3), st.floats(-0.2, 0.2), st.floats(0.4, 4.0))


def project(rotation, position, camera):
    points = (mean_face() @ rotation.T + position).reshape(-1, 1, 3)
    zero = np.zeros(3)
    if camera.fisheye:
        return cv2.fisheye.projectPoints(points, zero, zero, camera.K, camera.distortion)[0][:, 0]
    return cv2.projectPoints(points, zero, zero, camera.K, camera.distortion)[0][:, 0]


@pytest.mark.parametrize('name', CAMERAS)
@settings(max_examples=25, deadline=None)
@given(ANGLES, PLACES)
def test_the_mean_face_is_found_where_it_was_put(name, angles, place):
    camera, rotation = CAMERAS[name], face_from_aligned(matrix_from_aflw(angles))
    pixels = project(rotation, np.array(place), camera)
    position = locate(pixels, rotation, camera)
    assert position == pytest.approx(np.array(place), abs=2e-3 * place[2])
    assert lift(pixels, rotation, position, camera) == pytest.approx(mean_face(), abs=2e-3)


def test_a_face_behind_the_camera_has_no_place():
    camera, rotation = CAMERAS['no distortion'], face_from_aligned(np.eye(3))
    pixels = project(rotation, np.array([0.0, 0.0, 1.0]), camera)
    assert locate(2 * K[:2, 2] - pixels, rotation, camera) is None


def test_landmarks_that_are_no_numbers_have_no_place():
    camera, rotation = CAMERAS['no distortion'], face_from_aligned(np.eye(3))
    assert locate(np.full((68, 2), np.nan), rotation, camera) is None


def test_the_size_of_the_face_makes_the_distance_uncertain():
    covariance = position_covariance(np.array([0.0, 0.0, 2.0]))
    assert np.sqrt(covariance[2, 2]) == pytest.approx(0.114)
    assert np.linalg.eigvalsh(position_covariance(np.array([0.3, -0.2, 1.0]))).min() > -1e-12
