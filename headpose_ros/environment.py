"""What libraries read from the environment when they are imported: set before any of them is.

The package imports this module first, so that every program and every `import headpose_ros` has it.
"""

from __future__ import annotations

import os

#: Largest picture that OpenCV decodes, from a file or a message, in px. Messages have a tighter
#: bound of their own, see `perception.encoded`.
MAX_FILE_PIXELS = 128 * 2**20
#: Nobody makes pictures of more columns or rows than a JPEG may have.
_MAX_SIDE = 65535


def prepare() -> None:
    """Forbid ONNX Runtime to report to its maker, and OpenCV to decode pictures of gigabytes.

    ONNX Runtime reports from 1.29 on, unless this variable forbids it before the import: its own
    call to end that comes too late. A user's setting of it does not count, since nothing may leave
    the machine; lower limits of pictures do.
    """
    os.environ['ORT_DISABLE_TELEMETRY'] = '1'
    _limit('OPENCV_IO_MAX_IMAGE_PIXELS', MAX_FILE_PIXELS)
    _limit('OPENCV_IO_MAX_IMAGE_WIDTH', _MAX_SIDE)
    _limit('OPENCV_IO_MAX_IMAGE_HEIGHT', _MAX_SIDE)


def _limit(name: str, most: int) -> None:
    """Set a limit unless the environment has a lower one."""
    given = os.environ.get(name, '')
    if not (given.isascii() and given.isdecimal() and 0 < int(given) <= most):
        os.environ[name] = str(most)
