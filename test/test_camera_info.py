"""What a camera_info says of a picture: golden numbers, projections by OpenCV, odd messages."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headpose_ros.geometry.face_shape import mean_face
from headpose_ros.geometry.rotations import face_from_aligned, matrix_from_aflw, toward
from headpose_ros.perception.metric import pose_in_camera
from headpose_ros.ros.input.camera_info import (
    CameraInfoError,
    CameraInfos,
    camera_model,
    is_rectified,
)

GOOD = [600.0, 0, 320, 0, 590, 240, 0, 0, 1]
LENSES = {
    'plumb_bob': [-0.28, 0.08, 1e-3, -5e-4, 0.01],
    'rational_polynomial': [0.3, 0.05, 1e-4, -1e-4, 0.01, 0.6, 0.1, 0.02],
    'equidistant': [0.02, -0.01, 0.003, -0.001],
}
ZERO = np.zeros(3)
ANGLES = st.tuples(*[st.floats(-0.6, 0.6)] * 3)
PLACES = st.tuples(st.floats(-0.2, 0.2), st.floats(-0.15, 0.15), st.floats(0.5, 3.0))


def region(x: int = 0, y: int = 0, width: int = 0, height: int = 0) -> SimpleNamespace:
    return SimpleNamespace(x_offset=x, y_offset=y, width=width, height=height, do_rectify=False)


def info(k: Any = GOOD, d: Any = (), model: str = 'plumb_bob', **changes: Any) -> SimpleNamespace:
    """Return the fields of a sensor_msgs/CameraInfo of 640x480 pixels; P is that of the same K."""
    k = [float(value) for value in k]
    fields = {
        'k': k,
        'd': list(d),
        'distortion_model': model,
        'r': list(np.eye(3).ravel()),
        'p': [*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0],
        'width': 640,
        'height': 480,
        'binning_x': 0,
        'binning_y': 0,
        'roi': region(),
    }
    return SimpleNamespace(**fields | changes)


def projected(points: np.ndarray, message: SimpleNamespace) -> np.ndarray:
    """Return where OpenCV puts points of the optical frame into the full picture, px."""
    project = cv2.fisheye if message.distortion_model == 'equidistant' else cv2
    K, D = np.array(message.k).reshape(3, 3), np.array(message.d)
    return project.projectPoints(points.reshape(-1, 1, 3), ZERO, ZERO, K, D)[0][:, 0]


def head(angles: Any, place: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the rotation of a head and its (68, 3) landmarks in the optical frame."""
    rotation = face_from_aligned(matrix_from_aflw(angles))
    return rotation, mean_face() @ rotation.T + np.array(place)


