"""True distances from depth images: synthetic heads in front of a wall, with everything known."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headpose_ros.geometry.camera import CameraModel
from headpose_ros.geometry.face_shape import INTERPUPILLARY_DISTANCE, mean_face
from headpose_ros.geometry.landmarks import GROUPS
from headpose_ros.geometry.rotations import face_from_aligned, matrix_from_aflw, toward
from headpose_ros.perception.depth import DepthImage, measured_size
from headpose_ros.perception.faces import Face
from headpose_ros.perception.metric import pose_in_camera
from headpose_ros.perception.sizes import FaceSizes
from headpose_ros.ros.input.depth import decode_depth
from headpose_ros.ros.input.images import ImageError

WIDTH, HEIGHT = 640, 480
CAMERA = CameraModel(np.array([[620.0, 0, 319.5], [0, 620.0, 239.5], [0, 0, 1]]), np.zeros(0))
#: The landmarks' own triangles in the face's plane: a surface to measure.
_FLAT = mean_face()[:, 1:]
TRIANGLES = cv2.Subdiv2D((-1000, -1000, 2000, 2000))
WALL = 3.0


def triangles():
    """Return (T, 3) indices of a triangulation of the face's landmarks."""
    flat = np.round(_FLAT * 4000).astype(np.float32)
    for x, y in flat:
        TRIANGLES.insert((float(x), float(y)))
    found = TRIANGLES.getTriangleList().reshape(-1, 3, 2)
    nearest = np.linalg.norm(found[:, :, None] - flat[None, None], axis=-1)
    return nearest.argmin(axis=2)[nearest.min(axis=2).max(axis=1) < 1.0]


def scene(size=1.0, angles=(0.1, 0.3, -0.1), place=(0.1, -0.05, 0.8), noise=0.0, seed=0, shape=0.0):
    """Return (H, W) metres of depth, (68, 2) px of landmarks, and the rotation of a head.

    Args:
        size: Of the head, over the mean head's.
        angles: Pitch, yaw, roll in rad.
        place: Of the sellion, metres.
        noise: Standard deviation of the depth over its square (a stereo camera's), 1/m.
        seed: Of the noise.
        shape: Standard deviation of each landmark from its place on the mean head, metres.
    """
    rotation = face_from_aligned(matrix_from_aflw(angles))
    rng = np.random.default_rng(seed)
    own = size * (mean_face() + shape * rng.standard_normal((68, 3)))
    points = own @ rotation.T + np.array(place)
    pixels = points[:, :2] / points[:, 2:] * 620.0 + [319.5, 239.5]
    depth = np.full((HEIGHT, WIDTH), WALL)
    for corners in triangles():
        _paint(depth, pixels[corners], points[corners, 2])
    depth += noise * depth**2 * rng.standard_normal(depth.shape)
    return depth, pixels, rotation


def _paint(depth, corners, distances):
    """Put a triangle into a depth image; the nearest surface counts. 1/z is flat in the image."""
    low = np.floor(corners.min(axis=0)).astype(int).clip(0)
    high = np.ceil(corners.max(axis=0)).astype(int) + 1
    x, y = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
    edges = np.column_stack([corners[1] - corners[0], corners[2] - corners[0]])
    if abs(np.linalg.det(edges)) < 1e-9:
        return
    ab = np.linalg.solve(edges, np.stack([x.ravel(), y.ravel()]) - corners[0][:, None])
    weights = np.stack([1 - ab.sum(axis=0), *ab])
    inside = (weights > -1e-6).all(axis=0)
    z = 1 / (weights[:, inside] * (1 / distances)[:, None]).sum(axis=0)
    rows, columns = y.ravel()[inside], x.ravel()[inside]
    known = (rows < depth.shape[0]) & (columns < depth.shape[1])
    rows, columns, z = rows[known], columns[known], z[known]
    depth[rows, columns] = np.minimum(depth[rows, columns], z)


