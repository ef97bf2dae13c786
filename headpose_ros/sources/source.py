"""A source of frames: the base class of cameras, films and pictures.

Frames are uint8 (H, W, 3), blue first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from types import TracebackType

import numpy as np
import numpy.typing as npt

from headpose_ros.errors import HeadposeError

Bgr = npt.NDArray[np.uint8]

DEFAULT_FPS = 30.0
"""Frames per second of what has no rate of its own."""


class SourceError(HeadposeError):
    """A source that cannot be opened or read; the message names it and the cause."""


class Source(ABC):
    """A sequence of frames.

    Attributes:
        name: what the user asked for, for messages.
        fps: frames per second that the frames are meant to be shown with; for a device what it
            promises, for a film its average or a guess.
        is_live: whether frames are lost when nobody reads them (a device).
        is_still: whether the source is one single image.
        is_film: whether each frame has a presentation time of its own.
        time: when the frame that was read last is shown: seconds from the first one, for a device
            from an arbitrary start.
        total: how many frames there are, 0 for unknown.
        skipped: how many damaged ones were left out so far.
    """

    name: str = ''
    fps: float = DEFAULT_FPS
    is_live: bool = False
    is_still: bool = False
    is_film: bool = False
    time: float = 0.0
    total: int = 0
    skipped: int = 0

    @abstractmethod
    def read(self) -> Bgr | None:
        """Return the next frame, uint8 (H, W, 3) BGR, or None at the end.

        A device blocks until its next frame. The array belongs to the caller.
        """

    @abstractmethod
    def rewind(self) -> None:
        """Start again with the first frame; a device just goes on."""

    def close(self) -> None:  # noqa: B027 - most sources hold nothing
        """Free what the source holds; it is not read afterwards."""

    def __iter__(self) -> Iterator[Bgr]:
        """Yield the frames from here to the end."""
        while (frame := self.read()) is not None:
            yield frame

    def timed(self) -> Iterator[tuple[float, Bgr]]:
        """Yield `time` and frame, from here to the end."""
        for frame in self:
            yield self.time, frame

    def __enter__(self) -> Source:
        """Return the source itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the source."""
        self.close()
