"""Image messages to BGR arrays and back, on the message's own buffer.

`decode` reads any object with the fields of sensor_msgs/Image, so this module needs no ROS to be
imported or tested. Rows may be padded (`step` larger than a row) in every encoding. YUV encodings
are read as BT.601 with limited range, which is what V4L2 cameras deliver.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from headpose_ros.errors import HeadposeError, quoted

MAX_PIXELS = 64 * 1024 * 1024
"""Largest accepted image in pixels; a corrupt header must not make a node allocate gigabytes."""

Array = npt.NDArray[Any]
Bgr = npt.NDArray[np.uint8]


class ImageError(HeadposeError, ValueError):
    """An image message or array that cannot be used; the message has reason and remedy."""


@dataclass(frozen=True)
class _Packed:
    """An encoding with all samples of a pixel side by side.

    Attributes:
        channels: samples per pixel.
        code: OpenCV colour conversion to BGR, or None when the samples are BGR already.
        sample: bytes per sample, 1 or 2.
        even: (columns, rows) must be multiples of these.
    """

    channels: int
    code: int | None
    sample: int = 1
    even: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class _Planar:
    """A luma plane followed by one plane of interleaved chroma pairs with the same row order.

    Attributes:
        code: OpenCV two-plane conversion to BGR, or None for full-resolution chroma (nv24).
        even: (columns, rows) must be multiples of these.
    """

    code: int | None
    even: tuple[int, int]


_UYVY = _Packed(2, cv2.COLOR_YUV2BGR_UYVY, even=(2, 1))
_YUYV = _Packed(2, cv2.COLOR_YUV2BGR_YUYV, even=(2, 1))
#: The largest samples of cameras of 8 to 16 bits.
_WHITES = tuple(2**bits - 1 for bits in (8, 10, 12, 14, 16))
#: Encodings of numbers that are no colours: no 8-bit picture can be made of them.
_NUMBERS = re.compile(r'(16|32|64)[USF]C\d')
# OpenCV names a Bayer pattern after the second row's second and third pixel, ROS after the first
# row's first two: ROS "rggb" is OpenCV "BG".
_BAYER = {
    'rggb': cv2.COLOR_BayerBG2BGR,
    'bggr': cv2.COLOR_BayerRG2BGR,
    'gbrg': cv2.COLOR_BayerGR2BGR,
    'grbg': cv2.COLOR_BayerGB2BGR,
}

_ENCODINGS: dict[str, _Packed | _Planar] = {
    'bgr8': _Packed(3, None),
    '8UC3': _Packed(3, None),
    'rgb8': _Packed(3, cv2.COLOR_RGB2BGR),
    'bgra8': _Packed(4, cv2.COLOR_BGRA2BGR),
    '8UC4': _Packed(4, cv2.COLOR_BGRA2BGR),
    'rgba8': _Packed(4, cv2.COLOR_RGBA2BGR),
    'mono8': _Packed(1, cv2.COLOR_GRAY2BGR),
    '8UC1': _Packed(1, cv2.COLOR_GRAY2BGR),
    'bgr16': _Packed(3, None, sample=2),
    'rgb16': _Packed(3, cv2.COLOR_RGB2BGR, sample=2),
    'bgra16': _Packed(4, cv2.COLOR_BGRA2BGR, sample=2),
    'rgba16': _Packed(4, cv2.COLOR_RGBA2BGR, sample=2),
    'mono16': _Packed(1, cv2.COLOR_GRAY2BGR, sample=2),
    'yuv422': _UYVY,
    'uyvy': _UYVY,
    'yuv422_yuy2': _YUYV,
    'yuyv': _YUYV,
    'nv12': _Planar(cv2.COLOR_YUV2BGR_NV12, (2, 2)),
    'nv21': _Planar(cv2.COLOR_YUV2BGR_NV21, (2, 2)),
    'nv24': _Planar(None, (1, 1)),
    **{f'bayer_{name}8': _Packed(1, code, even=(2, 2)) for name, code in _BAYER.items()},
    **{f'bayer_{name}16': _Packed(1, code, 2, (2, 2)) for name, code in _BAYER.items()},
}

ENCODINGS = tuple(_ENCODINGS)
"""The encodings that are read: all that cv_bridge makes BGR of, and more."""


def decode(message: Any) -> Bgr:
    """Return the picture of an image message in BGR.

    Args:
        message: sensor_msgs/Image or anything with its fields; `data` supports the buffer protocol.

    Returns:
        uint8 (H, W, 3), blue first. For bgr8 and 8UC3 it is a view of the message's buffer (with
        padded rows: a strided view), so treat it as read-only and copy it before drawing on it.

    Raises:
        ImageError: the encoding is unknown, the size is zero, huge or odd where the encoding needs
            even sizes, `step` is smaller than a row, or the data are short.
    """
    _check_size(message)
    layout = _ENCODINGS.get(message.encoding)
    if layout is None:
        raise _unreadable(message.encoding)
    _check_even(message, layout.even)
    if isinstance(layout, _Planar):
        return _decode_planar(message, layout)
    return _decode_packed(message, layout)


def encode_bgr(image: Bgr, header: Any) -> Any:
    """Return a sensor_msgs/Image (bgr8, rows not padded) that holds a copy of a picture.

    Args:
        image: uint8 (H, W, 3), blue first; any strides.
        header: std_msgs/Header of the new message.

    Raises:
        ImageError: the array has another shape or dtype.
    """
    from sensor_msgs.msg import Image

    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ImageError(
            f'cannot publish an array of shape {image.shape} and type {image.dtype}: '
            'expected uint8 (H, W, 3)'
        )
    height, width = image.shape[:2]
    message = Image(header=header, height=height, width=width, encoding='bgr8', step=3 * width)
    # The generated setter takes an array.array as it is, but checks every byte of anything else.
    message.data = _byte_array(image)
    return message


def _byte_array(image: Bgr) -> array[int]:
    """Return the bytes of an array in row order."""
    data = array('B')
    data.frombytes(np.ascontiguousarray(image).data)
    return data


def _check_size(message: Any) -> None:
    """Raise ImageError for a zero-sized or absurdly large image."""
    width, height = message.width, message.height
    if width == 0 or height == 0:
        raise ImageError(f'image has zero size ({width}x{height}): expected at least 1x1')
    if width * height > MAX_PIXELS:
        raise ImageError(
            f'image is huge ({width}x{height}): expected at most {MAX_PIXELS // 2**20} megapixels'
        )


def _check_even(message: Any, even: tuple[int, int]) -> None:
    """Raise ImageError when the encoding's colour cells do not tile the image."""
    if message.width % even[0] or message.height % even[1]:
        sides = 'width and height' if even[1] > 1 else 'width'
        raise ImageError(
            f'odd size {message.width}x{message.height}: {message.encoding} needs an even {sides}'
        )


