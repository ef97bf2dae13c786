"""Calibration files, scaling and ideal cameras."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip('rclpy')

from headpose_ros.ros.input import calibration
from headpose_ros.ros.input.calibration import (
    CalibrationError,
    load_calibration,
    pinhole,
    save_calibration,
    scaled,
    uncalibrated,
)

# As camera_calibration writes it.
FILE = """\
image_width: 640
image_height: 480
camera_name: narrow_stereo
camera_matrix:
  rows: 3
  cols: 3
  data: [438.783367, 0.000000, 305.593336, 0.000000, 437.302876, 243.738352, 0, 0, 1]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.361976, 0.110510, 0.001014, 0.000505, 0.000000]
rectification_matrix:
  rows: 3
  cols: 3
  data: [0.999978, 0.002789, -0.006046, -0.002816, 0.999986, -0.004401, 0.006034, 0.004417, 0.99]
projection_matrix:
  rows: 3
  cols: 4
  data: [393.653800, 0, 322.797939, -7.5, 0, 393.653800, 241.090902, 0, 0, 0, 1, 0]
"""


def write(tmp_path: Path, **changes: Any) -> Path:
    """Write the file with some keys changed; a value of None leaves the key out."""
    content = {**yaml.safe_load(FILE), **changes}
    path = tmp_path / 'camera.yaml'
    path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))
    return path


def test_load_takes_the_urls_of_camera_drivers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / 'share/my_robot/config/camera.yaml'
    file.parent.mkdir(parents=True)
    file.write_text(FILE)
    monkeypatch.setattr(sys, 'prefix', str(tmp_path))
    for url in (f'file://{file}', 'package://my_robot/config/camera.yaml'):
        assert load_calibration(url) == load_calibration(file)


@pytest.mark.parametrize('url', ['package://', 'package://no_robot/camera.yaml', 'package://a b/c'])
def test_a_url_without_a_file_is_named(url: str) -> None:
    with pytest.raises(CalibrationError, match=f'no calibration at {url}: .* is not installed'):
        load_calibration(url)


def test_load_reads_what_camera_calibration_writes(tmp_path: Path) -> None:
    path = tmp_path / 'camera.yaml'
    path.write_text(FILE)
    for spec in (path, f'file://{path}'):
        info = load_calibration(spec)
        assert (info.width, info.height, info.distortion_model) == (640, 480, 'plumb_bob')
        assert list(info.k)[:3] == [438.783367, 0.0, 305.593336]
        assert list(info.d) == [-0.361976, 0.110510, 0.001014, 0.000505, 0.0]
        assert info.r[8] == 0.99 and info.p[3] == -7.5


def test_missing_optional_keys_have_the_usual_values(tmp_path: Path) -> None:
    path = write(tmp_path, distortion_model=None, rectification_matrix=None, projection_matrix=None)
    info = load_calibration(path)
    assert info.distortion_model == 'plumb_bob'
    np.testing.assert_array_equal(np.reshape(info.r, (3, 3)), np.eye(3))
    projection = np.reshape(info.p, (3, 4))
    np.testing.assert_array_equal(projection[:, :3], np.reshape(info.k, (3, 3)))
    np.testing.assert_array_equal(projection[:, 3], 0.0)


def test_save_and_load_give_the_same(tmp_path: Path) -> None:
    info = load_calibration(write(tmp_path))
    save_calibration(tmp_path / 'again.yaml', info, 'front')
    assert load_calibration(tmp_path / 'again.yaml') == info
    assert yaml.safe_load((tmp_path / 'again.yaml').read_text())['camera_name'] == 'front'


@pytest.mark.parametrize(('model', 'count'), [('rational_polynomial', 8), ('equidistant', 4)])
def test_other_distortion_models(tmp_path: Path, model: str, count: int) -> None:
    coefficients = {'rows': 1, 'cols': count, 'data': [0.01] * count}
    path = write(tmp_path, distortion_model=model, distortion_coefficients=coefficients)
    info = load_calibration(path)
    assert (info.distortion_model, len(info.d)) == (model, count)


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'image_width': None}, ['image_width is missing', 'positive whole number']),
        ({'image_width': 0}, ['image_width is 0']),
        ({'image_height': 'tall'}, ["image_height is 'tall'"]),
        ({'image_height': True}, ['image_height is True']),
        ({'camera_matrix': None}, ['camera_matrix is missing', '9 numbers']),
        ({'camera_matrix': [1, 2, 3]}, ['camera_matrix is [1, 2, 3]']),
        ({'camera_matrix': {'data': [1.0] * 8}}, ['camera_matrix', '9 numbers']),
        ({'camera_matrix': {'data': [math.nan] * 9}}, ['camera_matrix', '9 numbers']),
        ({'camera_matrix': {'rows': 9, 'cols': 1, 'data': [1.0] * 9}}, ['rows: 3, cols: 3']),
        ({'camera_matrix': {'data': [0.0] * 9}}, ['camera_matrix', 'positive focal']),
        ({'distortion_model': 'magic'}, ["distortion_model is 'magic'", 'plumb_bob']),
        ({'distortion_coefficients': None}, ['distortion_coefficients is missing', '4 or 5']),
        ({'distortion_coefficients': {'data': [0.0] * 3}}, ['4 or 5', 'plumb_bob']),
        ({'distortion_coefficients': {'data': ['a'] * 5}}, ['4 or 5', 'plumb_bob']),
        ({'projection_matrix': {'data': [1.0] * 9}}, ['projection_matrix', '12 numbers']),
    ],
)
def test_wrong_keys(tmp_path: Path, changes: dict[str, Any], words: list[str]) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(CalibrationError) as error:
        load_calibration(path)
    assert all(word in str(error.value) for word in [*words, str(path)]), str(error.value)


@pytest.mark.parametrize(
    ('content', 'words'),
    [('a: [1', 'is not YAML'), ('- 1\n- 2', 'expected keys'), ('', 'expected')],
)
def test_wrong_files(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / 'camera.yaml'
    path.write_text(content)
    with pytest.raises(CalibrationError, match=words) as error:
        load_calibration(path)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('start', 'end'), [('', '\n'), ('', '\r\n'), ('\ufeff', '\n'), ('%YAML:1.0\n---\n', '\n')]
)
def test_files_of_other_writers_are_read_like_ours(tmp_path: Path, start: str, end: str) -> None:
    content = yaml.safe_load(FILE)
    del content['distortion_coefficients']
    lines = yaml.safe_dump(content) + (
        'distortion_coefficients: {rows: 1, cols: 5, data: [4e-2, -3e-05, 1E-5, 2., 0]}\n'
    )
    path = tmp_path / 'camera.yaml'
    path.write_text(start + lines.replace('\n', end), encoding='utf-8', newline='')
    assert list(load_calibration(path).d) == [0.04, -0.00003, 0.00001, 2.0, 0.0]


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match='No such file'):
        load_calibration(tmp_path / 'none.yaml')
    (tmp_path / 'binary.yaml').write_bytes(b'\xff\xfe\x00\xff')
    with pytest.raises(CalibrationError, match='not a text file'):
        load_calibration(tmp_path / 'binary.yaml')
    for path in ('/dev/zero', '~nobody-of-this-name/a.yaml', 'a\0b', 'x' * 5000, str(tmp_path)):
        with pytest.raises(CalibrationError, match='cannot read calibration') as error:
            load_calibration(path)
        assert len(str(error.value)) < 500


def test_pinhole_sees_its_field_of_view() -> None:
    info = pinhole(640, 480, math.radians(60.0))
    fx, cx, cy = info.k[0], info.k[2], info.k[5]
    assert (cx, cy) == (319.5, 239.5)
    # The outer borders of the outermost pixels are at -0.5 and 639.5.
    angle = math.atan((639.5 - cx) / fx) + math.atan((cx + 0.5) / fx)
    assert math.degrees(angle) == pytest.approx(60.0)
    assert info.k[4] == fx and list(info.d) == [0.0] * 5 and info.p[0] == fx and info.r[0] == 1.0


@pytest.mark.parametrize('arguments', [(0, 480, 1.0), (640, 480, 0.0), (640, 480, 3.2)])
def test_pinhole_refuses_nonsense(arguments: tuple[int, int, float]) -> None:
    with pytest.raises(CalibrationError):
        pinhole(*arguments)


def test_uncalibrated_has_zero_k() -> None:
    info = uncalibrated(640, 480)
    assert (info.width, info.height) == (640, 480) and not any(info.k)


def test_scaling_maps_rays_to_the_same_place(tmp_path: Path) -> None:
    info = load_calibration(write(tmp_path))
    half = scaled(info, 320, 240)
    ray = np.array([0.2, -0.1, 1.0])
    before = np.reshape(info.k, (3, 3)) @ ray
    after = np.reshape(half.k, (3, 3)) @ ray
    # Pixel x covers x - 0.5 to x + 0.5, so positions halve when counted from the image's border.
    np.testing.assert_allclose(after[:2] + 0.5, (before[:2] + 0.5) / 2)
    assert (half.width, half.height) == (320, 240) and list(half.d) == list(info.d)
    assert half.p[3] == -3.75
    assert info.width == 640 and info.k[0] == 438.783367


def test_scaling_refuses_another_aspect_ratio() -> None:
    info = pinhole(640, 480, 1.0)
    with pytest.raises(CalibrationError, match=r'640x480.*1280x720.*aspect'):
        scaled(info, 1280, 720)
    # Rounding to whole pixels is no other aspect ratio.
    assert scaled(pinhole(1920, 1080, 1.0), 854, 480).width == 854


def test_scaling_keeps_an_uncalibrated_camera_uncalibrated() -> None:
    assert not any(scaled(calibration.uncalibrated(640, 480), 320, 240).k)
