"""The virtual camera: its motion is what the pictures show."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from headpose_ros.sources.open import open_source, open_stream
from headpose_ros.sources.photograph import FACE
from headpose_ros.sources.pictures import ImageSource
from headpose_ros.sources.virtual_camera import (
    MAX_PAN,
    MAX_ROLL,
    MAX_ZOOM,
    PERIOD,
    Motion,
    VirtualCamera,
    VirtualCameraSource,
    sway,
)

TIMES = np.linspace(0.0, PERIOD, 49)


def dots(size: tuple[int, int] = (512, 512)) -> tuple[np.ndarray, np.ndarray]:
    """Return a grey photograph with a red dot left of a blue one, and the dots' (x, y)."""
    photo = np.full((*size, 3), 120, np.uint8)
    middle = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])
    points = np.round(middle + np.array([[-60.0, 0.0], [60.0, 0.0]]))
    for point, colour in zip(points, [(0, 0, 255), (255, 0, 0)], strict=True):
        cv2.circle(photo, tuple(map(int, point)), 9, colour, -1)
    return photo, points


def find_dots(image: np.ndarray) -> np.ndarray:
    """Return the centres (x, y) of the red and the blue dot."""
    blue, _, red = np.moveaxis(image.astype(float), 2, 0)
    centres = []
    for weight in (np.clip(red - blue - 60, 0, None), np.clip(blue - red - 60, 0, None)):
        rows, columns = np.nonzero(weight)
        centres.append([columns.mean(), rows.mean()])
    return np.array(centres)


def test_default_motion_is_a_smooth_loop_within_its_limits() -> None:
    motions = np.array([sway(t) for t in TIMES])
    assert np.abs(motions[:, :2]).max() <= MAX_PAN
    assert motions[:, 2].min() == pytest.approx(1.0)
    assert motions[:, 2].max() == pytest.approx(MAX_ZOOM)
    assert np.abs(motions[:, 3]).max() == pytest.approx(MAX_ROLL) == math.radians(25.0)
    np.testing.assert_allclose(sway(3.3 + PERIOD), sway(3.3))
    steps = np.diff([sway(t) for t in np.arange(0.0, 2 * PERIOD, 1 / 30)], axis=0)
    assert np.degrees(np.abs(steps[:, 3]).max()) < 0.5 and np.abs(steps[:, :3]).max() < 0.01


@pytest.mark.parametrize('time', [0.0, 1.0, 3.0, 5.5, 9.0, 11.2])
def test_pictures_show_the_known_roll_zoom_and_place(time: float) -> None:
    photo, points = dots()
    frame = VirtualCamera(photo).frame(time)
    assert frame.image.shape == (480, 640, 3) and frame.image.dtype == np.uint8
    red, blue = find_dots(frame.image)
    expected = points @ frame.matrix[:, :2].T + frame.matrix[:, 2]
    np.testing.assert_allclose([red, blue], expected, atol=0.5)
    # Clockwise with y down: the right dot goes down.
    across = blue - red
    assert math.atan2(across[1], across[0]) == pytest.approx(frame.roll, abs=math.radians(0.3))
    assert np.linalg.norm(across) == pytest.approx(120 * 1.25 * frame.motion.zoom, rel=0.01)


def test_clockwise_roll_is_positive() -> None:
    photo, _ = dots()
    camera = VirtualCamera(photo, motion=lambda t: Motion(0.0, 0.0, 1.0, math.pi / 2))
    red, blue = find_dots(camera.frame(0.0).image)
    assert blue[1] > red[1] + 100 and abs(blue[0] - red[0]) < 2


def test_pan_moves_the_focus_by_parts_of_the_width() -> None:
    photo, points = dots()
    camera = VirtualCamera(
        photo, 320, 240, lambda t: Motion(0.1, -0.05, 1.0, 0.2), focus=tuple(points[0])
    )
    red, _ = find_dots(camera.frame(0.0).image)
    np.testing.assert_allclose(red, [159.5 + 32.0, 119.5 - 16.0], atol=0.5)


def test_large_photographs_are_shrunk_and_still_map_right() -> None:
    photo, points = dots((2000, 2400))
    frame = VirtualCamera(photo, 320, 240).frame(2.0)
    expected = points @ frame.matrix[:, :2].T + frame.matrix[:, 2]
    np.testing.assert_allclose(find_dots(frame.image), expected, atol=0.5)


def test_beyond_the_photograph_is_a_smooth_margin_of_its_edge() -> None:
    photo = np.full((200, 200, 3), 90, np.uint8)
    photo[60:140, 60:140] = 255  # what must not be mirrored outside
    camera = VirtualCamera(photo, 200, 200, lambda t: Motion(0.45, 0.0, 1.0, 0.3))
    image = camera.frame(0.0).image
    assert np.abs(image[:, :60].astype(int) - 90).max() <= 8


def test_margin_covers_every_view() -> None:
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (90, 160, 3), np.uint8)
    camera = VirtualCamera(photo, 320, 240)
    for time in TIMES:
        # Noise shows streaks at once: no row and no column of the picture may be constant.
        image = camera.frame(time).image.astype(float)
        assert image.std(axis=1).max(axis=1).min() > 0.5 and image.std(axis=0).max() > 0.5


def test_face_of_the_astronaut_stays_in_view() -> None:
    source = open_stream('astronaut')
    assert isinstance(source, VirtualCameraSource)
    x, y = FACE
    box = np.array([[180.0, 60.0], [260.0, 60.0], [180.0, 190.0], [260.0, 190.0], [x, y]])
    for time in TIMES:
        frame = source.camera.frame(time)
        seen = box @ frame.matrix[:, :2].T + frame.matrix[:, 2]
        assert (seen >= 0).all() and (seen <= [639, 479]).all()
        height = np.linalg.norm(seen[2] - seen[0])
        assert 160 <= height <= 261


def test_source_gives_one_period_and_goes_on_after_rewind() -> None:
    photo, _ = dots()
    source = VirtualCameraSource(VirtualCamera(photo, 64, 48), fps=2.0)
    frames = list(source)
    assert len(frames) == round(PERIOD * 2.0) and source.last is not None
    assert source.last.time == pytest.approx(PERIOD - 0.5)
    source.rewind()
    np.testing.assert_array_equal(source.read(), frames[0])
    assert source.last.roll == 0.0 and source.time == PERIOD


@pytest.mark.parametrize(
    ('size', 'shape'),
    [
        ((0, 0), (480, 640, 3)),
        ((320, 0), (240, 320, 3)),
        ((0, 240), (240, 320, 3)),
        ((300, 300), (300, 300, 3)),
    ],
)
def test_open_stream_moves_stills_only(
    tmp_path: Path, size: tuple[int, int], shape: tuple[int, int, int]
) -> None:
    cv2.imwrite(str(tmp_path / 'a.png'), dots()[0])
    moving = open_stream(tmp_path / 'a.png', width=size[0], height=size[1], fps=10.0)
    frame = moving.read()
    assert frame is not None and frame.shape == shape and moving.fps == 10.0
    assert isinstance(open_stream(tmp_path / 'a.png', move_still=False), ImageSource)
    folder = open_stream(tmp_path)
    assert not isinstance(folder, VirtualCameraSource)
    assert type(folder) is type(open_source(tmp_path))
