"""Aligned depth images out of `sensor_msgs/Image`, checked (REP 118)."""

from __future__ import annotations

from typing import Any

import numpy as np

from headpose_ros.errors import quoted
from headpose_ros.perception.depth import DepthImage
from headpose_ros.ros.input.images import ImageError, buffer

#: Type of a sample and metres per count, by encoding.
_ENCODINGS = {'16UC1': ('u2', 1e-3), '32FC1': ('f4', 1.0)}
#: Metres within which the middle of all distances of a depth camera lies: nearer and farther ones
#: are in another unit than the encoding's.
_NEAREST, _FARTHEST = 0.05, 100.0
#: Rows and columns of pixels that are examined for that.
_SAMPLES = 64


def decode_depth(message: Any, size: tuple[int, int]) -> DepthImage:
    """Return the depth of an image message, on the message's own buffer.

    Args:
        message: sensor_msgs/Image or anything with its fields.
        size: Width and height of the colour image that it must be aligned with, px.

    Raises:
        ImageError: Another encoding, another size than the colour image's, short data, or
            distances in another unit than the encoding's.
    """
    if message.encoding not in _ENCODINGS:
        raise ImageError(
            f'depth image has encoding {quoted(message.encoding)}: expected 16UC1 (millimetres) or '
            '32FC1 (metres)'
        )
    if (message.width, message.height) != tuple(size):
        raise ImageError(
            f'depth image has {message.width}x{message.height} pixels, the colour image '
            f'{size[0]}x{size[1]}: expected depth that is aligned with the colour image'
        )
    kind, unit = _ENCODINGS[message.encoding]
    sample = np.dtype(('>' if message.is_bigendian else '<') + kind)
    row = message.width * sample.itemsize
    # The last row may come without its padding: some drivers cut it off.
    needed = message.step * (message.height - 1) + row
    data = buffer(message, row, needed)
    shape, strides = (message.height, message.width), (message.step, sample.itemsize)
    depth = DepthImage(np.ndarray(shape, sample, data.data, 0, strides), unit)
    _check_unit(depth, message.encoding)
    return depth


def _check_unit(depth: DepthImage, encoding: str) -> None:
    """Raise ImageError when the middle of all distances is none that a camera measures."""
    rows, columns = (np.linspace(0, n - 1, min(n, _SAMPLES), dtype=int) for n in depth.values.shape)
    metres = depth.values[np.ix_(rows, columns)] * depth.unit
    measured = metres[np.isfinite(metres) & (metres > 0)]
    if measured.size and not _NEAREST < (middle := float(np.median(measured))) < _FARTHEST:
        raise ImageError(
            f'the middle of all distances in the depth image is {middle:g} m: expected '
            f'{"millimetres" if encoding == "16UC1" else "metres"}, as {encoding} has by REP 118'
        )
