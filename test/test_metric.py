from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headpose_ros.geometry.camera import CameraModel
from headpose_ros.geometry.face_shape import mean_face
from headpose_ros.geometry.rotations import (
    FRONTAL,
    face_from_aligned,
    geodesic,
    matrix_from_aflw,
    toward,
)
from headpose_ros.perception.metric import lift, pose_in_camera, position_covariance

K = np.array([[620.0, 0, 322.0], [0, 615.0, 236.0], [0, 0, 1]])
#: 120 degrees over 1280 px.
WIDE = np.array([[369.5, 0, 639.5], [0, 369.5, 359.5], [0, 0, 1]])
CAMERAS = {
    'no distortion': CameraModel(K, np.zeros(0)),
    'plumb_bob': CameraModel(K, np.array([-0.28, 0.08, 1e-3, -5e-4, 0.0])),
    'rational_polynomial': CameraModel(K, np.array([0.3, 0.05, 1e-4, -1e-4, 0.01, 0.6, 0.1, 0.02])),
    'equidistant': CameraModel(K, np.array([0.02, -0.01, 0.003, -0.001]), fisheye=True),
}
WIDE_CAMERAS = {
    'no distortion': CameraModel(WIDE, np.zeros(0)),
    'plumb_bob': CameraModel(WIDE, np.array([-0.1, 0.01, 1e-3, -5e-4, 0.0])),
    'rational_polynomial': CameraModel(
        WIDE, np.array([0.3, 0.05, 1e-4, -1e-4, 0.01, 0.6, 0.1, 0.02])
    ),
    'equidistant': CameraModel(WIDE, np.array([0.02, -0.01, 0.003, -0.001]), fisheye=True),
}
#: From the middle to the corner of the picture of `WIDE_CAMERAS`, and beyond for the fisheye.
DIRECTIONS = [(0.0, 0.0), (1.4, 0.0), (0.0, -0.8), (-1.4, 0.8), (1.5, 0.9)]
NONE = np.zeros((0, 2))
ANGLES = st.tuples(*[st.floats(-0.9, 0.9)] * 3)
PLACES = st.tuples(st.floats(-0.3, 0.3), st.floats(-0.2, 0.2), st.floats(0.4, 4.0))


def project(rotation, position, camera):
    points = (mean_face() @ rotation.T + position).reshape(-1, 1, 3)
    zero = np.zeros(3)
    if camera.fisheye:
        return cv2.fisheye.projectPoints(points, zero, zero, camera.K, camera.distortion)[0][:, 0]
    return cv2.projectPoints(points, zero, zero, camera.K, camera.distortion)[0][:, 0]


def facing(rotation, position):
    """Return what a perfect network says of a crop, as rendered faces are labelled."""
    middle = (mean_face() @ rotation.T + position).mean(axis=0)
    return toward(middle / np.linalg.norm(middle)).T @ rotation


def estimated(rotation, position, camera):
    pixels = project(rotation, position, camera)
    return pose_in_camera(pixels, facing(rotation, position), pixels.mean(axis=0), camera)


@pytest.mark.parametrize('name', CAMERAS)
@settings(max_examples=25, deadline=None)
@given(ANGLES, PLACES)
def test_the_mean_face_is_found_where_it_was_put(name, angles, place):
    camera, rotation = CAMERAS[name], face_from_aligned(matrix_from_aflw(angles))
    pose = estimated(rotation, np.array(place), camera)
    assert pose.rotation == pytest.approx(rotation, abs=1e-6)
    assert pose.position == pytest.approx(np.array(place), abs=1e-6 * place[2])
    pixels = project(rotation, np.array(place), camera)
    assert lift(pixels, rotation, pose.position, camera) == pytest.approx(mean_face(), abs=1e-5)


@pytest.mark.parametrize('distance', [0.35, 0.8, 3.0])
@pytest.mark.parametrize('direction', DIRECTIONS)
@pytest.mark.parametrize('name', WIDE_CAMERAS)
def test_a_face_at_the_edge_of_a_wide_lens_is_not_turned(name, direction, distance):
    camera, rotation = WIDE_CAMERAS[name], face_from_aligned(matrix_from_aflw([0.1, -0.3, 0.2]))
    sight = np.array([*direction, 1.0]) / np.linalg.norm([*direction, 1.0])
    pose = estimated(rotation, distance * sight, camera)
    assert pose.rotation == pytest.approx(rotation, abs=1e-6)
    assert np.linalg.norm(pose.position) == pytest.approx(distance, rel=0.01)
    assert pose.position == pytest.approx(distance * sight, abs=1e-5)


