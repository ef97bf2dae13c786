"""Golden tests of image decoding: known colours in every encoding, padded rows, bad messages."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headpose_ros.ros.input import images
from headpose_ros.ros.input.images import ENCODINGS, ImageError, decode, encode_bgr

# BT.601 with limited range, worked out by hand from
# Y = 16 + 65.481 R + 128.553 G + 24.966 B, U = 128 - 37.797 R - 74.203 G + 112 B,
# V = 128 + 112 R - 93.786 G - 18.214 B with R, G, B from 0 to 1.
COLOURS = {  # BGR: (Y, U, V)
    (0, 0, 255): (81, 90, 240),
    (0, 255, 0): (145, 54, 34),
    (255, 0, 0): (41, 240, 110),
    (255, 255, 255): (235, 128, 128),
    (0, 0, 0): (16, 128, 128),
    (0, 255, 255): (210, 16, 146),
}
PADDING = 7


def blocks(width: int = 12, height: int = 8) -> np.ndarray:
    """Return BGR blocks of 4x4 pixels, so that shared chroma stays within one colour."""
    names = list(COLOURS)
    image = np.zeros((height, width, 3), np.uint8)
    for row in range(height):
        for column in range(width):
            image[row, column] = names[(row // 4 * (width // 4) + column // 4) % len(names)]
    return image


def noise(height: int = 5, width: int = 7, channels: int = 3) -> np.ndarray:
    """Return reproducible random samples, uint8 (H, W, C)."""
    return np.random.default_rng(3).integers(0, 256, (height, width, channels), np.uint8)


def message(
    encoding: str, rows: np.ndarray, size: tuple[int, int], padding: int = PADDING, big: int = 0
) -> SimpleNamespace:
    """Return an image message whose rows are padded with a byte that is nowhere in the picture.

    Args:
        encoding: name of the encoding.
        rows: uint8 (rows of the buffer, bytes of a row).
        size: (width, height) of the picture.
        padding: bytes after each row.
        big: is_bigendian.
    """
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    return SimpleNamespace(
        encoding=encoding,
        width=size[0],
        height=size[1],
        step=padded.shape[1],
        is_bigendian=big,
        data=padded.tobytes(),
    )


def flat(pixels: np.ndarray) -> np.ndarray:
    """Return the bytes of (H, W, C) samples row by row."""
    return np.ascontiguousarray(pixels).view(np.uint8).reshape(pixels.shape[0], -1)


def yuv(image: np.ndarray) -> np.ndarray:
    """Return a picture of COLOURS as YUV, uint8 (H, W, 3)."""
    return np.array([[COLOURS[tuple(map(int, p))] for p in row] for row in image], np.uint8)


def close(actual: np.ndarray, expected: np.ndarray, tolerance: int) -> bool:
    """Return whether two pictures agree in form and, within a tolerance, in every sample."""
    assert actual.dtype == np.uint8 and actual.shape == expected.shape
    return int(np.abs(actual.astype(int) - expected.astype(int)).max()) <= tolerance


@pytest.mark.parametrize('padding', [0, PADDING])
@pytest.mark.parametrize(
    ('encoding', 'order'),
    [
        ('bgr8', [0, 1, 2]),
        ('8UC3', [0, 1, 2]),
        ('rgb8', [2, 1, 0]),
        ('bgra8', [0, 1, 2, 0]),
        ('8UC4', [0, 1, 2, 0]),
        ('rgba8', [2, 1, 0, 0]),
    ],
)
def test_colour_8_bit(encoding: str, order: list[int], padding: int) -> None:
    image = noise()
    decoded = decode(message(encoding, flat(image[..., order]), (7, 5), padding))
    np.testing.assert_array_equal(decoded, image)


@pytest.mark.parametrize('padding', [0, PADDING])
@pytest.mark.parametrize('encoding', ['mono8', '8UC1'])
def test_grey_8_bit(encoding: str, padding: int) -> None:
    grey = noise(channels=1)
    decoded = decode(message(encoding, flat(grey), (7, 5), padding))
    np.testing.assert_array_equal(decoded, np.repeat(grey, 3, axis=2))


@pytest.mark.parametrize('padding', [0, 4, PADDING])
@pytest.mark.parametrize(('big', 'dtype'), [(0, '<u2'), (1, '>u2')])
def test_mono16_in_both_byte_orders(big: int, dtype: str, padding: int) -> None:
    samples = np.array([[[0], [128], [129], [257]], [[25700], [43690], [65406], [65535]]])
    expected = np.array([[0, 0, 1, 1], [100, 170, 254, 255]], np.uint8)
    raw = message('mono16', flat(samples.astype(dtype)), (4, 2), padding, big)
    np.testing.assert_array_equal(decode(raw), np.repeat(expected[..., None], 3, axis=2))


@pytest.mark.parametrize(('big', 'dtype'), [(0, '<u2'), (1, '>u2')])
@pytest.mark.parametrize(
    ('encoding', 'channels'), [('mono16', 1), ('rgb16', 3), ('bgra16', 4), ('bayer_rggb16', 1)]
)
@pytest.mark.parametrize(
    ('white', 'grey'),  # a sample of half of it, and where that is of 255
    [(255, 128), (1023, 128), (4095, 128), (16383, 128), (65535, 128)],
)
def test_samples_in_the_low_bits_are_no_black_picture(
    encoding: str, channels: int, white: int, grey: int, big: int, dtype: str
) -> None:
    samples = np.full((8, 10, channels), (white + 1) // 2)
    samples[:4] = white
    raw = message(encoding, flat(samples.astype(dtype)), (10, 8), PADDING, big)
    decoded = decode(raw)
    assert (decoded[:3] == 255).all()
    assert (decoded[5:] == grey).all()


def test_one_bright_sample_says_how_many_bits_a_camera_has() -> None:
    samples = np.full((6, 6, 1), 500)
    dark = decode(message('mono16', flat(samples.astype('<u2')), (6, 6)))
    samples[2, 3] = 4000
    bright = decode(message('mono16', flat(samples.astype('<u2')), (6, 6)))
    assert (dark[0, 0, 0], bright[0, 0, 0], bright[2, 3, 0]) == (125, 31, 249)


@given(st.integers(0, 65535), st.integers(0, 65535))
def test_brighter_samples_are_never_darker_pixels(one: int, other: int) -> None:
    samples = np.array([[[one], [other]]], '<u2')
    first, second = decode(message('mono16', flat(samples), (2, 1)))[0, :, 0]
    assert (one <= other) <= (first <= second)
    assert max(first, second) >= 63 or max(one, other) < 63  # at most two bits are left empty


@pytest.mark.parametrize(('big', 'dtype'), [(0, '<u2'), (1, '>u2')])
@pytest.mark.parametrize(
    ('encoding', 'order'),
    [
        ('bgr16', [0, 1, 2]),
        ('rgb16', [2, 1, 0]),
        ('bgra16', [0, 1, 2, 0]),
        ('rgba16', [2, 1, 0, 0]),
    ],
)
def test_colour_16_bit(encoding: str, order: list[int], big: int, dtype: str) -> None:
    image = noise()
    samples = (image[..., order].astype(np.uint16) * 257).astype(dtype)
    decoded = decode(message(encoding, flat(samples), (7, 5), PADDING, big))
    np.testing.assert_array_equal(decoded, image)


@pytest.mark.parametrize('padding', [0, PADDING])
@pytest.mark.parametrize(
    ('encoding', 'luma_first'),
    [('yuv422', False), ('uyvy', False), ('yuv422_yuy2', True), ('yuyv', True)],
)
def test_yuv_422(encoding: str, luma_first: bool, padding: int) -> None:
    image = blocks()
    samples = yuv(image)
    chroma = samples[..., 1].copy()
    chroma[:, 1::2] = samples[:, 1::2, 2]
    pair = [samples[..., 0], chroma] if luma_first else [chroma, samples[..., 0]]
    raw = message(encoding, flat(np.stack(pair, axis=2)), (12, 8), padding)
    assert close(decode(raw), image, 3)


@pytest.mark.parametrize('padding', [0, PADDING])
@pytest.mark.parametrize(('encoding', 'order'), [('nv12', [1, 2]), ('nv21', [2, 1])])
def test_yuv_420(encoding: str, order: list[int], padding: int) -> None:
    image = blocks()
    samples = yuv(image)
    rows = np.vstack([samples[..., 0], flat(samples[::2, ::2, order])])
    assert close(decode(message(encoding, rows, (12, 8), padding)), image, 3)


@pytest.mark.parametrize('padding', [0, PADDING])
def test_nv24(padding: int) -> None:
    image = blocks(12, 8)[:7, :11]  # full chroma allows odd sizes
    samples = yuv(image)
    luma = np.pad(samples[..., 0], ((0, 0), (0, padding)), constant_values=77)
    chroma = np.pad(flat(samples[..., 1:]), ((0, 0), (0, 2 * padding)), constant_values=77)
    raw = message('nv24', samples[..., 0], (11, 7), padding)
    raw.data = luma.tobytes() + chroma.tobytes()
    assert close(decode(raw), image, 3)


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize(
    ('pattern', 'cell'),
    [('rggb', 'rg/gb'), ('bggr', 'bg/gr'), ('gbrg', 'gb/rg'), ('grbg', 'gr/bg')],
)
def test_bayer(pattern: str, cell: str, bits: int) -> None:
    colour = {'b': 30, 'g': 140, 'r': 220}
    mosaic = np.zeros((8, 10, 1), np.uint8)
    for y, row in enumerate(cell.split('/')):
        for x, name in enumerate(row):
            mosaic[y::2, x::2] = colour[name]
    samples = mosaic if bits == 8 else (mosaic.astype('<u2') * 257)
    decoded = decode(message(f'bayer_{pattern}{bits}', flat(samples), (10, 8)))
    expected = np.broadcast_to(np.array([30, 140, 220], np.uint8), (8, 10, 3))
    np.testing.assert_array_equal(decoded, expected)


def test_bgr8_is_a_view_even_with_padding() -> None:
    raw = message('bgr8', flat(noise()), (7, 5))
    raw.data = bytearray(raw.data)
    decoded = decode(raw)
    raw.data[raw.step + 3] = 201
    assert decoded[1, 1, 0] == 201


def test_last_row_may_come_without_its_padding() -> None:
    image = noise()
    raw = message('bgr8', flat(image), (7, 5))
    raw.data = raw.data[:-PADDING]
    np.testing.assert_array_equal(decode(raw), image)


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 20),
    height=st.integers(1, 20),
    padding=st.integers(0, 9),
    encoding=st.sampled_from(['bgr8', 'rgb8', 'rgba8', 'mono8', 'mono16']),
)
def test_sizes_and_steps(width: int, height: int, padding: int, encoding: str) -> None:
    image = noise(height, width)
    image[0, 0] = 255  # of 16-bit pictures the brightest sample says how many bits there are
    if encoding.startswith('mono'):
        image = np.repeat(image[..., :1], 3, axis=2)
    samples = {
        'bgr8': image,
        'rgb8': image[..., ::-1],
        'rgba8': image[..., [2, 1, 0, 0]],
        'mono8': image[..., :1],
        'mono16': image[..., :1].astype('<u2') * 257,
    }[encoding]
    decoded = decode(message(encoding, flat(samples), (width, height), padding))
    np.testing.assert_array_equal(decoded, image)


@settings(max_examples=150, deadline=None)
@given(
    encoding=st.sampled_from(ENCODINGS),
    width=st.integers(0, 9),
    height=st.integers(0, 9),
    step=st.integers(0, 60),
    size=st.integers(0, 600),
)
def test_any_header_gives_a_picture_or_an_image_error(
    encoding: str, width: int, height: int, step: int, size: int
) -> None:
    raw = SimpleNamespace(
        encoding=encoding,
        width=width,
        height=height,
        step=step,
        is_bigendian=0,
        data=bytes(size),
    )
    try:
        decoded = decode(raw)
    except ImageError:
        return
    assert decoded.shape == (height, width, 3) and decoded.dtype == np.uint8


def bad(**changes: Any) -> SimpleNamespace:
    """Return a good 6x4 bgr8 message with some fields changed."""
    raw = message('bgr8', flat(noise(4, 6)), (6, 4), 0)
    vars(raw).update(changes)
    return raw


@pytest.mark.parametrize(
    ('raw', 'words'),
    [
        (bad(encoding='rgb9'), ["'rgb9'", 'expected one of', 'bgr8']),
        (bad(encoding=''), ["unknown encoding ''"]),
        (bad(encoding='x' * 10_000), [f"'{'x' * 60}...'"]),
        (bad(encoding='16UC1'), ['16UC1', 'depth', 'expected a picture', 'mono16']),
        (bad(encoding='32FC1'), ['32FC1', 'depth', 'expected a picture']),
        (bad(width=0), ['zero size', '0x4']),
        (bad(height=0), ['zero size', '6x0']),
        (bad(width=2**31, height=2**31), ['huge', 'at most 64 megapixels']),
        (bad(step=17), ['step is 17', 'at least 18']),
        (bad(step=0), ['step is 0', 'at least 18']),
        (bad(data=bytes(71)), ['short', '71 bytes', 'needs 72']),
        (bad(data=b''), ['short', '0 bytes', 'needs 72']),
        (bad(encoding='yuyv', width=5), ['odd size 5x4', 'even width']),
        (bad(encoding='nv12', width=5), ['odd size 5x4', 'even width and height']),
        (bad(encoding='nv21', height=3), ['odd size 6x3', 'even width and height']),
        (bad(encoding='bayer_rggb8', height=3), ['odd size 6x3']),
        (bad(encoding='nv12', data=bytes(24 + 30)), ['short', '54 bytes']),
        (bad(encoding='nv24', data=bytes(24)), ['short', '24 bytes']),
        (bad(encoding='64FC1'), ['64FC1 is no encoding of a picture']),
    ],
)
def test_bad_messages(raw: SimpleNamespace, words: list[str]) -> None:
    with pytest.raises(ImageError) as error:
        decode(raw)
    assert all(word in str(error.value) for word in words), str(error.value)
    assert isinstance(error.value, ValueError) and '\n' not in str(error.value)


def test_encode_fills_a_message_that_decodes_to_the_same() -> None:
    pytest.importorskip('rclpy')
    from std_msgs.msg import Header

    image = noise(6, 8)[:, ::-1]
    header = Header(frame_id='camera_optical_frame')
    raw = encode_bgr(image, header)
    assert (raw.width, raw.height, raw.step, raw.encoding) == (8, 6, 24, 'bgr8')
    assert raw.header.frame_id == 'camera_optical_frame' and len(raw.data) == 144
    np.testing.assert_array_equal(decode(raw), image)


@pytest.mark.parametrize(
    'image',
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_encode_refuses_other_arrays(image: np.ndarray) -> None:
    pytest.importorskip('rclpy')
    with pytest.raises(ImageError, match='expected uint8'):
        encode_bgr(image, None)


def test_decoding_needs_no_ros() -> None:
    ros_modules = {'rclpy', 'sensor_msgs', 'std_msgs'}
    assert not ros_modules & set(vars(images))
