"""Films out: H.264 in MP4, each frame at its own time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import cv2
import numpy as np
from av.error import FFmpegError

from headpose_ros.files import OutputError
from headpose_ros.sources.source import Bgr

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

av.logging.set_level(av.logging.PANIC)  # what is wrong stands in OutputError


class VideoWriter:
    """H.264 in MP4, each frame at its own time; a file that breaks off plays up to there.

    Args:
        path: File to write.

    Raises:
        OutputError: It cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failed = False
        try:
            # By a stream and not by name: FFmpeg takes "a:b.mp4" for a protocol.
            self._file = path.open('wb', buffering=0)
        except OSError as error:
            raise OutputError(f'cannot write {path}: {error.strerror}') from error
        self._container = av.open(self._file, 'w', format='mp4', options=_FRAGMENTED)
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
        """Write what waits in the encoder, and the end of the file.

        Raises:
            OutputError: It cannot be written.
        """
        try:
            if not self._failed:
                with self._writing():
                    if self._last >= 0:
                        self._container.mux(self._stream.encode())
                    self._container.close()
        finally:
            with suppress(FFmpegError, OSError):
                self._container.close()
            self._file.close()

    def write(self, picture: Bgr, stamp: float) -> None:
        """Add a frame.

        Args:
            picture: uint8 (H, W, 3) BGR; the first one fixes the size of the video.
            stamp: Seconds from the start of the video.

        Raises:
            OutputError: It cannot be written; what came before plays.
        """
        frame = av.VideoFrame.from_ndarray(self._fitting(picture), format='bgr24')
        self._last = max(round(stamp * 1000), self._last + 1)
        frame.pts, frame.time_base = self._last, _TIME_BASE
        with self._writing():
            self._container.mux(self._stream.encode(frame))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (FFmpegError, OSError) as error:
            self._failed = True
            reason = error.strerror or error
            raise OutputError(f'cannot write {self._path}: {reason}') from error

    def _fitting(self, picture: Bgr) -> Bgr:
        """Return the picture in the video's size, with even sides."""
        if self._size == (0, 0):
            # One pixel must be left of a picture that has just one.
            self._size = tuple(max(side // 2 * 2, 2) for side in picture.shape[1::-1])
            self._stream.width, self._stream.height = self._size
        if picture.shape[1::-1] == self._size:
            return picture
        return np.asarray(cv2.resize(picture, self._size), np.uint8)