def buffer(message: Any, row: int, needed: int) -> Array:
    """Return the message's bytes without copying, checked against the layout.

    Args:
        message: the image message.
        row: bytes in a row without padding.
        needed: bytes from the first to the last sample.

    Raises:
        ImageError: the step is smaller than a row, or there are fewer bytes.
    """
    if message.step < row:
        raise ImageError(
            f'step is {message.step}, smaller than a row: {message.encoding} with width '
            f'{message.width} needs at least {row}'
        )
    data = np.frombuffer(message.data, np.uint8)
    if data.size < needed:
        raise ImageError(
            f'data are short: {data.size} bytes, but {message.width}x{message.height} '
            f'{message.encoding} with step {message.step} needs {needed}'
        )
    return data


def _plane(data: Array, shape: tuple[int, int, int], step: int, offset: int = 0) -> Array:
    """Return a uint8 (rows, columns, channels) view of rows that start `step` bytes apart."""
    return np.ndarray(shape, np.uint8, data.data, offset, (step, shape[2], 1))


def _decode_packed(message: Any, layout: _Packed) -> Bgr:
    """Decode an encoding whose pixels stand one after the other."""
    height, width, step = message.height, message.width, message.step
    row = width * layout.channels * layout.sample
    # The last row may come without its padding: some drivers cut it off.
    data = buffer(message, row, step * (height - 1) + row)
    pixels = _plane(data, (height, width, layout.channels * layout.sample), step)
    if layout.sample == 2:
        pixels = _narrow(pixels, bool(message.is_bigendian))
    return pixels if layout.code is None else cv2.cvtColor(pixels, layout.code)  # type: ignore


