"""Annotated videos, tables and plots: what is written, and what is left after damage and kills."""

from __future__ import annotations

import os
import re
import resource
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip('av', reason='pip install av')

import av
import cv2

from headpose_ros.errors import HeadposeError
from headpose_ros.geometry.rotations import FRONTAL, face_from_aligned, matrix_from_aflw
from headpose_ros.perception.draw import AXIS_COLORS, AXIS_STYLES, draw_faces, drawn_axes
from headpose_ros.perception.faces import Face
from headpose_ros.perception.table import FaceTable, TableError, read_table
from headpose_ros.sources.open import open_stream
from headpose_ros.sources.source import DEFAULT_FPS, SourceError
from headpose_ros.sources.video import VideoSource, displayed
from headpose_ros.sources.video_writer import VideoWriter
from headpose_ros.sources.virtual_camera import PERIOD
from headpose_ros.tools.video import VideoOptions, annotate

ROOT = Path(__file__).parents[1]
PROGRAM = [sys.executable, '-m', 'headpose_ros.cli']
FRAMES = 75


def headpose(*words: Any, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*PROGRAM, *map(str, words)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    assert 'Traceback' not in done.stderr
    return done


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    (line,) = done.stderr.strip().splitlines()
    return line


@pytest.fixture(scope='module')
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('clip') / 'clip.mp4'
    source = open_stream('astronaut', width=320)
    with VideoWriter(path) as writer:
        for index in range(FRAMES):
            writer.write(source.read(), index / 30)
    return path


@pytest.fixture(scope='module')
def out(clip: Path) -> Path:
    path = clip.with_name('out.mp4')
    done = headpose('video', clip, path, '--device', 'cpu', '--landmarks')
    assert f'{FRAMES} frames' in done.stdout
    assert '0 damaged frames skipped' in done.stdout
    return path


def face(**changes: Any) -> Face:
    points = np.random.default_rng(0).uniform(40, 160, (68, 2))
    plain = Face(
        id='f1',
        box=np.array([40.0, 40.0, 120.0, 120.0]),
        rotation=FRONTAL,
        landmarks=points,
        visibility=np.ones(68),
        landmark_confidence=np.ones(68),
        confidence=0.9,
    )
    return replace(plain, **changes)


def frames_of(path: Path) -> list[tuple[float, np.ndarray]]:
    with VideoSource(path) as source:
        return list(source.timed())


def test_video_and_table_hold_every_frame(out: Path) -> None:
    frames = frames_of(out)
    assert len(frames) == FRAMES
    assert frames[-1][0] == pytest.approx((FRAMES - 1) / 30, abs=0.002)
    assert frames[0][1].shape == (240, 320, 3)
    table = read_table(out.with_suffix('.csv'))['f1']
    assert len(table['yaw_deg']) >= FRAMES - 2  # the first frame confirms the face
    assert np.ptp(table['roll_deg']) > 10  # the virtual camera rolls
    assert {'u0', 'v67', 'visibility67'} <= set(table)
    inside = (table['u30'] > 0) & (table['u30'] < 320)
    assert inside.all()


def test_input_is_marked_by_the_axes(out: Path, clip: Path) -> None:
    plain, marked = frames_of(clip)[40][1], frames_of(out)[40][1]
    assert np.abs(plain.astype(int) - marked).max() > 100


def test_a_killed_run_leaves_a_playable_video_and_table(tmp_path: Path) -> None:
    out = tmp_path / 'killed.mp4'
    frames = _interrupted(out, signal.SIGKILL)
    assert frames >= 30
    assert len(read_table(out.with_suffix('.csv'))['f1']['yaw_deg']) > 60


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_loses_nothing(tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / 'ended.mp4'
    frames = _interrupted(out, number)
    table = read_table(out.with_suffix('.csv'))
    last = max(columns['frame'].max() for columns in table.values())
    assert abs(frames - (last + 1)) <= 1  # the signal may fall between video and table


def _interrupted(out: Path, number: signal.Signals) -> int:
    """Start an endless run, end it after some seconds of video; return the frames that play."""
    words = ['video', 'astronaut', str(out), '--duration', '3600', '--device', 'cpu']
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    # As a shell script starts what it puts into the background.
    ignored = partial(signal.signal, signal.SIGINT, signal.SIG_IGN)
    with subprocess.Popen(
        [*PROGRAM, *words], cwd=ROOT, env=environment, preexec_fn=ignored
    ) as process:
        table, end = out.with_suffix('.csv'), time.monotonic() + 240
        while not table.is_file() or table.read_text().count('\n') < 100:
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.1)
        process.send_signal(number)
    assert process.returncode == (-9 if number == signal.SIGKILL else 130)
    capture = cv2.VideoCapture(str(out))  # not the reader that belongs to the writer
    count = 0
    while capture.read()[0]:
        count += 1
    return count


def test_damaged_frames_are_skipped_and_counted(clip: Path, tmp_path: Path) -> None:
    broken = bytearray(clip.read_bytes())
    middle = len(broken) // 2
    broken[middle : middle + 600] = os.urandom(600)
    path = tmp_path / 'broken.mp4'
    path.write_bytes(broken)
    with VideoSource(path) as source:
        stamps = [stamp for stamp, _ in source.timed()]
    assert 0 < source.skipped < FRAMES
    assert len(stamps) + source.skipped >= FRAMES - 5
    assert np.all(np.diff(stamps) > 0)


def test_a_file_that_breaks_off_plays_to_the_break(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / 'cut.mp4'
    path.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])
    assert 20 < len(frames_of(path)) < FRAMES


