"""The camera node with a device that is pulled out after a second and comes back in between.

The pixels of a picture say how often the device has been opened.
"""

from __future__ import annotations

import itertools
import sys
import time

import numpy as np

from headpose_ros.nodes import camera
from headpose_ros.sources.source import Bgr, Source, SourceError

_PLUGGED = 1.0  # s
_openings = itertools.count(1)


class Pulled(Source):
    """A device that gives pictures for a while; every second time it is not there at all."""

    is_live, name, fps = True, '/dev/video0', 30.0

    def __init__(self) -> None:
        self._number = next(_openings)
        if self._number % 2 == 0:
            raise SourceError('no such device: /dev/video0')
        self._end = time.monotonic() + _PLUGGED

    def read(self) -> Bgr | None:
        time.sleep(1 / self.fps)
        if time.monotonic() > self._end:
            return None
        return np.full((48, 64, 3), self._number, np.uint8)

    def rewind(self) -> None:
        """Go on."""


if __name__ == '__main__':
    camera.open_stream = lambda *_, **__: Pulled()  # type: ignore[assignment]
    sys.exit(camera.main())