def facing(rotation: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return what a perfect network finds in the crop."""
    middle = points.mean(axis=0)
    return toward(middle / np.linalg.norm(middle)).T @ rotation


@pytest.mark.parametrize(
    ('changes', 'size', 'expected'),
    [
        ({}, (640, 480), (600, 590, 320, 240)),
        ({'binning_x': 1, 'binning_y': 1}, (640, 480), (600, 590, 320, 240)),
        # Pixel 0 of two that were joined has its centre at 0.5 of the full picture.
        ({'binning_x': 2, 'binning_y': 2}, (320, 240), (300, 295, 159.75, 119.75)),
        ({'binning_x': 4}, (160, 480), (150, 590, 79.625, 240)),
        ({'roi': region(100, 40, 320, 240)}, (320, 240), (600, 590, 220, 200)),
        (
            {'roi': region(100, 40, 320, 240), 'binning_x': 4, 'binning_y': 2},
            (80, 120),
            (150, 295, 54.625, 99.75),
        ),
        # A region that reaches to the border may leave out how far that is.
        ({'roi': region(100, 40)}, (540, 440), (600, 590, 220, 200)),
    ],
)
@pytest.mark.parametrize('rectified', [False, True])
def test_binning_and_roi_move_the_intrinsics(changes, size, expected, rectified):
    camera = camera_model(info(**changes), size, rectified)
    assert (*camera.K[[0, 1], [0, 1]], *camera.K[:2, 2]) == pytest.approx(expected)


@pytest.mark.parametrize('lens', LENSES)
@settings(max_examples=25, deadline=None)
@given(
    angles=ANGLES,
    place=PLACES,
    corner=st.tuples(st.integers(0, 300), st.integers(0, 200)),
    binning=st.tuples(st.integers(1, 8), st.integers(1, 8)),
)
def test_a_pose_is_the_same_from_every_part_of_the_picture(lens, angles, place, corner, binning):
    rotation, points = head(angles, place)
    whole = info(d=LENSES[lens], model=lens)
    pixels = projected(points, whole)
    seen = facing(rotation, points)
    full = pose_in_camera(pixels, seen, pixels.mean(axis=0), camera_model(whole, (640, 480)))
    part = (640 - corner[0], 480 - corner[1])
    message = info(
        d=LENSES[lens],
        model=lens,
        binning_x=binning[0],
        binning_y=binning[1],
        roi=region(*corner, *part),
    )
    size = (part[0] // binning[0], part[1] // binning[1])
    # Pixel i of a picture with n columns joined is the mean of n * i, ..., n * i + n - 1.
    across = np.array(binning)
    binned = (pixels - corner - (across - 1) / 2) / across
    pose = pose_in_camera(binned, seen, binned.mean(axis=0), camera_model(message, size))
    assert pose.position == pytest.approx(full.position, abs=1e-6)
    assert pose.rotation == pytest.approx(full.rotation, abs=1e-6)
    assert full.position == pytest.approx(np.array(place), rel=0.01, abs=0.005)


def test_parts_of_one_picture_are_one_camera_and_other_calibrations_are_not():
    def camera(size=(640, 480), **changes):
        return camera_model(info(**changes), size)

    whole = camera()
    part = camera((160, 240), binning_x=2, roi=region(100, 40, 320, 240))
    assert whole.is_like(part) and part.is_like(whole)
    assert part.is_like(camera((100, 480), roi=region(540, 0, 100, 480)))
    assert part.of_part((1, 2)).is_like(whole)
    assert whole.is_like(camera(k=[603.0, *GOOD[1:]]))
    assert not whole.is_like(camera(k=[620.0, *GOOD[1:]]))
    assert not whole.is_like(camera(d=[0.0] * 4, model='equidistant'))
    assert not camera(d=[0.1] * 4).is_like(camera(d=[0.2] * 4))


@pytest.mark.parametrize(
    'changes',
    [
        {'binning_x': 2, 'binning_y': 2},
        {'roi': region(100, 40, 320, 240)},
        {'width': 0, 'height': 0},
    ],
)
def test_a_picture_of_the_calibrated_size_is_the_full_one(changes):
    message = info(**changes)
    camera = camera_model(message, (message.width or 640, message.height or 480))
    assert pytest.approx(np.reshape(GOOD, (3, 3))) == camera.K


@pytest.mark.parametrize('size', [(50, 100), (51, 100)])
def test_a_last_block_that_is_not_whole_may_be_left_out(size):
    camera = camera_model(info(width=101, height=100, binning_x=2), size)
    assert camera.K[0, 0] == 300


@pytest.mark.parametrize(
    ('changes', 'size', 'said'),
    [
        ({}, (320, 240), 'is for 640x480, images are 320x240'),
        ({'binning_x': 2}, (320, 240), 'with binning 2x1, images are 320x240'),
        ({'binning_x': 2, 'binning_y': 2}, (319, 240), '640x480 with binning 2x2'),
        (
            {'roi': region(0, 0, 100, 100)},
            (100, 99),
            'is for 100x100 of 640x480, images are 100x99',
        ),
        ({'roi': region(600, 0, 100, 100)}, (100, 100), 'roi 100x100 at 600, 0 is not within'),
        ({'roi': region(700, 0)}, (640, 100), 'not within the full picture'),
        # Width and height of the part in place of the full picture's.
        ({'roi': region(100, 40, 640, 480)}, (640, 480), 'not within the full picture'),
        ({'roi': region(0, 2**32 - 1, 100, 100)}, (100, 100), 'not within the full picture'),
    ],
)
def test_intrinsics_of_another_picture_are_refused(changes, size, said):
    with pytest.raises(CameraInfoError, match=said):
        camera_model(info(**changes), size)


@pytest.mark.parametrize(
    ('model', 'count'),
    [
        ('plumb_bob', 4),
        ('plumb_bob', 5),
        ('plumb_bob', 8),
        ('rational_polynomial', 5),
        ('rational_polynomial', 8),
        ('rational_polynomial', 12),
        ('rational_polynomial', 14),
        ('equidistant', 4),
        ('fisheye', 4),
    ],
)
def test_coefficients_are_those_of_opencv(model, count):
    given_d = np.resize([0.03, -0.01, 0.002, -0.001], count)
    camera = camera_model(info(d=given_d, model=model))
    sights = np.array([[0.2, -0.1, 1.0], [-0.3, 0.2, 1.0]])
    fisheye = model in ('equidistant', 'fisheye')
    project = cv2.fisheye.projectPoints if fisheye else cv2.projectPoints
    pixels = project(sights.reshape(-1, 1, 3), ZERO, ZERO, np.reshape(GOOD, (3, 3)), given_d)[0]
    unit = sights / np.linalg.norm(sights, axis=1, keepdims=True)
    assert camera.sights(pixels) == pytest.approx(unit, abs=1e-6)


@pytest.mark.parametrize('model', ['plumb_bob', 'rational_polynomial'])
@pytest.mark.parametrize('count', [0, 1, 3, 6, 7, 13, 20])
def test_zeros_that_are_too_many_or_too_few_are_no_distortion(model, count):
    camera = camera_model(info(d=[0.0] * count, model=model))
    assert not camera.distortion.any()
    assert camera.sights([[320.0, 240.0 + 590.0]])[0] == pytest.approx([0, 0.5**0.5, 0.5**0.5])


@pytest.mark.parametrize('count', [0, 2, 4, 5, 8])
def test_an_equidistant_lens_without_coefficients_has_angles_as_lengths(count):
    camera = camera_model(info(d=[0.0] * count, model='equidistant'))
    ray = camera.sights([[320.0 + 600.0 * 0.7, 240.0]])[0]
    assert ray == pytest.approx([np.sin(0.7), 0.0, np.cos(0.7)], abs=1e-6)


def test_the_fifth_number_of_a_fisheye_driver_is_no_coefficient():
    camera = camera_model(info(d=[0.1, 0.02, -0.03, 0.004, 0.0], model='equidistant'))
    assert camera.distortion.tolist() == [0.1, 0.02, -0.03, 0.004]


@pytest.mark.parametrize('model', ['', 'none'])
def test_no_model_and_no_coefficients_are_no_distortion(model):
    assert not camera_model(info(d=[0.0] * 5, model=model)).distortion.any()


@pytest.mark.parametrize(
    ('d', 'model', 'said'),
    [
        ([0.1] * 3, 'plumb_bob', 'D has 3 coefficients, which plumb_bob does not have'),
        ([0.1] * 6, 'rational_polynomial', 'expected 0, 4, 5, 8, 12 or 14'),
        ([0.1] * 15, 'rational_polynomial', 'D has 15 coefficients'),
        ([0.1] * 5, 'equidistant', 'expected 0 or 4'),
        ([0.1] * 3, 'fisheye', 'expected 0 or 4'),
        ([0.1] * 5, '', "distortion_model is ''; expected one of equidistant, fisheye, plumb_bob"),
        ([0.1] * 5, 'omnidirectional', "is 'omnidirectional'"),
        ([0.0] * 4, 'Kannala Brandt4', "is 'Kannala Brandt4'"),
        ([], 'x' * 10_000, "is 'x{60}...'; expected"),
        ([0.0, float('inf'), 0.0, 0.0], 'plumb_bob', 'NaN or infinity'),
    ],
)
def test_distortions_that_nothing_here_knows_are_refused(d, model, said):
    with pytest.raises(CameraInfoError, match=said):
        camera_model(info(d=d, model=model))


@pytest.mark.parametrize('place', range(9))
@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('rectified', [False, True])
def test_no_place_of_the_intrinsics_may_be_nan(place, value, rectified):
    k = list(GOOD)
    k[place] = value
    with pytest.raises(CameraInfoError, match=f'{"P" if rectified else "K"} holds NaN'):
        camera_model(info(k), rectified=rectified)


@pytest.mark.parametrize('lens', LENSES)
@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_no_coefficient_may_be_nan(lens, value):
    for place in range(len(LENSES[lens])):
        d = list(LENSES[lens])
        d[place] = value
        with pytest.raises(CameraInfoError, match='D holds NaN or infinity'):
            camera_model(info(d=d, model=lens))


@pytest.mark.parametrize(
    ('k', 'said'),
    [
        ([-600.0, *GOOD[1:]], 'expected positive focal lengths'),
        ([*GOOD[:4], 0.0, *GOOD[5:]], 'focal lengths 600, 0'),
        ([0.0] * 8 + [1.0], 'focal lengths 0, 0'),
        ([*GOOD[:8], 0.0], 'K .* 0 in its lower right corner'),
        (np.reshape(GOOD, (3, 3)).T.ravel(), 'column by column'),
        ([0.9, 0, 0.5, 0, 1.2, 0.5, 0, 0, 1], 'focal lengths 0.9, 1.2 .* 640x480; .* in pixels'),
        ([6e9, *GOOD[1:]], 'expected them in pixels'),
    ],
)
def test_a_matrix_that_no_camera_has_is_refused(k, said):
    with pytest.raises(CameraInfoError, match=said):
        camera_model(info(k))


def test_zero_means_uncalibrated():
    assert camera_model(info([0.0] * 9, [np.nan], 'nonsense')) is None
    assert camera_model(info(p=[0.0] * 12), rectified=True) is None


def test_a_skew_moves_pixels_along_their_row():
    camera = camera_model(info([600.0, 30.0, 320.0, 0.0, 590.0, 240.0, 0.0, 0.0, 1.0]))
    # u = 600 * 0.2 + 30 * 0.1 + 320, v = 590 * 0.1 + 240
    ray = camera.sights([[443.0, 299.0]])[0]
    assert ray / ray[2] == pytest.approx([0.2, 0.1, 1.0])
    binned = camera.of_part((0, 0), (2, 2))
    assert binned.sights([[221.25, 149.25]])[0] == pytest.approx(ray)


def test_of_a_rectified_picture_nothing_but_p_counts():
    p = [200.0, 0, 255.5, 0, 0, 210.0, 245.5, 0, 0, 0, 1, 0]
    message = info([np.nan] * 9, [np.nan] * 3, 'nonsense', p=p, r=[np.nan] * 9)
    camera = camera_model(message, (640, 480), rectified=True)
    ray = camera.sights([[255.5 + 40.0, 245.5 + 21.0]])[0]
    assert ray / ray[2] == pytest.approx([0.2, 0.1, 1.0])


@settings(max_examples=25, deadline=None)
@given(ANGLES, PLACES, st.floats(0.02, 0.5))
def test_both_cameras_of_a_stereo_pair_see_a_head_from_where_they_are(angles, place, baseline):
    rotation, points = head(angles, place)
    found = []
    for tx in (0.0, -600.0 * baseline):
        P = np.array([[600.0, 0, 320, tx], [0, 600, 240, 0], [0, 0, 1, 0]])
        u, v, w = P @ np.column_stack([points, np.ones(68)]).T
        pixels = np.column_stack([u / w, v / w])
        own = points + np.array(
            [tx / 600.0, 0, 0]
        )  # P takes points in the frame of the first camera
        camera = camera_model(info(p=P.ravel()), (640, 480), rectified=True)
        found.append(pose_in_camera(pixels, facing(rotation, own), pixels.mean(axis=0), camera))
    left, right = found
    assert left.position == pytest.approx(np.array(place), abs=1e-4)
    first = right.position + np.array([baseline, 0, 0])
    assert first == pytest.approx(left.position, abs=1e-4)
    assert right.rotation == pytest.approx(left.rotation, abs=1e-4)


NUMBERS = st.floats(width=64) | st.sampled_from([0.0, 1.0, 600.0, 1e-300, 1e300])
COUNTS = st.integers(0, 2**32 - 1) | st.integers(0, 700)


@settings(max_examples=300, deadline=None)
@given(
    k=st.lists(NUMBERS, min_size=9, max_size=9)
    | st.builds(
        lambda f, c: [f, 0.0, c, 0.0, f, c, 0.0, 0.0, 1.0], st.floats(1e-9, 1e300), NUMBERS
    ),
    d=st.lists(NUMBERS | st.floats(-1, 1), max_size=16),
    model=st.sampled_from([*LENSES, 'fisheye', '', 'none']) | st.text(),
    sizes=st.tuples(COUNTS, COUNTS, COUNTS, COUNTS),
    roi=st.builds(region, COUNTS, COUNTS, COUNTS, COUNTS),
    size=st.tuples(st.integers(1, 2000), st.integers(1, 2000)),
    rectified=st.booleans(),
)
def test_any_camera_info_gives_a_camera_or_a_reason(k, d, model, sizes, roi, size, rectified):
    width, height, across, down = sizes
    message = info(
        k, d, model, width=width, height=height, binning_x=across, binning_y=down, roi=roi
    )
    rotation, points = head((0.1, 0.2, 0.0), (0.0, 0.0, 0.8))
    pixels = projected(points, info())
    try:
        camera = camera_model(message, size, rectified)
    except CameraInfoError as error:
        assert len(str(error)) < 400
        return
    if camera is None:
        assert not np.any(k)
        return
    with np.errstate(all='ignore'):
        pose = pose_in_camera(pixels, facing(rotation, points), pixels.mean(axis=0), camera)
    assert np.isfinite(pose.rotation).all()
    assert pose.position is None or np.isfinite(pose.position).all()


@pytest.mark.parametrize(
    ('topic', 'rectified'),
    [
        ('/camera/image_rect', True),
        ('/camera/image_rect_color', True),
        ('/camera/infra1/image_rect_raw', True),
        ('/camera/image_rect_color/compressed', True),
        ('/zed/left/color/rect/image', True),
        ('/camera/image_rectified', True),
        ('/camera/image_raw', False),
        ('/camera/image_raw/compressed', False),
        ('/rect/front/camera/image_raw', False),
        ('/director/correct/image', False),
        ('', False),
    ],
)
def test_the_name_of_the_topic_says_whether_pictures_are_rectified(topic, rectified):
    assert is_rectified('auto', topic) is rectified
    assert is_rectified('true', topic)
    assert not is_rectified('false', topic)


def test_an_image_gets_the_camera_info_of_its_stamp_else_the_newest():
    infos = CameraInfos()
    assert infos.of(SimpleNamespace(stamp=3)) is None
    for number in range(1000):
        infos.add(SimpleNamespace(header=SimpleNamespace(stamp=number)))
    assert infos.of(SimpleNamespace(stamp=997)).header.stamp == 997
    assert infos.of(SimpleNamespace(stamp=3)).header.stamp == 999
    assert infos.of(SimpleNamespace(stamp=1001)).header.stamp == 999