def test_damaged_images_of_a_folder_are_counted(tmp_path: Path, clip: Path) -> None:
    folder = tmp_path / 'frames'
    folder.mkdir()
    for index, (_, image) in enumerate(frames_of(clip)[:4]):
        cv2.imwrite(str(folder / f'{index}.png'), image)
    (folder / '2.png').write_bytes(b'nothing')
    done = headpose('video', folder, tmp_path / 'out.mp4', '--device', 'cpu')
    assert '3 frames' in done.stdout
    assert '1 damaged frames skipped' in done.stdout


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['nowhere.mp4', '{tmp}/out.mp4'], 'no such file or folder: nowhere.mp4'),
        (['{tmp}/text.mp4', '{tmp}/out.mp4'], 'cannot read'),
        (['{clip}', '{tmp}/out.avi'], 'expected a name that ends in .mp4'),
        (['{clip}', '{tmp}/no/out.mp4'], 'there is no folder'),
        (['{clip}', '{clip}'], 'is both input and output'),
        (['{clip}', '{tmp}/text.mp4'], 'exists already: choose another name, or --overwrite'),
        (['{clip}', '{tmp}/rows.mp4'], 'rows.csv exists already'),
        (['astronaut', '{tmp}/out.mp4'], 'is a photograph: give --duration'),
    ],
)
def test_what_cannot_be_done_is_one_line(
    words: list[str], said: str, clip: Path, tmp_path: Path
) -> None:
    (tmp_path / 'text.mp4').write_text('no video')
    (tmp_path / 'rows.csv').write_text('precious')
    source, out = [word.format(tmp=tmp_path, clip=clip) for word in words]
    with pytest.raises(HeadposeError, match=re.escape(said)):
        annotate(None, VideoOptions(source, Path(out)))
    assert clip.stat().st_size > 1000


class Blind:
    """Finds nobody, in no time."""

    def track(self, image: Any, stamp: float, camera: Any) -> list[Face]:
        return []

    def left_out(self, video: str) -> int:
        return 0


