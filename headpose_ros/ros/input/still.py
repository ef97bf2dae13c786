"""A picture that stands still: a frozen camera, or a source that is one image file."""

from __future__ import annotations

import zlib
from typing import Any

#: The digest is taken of this many bytes at most: about 64 by 64 samples, in microseconds. A sensor
#: has noise in every pixel, and a face that moves covers many of these.
_SAMPLES = 4096


class StillPicture:
    """Measures for how long the images of one camera have had the same content.

    Attributes:
        seconds: For how long, 0 for a picture that has just changed.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the picture."""
        self._digest: int | None = None
        self._since = 0.0
        self.seconds = 0.0

    def update(self, now: float, message: Any) -> None:
        """Take over an image.

        Args:
            now: When it came, s of any clock; a jump back begins anew.
            message: sensor_msgs/Image or sensor_msgs/CompressedImage.
        """
        digest = _digest(message)
        if digest != self._digest or now < self._since:
            self._digest, self._since = digest, now
        self.seconds = now - self._since


def _digest(message: Any) -> int:
    """Return a checksum of bytes spread evenly over the data of an image."""
    data = memoryview(message.data)
    # Odd, so that the samples are not all of the same columns and colour.
    step = len(data) // _SAMPLES | 1
    return zlib.crc32(bytes(data[::step]))
