"""Compressed images, without ROS."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headpose_ros.ros.input.compressed import decode_compressed
from headpose_ros.ros.input.images import ImageError

PICTURE = cv2.GaussianBlur(
    np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8), (0, 0), 3
)


def message(extension='.jpg', image=PICTURE, **fields):
    data = cv2.imencode(extension, image)[1].tobytes()
    return SimpleNamespace(**{'data': data, 'format': 'bgr8; jpeg compressed bgr8', **fields})


def test_jpeg_and_png_are_read_whatever_format_says():
    assert (decode_compressed(message('.png', format='')) == PICTURE).all()
    off = np.abs(decode_compressed(message('.jpg')).astype(int) - PICTURE)
    assert off.mean() < 4


def test_grey_and_sixteen_bits_become_bgr():
    assert decode_compressed(message(image=PICTURE[..., 0])).shape == PICTURE.shape
    deep = decode_compressed(message('.png', PICTURE.astype(np.uint16) * 257))
    assert (deep == PICTURE).all()


@pytest.mark.parametrize('bits', [8, 10, 12, 14, 16])
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_png_that_uses_the_low_bits_only_is_no_black_picture(bits, channels):
    white = 2**bits - 1
    samples = np.full((6, 8, channels), (white + 1) // 2, np.uint16)
    samples[0] = white
    decoded = decode_compressed(message('.png', samples))
    assert decoded.shape == (6, 8, 3)
    assert (decoded[0] == 255).all() and (decoded[1:] == 128).all()


def test_exif_does_not_turn_the_pixels():
    plain = message().data
    body = b'Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0'
    exif = b'\xff\xe1' + (len(body) + 2).to_bytes(2, 'big') + body
    turned = message(data=plain[:2] + exif + plain[2:])
    assert decode_compressed(turned).shape == PICTURE.shape


@pytest.mark.parametrize('extension', ['.jpg', '.png'])
def test_what_is_cut_off_is_refused(extension):
    whole = message(extension).data
    for length in (0, 1, 3, 20, 200, len(whole) // 2, len(whole) - 9):
        with pytest.raises(ImageError):
            decode_compressed(message(data=whole[:length]))


def test_padding_after_the_end_is_no_harm():
    assert decode_compressed(message(data=message().data + bytes(100))).shape == PICTURE.shape


def test_depth_other_kinds_and_huge_sizes_are_refused():
    huge = bytearray(message('.png').data)
    huge[16:24] = (60000).to_bytes(4, 'big') * 2
    for bad, said in (
        (message(format='16UC1; compressedDepth png'), 'depth'),
        (message('.bmp'), 'neither JPEG nor PNG'),
        (message(data=bytes(huge)), 'huge'),
    ):
        with pytest.raises(ImageError, match=said):
            decode_compressed(bad)


@given(
    extension=st.sampled_from(['.jpg', '.png']),
    hits=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=20),
)
def test_damaged_data_are_a_picture_or_an_image_error(extension, hits):
    data = bytearray(message(extension).data)
    for place, value in hits:
        data[int(place * len(data))] = value
    try:
        image = decode_compressed(message(data=bytes(data)))
    except ImageError:
        return
    assert image.dtype == np.uint8
    assert image.ndim == 3