def test_a_full_disk_is_one_line_and_leaves_what_plays(tmp_path: Path) -> None:
    out = tmp_path / 'out.mp4'
    rng = np.random.default_rng(0)
    with VideoWriter(tmp_path / 'noise.mp4') as writer:
        for index in range(150):
            noise = rng.integers(0, 255, (96, 128, 3), np.uint8)
            writer.write(noise, index / 30)
    with file_limit(300_000), pytest.raises(HeadposeError, match=r'cannot write .*out.mp4: File'):
        annotate(Blind(), VideoOptions(str(tmp_path / 'noise.mp4'), out))
    assert 20 < len(frames_of(out)) < 150


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    """Let no file grow beyond a size, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_moving_photograph_lasts_as_long_as_is_wanted(tmp_path: Path) -> None:
    options = VideoOptions('astronaut', tmp_path / 'out.mp4', duration=PERIOD + 1.0)
    assert annotate(Blind(), options).frames == round((PERIOD + 1.0) * DEFAULT_FPS)


def test_an_error_is_one_line(tmp_path: Path) -> None:
    done = headpose('video', 'nowhere.mp4', tmp_path / 'out.mp4', '--device', 'cpu', code=2)
    assert 'no such file or folder: nowhere.mp4' in one_line(done)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / 'sound.mp4'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('aac', rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), 'fltp', 'mono')
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(SourceError, match='expected a video, there is none in it'):
        VideoSource(path)


#: As phones in poor light record: steps of 33 ms, then of 200 ms, ms.
UNEVEN = [0, 33, 66, 99, 299, 499, 699, 732]


def film(path: Path, times: Sequence[int] = UNEVEN, codec: str = 'libx264', **stream: Any) -> Path:
    """Write a film whose picture i has the grey 20 + 25 i, red upper left, at times in ms."""
    with av.open(str(path), 'w') as container:
        track = container.add_stream(codec, rate=1000)
        track.pix_fmt, track.width, track.height = 'yuv420p', 96, 64
        track.codec_context.time_base = Fraction(1, 1000)
        for name, value in stream.items():
            setattr(track.codec_context, name, value)
        for index, time_ms in enumerate(times):
            picture = np.full((64, 96, 3), 20 + 25 * (index % 8), np.uint8)
            picture[:24, :24] = (0, 0, 255)
            frame = av.VideoFrame.from_ndarray(picture, format='bgr24')
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            container.mux(track.encode(frame))
        container.mux(track.encode())
    return path


def without_default_duration(path: Path) -> Path:
    """Void the element that tells the rate of a WebM, which browsers' recorders do not write."""
    data = bytearray(path.read_bytes())
    start = data.index(b'\x23\xe3\x83')
    length = 4 + (data[start + 3] & 0x7F)
    data[start : start + length] = bytes([0xEC, 0x80 | (length - 2)]) + bytes(length - 2)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ('name', 'codec'), [('a.mp4', 'libx264'), ('a.mkv', 'libx264'), ('a.webm', 'libvpx')]
)
def test_frames_are_shown_at_their_presentation_times(
    name: str, codec: str, tmp_path: Path
) -> None:
    frames = frames_of(film(tmp_path / name, [4000 + time for time in UNEVEN], codec))
    np.testing.assert_allclose([stamp for stamp, _ in frames], np.divide(UNEVEN, 1e3), atol=1e-9)
    levels = [image[40:, 40:].mean() for _, image in frames]
    np.testing.assert_allclose(levels, 20 + 25 * np.arange(8), atol=8)


def test_a_film_without_a_frame_rate_has_times_and_no_rate(tmp_path: Path) -> None:
    path = without_default_duration(film(tmp_path / 'a.webm', codec='libvpx'))
    with VideoSource(path) as source:
        stamps = [stamp for stamp, _ in source.timed()]
    np.testing.assert_allclose(stamps, np.divide(UNEVEN, 1e3), atol=1e-9)
    assert (source.fps, source.total) == (DEFAULT_FPS, 0)


@pytest.mark.parametrize('step', [-5_000, 3_600_000])
def test_a_break_in_the_clock_of_a_film_is_no_pause(step: int, tmp_path: Path) -> None:
    times = [10_000, 10_040, 10_080, 10_080 + step, 10_120 + step]
    stamps = [0.0, 0.04, 0.08, 0.08 + 1 / DEFAULT_FPS, 0.12 + 1 / DEFAULT_FPS]
    clock = iter(times)

    def decoded(source: VideoSource) -> Iterator[Any]:
        for frame in _plain_frames(source):
            yield SimpleNamespace(time=next(clock) / 1e3, **_parts(frame))

    _plain_frames = VideoSource._decoded
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VideoSource, '_decoded', decoded)
        path = without_default_duration(film(tmp_path / 'a.webm', UNEVEN[:5], 'libvpx'))
        found = [stamp for stamp, _ in frames_of(path)]
    np.testing.assert_allclose(found, stamps, atol=1e-9)


