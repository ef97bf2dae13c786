"""Camera models out of `sensor_msgs/CameraInfo`, checked."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headpose_ros.errors import HeadposeError, quoted
from headpose_ros.geometry.camera import (
    FISHEYE_COEFFICIENTS,
    FISHEYE_MODELS,
    POLYNOMIAL_COEFFICIENTS,
    POLYNOMIAL_MODELS,
    CameraModel,
)

RECTIFIED = ('auto', 'true', 'false')
"""Whether images are rectified: by the name of their topic, yes, no."""

#: Focal lengths of cameras in terms of the longer side of the full picture: a fisheye lens of 220
#: degrees has 0.3, a telescope less than 500. Others are in metres, or not in pixels at all.
_SHORTEST, _LONGEST = 0.02, 1000.0
#: Messages that are kept, so that an image finds the one of its own stamp.
_KEPT = 16
#: What stands for "no lens model" where there are no coefficients either.
_NO_DISTORTION = ('', 'none')
_RECTIFIED_WORDS = {'rect', 'rectified'}
_Matrix = NDArray[np.float64]


class CameraInfoError(HeadposeError, ValueError):
    """A camera_info that must not be used; the message has the reason."""


class CameraInfos:
    """The newest camera_info messages of one camera."""

    def __init__(self) -> None:
        self._newest: deque[Any] = deque(maxlen=_KEPT)

    def add(self, info: Any) -> None:
        """Take in a sensor_msgs/CameraInfo."""
        self._newest.append(info)

    def of(self, header: Any) -> Any | None:
        """Return the message with the stamp of an image, else the newest; None before the first.

        A region of interest that moves is that of its own image.
        """
        newest = list(self._newest)[::-1]  # one step: another thread may add meanwhile
        same = (info for info in newest if info.header.stamp == header.stamp)
        return next(same, newest[0] if newest else None)


def is_rectified(choice: str, topic: str) -> bool:
    """Return whether the images of a topic are rectified.

    Args:
        choice: One of RECTIFIED; auto leaves it to the topic's name.
        topic: Such as /camera/image_rect, image_rect_color/compressed or rect/image, which name
            rectified images.
    """
    if choice != 'auto':
        return choice == 'true'
    last = topic.removesuffix('/compressed').split('/')[-2:]
    return bool(_RECTIFIED_WORDS & set('_'.join(last).split('_')))


def camera_model(
    info: Any, size: tuple[int, int] | None = None, rectified: bool = False
) -> CameraModel | None:
    """Return the camera of a sensor_msgs/CameraInfo; None if it is "uncalibrated" (zero K or P).

    Rays and poses are in the frame of the picture: from the optical centre of the camera that took
    it, x along its rows. R and the fourth column of P, which relate this frame to other ones, are
    not read.

    Args:
        info: sensor_msgs/CameraInfo or anything with its fields.
        size: Width and height of the picture, px. With it, `roi` and `binning_x`, `binning_y` say
            which part of the full picture it is; without, the camera is that of the full picture.
        rectified: Whether the picture is rectified: P counts then, and neither K nor D.

    Raises:
        CameraInfoError: The intrinsics or the distortion are none, or are not those of a picture
            of this size.
    """
    full = _rectified(info) if rectified else _raw(info)
    return full if full is None or size is None else _of_part(full, info, size)


def _raw(info: Any) -> CameraModel | None:
    K = _intrinsics(info, 'K', np.array(info.k, np.float64).reshape(3, 3))
    return None if K is None else CameraModel(K, *_distortion(info))


def _rectified(info: Any) -> CameraModel | None:
    P = np.array(info.p, np.float64).reshape(3, 4)
    K = _intrinsics(info, 'P', P[:, :3])
    return None if K is None else CameraModel(K, np.zeros(0))


def _intrinsics(info: Any, name: str, matrix: _Matrix) -> _Matrix | None:
    """Return a matrix that was checked; None if it is zero."""
    if not np.isfinite(matrix).all():
        raise CameraInfoError(f'{name} holds NaN or infinity')
    if not matrix.any():
        return None
    focal = matrix[0, 0], matrix[1, 1]
    if min(focal) <= 0 or matrix[2, 2] != 1:
        raise CameraInfoError(
            f'{name} has focal lengths {focal[0]:g}, {focal[1]:g} and {matrix[2, 2]:g} in its '
            'lower right corner; expected positive focal lengths in pixels and 1'
        )
    if np.tril(matrix, -1).any():
        raise CameraInfoError(
            f'{name} is not zero below its diagonal; expected rows fx 0 cx, 0 fy cy, 0 0 1: is it '
            'written column by column?'
        )
    side = max(info.width, info.height)
    if side and not _SHORTEST * side < min(focal) <= max(focal) < _LONGEST * side:
        raise CameraInfoError(
            f'{name} has focal lengths {focal[0]:g}, {focal[1]:g} for a picture of '
            f'{info.width}x{info.height}; expected them in pixels'
        )
    return matrix


def _distortion(info: Any) -> tuple[_Matrix, bool]:
    """Return the coefficients as OpenCV takes them, and whether they are a fisheye lens's."""
    given, model = np.array(info.d, np.float64), info.distortion_model
    if not np.isfinite(given).all():
        raise CameraInfoError('D holds NaN or infinity')
    if model in FISHEYE_MODELS:
        return np.pad(_fitting(given, model, FISHEYE_COEFFICIENTS), (0, 4))[:4], True
    if model in POLYNOMIAL_MODELS:
        return _fitting(given, model, POLYNOMIAL_COEFFICIENTS), False
    if model in _NO_DISTORTION and not given.any():
        return np.zeros(0), False
    known = ', '.join(sorted(POLYNOMIAL_MODELS | FISHEYE_MODELS))
    raise CameraInfoError(f'distortion_model is {quoted(model)}; expected one of {known}')


