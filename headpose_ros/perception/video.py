"""Video files: frames with their own times in, H.264 in MP4 out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import cv2
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from headpose_ros.perception.sources import DEFAULT_FPS, SourceError

Bgr = NDArray[np.uint8]

_TIME_BASE = Fraction(1, 1000)
_NOMINAL_RATE = 30
#: A fragment is complete in itself and starts at a key frame: what was written before a process is
#: killed still plays, while the index of a plain MP4 comes last and is then missing.
_FRAGMENTED = {
    'movflags': 'frag_keyframe+empty_moov+default_base_moof',
    'flush_packets': '1',  # or a fragment waits in a buffer of the process
}
#: At most a second of frames waits for the end of its fragment, and half of one in the encoder. No
#: B-frames: a fragmented file has no edit list to take back the delay that they bring.
_ENCODER = {'preset': 'veryfast', 'g': str(_NOMINAL_RATE), 'rc-lookahead': '15', 'bf': '0'}

av.logging.set_level(av.logging.PANIC)  # what is wrong with a file is said by SourceError


class VideoReader:
    """The frames of a video file; those that cannot be decoded are skipped and counted.

    Attributes:
        name: The file, for messages.
        total: How many frames the file promises, 0 for unknown.
        skipped: How many frames were damaged so far.
    """

    def __init__(self, file: Path) -> None:
        """Open the file.

        Raises:
            SourceError: It is no video that FFmpeg can read.
        """
        self.name = str(file)
        self.skipped = 0
        try:
            self._container = av.open(self.name)
        except (FFmpegError, OSError) as error:
            raise SourceError(f'cannot read {file}: {error.strerror or error}') from error
        if not self._container.streams.video:
            self._container.close()
            raise SourceError(f'cannot read {file}: expected a video, there is none in it')
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = 'AUTO'
        self.total = self._promised()

    def __iter__(self) -> Iterator[tuple[float, Bgr]]:
        """Yield time in seconds from the start, and uint8 (H, W, 3) BGR, of every good frame."""
        rate = float(self._stream.average_rate or DEFAULT_FPS)
        last = -1.0 / rate
        for frame in self._frames():
            # A damaged or missing time must not turn time back, which would forget all faces.
            stamp = last + 1.0 / rate if frame.time is None else float(frame.time)
            if frame.is_corrupt or stamp <= last:
                self.skipped += 1
                continue
            last = stamp
            yield stamp, upright(frame.to_ndarray(format='bgr24'), getattr(frame, 'rotation', 0))

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _promised(self) -> int:
        if self._stream.frames:
            return int(self._stream.frames)
        duration, rate = self._container.duration, self._stream.average_rate
        return round(duration / av.time_base * rate) if duration and rate else 0

    def _frames(self) -> Iterator[Any]:
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


class VideoWriter:
    """H.264 in MP4, each frame at its own time; a file that breaks off plays up to there.

    Args:
        path: File to write.

    Raises:
        SourceError: It cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._container = av.open(str(path), 'w', format='mp4', options=_FRAGMENTED)
        except (FFmpegError, OSError) as error:
            raise SourceError(f'cannot write {path}: {error.strerror or error}') from error
        self._stream = self._container.add_stream('libx264', rate=_NOMINAL_RATE, options=_ENCODER)
        self._stream.pix_fmt = 'yuv420p'
        self._stream.codec_context.time_base = _TIME_BASE
        self._last = -1
        self._size = (0, 0)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write what waits in the encoder, and the end of the file."""
        if self._last >= 0:
            self._container.mux(self._stream.encode())
        self._container.close()

    def write(self, picture: Bgr, stamp: float) -> None:
        """Add a frame.

        Args:
            picture: uint8 (H, W, 3) BGR; the first one fixes the size of the video.
            stamp: Seconds from the start of the video.
        """
        frame = av.VideoFrame.from_ndarray(self._fitting(picture), format='bgr24')
        self._last = max(round(stamp * 1000), self._last + 1)
        frame.pts, frame.time_base = self._last, _TIME_BASE
        self._container.mux(self._stream.encode(frame))

    def _fitting(self, picture: Bgr) -> Bgr:
        """Return the picture in the video's size, with even sides."""
        if self._size == (0, 0):
            # One pixel must be left of a picture that has just one.
            self._size = tuple(max(side // 2 * 2, 2) for side in picture.shape[1::-1])
            self._stream.width, self._stream.height = self._size
        if picture.shape[1::-1] == self._size:
            return picture
        return np.asarray(cv2.resize(picture, self._size), np.uint8)


def upright(image: Bgr, rotation: int) -> Bgr:
    """Turn a frame as its display matrix asks for: `rotation` degrees counterclockwise."""
    return np.ascontiguousarray(np.rot90(image, round(rotation / 90)))
