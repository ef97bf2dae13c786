"""JPEG and PNG data, checked before anything decodes them.

A decoder reserves what the header asks for, and works as long as the data ask for: a picture of
66 KB may cost gigabytes, or minutes. What it will cost is read here from the markers of the data,
in the way in which libjpeg and libpng read them, and refused beyond `Limits`. What follows the end
mark, such as the padding of a driver's buffer, is cut away; of a PNG only the pixels are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from headpose_ros.environment import MAX_FILE_PIXELS
from headpose_ros.errors import HeadposeError

Data = npt.NDArray[np.uint8]

_JPEG, _PNG = b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n'
#: BMP, TIFF of both orders of bytes, PBM, PGM and PPM.
_OTHERS = (b'BM', b'II*\0', b'MM\0*', *(b'P%d' % i for i in range(1, 7)))
#: Segments of a JPEG or chunks of a PNG. A colour profile may take 255, a large PNG some thousand.
_MOST_PARTS = 16384

_SOI, _EOI, _SOS, _TEM = 0xD8, 0xD9, 0xDA, 0x01
_STANDALONE = np.array([_TEM, *range(0xD0, 0xD8)])  # TEM and RST0 to RST7 have no length
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Tables, restart interval, applications' data, comments. Decoders look for markers inside of what
#: they do not know, so nothing else is passed over by its length.
_PASSED_OVER = frozenset({0xC4, 0xCC, 0xDB, 0xDC, 0xDD, *range(0xE0, 0xF0), 0xFE})
_WITH_LENGTH = _PASSED_OVER | _FRAMES | {_SOS}
_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
_SEQUENTIAL = 'sequential or progressive JPEG with Huffman codes'
#: The shortest codes: one bit for the first coefficient of a block, which no picture lacks.
_BLOCKS_PER_BYTE = 8
_COEFFICIENTS = 64 * 2  # bytes of a block that is kept until its last scan

#: Chunks that make up the pixels, and the one that turns them; all others are left out.
_PIXELS = frozenset({b'IHDR', b'PLTE', b'IDAT', b'IEND', b'eXIf'})
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # per pixel, by PNG's type of colour
_DEFLATE = 1032  # most bytes that one byte of a deflated stream becomes
#: Bytes per pixel: OpenCV decodes into BGR, and hands a copy of it to NumPy.
_DECODED, _WITH_COPY = 3, 6


class EncodedError(HeadposeError, ValueError):
    """Data of a picture that are not decoded; the message says why and what was expected."""


@dataclass(frozen=True)
class Limits:
    """What decoding one picture may cost.

    Attributes:
        pixels: Of the picture.
        memory: Bytes that the decoder takes for pixels and coefficients.
        blocks: Blocks of 8 x 8 samples of a JPEG, counted in every scan that visits them.
    """

    pixels: int
    memory: int
    blocks: int


#: For files that a user names: photographs of any camera.
FILE_LIMITS = Limits(MAX_FILE_PIXELS, memory=2 * 10**9, blocks=64 * 2**20)


@dataclass(frozen=True)
class _Component:
    """One colour channel of a JPEG, with its sampling factors."""

    across: int
    down: int


@dataclass
class _Frame:
    """What the markers of a JPEG say."""

    width: int = 0
    height: int = 0
    progressive: bool = False
    components: dict[int, _Component] = field(default_factory=dict)
    visits: int = 0  # blocks, over all scans
    waits: bool = False  # whether coefficients are kept until further scans

    def blocks(self, names: list[int]) -> int:
        """Return the blocks of some components (A.1.1, A.2.2)."""
        most_across = max(c.across for c in self.components.values())
        most_down = max(c.down for c in self.components.values())
        return sum(
            -(-self.width * c.across // (8 * most_across))
            * -(-self.height * c.down // (8 * most_down))
            for c in (self.components[name] for name in names)
        )


def is_jpeg(data: Data) -> bool:
    """Return whether data begin as a JPEG does."""
    return data[:3].tobytes() == _JPEG


def is_png(data: Data) -> bool:
    """Return whether data begin as a PNG does."""
    return data[:8].tobytes() == _PNG


def checked(data: Data, limits: Limits) -> Data:
    """Return the part of a JPEG or PNG that is to be decoded.

    Args:
        data: uint8 (N,), which may go on behind the end mark.
        limits: What it may cost.

    Raises:
        EncodedError: It is neither, cut off, damaged, too costly, or of a kind that is not decoded.
    """
    if is_jpeg(data):
        return _checked_jpeg(data, limits)
    if is_png(data):
        return _checked_png(data, limits)
    raise EncodedError('neither JPEG nor PNG')


def checked_file(data: Data) -> Data:
    """Return the part of a picture file that is to be decoded, of a format that we name.

    Raises:
        EncodedError: As `checked` does; BMP, PPM, TIFF and WebP are left to OpenCV's own limits.
    """
    begin = data[:12].tobytes()
    if begin.startswith(_OTHERS) or (begin[:4] == b'RIFF' and begin[8:] == b'WEBP'):
        return data
    return checked(data, FILE_LIMITS)


def check_pixels(width: int, height: int, most: int) -> None:
    """Raise EncodedError for a picture that is empty or has too many pixels."""
    if not width or not height:
        raise EncodedError(f'damaged: the picture is empty ({width}x{height})')
    if width * height > most:
        raise EncodedError(f'huge ({width}x{height}): expected at most {most // 2**20} megapixels')


def _checked_jpeg(data: Data, limits: Limits) -> Data:
    frame = _Frame()
    view = data.data
    for marker, start, end in _segments(data, view):
        if marker == _EOI:
            if not frame.visits:
                raise EncodedError('damaged: no picture before the end mark')
            _check_jpeg_cost(frame, end, limits)
            return data[:end]
        if marker == _SOS:
            _note_scan(frame, view[start:end], limits)
        elif marker in _FRAMES:
            _note_frame(frame, marker, view[start:end], limits)
    raise EncodedError(f'cut off after {data.size} bytes: end mark missing')


def _segments(data: Data, view: memoryview) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of the body of every segment (ITU-T T.81, B.1.1).

    Anything that is no marker is passed over, as libjpeg does: fill bytes, coded data, restarts.
    """
    places = np.flatnonzero(data[:-1] == 0xFF)
    following = data[places + 1]
    # Neither stuffing, nor filling, nor a marker that has no body and no meaning here.
    stands = (following != 0x00) & (following != 0xFF) & ~np.isin(following, _STANDALONE)
    places = places[stands]
    place, count = 2, 0
    while (index := int(np.searchsorted(places, place))) < places.size:
        start = int(places[index])
        marker, place = view[start + 1], start + 2
        count += 1
        if count > _MOST_PARTS:
            raise EncodedError(f'more than {_MOST_PARTS} segments: expected some dozens')
        if marker == _EOI:
            yield marker, place, place
            return
        if marker not in _WITH_LENGTH:
            raise EncodedError(f'damaged: marker 0x{marker:02X} inside of the picture')
        end = place + int.from_bytes(view[place : place + 2], 'big')
        if end < place + 2:
            raise EncodedError('damaged: a segment is shorter than its length')
        if end > data.size:
            return
        yield marker, place + 2, end
        place = end


