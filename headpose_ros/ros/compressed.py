"""`sensor_msgs/CompressedImage` to BGR arrays: JPEG and PNG, checked before they are decoded."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from headpose_ros.ros.images import MAX_PIXELS, Bgr, ImageError, bgr

_JPEG, _PNG = b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n'
#: Drivers pad the last block: the end mark may stand a little before the end of the data.
_PADDING = 4096
# Turned by EXIF, pixels would no longer be those of the camera_info.
_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
#: For PNG of 16 bits, of which OpenCV would keep the high ones.
_DEEP_FLAGS = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION


def decode_compressed(message: Any) -> Bgr:
    """Return the picture of a compressed image message in BGR.

    What the data are is read from them: drivers fill `format` in many ways.

    Args:
        message: sensor_msgs/CompressedImage or anything with its fields.

    Returns:
        uint8 (H, W, 3), blue first.

    Raises:
        ImageError: neither JPEG nor PNG, cut off, damaged, huge, or a depth image.
    """
    data = np.frombuffer(message.data, np.uint8)
    head, tail = data[:32].tobytes(), data[-_PADDING:].tobytes()
    if 'compressedDepth' in message.format:
        raise ImageError('image is a compressed depth image: expected colour or grey')
    if head.startswith(_JPEG):
        size, is_whole = _jpeg_size(data), b'\xff\xd9' in tail
    elif head.startswith(_PNG) and len(head) >= 24:
        size = (int.from_bytes(head[16:20], 'big'), int.from_bytes(head[20:24], 'big'))
        is_whole = b'IEND' in tail
    else:
        raise ImageError(
            f'{data.size} bytes of format {message.format!r} are neither JPEG nor PNG: expected '
            'one of these (compressed_image_transport writes both)'
        )
    if not is_whole:
        raise ImageError(f'compressed image is cut off after {data.size} bytes: end mark missing')
    if size[0] * size[1] > MAX_PIXELS:
        raise ImageError(
            f'image is huge ({size[0]}x{size[1]}): expected at most {MAX_PIXELS // 2**20} '
            'megapixels'
        )
    return _decoded(data)


def _decoded(data: Any) -> Bgr:
    try:
        image = cv2.imdecode(data, _DEEP_FLAGS if _is_deep(data) else _FLAGS)
    except cv2.error as error:
        raise ImageError(f'compressed image is damaged: {error}') from error
    if image is None:
        raise ImageError(f'compressed image of {data.size} bytes is damaged: it cannot be decoded')
    return bgr(image)


def _is_deep(data: Any) -> bool:
    """Return whether data are a PNG of 16 bits, by its header."""
    return data[:8].tobytes() == _PNG and data[24:25].tobytes() == b'\x10'


def _jpeg_size(data: Any) -> tuple[int, int]:
    """Return width and height from the first frame header (ITU-T T.81, B.2.2)."""
    place = 2
    while place + 9 <= data.size and data[place] == 0xFF:
        marker, length = int(data[place + 1]), int(data[place + 2]) << 8 | int(data[place + 3])
        # SOF0 to SOF15, without the tables and restarts that share the range.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            high, wide = data[place + 5 : place + 7], data[place + 7 : place + 9]
            return int(wide[0]) << 8 | int(wide[1]), int(high[0]) << 8 | int(high[1])
        place += 1 if marker == 0xFF else 2 + length
    raise ImageError('compressed image is damaged: no JPEG frame header')