def seen(pixels, rotation, place, size=1.0):
    """Return the face that a perfect network finds, at the place where the mean face fits."""
    middle = (size * mean_face() @ rotation.T + np.array(place)).mean(axis=0)
    facing = toward(middle / np.linalg.norm(middle)).T @ rotation
    pose = pose_in_camera(pixels, facing, pixels.mean(axis=0), CAMERA)
    ones = np.ones(68)
    return Face('f1', np.zeros(4), pose.rotation, pixels, ones, ones, 0.9, position=pose.position)


def metres(depth):
    return DepthImage(depth.astype(np.float32), 1.0)


def millimetres(depth):
    return DepthImage(np.round(depth * 1000).astype(np.uint16), 1e-3)


def relative_error(face, place):
    return abs(np.linalg.norm(face.position) / np.linalg.norm(place) - 1.0)


@pytest.mark.parametrize('camera', [metres, millimetres])
@settings(max_examples=30, deadline=None)
@given(
    size=st.floats(0.8, 1.2),
    angles=st.tuples(*[st.floats(-0.6, 0.6)] * 3),
    place=st.tuples(st.floats(-0.15, 0.15), st.floats(-0.1, 0.1), st.floats(0.5, 1.5)),
    seed=st.integers(0, 1000),
)
def test_with_depth_the_distance_is_within_two_percent(camera, size, angles, place, seed):
    depth, pixels, rotation = scene(size, angles, place, noise=0.005, seed=seed)
    face = FaceSizes().apply(seen(pixels, rotation, place, size), camera(depth))
    assert face.distance_is_measured
    assert relative_error(face, place) < 0.02
    assert face.interpupillary_distance == pytest.approx(size * 0.063, rel=0.02)
    error, direction = face.position - place, np.array(place) / np.linalg.norm(place)
    assert abs(error @ direction) < 3 * np.sqrt(direction @ face.covariance[:3, :3] @ direction)


def test_how_exact_distances_are():
    rng, errors = np.random.default_rng(0), []
    for number in range(40):
        angles = rng.uniform(-0.6, 0.6, 3)
        place = rng.uniform([-0.15, -0.1, 0.5], [0.15, 0.1, 1.5])
        size = rng.normal(1.0, 0.057)
        depth, pixels, rotation = scene(size, angles, place, noise=0.005, seed=number, shape=0.003)
        noise = 0.01 * np.ptp(pixels, axis=0).max()
        face = seen(pixels + rng.normal(0, noise, pixels.shape), rotation, place, size)
        with_depth = FaceSizes().apply(face, millimetres(depth))
        without = FaceSizes(INTERPUPILLARY_DISTANCE * size).apply(face, None)
        adult = FaceSizes().apply(face, None)
        errors.append([100 * relative_error(f, place) for f in (with_depth, without, adult)])
    for name, column in zip(('depth', 'own size', 'adult size'), np.transpose(errors), strict=True):
        print(f'{name}: median {np.median(column):.1f} %, largest {column.max():.1f} %')
    with_depth, without, _ = np.transpose(errors)
    assert with_depth.max() < 2
    assert np.median(without) < 3


@settings(max_examples=30, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-0.6, 0.6)] * 3),
    place=st.tuples(st.floats(-0.15, 0.15), st.floats(-0.1, 0.1), st.floats(0.5, 1.5)),
    seed=st.integers(0, 1000),
)
def test_without_depth_the_distance_of_the_mean_face_is_within_six_percent(angles, place, seed):
    _, pixels, rotation = scene(1.0, angles, place)
    noise = 0.01 * np.ptp(pixels, axis=0).max()
    pixels = pixels + np.random.default_rng(seed).normal(0, noise, pixels.shape)
    face = FaceSizes().apply(seen(pixels, rotation, place), None)
    assert not face.distance_is_measured
    assert face.interpupillary_distance == INTERPUPILLARY_DISTANCE
    assert relative_error(face, place) < 0.06


def test_the_distance_is_proportional_to_the_interpupillary_distance():
    place = (0.1, -0.05, 0.8)
    _, pixels, rotation = scene(50 / 63, place=place)
    adult = FaceSizes().apply(seen(pixels, rotation, place, 50 / 63), None)
    child = FaceSizes(0.050).apply(seen(pixels, rotation, place, 50 / 63), None)
    assert np.linalg.norm(adult.position) == pytest.approx(63 / 50 * np.linalg.norm(place))
    assert child.position == pytest.approx(np.array(place), abs=1e-4)
    assert child.interpupillary_distance == pytest.approx(0.050)


