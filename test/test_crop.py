from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headpose_ros.geometry.crop import CropWindow, apply_affine, invert_affine
from headpose_ros.perception.crop import cut

WINDOWS = st.builds(
    CropWindow,
    st.floats(60, 260),
    st.floats(60, 180),
    st.floats(40, 300),
    st.floats(-np.pi, np.pi),
)


@given(WINDOWS, st.sampled_from([64, 128, 256]))
def test_maps_are_inverse(window, size):
    points = np.random.default_rng(0).uniform(-50, 400, (20, 2))
    back = apply_affine(window.to_image(size), apply_affine(window.to_crop(size), points))
    assert back == pytest.approx(points, abs=1e-6)


def test_pixel_centres_are_at_integers():
    # A window that covers exactly the image maps the image's border to the crop's border.
    window = CropWindow(31.5, 31.5, 64.0)
    corners = np.array([[-0.5, -0.5], [63.5, 63.5], [31.5, 31.5]])
    expected = np.array([[-0.5, -0.5], [127.5, 127.5], [63.5, 63.5]])
    assert apply_affine(window.to_crop(128), corners) == pytest.approx(expected)


def test_window_of_the_image_itself_changes_nothing():
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    assert (cut(image, CropWindow(31.5, 31.5, 64.0), 64) == image).all()


@settings(max_examples=40, deadline=None)
@given(WINDOWS)
def test_a_dot_comes_back_within_half_a_pixel(window):
    """The round trip through real pixels: draw, cut, find, map back."""
    size, sigma = 128, max(3.0, 2.5 * window.side / 128)
    y, x = np.mgrid[:240, :320]
    at = np.array([window.center_x + 5, window.center_y - 4])
    dot = 255 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * sigma**2))
    image = np.repeat(dot.round().astype(np.uint8)[:, :, None], 3, axis=2)
    seen = cut(image, window, size)[:, :, 0].astype(np.float64)
    seen[seen < 30] = 0
    v, u = np.mgrid[:size, :size]
    center = np.array([(u * seen).sum(), (v * seen).sum()]) / seen.sum()
    back = apply_affine(window.to_image(size), center)
    radius = sigma * 2.1 * size / window.side  # where the dot falls below 30
    inside = apply_affine(window.to_crop(size), at)
    if (inside > radius).all() and (inside < size - radius).all():
        assert np.linalg.norm(back - at) < 0.5


def test_window_around_landmarks_turns_with_the_face():
    rng = np.random.default_rng(2)
    points = rng.uniform(0, 100, (68, 2))
    upright = CropWindow.around_landmarks(points)
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])  # clockwise in an image with y down
    turned = CropWindow.around_landmarks(points @ quarter.T, np.pi / 2)
    assert turned.side == pytest.approx(upright.side)
    one = apply_affine(upright.to_crop(128), points)
    two = apply_affine(turned.to_crop(128), points @ quarter.T)
    assert two == pytest.approx(one)


def test_turned_about_keeps_the_pivot():
    window = CropWindow(50.0, 60.0, 40.0, 0.1).turned_about([50.0, 50.0], np.pi / 2)
    assert (window.center_x, window.center_y) == pytest.approx((40.0, 50.0))
    assert window.angle == pytest.approx(0.1 + np.pi / 2)


def test_invert_affine():
    matrix = np.array([[2.0, 0.5, 3.0], [-0.5, 1.5, -4.0]])
    assert invert_affine(invert_affine(matrix)) == pytest.approx(matrix)


@pytest.mark.parametrize('center', [(-300.0, -300.0), (900.0, 50.0)])
def test_a_window_beyond_the_image_is_filled_from_its_border(center):
    image = np.full((48, 64, 3), 77, np.uint8)
    assert (cut(image, CropWindow(*center, 50.0), 32) == 77).all()