def _note_frame(frame: _Frame, marker: int, body: memoryview, limits: Limits) -> None:
    """Take over the header of a frame (B.2.2)."""
    if frame.components:
        raise EncodedError('damaged: two frame headers in one JPEG')
    if marker not in (_BASELINE, _EXTENDED, _PROGRESSIVE):
        raise EncodedError(f'a JPEG of kind SOF{marker - 0xC0}: expected {_SEQUENTIAL}')
    if len(body) < 6 or len(body) != 6 + 3 * body[5]:
        raise EncodedError('damaged: the frame header has another length')
    if body[0] != 8:
        raise EncodedError(f'a JPEG of {body[0]} bits: expected 8')
    if body[5] not in (1, 3, 4):
        raise EncodedError(f'a JPEG of {body[5]} components: expected 1, 3 or 4')
    frame.progressive = marker == _PROGRESSIVE
    frame.height, frame.width = (int.from_bytes(body[i : i + 2], 'big') for i in (1, 3))
    check_pixels(frame.width, frame.height, limits.pixels)
    for i in range(6, len(body), 3):
        component = _Component(body[i + 1] >> 4, body[i + 1] & 15)
        if not (1 <= component.across <= 4 and 1 <= component.down <= 4):
            raise EncodedError('damaged: a sampling factor is not 1 to 4')
        if body[i] in frame.components:
            raise EncodedError('damaged: two components of one name')
        frame.components[body[i]] = component