@pytest.mark.parametrize('hole', [0.0, np.nan, np.inf, -np.inf])
def test_holes_in_the_depth_do_not_count(hole):
    place, rng = (0.1, -0.05, 0.8), np.random.default_rng(1)
    depth, pixels, rotation = scene(1.1, place=place)
    depth[rng.random(depth.shape) < 0.9] = hole
    face = FaceSizes().apply(seen(pixels, rotation, place), metres(depth))
    assert face.distance_is_measured
    assert relative_error(face, place) < 0.02


def test_hidden_landmarks_do_not_count():
    place = (0.0, 0.0, 0.8)
    depth, pixels, rotation = scene(1.1, place=place)
    visibility = np.ones(68)
    mouth = [*GROUPS['outer_lips'], *GROUPS['inner_lips'], *GROUPS['nose_base']]
    visibility[mouth] = 0.1
    low, high = pixels[mouth].min(axis=0).astype(int) - 9, pixels[mouth].max(axis=0).astype(int) + 9
    depth[low[1] : high[1], low[0] : high[0]] = 0.5  # a hand
    face = replace(seen(pixels, rotation, place), visibility=visibility)
    assert relative_error(FaceSizes().apply(face, metres(depth)), place) < 0.02


def background(depth):
    return np.full_like(depth, WALL)


def all_holes(depth):
    return np.zeros_like(depth)


def clutter(depth):
    return np.random.default_rng(0).choice([0.5, 1.2], depth.shape)


def a_picture_of_a_face(depth):
    return np.full_like(depth, 0.3)


@pytest.mark.parametrize(
    'spoil', [background, all_holes, clutter, a_picture_of_a_face], ids=lambda f: f.__name__
)
def test_depth_that_says_nothing_about_the_face_leaves_the_assumed_size(spoil):
    place = (0.1, -0.05, 0.8)
    depth, pixels, rotation = scene(1.1, place=place)
    plain = FaceSizes().apply(seen(pixels, rotation, place), None)
    face = FaceSizes().apply(seen(pixels, rotation, place), metres(spoil(depth)))
    assert not face.distance_is_measured
    assert face.position == pytest.approx(plain.position)


def test_a_size_that_was_measured_is_remembered_for_that_face_only():
    place, sizes = (0.1, -0.05, 0.8), FaceSizes()
    depth, pixels, rotation = scene(0.85, place=place)
    face = seen(pixels, rotation, place)
    sizes.apply(face, metres(depth))
    later = sizes.apply(face, None)
    assert not later.distance_is_measured
    assert relative_error(later, place) < 0.02
    other = sizes.apply(replace(face, id='f2'), None)
    assert other.interpupillary_distance == INTERPUPILLARY_DISTANCE
    sizes.keep(['f2'])
    assert sizes.apply(face, None).interpupillary_distance == INTERPUPILLARY_DISTANCE


def test_a_face_without_a_place_has_no_size():
    depth, pixels, rotation = scene()
    face = replace(seen(pixels, rotation, (0, 0, 1)), position=None)
    assert FaceSizes().apply(face, metres(depth)) is face


def test_a_face_that_is_partly_outside_of_the_image_is_measured_by_the_rest():
    place = (0.42, 0.0, 0.8)
    depth, pixels, rotation = scene(0.9, (0, 0, 0), place)
    assert (pixels[:, 0] > WIDTH).any()
    face = FaceSizes().apply(seen(pixels, rotation, place), metres(depth))
    assert face.distance_is_measured
    assert relative_error(face, place) < 0.02


def test_depth_is_read_where_it_is():
    values = np.arange(20, dtype=np.uint16).reshape(4, 5) * 100
    depth = DepthImage(values, 1e-3)
    inside, beside, nowhere = depth.at([[2.2, 1.8], [-1.0, 0.0], [np.nan, 1e300]])[[0, 1, 2]]
    assert inside == pytest.approx(1.2)  # the median of the nine around row 2, column 2
    assert beside == pytest.approx(0.5)  # 0 is a hole: only row 1 of column 0 is left
    assert np.isnan(nowhere)