def _fitting(given: _Matrix, model: str, counts: tuple[int, ...]) -> _Matrix:
    """Return the coefficients without zeros that are more than the model has."""
    count = max(count for count in counts if count <= len(given))
    if given[count:].any():
        numbers = ', '.join(map(str, counts[:-1]))
        raise CameraInfoError(
            f'D has {len(given)} coefficients, which {model} does not have; expected {numbers} or '
            f'{counts[-1]}'
        )
    return given[:count]


def _of_part(full: CameraModel, info: Any, size: tuple[int, int]) -> CameraModel:
    """Return the camera of the part of the full picture that an image of this size is."""
    roi, whole = info.roi, (info.width, info.height)
    corner = (roi.x_offset, roi.y_offset)
    # All zero is the full picture: what is not given reaches to its border.
    part = (
        roi.width or max(whole[0] - corner[0], 0),
        roi.height or max(whole[1] - corner[1], 0),
    )
    binning = (max(info.binning_x, 1), max(info.binning_y, 1))
    if all(whole) and any(c + p > w for c, p, w in zip(corner, part, whole, strict=True)):
        raise CameraInfoError(
            f'roi {part[0]}x{part[1]} at {corner[0]}, {corner[1]} is not within the full picture '
            f'of {whole[0]}x{whole[1]}'
        )
    if size == whole:
        return full  # whatever is set besides: nothing was cut away or joined
    # Where the last block is not whole, some cameras leave it and some do not.
    if any(p and abs(s * b - p) >= b for s, p, b in zip(size, part, binning, strict=True)):
        raise CameraInfoError(
            f'camera_info is for {_described(part, whole, binning)}, images are '
            f'{size[0]}x{size[1]}; expected the camera_info of this resolution'
        )
    return full.of_part(corner, binning)


def _described(part: tuple[int, int], whole: tuple[int, int], binning: tuple[int, int]) -> str:
    """Return the part of a picture in words."""
    words = f'{part[0]}x{part[1]}'
    words += f' of {whole[0]}x{whole[1]}' if part != whole else ''
    return words + (f' with binning {binning[0]}x{binning[1]}' if max(binning) > 1 else '')