def _note_scan(frame: _Frame, body: memoryview, limits: Limits) -> None:
    """Count the blocks of a scan (B.2.3)."""
    if not frame.components:
        raise EncodedError('damaged: a scan before the frame header')
    if not body or len(body) != 4 + 2 * body[0]:
        raise EncodedError('damaged: a scan header has another length')
    names = list(body[1 : 1 + 2 * body[0] : 2])
    if not names or not set(names) <= frame.components.keys():
        raise EncodedError('damaged: a scan of unknown components')
    frame.waits |= frame.progressive or len(names) < len(frame.components)
    frame.visits += frame.blocks(names)
    if frame.visits > limits.blocks:
        raise EncodedError(f'huge: its scans visit more than {limits.blocks >> 20} million blocks')


def _check_jpeg_cost(frame: _Frame, length: int, limits: Limits) -> None:
    blocks = frame.blocks(list(frame.components))
    # Every block of the first component is coded, and that with a bit at least.
    first = frame.blocks(list(frame.components)[:1])
    if first > _BLOCKS_PER_BYTE * length:
        raise EncodedError(f'cut off: {length} bytes are too few for {frame.width}x{frame.height}')
    pixels = frame.width * frame.height
    # The coefficients are gone when the copy is made.
    decoding = _DECODED * pixels + (_COEFFICIENTS * blocks if frame.waits else 0)
    _check_memory(frame.width, frame.height, max(decoding, _WITH_COPY * pixels), limits)


def _check_memory(width: int, height: int, memory: int, limits: Limits) -> None:
    if memory > limits.memory:
        raise EncodedError(
            f'huge ({width}x{height}): decoding takes {memory // 10**6} MB, expected at most '
            f'{limits.memory // 10**6} MB'
        )


def _checked_png(data: Data, limits: Limits) -> Data:
    view = data.data
    kept: list[tuple[int, int]] = [(0, 8)]
    coded = 0
    for kind, start, end in _chunks(view):
        if (kind == b'IHDR') != (start == 8):
            raise EncodedError('damaged: the header is not the first chunk, or comes twice')
        if kind in _PIXELS:
            kept.append((start, end))
        elif not kind[0] & 0x20:  # an upper-case letter: nothing can be decoded without it
            raise EncodedError(f'damaged: unknown chunk {kind!r}')
        if kind == b'IHDR':
            raw = _png_size(view[start + 8 : end - 4], limits)
        elif kind == b'IDAT':
            coded += end - start - 12
        elif kind == b'IEND':
            if raw > _DEFLATE * coded:
                raise EncodedError(f'cut off: {coded} bytes are too few for its size')
            return _joined(data, kept)
    raise EncodedError(f'cut off after {data.size} bytes: end mark missing')


def _chunks(view: memoryview) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of every whole chunk; lengths and checksums lie within."""
    place, count = 8, 0
    while place + 12 <= len(view):
        end = place + 12 + int.from_bytes(view[place : place + 4], 'big')
        kind = bytes(view[place + 4 : place + 8])
        if not re.fullmatch(rb'[A-Za-z]{4}', kind):
            raise EncodedError('damaged: a chunk without a name')
        if end > len(view):
            return
        count += 1
        if count > _MOST_PARTS:
            raise EncodedError(f'more than {_MOST_PARTS} chunks: expected some thousands')
        yield kind, place, end
        place = end


def _png_size(header: memoryview, limits: Limits) -> int:
    """Return the bytes of the pixels as they are compressed, from the content of IHDR."""
    if len(header) != 13:
        raise EncodedError('damaged: the header has another length')
    width, height = (int.from_bytes(header[i : i + 4], 'big') for i in (0, 4))
    check_pixels(width, height, limits.pixels)
    samples = _SAMPLES.get(header[9])
    if samples is None or header[8] not in (1, 2, 4, 8, 16):
        raise EncodedError('damaged: unknown type of colour or number of bits')
    raw = height * (1 + -(-width * samples * header[8] // 8))
    _check_memory(width, height, max(_WITH_COPY * width * height, 2 * raw), limits)
    return raw


def _joined(data: Data, kept: list[tuple[int, int]]) -> Data:
    """Return the kept ranges in one piece: a view where they follow one another."""
    if all(a[1] == b[0] for a, b in pairwise(kept)):
        return data[: kept[-1][1]]
    return np.concatenate([data[start:end] for start, end in kept])
