"""JPEG and PNG data that are padded, odd, or made to cost gigabytes and minutes; without ROS."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from headpose_ros.ros.input.compressed import LIMITS, decode_compressed
from headpose_ros.ros.input.images import ImageError
from headpose_ros.sources.encoded import EncodedError, checked
from headpose_ros.sources.pictures import read_image
from headpose_ros.sources.source import SourceError

ROOT = Path(__file__).parents[1]
PICTURE = cv2.GaussianBlur(
    np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8), (0, 0), 3
)


def jpeg(picture=PICTURE, **options):
    file = io.BytesIO()
    Image.fromarray(picture[..., ::-1]).convert(options.pop('mode', 'RGB')).save(
        file, 'JPEG', **options
    )
    return file.getvalue()


def png(picture=PICTURE):
    return cv2.imencode('.png', picture)[1].tobytes()


def segment(marker, body):
    return bytes([0xFF, marker]) + struct.pack('>H', len(body) + 2) + body


def frame(width, height, marker=0xC0, bits=8, components=3):
    body = struct.pack('>BHHB', bits, height, width, components)
    return segment(marker, body + b''.join(bytes([i + 1, 0x11, 0]) for i in range(components)))


def with_size(data, width, height):
    """Return a JPEG that asks for another size."""
    place = next(i for i in range(len(data)) if data[i] == 0xFF and data[i + 1] in (0xC0, 0xC2))
    return data[: place + 5] + struct.pack('>HH', height, width) + data[place + 9 :]


def parts(data):
    """Return a JPEG's segments, each scan with its coded data, without the end mark."""
    found, place = [], 2
    while data[place + 1] != 0xD9:
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], 'big')
        if data[place + 1] == 0xDA:
            while data[end] != 0xFF or data[end + 1] == 0:
                end += 1
        found.append(data[place:end])
        place = end
    return found


def chunk(kind, body):
    return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))


def header(width, height, bits=8, color=2, interlaced=0):
    return chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, bits, color, 0, 0, interlaced))


