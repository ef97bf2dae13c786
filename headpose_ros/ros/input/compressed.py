"""`sensor_msgs/CompressedImage` to BGR arrays: JPEG and PNG, checked before they are decoded."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from headpose_ros.ros.input.images import Bgr, ImageError, bgr
from headpose_ros.sources.encoded import Data, EncodedError, Limits, checked, is_jpeg, is_png

#: An image of 8K, which takes 0.2 to 0.9 s on one core; with these, no message costs 300 MB.
LIMITS = Limits(pixels=32 * 2**20, memory=256 * 10**6, blocks=8 * 2**20)
# Turned by EXIF, pixels would no longer be those of the camera_info.
_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
#: For PNG of 16 bits, of which OpenCV would keep the high ones.
_DEEP_FLAGS = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION


def decode_compressed(message: Any) -> Bgr:
    """Return the picture of a compressed image message in BGR.

    What the data are is read from them: drivers fill `format` in many ways. What they would cost
    is read from them as well, see `perception.encoded`.

    Args:
        message: sensor_msgs/CompressedImage or anything with its fields.

    Returns:
        uint8 (H, W, 3), blue first.

    Raises:
        ImageError: neither JPEG nor PNG, cut off, damaged, too costly, or a depth image.
    """
    if 'compressedDepth' in message.format:
        raise ImageError('image is a compressed depth image: expected colour or grey')
    data = np.frombuffer(message.data, np.uint8)
    # Before OpenCV sees them: it would decode a dozen other formats, each with holes of its own.
    if not (is_jpeg(data) or is_png(data)):
        raise ImageError(
            f'{data.size} bytes of format {message.format[:40]!r} are neither JPEG nor PNG: '
            'expected one of these (compressed_image_transport writes both)'
        )
    try:
        return _decoded(checked(data, LIMITS))
    except EncodedError as error:
        raise ImageError(f'compressed image is {error}') from error


def _decoded(data: Data) -> Bgr:
    try:
        image = cv2.imdecode(data, _DEEP_FLAGS if _is_deep(data) else _FLAGS)
    except cv2.error as error:
        raise ImageError(f'compressed image is damaged: {error}') from error
    if image is None:
        raise ImageError(f'compressed image of {data.size} bytes is damaged: it cannot be decoded')
    return bgr(image)


def _is_deep(data: Data) -> bool:
    """Return whether data are a PNG of 16 bits, by its header."""
    return is_png(data) and data[24:25].tobytes() == b'\x10'
