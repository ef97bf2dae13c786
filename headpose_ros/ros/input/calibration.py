"""Camera calibration: files of camera_info_manager, scaling, ideal pinhole cameras.

Pixel centres are at integers, so the middle of an image of width W is at x = (W - 1) / 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from sensor_msgs.msg import CameraInfo

from headpose_ros.errors import HeadposeError
from headpose_ros.foreign_files import FileError, user_path
from headpose_ros.ros.node.share import share_file
from headpose_ros.yaml_files import YamlError, parse, read_text

DISTORTION_MODELS: dict[str, tuple[int, ...]] = {
    'plumb_bob': (4, 5),
    'rational_polynomial': (8, 12, 14),
    'equidistant': (4,),
    'fisheye': (4,),
}
"""Accepted distortion models and the numbers of coefficients that each may have."""

ASPECT_TOLERANCE = 0.01
"""Largest relative difference of aspect ratios that a calibration is scaled across."""

_PACKAGE = 'package://'
_LONGEST = 300  # characters of a path that an error repeats


class CalibrationError(HeadposeError, ValueError):
    """A calibration that cannot be read or does not fit; the message names file, key, expected."""


def load_calibration(path: str | Path) -> CameraInfo:
    """Read a calibration file as camera_info_manager and camera_calibration write it.

    A missing distortion_model means plumb_bob (as in camera_info_manager), a missing
    rectification_matrix the identity and a missing projection_matrix [K | 0].

    Args:
        path: the YAML file, or its URL as camera drivers take it: `file:///path`, or
            `package://PACKAGE/path` for an installed file of a package.

    Returns:
        sensor_msgs/CameraInfo with an empty header, lengths in pixels of the calibrated size.

    Raises:
        CalibrationError: the file cannot be read, or a key is missing or wrong.
    """
    name = str(path).removeprefix('file://')
    try:
        file = _installed(name) if name.startswith(_PACKAGE) else user_path(name)
        content = parse(read_text(file))
    except FileError as error:
        raise CalibrationError(f'cannot read calibration {name[:_LONGEST]}: {error}') from error
    except YamlError as error:
        raise CalibrationError(f'calibration {file}:{error.line} is not YAML: {error}') from error
    return _CalibrationReader(file, content).camera_info()


def _installed(url: str) -> Path:
    """Return the file of a URL `package://PACKAGE/path`."""
    package, _, relative = url.removeprefix(_PACKAGE).partition('/')
    try:
        return share_file(relative, package)
    except HeadposeError as error:
        raise CalibrationError(f'no calibration at {url[:_LONGEST]}: {error}') from error


def to_yaml(info: CameraInfo, camera_name: str = 'camera') -> str:
    """Return a calibration in the format of camera_info_manager."""
    content = {
        'image_width': info.width,
        'image_height': info.height,
        'camera_name': camera_name,
        'camera_matrix': _matrix(3, 3, info.k),
        'distortion_model': info.distortion_model,
        'distortion_coefficients': _matrix(1, len(info.d), info.d),
        'rectification_matrix': _matrix(3, 3, info.r),
        'projection_matrix': _matrix(3, 4, info.p),
    }
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=100)


def save_calibration(path: str | Path, info: CameraInfo, camera_name: str = 'camera') -> None:
    """Write a calibration file that camera_info_manager and `load_calibration` read."""
    Path(path).write_text(to_yaml(info, camera_name), encoding='utf-8')


def uncalibrated(width: int, height: int) -> CameraInfo:
    """Return the camera_info of an uncalibrated camera: sizes only, K and all else zero."""
    return CameraInfo(width=width, height=height)


def pinhole(width: int, height: int, horizontal_fov: float) -> CameraInfo:
    """Return an ideal camera with square pixels that looks through the middle of its image.

    Args:
        width: image width in pixels.
        height: image height in pixels.
        horizontal_fov: full horizontal field of view in radians, between 0 and pi.

    Raises:
        CalibrationError: a size or the field of view is out of range.
    """
    if width < 1 or height < 1:
        raise CalibrationError(f'image size {width}x{height}: expected at least 1x1')
    if not 0.0 < horizontal_fov < math.pi:
        raise CalibrationError(
            f'horizontal field of view {horizontal_fov} rad: expected between 0 and pi'
        )
    focal = 0.5 * width / math.tan(0.5 * horizontal_fov)
    cx, cy = 0.5 * (width - 1), 0.5 * (height - 1)
    info = CameraInfo(width=width, height=height, distortion_model='plumb_bob', d=[0.0] * 5)
    info.k = [focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0]
    info.r = _identity()
    info.p = _projection(list(info.k))
    return info


def scaled(info: CameraInfo, width: int, height: int) -> CameraInfo:
    """Return the calibration of the same camera with its image resized.

    Args:
        info: the calibration; left as it is.
        width: new image width in pixels.
        height: new image height in pixels.

    Raises:
        CalibrationError: the aspect ratios differ, so that the image was cropped or distorted.
    """
    across, down = width / info.width, height / info.height
    if abs(across / down - 1.0) > ASPECT_TOLERANCE:
        raise CalibrationError(
            f'calibration is for {info.width}x{info.height}, the image is {width}x{height}: '
            'expected the same aspect ratio'
        )
    new = deepcopy(info)
    new.width, new.height = width, height
    new.k = _scale_rows(list(info.k), 3, across, down)
    new.p = _scale_rows(list(info.p), 4, across, down)
    return new


def _scale_rows(matrix: list[float], columns: int, across: float, down: float) -> list[float]:
    """Scale a K or P matrix, row-major; the centre moves so that pixel centres stay at integers."""
    result = list(matrix)
    for row, factor in ((0, across), (1, down)):
        start = row * columns
        result[start : start + columns] = [factor * v for v in matrix[start : start + columns]]
        # Only a pixel that the matrix maps to has a centre; an all-zero matrix stays zero.
        result[start + 2] += 0.5 * (factor - 1.0) * matrix[2 * columns + 2]
    return result


def _identity() -> list[float]:
    """Return the 3x3 identity, row-major."""
    return [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]


def _projection(k: list[float]) -> list[float]:
    """Return [K | 0], row-major."""
    return [*k[0:3], 0.0, *k[3:6], 0.0, *k[6:9], 0.0]


def _matrix(rows: int, columns: int, data: Any) -> dict[str, Any]:
    """Return a matrix the way calibration files write one."""
    return {'rows': rows, 'cols': columns, 'data': [float(value) for value in data]}


class _CalibrationReader:
    """Checks the content of one calibration file key by key."""

    def __init__(self, file: Path, content: Any) -> None:
        self._file = file
        if not isinstance(content, Mapping):
            raise CalibrationError(f'calibration {file}: expected keys such as camera_matrix')
        self._content = content

    def camera_info(self) -> CameraInfo:
        """Return the whole calibration."""
        info = CameraInfo(width=self._size('image_width'), height=self._size('image_height'))
        info.k = self._camera_matrix()
        info.distortion_model = self._distortion_model()
        info.d = self._coefficients(info.distortion_model)
        info.r = self._matrix('rectification_matrix', 3, 3, _identity())
        info.p = self._matrix('projection_matrix', 3, 4, _projection(list(info.k)))
        return info

    def _fail(self, key: str, expected: str) -> CalibrationError:
        """Return the error for one key."""
        if key not in self._content:
            return CalibrationError(f'calibration {self._file}: {key} is missing, {expected}')
        found = repr(self._content[key])
        short = found if len(found) <= 60 else f'{found[:57]}...'
        return CalibrationError(f'calibration {self._file}: {key} is {short}, {expected}')

    def _size(self, key: str) -> int:
        """Return a positive number of pixels."""
        value = self._content.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**31:
            raise self._fail(key, 'expected a positive whole number of pixels')
        return value

    def _camera_matrix(self) -> list[float]:
        """Return K with positive focal lengths."""
        k = self._matrix('camera_matrix', 3, 3)
        if k[0] <= 0.0 or k[4] <= 0.0:
            raise self._fail('camera_matrix', 'expected positive focal lengths')
        return k

    def _distortion_model(self) -> str:
        """Return a known distortion model."""
        model = self._content.get('distortion_model', 'plumb_bob')
        if model not in DISTORTION_MODELS:
            names = ', '.join(DISTORTION_MODELS)
            raise self._fail('distortion_model', f'expected one of {names}')
        return str(model)

    def _coefficients(self, model: str) -> list[float]:
        """Return as many distortion coefficients as the model has."""
        counts = DISTORTION_MODELS[model]
        expected = f'expected {" or ".join(map(str, counts))} finite numbers for {model}'
        values = self._numbers('distortion_coefficients', expected)
        if len(values) not in counts:
            raise self._fail('distortion_coefficients', expected)
        return values

    def _matrix(
        self, key: str, rows: int, columns: int, default: list[float] | None = None
    ) -> list[float]:
        """Return a matrix, row-major, or the default where the key is absent."""
        if default is not None and key not in self._content:
            return default
        expected = f'expected rows: {rows}, cols: {columns} and data with {rows * columns} numbers'
        values = self._numbers(key, expected)
        shape = self._content[key].get('rows', rows), self._content[key].get('cols', columns)
        if len(values) != rows * columns or shape != (rows, columns):
            raise self._fail(key, expected)
        return values

    def _numbers(self, key: str, expected: str) -> list[float]:
        """Return the finite numbers under a key's `data`."""
        entry = self._content.get(key)
        data = entry.get('data') if isinstance(entry, Mapping) else None
        if not isinstance(data, list) or not all(map(_is_finite_number, data)):
            raise self._fail(key, expected)
        return [float(value) for value in data]


def _is_finite_number(value: Any) -> bool:
    """Return whether a YAML value is a number other than NaN and infinity."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