def _narrow(pixels: Array, big_endian: bool) -> Array:
    """Scale 16-bit samples to 8 bits, as :func:`_eight_bits` does.

    Args:
        pixels: uint8 (H, W, 2 C) bytes of the samples.
        big_endian: whether the first byte of a sample is the high one.

    Returns:
        uint8 (H, W, C).
    """
    stored = np.dtype('>u2' if big_endian else '<u2')
    samples = np.ascontiguousarray(pixels).view(stored).astype(np.uint16, copy=False)
    return _eight_bits(samples).reshape(samples.shape)


def _eight_bits(samples: Array) -> Array:
    """Scale uint16 samples to uint8: 0 stays 0, the largest that the camera has becomes 255.

    Cameras of 10, 12 and 14 bits may put their samples into the low bits, which no field of the
    message says: what the picture holds decides, so a dark picture may come out brighter.
    """
    white = min(white for white in _WHITES if white >= samples.max())
    return cv2.convertScaleAbs(samples, alpha=255.0 / white)


def bgr(samples: Array) -> Bgr:
    """Return a decoded picture in BGR.

    Args:
        samples: uint8 or uint16, (H, W) grey or (H, W, 3) BGR.
    """
    if samples.dtype == np.uint16:
        samples = _eight_bits(samples)
    if samples.ndim == 2:
        samples = cv2.cvtColor(samples, cv2.COLOR_GRAY2BGR)
    return np.asarray(samples, np.uint8)


def _decode_planar(message: Any, layout: _Planar) -> Bgr:
    """Decode a luma plane that is followed by a plane of chroma pairs.

    `step` is the luma's. The chroma rows of nv12 and nv21 are as long as the luma's, those of nv24
    twice as long.
    """
    height, width, step = message.height, message.width, message.step
    across, down = layout.even
    chroma_step = step * 2 // across
    chroma_rows, chroma_row = height // down, 2 * width // across
    needed = step * height + chroma_step * (chroma_rows - 1) + chroma_row
    data = buffer(message, width, needed)
    luma = _plane(data, (height, width, 1), step)
    chroma = _plane(data, (chroma_rows, width // across, 2), chroma_step, step * height)
    if layout.code is None:
        return _from_full_chroma(luma, chroma)
    return cv2.cvtColorTwoPlane(luma, chroma, layout.code)  # type: ignore[return-value]


def _from_full_chroma(luma: Array, chroma: Array) -> Bgr:
    """Convert luma (H, W, 1) and chroma (H, W, 2) of full resolution to BGR.

    OpenCV's 4:4:4 conversion is full-range; its 4:2:2 one has the limited range that cameras use.
    Each pixel is therefore written as a 4:2:2 pair of itself, and one of the two is kept.
    """
    height, width = luma.shape[:2]
    pairs = np.empty((height, 2 * width, 2), np.uint8)
    pairs[:, 0::2, :1] = pairs[:, 1::2, :1] = luma
    pairs[:, 0::2, 1], pairs[:, 1::2, 1] = chroma[..., 0], chroma[..., 1]
    return np.ascontiguousarray(cv2.cvtColor(pairs, cv2.COLOR_YUV2BGR_YUYV)[:, ::2])


def _unreadable(encoding: str) -> ImageError:
    """Return why an encoding is not read."""
    if _NUMBERS.fullmatch(encoding):
        return ImageError(
            f'{encoding} is no encoding of a picture, but of depth and other numbers: expected a '
            'picture, such as mono16 for grey of 8 to 16 bits'
        )
    return ImageError(
        f'unknown encoding {quoted(encoding)}: expected one of {", ".join(ENCODINGS)}'
    )