def test_without_the_correction_the_same_face_would_seem_turned():
    rotation = face_from_aligned(np.eye(3))
    seen = facing(rotation, np.array([1.4, 0.0, 1.0]))
    assert np.degrees(geodesic(seen, rotation)) == pytest.approx(54.5, abs=0.5)


@pytest.mark.parametrize('name', WIDE_CAMERAS)
def test_noise_of_the_landmarks_hardly_turns_the_face(name):
    rng = np.random.default_rng(0)
    camera, rotation = WIDE_CAMERAS[name], face_from_aligned(matrix_from_aflw([0.1, -0.3, 0.2]))
    position = 0.7 * np.array([0.8, 0.3, 0.5])
    pixels, seen = project(rotation, position, camera), facing(rotation, position)
    poses = [
        pose_in_camera(pixels + rng.normal(0, 1.0, (68, 2)), seen, pixels.mean(axis=0), camera)
        for _ in range(50)
    ]
    assert np.degrees([geodesic(p.rotation, rotation) for p in poses]).max() < 0.5
    ranges = np.linalg.norm([p.position for p in poses], axis=1)
    assert ranges == pytest.approx(np.linalg.norm(position), rel=0.06)


def test_without_landmarks_the_crop_s_centre_turns_the_face():
    camera, rotation = WIDE_CAMERAS['no distortion'], face_from_aligned(np.eye(3))
    pose = pose_in_camera(NONE, rotation, [639.5 + 369.5, 359.5], camera)
    assert pose.position is None
    assert geodesic(rotation, pose.rotation) == pytest.approx(np.pi / 4)
    assert pose.rotation[:, 0] == pytest.approx([-np.sqrt(0.5), 0, -np.sqrt(0.5)])


def test_a_crop_that_the_lens_model_does_not_reach_stays_as_seen():
    curls = CameraModel(K, np.array([-0.5, 0.0, 0.0, 0.0]))
    pose = pose_in_camera(NONE, np.eye(3), [2000.0, 236.0], curls)
    assert pose.rotation == pytest.approx(np.eye(3))
    assert pose.position is None


def test_a_face_behind_the_camera_has_no_place():
    camera, rotation = CAMERAS['no distortion'], face_from_aligned(np.eye(3))
    pixels = 2 * K[:2, 2] - project(rotation, np.array([0.0, 0.0, 1.0]), camera)
    assert pose_in_camera(pixels, rotation, K[:2, 2], camera).position is None


def test_landmarks_that_are_no_numbers_have_no_place():
    camera, rotation = CAMERAS['no distortion'], face_from_aligned(np.eye(3))
    pose = pose_in_camera(np.full((68, 2), np.nan), rotation, K[:2, 2], camera)
    assert pose.position is None
    assert pose.rotation == pytest.approx(rotation)


def test_the_size_of_the_face_makes_the_distance_uncertain():
    covariance = position_covariance(np.array([0.0, 0.0, 2.0]), 0.057)
    assert np.sqrt(covariance[2, 2]) == pytest.approx(0.114)
    slanted = position_covariance(np.array([0.3, -0.2, 1.0]), 0.057)
    assert np.linalg.eigvalsh(slanted).min() > -1e-12


@pytest.mark.parametrize('name', WIDE_CAMERAS)
@given(st.floats(140.0, 1139.0), st.floats(160.0, 559.0))
def test_sights_are_unit_and_project_to_their_pixels(name, x, y):
    camera = WIDE_CAMERAS[name]
    (sight,) = camera.sights([x, y])
    assert np.linalg.norm(sight) == pytest.approx(1.0)
    point, zero = sight.reshape(1, 1, 3), np.zeros(3)
    project_points = cv2.fisheye.projectPoints if camera.fisheye else cv2.projectPoints
    pixel = project_points(point, zero, zero, camera.K, camera.distortion)[0].ravel()
    assert pixel == pytest.approx([x, y], abs=1e-3)


def test_there_is_no_sight_where_the_lens_model_ends():
    curls = CameraModel(K, np.array([-0.5, 0.0, 0.0, 0.0]))
    sideways = CameraModel(K, np.zeros(4), fisheye=True)
    inside, outside = [400.0, 236.0], [2000.0, 236.0]
    for camera in (curls, sideways):
        sights = camera.sights([inside, outside])
        assert np.isfinite(sights[0]).all() and np.isnan(sights[1]).all()


def test_rays_that_are_all_parallel_place_nothing():
    endless = CameraModel(np.diag([1e300, 1e300, 1.0]), np.zeros(0))
    pixels = project(FRONTAL, np.array([0.0, 0.0, 0.8]), CAMERAS['no distortion'])
    pose = pose_in_camera(pixels, FRONTAL, pixels.mean(axis=0), endless)
    assert pose.position is None
    assert pose.rotation == pytest.approx(FRONTAL)