def black_png(width, height, bits=8, color=2, samples=3):
    packer = zlib.compressobj(9)
    row = bytes(1 + width * samples * bits // 8)
    packed = b''.join(packer.compress(row) for _ in range(height)) + packer.flush()
    return (
        b'\x89PNG\r\n\x1a\n'
        + header(width, height, bits, color)
        + chunk(b'IDAT', packed)
        + chunk(b'IEND', b'')
    )


def message(data, said='jpeg'):
    return SimpleNamespace(data=data, format=said)


def decode(data):
    return decode_compressed(message(data))


WHOLE = {
    'baseline': jpeg(),
    'grey': jpeg(mode='L'),
    'cmyk': jpeg(mode='CMYK'),
    'progressive': jpeg(progressive=True),
    'restart markers': jpeg(restart_marker_rows=1),
    'fill bytes': b'\xff\xd8' + b'\xff' * 9 + jpeg()[3:],
    'comment with marks': b'\xff\xd8' + segment(0xFE, b'\xff\xd9\xff\xc0') + jpeg()[2:],
    'thumbnail': b'\xff\xd8' + segment(0xE1, b'Exif\0\0' + jpeg(PICTURE[:8, :8])) + jpeg()[2:],
    'png': png(),
    'png of 16 bits': png(PICTURE.astype(np.uint16) * 257),
    'png with alpha': png(np.dstack([PICTURE, PICTURE[..., :1]])),
}


@pytest.mark.parametrize('data', WHOLE.values(), ids=WHOLE.keys())
def test_whole_pictures_are_seen_whatever_follows_them(data):
    picture = decode(data)
    assert picture.shape == PICTURE.shape
    for behind in (bytes(3000), bytes(600_000), b'\xff\xd9' * 9, b'\xff\xd8\xff\xc0', b'IEND'):
        assert (decode(data + behind) == picture).all()


@given(kind=st.sampled_from(sorted(WHOLE)), behind=st.binary(max_size=200))
@settings(deadline=None)
def test_what_follows_the_end_mark_does_not_count(kind, behind):
    data = WHOLE[kind]
    kept = checked(np.frombuffer(data + behind, np.uint8), LIMITS)
    assert kept.tobytes() == checked(np.frombuffer(data, np.uint8), LIMITS).tobytes()


@pytest.mark.parametrize('data', WHOLE.values(), ids=WHOLE.keys())
@pytest.mark.parametrize('share', [0.3, 0.7, 0.99])
def test_what_is_cut_off_is_refused_however_it_is_padded(data, share):
    cut = data[: int(share * len(data))]
    for behind in (b'', bytes(5000)):
        with pytest.raises(ImageError, match=r'cut off|damaged'):
            decode(cut + behind)


_GIANT = frame(65000, 65000)
_SCAN = parts(jpeg())[-1]
_PROGRESSIVE = parts(jpeg(progressive=True))
BOMBS = {
    'restart before the frame': (b'\xff\xd8\xff\xd0' + _GIANT + jpeg()[2:], 'huge'),
    'marker without a length': (b'\xff\xd8\xff\x01' + _GIANT + jpeg()[2:], 'huge'),
    'stray bytes before the frame': (b'\xff\xd8\xff\xfe\0\2abc' + _GIANT + jpeg()[2:], 'huge'),
    'frame inside of an unknown marker': (
        b'\xff\xd8' + segment(0x02, _GIANT) + jpeg()[2:],
        'marker 0x02',
    ),
    'reserved marker': (b'\xff\xd8' + segment(0xF0, b'') + jpeg()[2:], 'marker 0xF0'),
    'second start': (b'\xff\xd8' + jpeg(), 'marker 0xD8'),
    'second frame': (b'\xff\xd8' + frame(8, 8) + _GIANT + jpeg()[2:], 'two frame headers'),
    'frame behind the scan': (jpeg()[:-2] + _GIANT + b'\xff\xd9', 'two frame headers'),
    'scan before the frame': (b'\xff\xd8' + _SCAN + _GIANT + b'\xff\xd9', 'before the frame'),
    'no scan': (b'\xff\xd8' + frame(8, 8) + b'\xff\xd9', 'no picture'),
    'scan of another component': (
        b'\xff\xd8' + frame(8, 8) + segment(0xDA, b'\1\x09\0\0\x3f\0') + b'\xff\xd9',
        'unknown components',
    ),
    'height in a later marker': (b'\xff\xd8' + frame(64, 0) + jpeg()[2:], 'empty'),
    '12 bits': (b'\xff\xd8' + frame(8, 8, bits=12) + b'\xff\xd9', '12 bits'),
    'lossless': (b'\xff\xd8' + frame(8, 8, marker=0xC3) + b'\xff\xd9', 'SOF3'),
    'arithmetic codes': (b'\xff\xd8' + frame(8, 8, marker=0xC9) + b'\xff\xd9', 'SOF9'),
    'ten components': (b'\xff\xd8' + frame(8, 8, components=10) + b'\xff\xd9', '10 components'),
    'short frame header': (b'\xff\xd8' + segment(0xC0, b'\x08\0\x08') + b'\xff\xd9', 'length'),
    'segment of no length': (b'\xff\xd8\xff\xe0\0\0' + jpeg()[2:], 'shorter'),
    'sampled by nothing': (jpeg().replace(b'\1\x22\0', b'\1\0\0', 1), 'sampling factor'),
    'huge': (with_size(jpeg(), 20000, 20000), 'huge'),
    'wide': (with_size(jpeg(), 65000, 600), 'huge'),
    'few data': (with_size(jpeg(), 4000, 3000), 'too few for 4000x3000'),
    'few data, progressive': (with_size(jpeg(progressive=True), 4000, 3000), 'too few'),
    'many scans': (
        with_size(
            b'\xff\xd8' + b''.join(_PROGRESSIVE) + _PROGRESSIVE[-1] * 3000 + b'\xff\xd9', 2000, 900
        ),
        'scans visit more than 8 million',
    ),
    'many segments': (b'\xff\xd8' + segment(0xFE, b'') * 200_000 + jpeg()[2:], 'segments'),
    'png, huge': (b'\x89PNG\r\n\x1a\n' + header(60000, 60000) + png()[33:], 'huge'),
    'png, few data': (b'\x89PNG\r\n\x1a\n' + header(5000, 5000) + png()[33:], 'too few'),
    'png, deep and large': (b'\x89PNG\r\n\x1a\n' + header(5000, 6000, 16, 6) + png()[33:], 'MB'),
    'png, second header': (png()[:33] + header(30000, 30000) + png()[33:], 'comes twice'),
    'png, header behind': (png()[:8] + chunk(b'PLTE', b'') + png()[8:], 'not the first'),
    'png, empty': (b'\x89PNG\r\n\x1a\n' + header(0, 5) + png()[33:], 'empty'),
    'png, 3 bits': (b'\x89PNG\r\n\x1a\n' + header(8, 8, 3) + png()[33:], 'number of bits'),
    'png, unknown critical chunk': (png()[:33] + chunk(b'BOMB', b'x') + png()[33:], 'unknown'),
    'png, chunk without a name': (png()[:33] + chunk(b'\0\1\2\3', b'x') + png()[33:], 'name'),
    'png, many chunks': (png()[:33] + chunk(b'teXt', b'') * 60_000 + png()[33:], 'chunks'),
}


@pytest.mark.parametrize(('data', 'said'), BOMBS.values(), ids=BOMBS.keys())
def test_bombs_are_refused_with_their_reason(data, said):
    with pytest.raises(ImageError, match=said) as caught:
        decode(data)
    assert len(str(caught.value)) < 200


OTHER = ('.bmp', '.webp', '.tiff', '.jp2', '.ppm', '.ras', '.hdr', '.pfm', '.gif', '.avif', '.exr')
SIGNATURES = {
    '.gif': b'GIF89a',
    '.avif': b'\0\0\0\x1cftypavif',
    '.exr': b'v/1\x01',
    '.hdr': b'#?RADIANCE\n',
    '.pfm': b'PF\n',
}


@pytest.mark.parametrize('extension', OTHER)
def test_formats_that_nobody_asked_for_never_reach_a_decoder(extension, monkeypatch):
    def never(*_):
        raise AssertionError('decoded')

    begin = SIGNATURES.get(extension) or cv2.imencode(extension, PICTURE)[1].tobytes()
    monkeypatch.setattr(cv2, 'imdecode', never)
    with pytest.raises(ImageError, match='neither JPEG nor PNG'):
        decode(begin + bytes(100))


@pytest.mark.parametrize('kind', [b'zTXt', b'iTXt', b'iCCP', b'acTL', b'fdAT', b'tIME'])
def test_chunks_that_are_not_pixels_are_left_out(kind):
    packed = zlib.compress(bytes(50_000_000), 9)
    extra = chunk(kind, b'name\0\0' + packed) * 10
    data = np.frombuffer(png()[:33] + extra + png()[33:], np.uint8)
    assert checked(data, LIMITS).tobytes() == png()


#: Prints, for every file, the peak of this process's memory so far in MB and the seconds it worked.
_MEASURE = """
import json, resource, sys, time
from pathlib import Path
from types import SimpleNamespace
from headpose_ros.sources.pictures import read_image
from headpose_ros.sources.source import SourceError
from headpose_ros.ros.input.compressed import decode_compressed
from headpose_ros.ros.input.images import ImageError

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3

def cost(data):
    start = time.process_time()
    try:
        decode_compressed(SimpleNamespace(data=data, format=''))
    except ImageError:
        pass
    return time.process_time() - start

files = [file.read_bytes() for file in sorted(Path(sys.argv[1]).iterdir())]
cost(files[0][:100])
before = peak()
seconds = [cost(data) for data in files]
print(json.dumps([peak() - before, seconds]))
"""


def _dearest():
    """Return what comes nearest to the limits."""
    large = np.zeros((4096, 8192, 3), np.uint8)
    progressive = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    whole = cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    return [
        cv2.imencode('.jpg', large)[1].tobytes(),
        cv2.imencode('.jpg', large[:, :6800], [*progressive, *whole])[1].tobytes(),
        black_png(8192, 4096),
        black_png(4096, 3800, 16, 6, 4),
    ]


def test_no_message_costs_more_than_300_mb_or_a_second(tmp_path):
    dearest = _dearest()
    assert all(decode(data).size > 4e7 for data in dearest)  # these are within the limits
    for number, data in enumerate([*dearest, *(data for data, _ in BOMBS.values())]):
        assert len(data) < 1_100_000
        (tmp_path / f'{number:03d}').write_bytes(data)
    done = subprocess.run(
        [sys.executable, '-c', _MEASURE, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    memory, seconds = json.loads(done.stdout.splitlines()[-1])
    assert memory < 300
    assert max(seconds) < 1.0


def test_opencv_itself_refuses_what_is_larger():
    program = (
        'import headpose_ros, cv2, numpy as np\n'
        "data = b'P6 20000 20000 255\\n' + bytes(1000)\n"
        'try:\n'
        '    print(cv2.imdecode(np.frombuffer(data, np.uint8), 1) is None)\n'
        'except cv2.error as error:\n'
        "    print('CV_IO_MAX_IMAGE_PIXELS' in str(error))\n"
    )
    done = subprocess.run([sys.executable, '-c', program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == 'True', done.stderr


def test_neither_is_an_error_of_its_own():
    with pytest.raises(EncodedError, match='neither'):
        checked(np.zeros(9, np.uint8), LIMITS)


@pytest.mark.parametrize('extension', ['.jpg', '.png', '.bmp', '.ppm', '.tiff', '.webp'])
def test_image_files_are_read(tmp_path, extension):
    file = tmp_path / f'face{extension}'
    cv2.imwrite(str(file), PICTURE)
    assert read_image(file).shape == PICTURE.shape


@pytest.mark.parametrize(
    'name', ['marker without a length', 'many scans', 'frame behind the scan', 'png, huge', 'huge']
)
def test_bombs_in_files_are_refused_too(tmp_path, name):
    file = tmp_path / 'bomb.png'
    file.write_bytes(BOMBS[name][0])
    with pytest.raises(SourceError, match=r'cannot read .*bomb\.png: broken or no image'):
        read_image(file)


@pytest.mark.parametrize('begin', [*SIGNATURES.values(), b'P7\n', b'\0\0\0\x0cjP  '])
def test_files_of_other_formats_are_refused(tmp_path, begin):
    file = tmp_path / 'face.png'
    file.write_bytes(begin + bytes(100))
    with pytest.raises(SourceError, match='neither JPEG nor PNG'):
        read_image(file)


def test_pipes_and_devices_are_no_images(tmp_path):
    pipe = tmp_path / 'pipe.png'
    os.mkfifo(pipe)
    for path in (pipe, Path('/dev/zero'), tmp_path):
        with pytest.raises(SourceError, match=r'regular file|[Dd]irectory'):
            read_image(path)
