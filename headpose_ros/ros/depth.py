"""Aligned depth images out of `sensor_msgs/Image`, checked (REP 118)."""

from __future__ import annotations

from typing import Any

import numpy as np

from headpose_ros.perception.depth import DepthImage
from headpose_ros.ros.images import ImageError, buffer

#: Type of a sample and metres per count, by encoding.
_ENCODINGS = {'16UC1': ('u2', 1e-3), '32FC1': ('f4', 1.0)}


def decode_depth(message: Any, size: tuple[int, int]) -> DepthImage:
    """Return the depth of an image message, on the message's own buffer.

    Args:
        message: sensor_msgs/Image or anything with its fields.
        size: Width and height of the colour image that it must be aligned with, px.

    Raises:
        ImageError: Another encoding, another size than the colour image's, or short data.
    """
    if message.encoding not in _ENCODINGS:
        raise ImageError(
            f'depth image has encoding {message.encoding!r}: expected 16UC1 (millimetres) or '
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
    return DepthImage(np.ndarray(shape, sample, data.data, 0, strides), unit)
