"""Films in: frames at their presentation times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from av.stream import Disposition
from numpy.typing import NDArray

from headpose_ros.sources.source import DEFAULT_FPS, Bgr, Source, SourceError

#: Hz; a file that claims more has times in milliseconds and no rate, as browsers record.
_HIGHEST_RATE = 480.0
#: Of a pixel: the widest in use are those of anamorphic lenses, 2.
_HIGHEST_ASPECT = 4.0
#: Steps of the presentation time beyond these, s, are breaks in its clock.
_LONGEST_STEP, _LONGEST_STEP_BACK = 60.0, 1.0

av.logging.set_level(av.logging.PANIC)  # what is wrong with a file stands in SourceError


class VideoSource(Source):
    """A film: frames at their presentation times, as they are meant to be seen.

    Frames that cannot be decoded are skipped and counted. A display matrix is applied, pixels that
    are not square are made so, and cover pictures and thumbnails are no film.
    """

    is_film = True
    _begin: float | None
    _container: Any
    _frames: Iterator[Any]
    _stream: Any

    def __init__(self, file: Path) -> None:
        """Open the file.

        Raises:
            SourceError: It is no film that FFmpeg can read.
        """
        self.name = str(file)
        self._open()
        self._aspect = _aspect(self._stream)
        self.total, self.fps = _promised(self._stream, self.seconds)

    def read(self) -> Bgr | None:
        """Return the next good frame, or None at the end; `time` is 0 for the first."""
        for frame in self._frames:
            shown = None if frame.is_corrupt else self._shown_at(frame)
            if shown is None:
                self.skipped += 1
                continue
            self.time = shown
            return _as_seen(frame, self._aspect)
        return None

    def rewind(self) -> None:
        """Open the file again: seeking is inexact in many containers."""
        self.close()
        self._open()

    @property
    def seconds(self) -> float:
        """How long the film lasts by its header, s; 0 for not known."""
        return (self._container.duration or 0) / av.time_base

    def key_frames(self) -> list[float]:
        """Return when the key frames are shown, s from the first frame; nothing is decoded.

        Reads the whole file and starts again with the first frame.

        Returns:
            Times at which :meth:`seek` begins; empty for a film whose clock has breaks, in which
            a time does not name a frame.
        """
        times: list[float] = []
        last = None
        with suppress(FFmpegError):
            for packet in self._container.demux(self._stream):
                if packet.dts is None or packet.pts is None:
                    continue
                decoded = float(packet.dts * packet.time_base)
                if last is not None and not 0.0 <= decoded - last < _LONGEST_STEP:
                    times = []
                    break
                last = decoded
                if packet.is_keyframe:
                    times.append(float(packet.pts * packet.time_base))
        self.rewind()
        return [time - times[0] for time in times]

    def seek(self, time: float) -> None:
        """Go on with the last key frame that is shown at a time, s, or before it."""
        if self._begin is None:
            first = next(self._frames, None)
            self._begin = 0.0 if first is None else first.time or 0.0
        # FFmpeg rounds to ticks of the stream; half a frame later is still the same key frame.
        at = (time + self._begin + 0.5 / self.fps) / float(self._stream.time_base)
        with suppress(FFmpegError):
            self._container.seek(int(at), stream=self._stream, backward=True)
        self._frames = self._decoded()
        # Whatever comes next is no break in the clock.
        self._sought = True

    def close(self) -> None:
        """Close the file."""
        self._container.close()
        self._file.close()

    def _open(self) -> None:
        self._begin = None
        self._sought = False
        self.time = 0.0
        try:
            # By a stream and not by name: FFmpeg takes "a:b.mp4" for a protocol, and follows what
            # a playlist names; here it may open nothing else.
            self._file = Path(self.name).open('rb')  # noqa: SIM115 - closed by close()
        except OSError as error:
            raise SourceError(f'cannot read {self.name}: {error.strerror}') from error
        try:
            self._container = av.open(self._file, options={'protocol_whitelist': 'none'})
        except (FFmpegError, OSError) as error:
            self._file.close()
            raise SourceError(f'cannot read {self.name}: {error.strerror or error}') from error
        self._stream = self._container.streams.best('video')
        if self._stream is None or self._stream.disposition & Disposition.attached_pic:
            self.close()
            raise SourceError(f'cannot read {self.name}: expected a video, there is none in it')
        # One thread (PyAV 18): with threads by slice the H.264 decoder does not report concealed
        # damage; with threads by frame, one that is not read to its end can hang the process.
        self._stream.codec_context.thread_count = 1
        self._frames = self._decoded()

    def _shown_at(self, frame: Any) -> float | None:
        """Return when a frame is shown, s from the first one; None for a damaged time."""
        if self._begin is None:
            self._begin = frame.time or 0.0
            return 0.0
        usual = self.time + 1.0 / self.fps
        if frame.time is None:
            return usual
        shown = float(frame.time) - self._begin
        if self._sought:
            self._sought = False
            return max(shown, 0.0)
        if not -_LONGEST_STEP_BACK < shown - self.time < _LONGEST_STEP:
            # Another recording follows, or the clock of the camera was set: time goes on.
            self._begin += shown - usual
            return usual
        # Time that turns back would make a tracker forget all faces.
        return shown if shown > self.time else None

    def _decoded(self) -> Iterator[Any]:
        """Yield what the decoder gives, concealed damage included."""
        packets = self._packets()
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                frames = packet.decode()
            except FFmpegError:
                self.skipped += 1
                continue
            yield from frames

    def _packets(self) -> Iterator[Any]:
        # A container that breaks off ends here: FFmpeg finds no further packet behind the break.
        with suppress(FFmpegError):
            yield from self._container.demux(self._stream)


def _promised(stream: Any, seconds: float) -> tuple[int, float]:
    """Return number and rate (Hz) of the frames as the file has them; else 0 and a guess."""
    rate = float(stream.average_rate or 0.0)
    if stream.frames and seconds > 0.0:
        rate = stream.frames / seconds
    if not 0.0 < rate <= _HIGHEST_RATE:
        return 0, DEFAULT_FPS
    return stream.frames or round(seconds * rate), rate


def _aspect(stream: Any) -> float:
    """Return how wide a pixel is for its height; 1 where the file has none or nonsense."""
    aspect = float(stream.sample_aspect_ratio or 1.0)
    return aspect if _HIGHEST_ASPECT >= aspect >= 1.0 / _HIGHEST_ASPECT else 1.0


def _as_seen(frame: Any, aspect: float) -> Bgr:
    """Return uint8 (H, W, 3) BGR with square pixels, turned as the film asks for."""
    width = max(round(frame.width * aspect), 1)
    image = frame.to_ndarray(format='bgr24', width=width, height=frame.height)
    matrix = frame.side_data.get('DISPLAYMATRIX')
    if matrix is None:
        return image
    return displayed(image, np.frombuffer(bytes(matrix), np.int32).reshape(3, 3)[:2, :2])


def displayed(image: Bgr, matrix: NDArray[np.int32]) -> Bgr:
    """Turn and mirror a frame by the nearest quarter turns.

    Args:
        image: uint8 (H, W, 3) BGR.
        matrix: (2, 2): (x, y) of the frame times it is (x, y) where it is shown, but for a shift.
    """
    (xx, xy), (yx, yy) = matrix.tolist()
    if abs(xx) + abs(yy) >= abs(xy) + abs(yx):
        down, right = yy, xx
    else:
        image, down, right = image.transpose(1, 0, 2), xy, yx
    return np.ascontiguousarray(image[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1])