@given(st.lists(st.tuples(st.floats(), st.floats()), min_size=68, max_size=68))
@settings(max_examples=30, deadline=None)
def test_no_landmarks_break_the_measurement(points):
    depth = DepthImage(np.ones((4, 5), np.float32), 1.0)
    place = np.array([0.0, 0.0, 1.0])
    size = measured_size(depth, np.array(points), np.ones(68), np.eye(3), place)
    assert size is None or 0.5 < size < 1.5


def message(values, encoding, big_endian=False, padding=0):
    """Return what decode_depth needs of a sensor_msgs/Image."""
    rows = values.reshape(len(values), -1).view(np.uint8)
    rows = np.pad(rows, [(0, 0), (0, padding)])
    return SimpleNamespace(
        encoding=encoding,
        width=values.shape[1],
        height=values.shape[0],
        step=rows.shape[1],
        is_bigendian=big_endian,
        data=rows.tobytes(),
    )


MILLIMETRES = np.array([[0, 500, 1000], [1500, 2000, 65535]])


@pytest.mark.parametrize('padding', [0, 4])
@pytest.mark.parametrize(
    ('kind', 'encoding', 'unit'),
    [('<u2', '16UC1', 1), ('>u2', '16UC1', 1), ('<f4', '32FC1', 1e-3), ('>f4', '32FC1', 1e-3)],
)
def test_depth_images_of_both_encodings_are_metres(kind, encoding, unit, padding):
    sent = message((MILLIMETRES * unit).astype(kind), encoding, kind[0] == '>', padding)
    depth = decode_depth(sent, (3, 2))
    assert depth.values * depth.unit == pytest.approx(MILLIMETRES * 1e-3)
    assert np.isnan(DepthImage(depth.values[:1, :1], depth.unit).at([[0, 0]]))[0]


def test_depth_that_cannot_be_used_is_refused_in_words():
    good = message(MILLIMETRES.astype('<u2'), '16UC1')
    for changes, said in (
        ({'encoding': 'rgb8'}, "encoding 'rgb8': expected 16UC1 .* or 32FC1"),
        ({'width': 2}, '2x2 pixels, the colour image 3x2: expected depth that is aligned'),
        ({'data': good.data[:-1]}, '11 bytes, but 3x2 16UC1 with step 6 needs 12'),
        ({'step': 5}, 'step is 5, .* needs at least 6'),
    ):
        with pytest.raises(ImageError, match=said):
            decode_depth(SimpleNamespace(**{**vars(good), **changes}), (3, 2))


@pytest.mark.parametrize(
    ('values', 'encoding', 'said'),
    [
        (MILLIMETRES.astype('<f4'), '32FC1', 'is 1500 m: expected metres, as 32FC1 has'),
        (np.array([[0, 1], [2, 3]], '<u2'), '16UC1', 'is 0.002 m: expected millimetres, as 16UC1'),
        (np.array([[np.nan, 900], [np.inf, 800]], '<f4'), '32FC1', 'is 850 m: expected metres'),
        (np.array([[np.nan, 9e-4], [-1, 8e-4]], '<f4'), '32FC1', 'is 0.00085 m'),
    ],
)
def test_depth_in_another_unit_than_the_encoding_s_is_refused(values, encoding, said):
    with pytest.raises(ImageError, match=said):
        decode_depth(message(values, encoding), values.shape[::-1])


@pytest.mark.parametrize('hole', [0.0, -1.0, np.nan, np.inf, -np.inf])
def test_an_image_of_holes_has_no_unit_and_no_distance(hole):
    depth = decode_depth(message(np.full((3, 4), hole, '<f4'), '32FC1'), (4, 3))
    assert np.isnan(depth.at([[1.0, 1.0]])).all()


def test_the_unit_is_seen_from_all_of_a_large_image():
    values = np.full((480, 640), 1500.0, '<f4')
    values[:200] = 1.5  # less than half of it
    with pytest.raises(ImageError, match='1500 m'):
        decode_depth(message(values, '32FC1'), (640, 480))
