"""Frames from files, folders and devices, and what is said when that fails."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from headpose_ros.sources import device as device_module
from headpose_ros.sources.device import DeviceSource
from headpose_ros.sources.open import open_source
from headpose_ros.sources.pictures import FolderSource, ImageSource
from headpose_ros.sources.resize import fit
from headpose_ros.sources.source import DEFAULT_FPS, SourceError


def grey(level: int, width: int = 64, height: int = 48) -> np.ndarray:
    """Return an even picture."""
    return np.full((height, width, 3), level, np.uint8)


def write_video(path: Path, levels: list[int], fps: float = 12.5) -> Path:
    """Write a video of even pictures in the one codec that every OpenCV can write."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), fps, (64, 48))
    assert writer.isOpened()
    for level in levels:
        writer.write(grey(level))
    writer.release()
    return path


def levels_of(source: Any) -> list[int]:
    """Read a source to its end and return the mean grey of each frame."""
    return [round(float(frame.mean())) for frame in source]


def test_video_is_read_to_its_end_and_rewound(tmp_path: Path) -> None:
    pytest.importorskip('av', reason='PyAV reads films: pip install "av>=14.2,<19"')
    levels = [20, 90, 160, 230]
    with open_source(write_video(tmp_path / 'clip.avi', levels)) as source:
        assert (source.fps, source.is_live, source.is_still) == (12.5, False, False)
        assert source.is_film and source.total == 4
        first = levels_of(source)
        assert len(first) == 4 and np.abs(np.subtract(first, levels)).max() <= 3
        assert source.read() is None
        source.rewind()
        assert levels_of(source) == first
        source.rewind()
        np.testing.assert_allclose([time for time, _ in source.timed()], np.arange(4) / 12.5)


def test_a_film_without_pyav_says_what_to_install(tmp_path: Path, monkeypatch: Any) -> None:
    path = write_video(tmp_path / 'clip.avi', [1, 2])
    monkeypatch.setitem(sys.modules, 'av', None)
    monkeypatch.delitem(sys.modules, 'headpose_ros.sources.video', raising=False)
    with pytest.raises(SourceError, match=r'films need the package av \(pip install "av'):
        open_source(path)


def test_frames_are_bgr_uint8(tmp_path: Path) -> None:
    image = grey(0)
    image[..., 0] = 200  # blue
    cv2.imwrite(str(tmp_path / 'blue.png'), image)
    frame = open_source(str(tmp_path / 'blue.png')).read()
    assert frame is not None and frame.dtype == np.uint8
    np.testing.assert_array_equal(frame, image)


def test_image_comes_once_and_is_the_callers(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'a.PNG'), grey(50))
    source = open_source(tmp_path / 'a.PNG')
    assert isinstance(source, ImageSource) and source.is_still and source.fps == DEFAULT_FPS
    frame = source.read()
    assert frame is not None and source.read() is None
    frame[:] = 0
    source.rewind()
    assert levels_of(source) == [50]


def test_grey_and_transparent_images_become_bgr(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / '1.png'), np.full((48, 64), 70, np.uint8))
    cv2.imwrite(str(tmp_path / '2.png'), np.full((48, 64, 4), 80, np.uint8))
    frames = list(open_source(tmp_path))
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 2


def test_folder_is_in_natural_order(tmp_path: Path) -> None:
    for name, level in {'frame10.png': 30, 'frame2.png': 20, 'Frame1.jpg': 10}.items():
        cv2.imwrite(str(tmp_path / name), grey(level))
    (tmp_path / 'notes.txt').write_text('not a picture')
    source = open_source(tmp_path)
    assert isinstance(source, FolderSource)
    assert levels_of(source) == [10, 20, 30]
    source.rewind()
    assert [time for time, _ in source.timed()] == [0.0, 1 / DEFAULT_FPS, 2 / DEFAULT_FPS]
    assert source.total == 3


def test_broken_image_in_a_folder_is_skipped_with_a_warning(tmp_path: Path, caplog: Any) -> None:
    cv2.imwrite(str(tmp_path / '1.png'), grey(10))
    (tmp_path / '2.png').write_bytes(b'\x89PNG\r\n\x1a\n broken')
    (tmp_path / '3.png').write_bytes(b'')
    cv2.imwrite(str(tmp_path / '4.png'), grey(40))
    assert levels_of(open_source(tmp_path)) == [10, 40]
    warnings = [r.getMessage() for r in caplog.records if r.levelname == 'WARNING']
    assert len(warnings) == 2 and '2.png' in warnings[0] and 'skipped' in warnings[0]


def test_folder_of_broken_images_is_an_error(tmp_path: Path) -> None:
    (tmp_path / '1.png').write_bytes(b'broken')
    with pytest.raises(SourceError, match='none of the 1 images'):
        open_source(tmp_path).read()


def test_astronaut_is_the_photograph_in_bgr() -> None:
    frame = open_source('astronaut').read()
    assert frame is not None and frame.shape == (512, 512, 3)
    # The space suit is orange: much red, little blue.
    blue, _, red = frame[300:500, 100:200].reshape(-1, 3).mean(axis=0)
    assert red > blue + 50