def _parts(frame: Any) -> dict[str, Any]:
    names = ('is_corrupt', 'width', 'height', 'side_data', 'to_ndarray')
    return {name: getattr(frame, name) for name in names}


_HALF, _LEFT, _RIGHT, _MIRROR = (-1, 0, 0, -1), (0, -1, 1, 0), (0, 1, -1, 0), (-1, 0, 0, 1)


@pytest.mark.parametrize(
    ('matrix', 'shape', 'corner'),
    [
        ((1, 0, 0, 1), (64, 96), (8, 8)),
        (_RIGHT, (96, 64), (8, 56)),
        (_HALF, (64, 96), (56, 88)),
        (_LEFT, (96, 64), (88, 8)),
        (_MIRROR, (64, 96), (8, 88)),
    ],
)
def test_a_film_is_turned_as_its_display_matrix_asks(
    matrix: tuple[int, ...], shape: tuple[int, int], corner: tuple[int, int], tmp_path: Path
) -> None:
    path = film(tmp_path / 'a.mp4', UNEVEN[:3])
    data = bytearray(path.read_bytes())
    place = data.index(b'tkhd') + 44  # of version 0: behind times, track, duration, layer, volume
    one = struct.pack('>9i', 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    assert data[place : place + 36] == one
    a, b, c, d = (0x10000 * value for value in matrix)
    data[place : place + 36] = struct.pack('>9i', a, b, 0, c, d, 0, 0, 0, 0x40000000)
    path.write_bytes(data)
    image = frames_of(path)[1][1]
    assert image.shape[:2] == shape
    blue, _, red = image[corner]
    assert red > 200 and blue < 60


@settings(deadline=None)
@given(st.sampled_from([(1, 0, 0, 1), _RIGHT, _HALF, _LEFT, _MIRROR, (0, 1, 1, 0)]))
def test_pixels_go_where_the_display_matrix_puts_them(matrix: tuple[int, ...]) -> None:
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    pixels = np.array([[x, y] for y in range(2) for x in range(3)])
    places = pixels @ np.reshape(matrix, (2, 2))
    places -= places.min(axis=0)
    shown = displayed(image, np.reshape(matrix, (2, 2)) * 65536)
    for (x, y), (column, row) in zip(pixels, places, strict=True):
        assert np.array_equal(shown[row, column], image[y, x])


def test_a_cover_picture_is_not_the_film(tmp_path: Path) -> None:
    path, covered = film(tmp_path / 'plain.mp4'), tmp_path / 'covered.mkv'
    cover = cv2.imencode('.jpg', np.full((300, 300, 3), 255, np.uint8))[1].tobytes()
    with av.open(str(path)) as source, av.open(str(covered), 'w') as out:
        picture = out.add_stream('mjpeg', rate=1)
        picture.width = picture.height = 300
        picture.pix_fmt = 'yuvj420p'
        track = out.add_stream_from_template(source.streams.video[0])
        packet = av.Packet(cover)
        packet.stream, packet.pts, packet.dts = picture, 0, 0
        out.mux(packet)
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = track
                out.mux(packet)
    frames = frames_of(covered)
    assert len(frames) == len(UNEVEN) and frames[0][1].shape == (64, 96, 3)


def test_pixels_that_are_not_square_are_made_so(tmp_path: Path) -> None:
    path = film(tmp_path / 'a.mp4', sample_aspect_ratio=Fraction(4, 3))
    assert frames_of(path)[0][1].shape == (64, 128, 3)


@pytest.mark.parametrize('name', ['12:30 [a] $b 100%41.mp4', 'ärger 顔.mp4', '-x%03d.mp4'])
def test_a_film_may_have_any_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with VideoWriter(path) as writer:
        for index in range(5):
            writer.write(np.full((64, 96, 3), 40, np.uint8), index / 30)
    assert len(frames_of(path)) == 5


@settings(deadline=None)
@given(
    st.floats(-1.5, 1.5), st.floats(-1.4, 1.4), st.floats(-3, 3), st.booleans(), st.integers(0, 9)
)
def test_a_table_gives_back_what_was_written(
    tmp_path_factory: Any, pitch: float, yaw: float, roll: float, metric: bool, frame: int
) -> None:
    path = tmp_path_factory.mktemp('table') / 'faces.csv'
    rotation = face_from_aligned(matrix_from_aflw([pitch, yaw, roll]))
    position = np.array([0.1, -0.2, 0.7]) if metric else None
    with FaceTable(path) as table:
        table.write(frame, 0.5, [face(rotation=rotation, position=position)])
        table.write(frame + 1, 0.6, [])
    back = read_table(path)
    columns = back['f1']
    angles = [columns[f'{name}_deg'][0] for name in ('pitch', 'yaw', 'roll')]
    np.testing.assert_allclose(np.radians(angles), [pitch, yaw, roll], atol=1e-4)
    assert columns['frame'][0] == frame
    assert np.isnan(columns['z_m'][0]) != metric
    assert np.isnan(columns['mouth_openness'][0])
    assert back['']['frame'].tolist() == [frame + 1]


def test_a_row_that_was_cut_short_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / 'faces.csv'
    with FaceTable(path) as table:
        for frame in range(3):
            table.write(frame, frame / 30, [face()])
    path.write_bytes(path.read_bytes()[:-40])
    assert len(read_table(path)['f1']['yaw_deg']) == 2


def test_plot_has_a_panel_for_what_is_known(out: Path) -> None:
    pytest.importorskip('matplotlib', reason='pip install matplotlib')
    from headpose_ros.tools.plot import plot

    picture = out.with_suffix('.png')
    headpose('plot', out)
    assert 'exists already' in one_line(headpose('plot', out, code=2))
    first = cv2.imread(str(picture))
    assert first.shape[1] == 1000
    lids = ['eyes open\nleft dotted', 'mouth open']
    assert plot(out, picture, overwrite=True) == ['yaw / °', 'pitch / °', 'roll / °', *lids]
    table = out.with_name('openness.csv')
    with FaceTable(table) as writer:
        for frame in range(30):
            openness = np.array([0.9, 0.8, np.nan])
            writer.write(frame, frame / 30, [face(openness=openness, position=np.ones(3))])
    assert plot(table, picture, overwrite=True)[3:] == ['distance / m', lids[0]]
    assert cv2.imread(str(picture)).shape == first.shape


@pytest.mark.parametrize(
    ('content', 'said'),
    [(None, 'cannot read'), ('a,b\n1,2\n', 'is no table of faces'), ('', 'is no table of faces')],
)
def test_what_is_no_table_is_said(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / 'table.csv'
    if content is not None:
        path.write_text(content)
    with pytest.raises(TableError, match=said):
        read_table(path)


def test_a_table_without_faces_says_so(tmp_path: Path) -> None:
    path = tmp_path / 'table.csv'
    with FaceTable(path) as table:
        table.write(0, 0.0, [])
    assert 'holds no face' in one_line(headpose('plot', path, code=2))
    path.write_text(path.read_text().replace('0.0000', 'zero'))
    with pytest.raises(TableError, match='is no table of faces'):
        read_table(path)


def test_axes_are_drawn_as_tf_draws_them() -> None:
    """A face turned to the image's left: red goes left, blue goes up."""
    turned = face_from_aligned(matrix_from_aflw([0.0, 0.8, 0.0]))
    canvas = draw_faces(np.zeros((200, 200, 3), np.uint8), [face(rotation=turned)])
    origin = face().landmarks[27]
    assert _direction(canvas, AXIS_COLORS[0], origin)[0] < -10
    assert _direction(canvas, AXIS_COLORS[2], origin)[1] < -10


def test_paper_style_has_green_down_and_blue_out_of_the_face() -> None:
    assert AXIS_STYLES == ('tf', 'paper')
    right, down, out = drawn_axes(FRONTAL, 'paper').T
    np.testing.assert_allclose(right, [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(down, [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(out, FRONTAL[:, 0], atol=1e-12)


def _direction(canvas: np.ndarray, color: tuple[int, ...], origin: np.ndarray) -> np.ndarray:
    """Mean place of the pixels of about this colour, from the origin."""
    near = np.abs(canvas.astype(int) - color).max(axis=2) < 30
    assert near.any()
    return np.argwhere(near)[:, ::-1].mean(axis=0) - origin