@pytest.mark.parametrize(
    ('name', 'content', 'words'),
    [
        ('none.mp4', None, 'no such file or folder'),
        ('text.mp4', b'hello, I am no video', 'cannot read .*Invalid data'),
        ('empty.avi', b'', 'cannot read .*Invalid data'),
        ('playlist.mp4', b'#EXTM3U\n#EXTINF:9,\nfile:///dev/zero\n', 'cannot read'),
        ('text.png', b'hello, I am no picture', 'broken or no image'),
        ('empty.jpg', b'', 'broken or no image'),
    ],
)
def test_bad_files(
    tmp_path: Path, name: str, content: bytes | None, words: str, capfd: Any
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=words) as error:
        open_source(tmp_path / name)
    assert name in str(error.value) and '\n' not in str(error.value)
    assert capfd.readouterr().err == ''  # no chatter from OpenCV and FFmpeg beside our line


def test_folder_without_images_names_the_endings(tmp_path: Path) -> None:
    (tmp_path / 'clip.txt').write_text('x')
    with pytest.raises(SourceError, match=r'no images in folder .*\.jpg.*\.png'):
        open_source(tmp_path)


def test_empty_spec() -> None:
    with pytest.raises(SourceError, match='no source given'):
        open_source('')


@pytest.mark.parametrize('spec', ['977', 977, '/dev/video977'])
def test_missing_device(spec: str | int) -> None:
    with pytest.raises(SourceError, match='no such device: /dev/video977'):
        open_source(spec)


@pytest.mark.parametrize(
    ('code', 'words'),
    [(errno.EBUSY, 'busy'), (errno.EACCES, 'group "video"'), (errno.EIO, 'error')],
)
def test_device_that_cannot_be_opened(code: int, words: str, monkeypatch: Any) -> None:
    def refuse(*_: Any) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(device_module.os, 'open', refuse)
    with pytest.raises(SourceError, match=words) as error:
        open_source(0)
    assert '/dev/video0' in str(error.value)


class FakeCapture:
    """Stands for cv2.VideoCapture on a V4L2 device; no test machine has a camera."""

    def __init__(self, opened: bool = True, frames: int = 3, fps: float = 25.0) -> None:
        self.opened, self.frames, self.fps = opened, frames, fps
        self.settings: dict[int, float] = {}
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self.opened

    def set(self, prop: int, value: float) -> bool:
        self.settings[prop] = value
        return True

    def get(self, prop: int) -> float:
        return self.fps if prop == cv2.CAP_PROP_FPS else 0.0

    def read(self) -> tuple[bool, Any]:
        self.frames -= 1
        return (True, grey(self.frames)) if self.frames >= 0 else (False, None)

    def release(self) -> None:
        self.released = True


@pytest.fixture
def camera(monkeypatch: Any) -> Any:
    """Return a function that plugs a fake camera in."""

    def plug(capture: FakeCapture) -> FakeCapture:
        monkeypatch.setattr(device_module, '_check_device', lambda device: None)
        monkeypatch.setattr(device_module.cv2, 'VideoCapture', lambda *_: capture)
        return capture

    return plug


def test_device_gives_all_frames_and_asks_for_a_mode(camera: Any) -> None:
    capture = camera(FakeCapture())
    with open_source('/dev/video2', width=1280, height=720, fps=60.0) as source:
        assert isinstance(source, DeviceSource)
        assert (source.name, source.fps, source.is_live) == ('/dev/video2', 25.0, True)
        assert levels_of(source) == [2, 1, 0]
    asked = capture.settings
    assert asked[cv2.CAP_PROP_FRAME_WIDTH] == 1280 and asked[cv2.CAP_PROP_FPS] == 60.0
    assert capture.released


@pytest.mark.parametrize('fps', [0.0, -1.0, float('nan'), 90000.0])
def test_device_without_a_sensible_rate_gets_the_default(camera: Any, fps: float) -> None:
    camera(FakeCapture(fps=fps))
    assert open_source(0).fps == DEFAULT_FPS


@pytest.mark.parametrize('capture', [FakeCapture(opened=False), FakeCapture(frames=0)])
def test_busy_device(camera: Any, capture: FakeCapture) -> None:
    camera(capture)
    with pytest.raises(SourceError, match=r'/dev/video0.*busy'):
        open_source('0')


@pytest.mark.parametrize(
    ('width', 'height', 'shape'),
    [
        (0, 0, (48, 64, 3)),
        (32, 0, (24, 32, 3)),
        (0, 96, (96, 128, 3)),
        (128, 96, (96, 128, 3)),
    ],
)
def test_fit(width: int, height: int, shape: tuple[int, int, int]) -> None:
    assert fit(grey(9), width, height).shape == shape


def test_fit_refuses_to_distort() -> None:
    with pytest.raises(SourceError, match='64x48 does not fit 64x64'):
        fit(grey(9), 64, 64)
