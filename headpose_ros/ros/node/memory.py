"""glibc's allocator, set up for images that come and go thirty times a second."""

from __future__ import annotations

import ctypes
import os

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_KEPT = 32 * 1024 * 1024  # bytes; glibc accepts no larger threshold
_KEPT = 256 * 1024 * 1024  # bytes


def keep_large_buffers() -> bool:
    """Let freed image buffers be used again in place of giving them back to the system each time.

    An HD image in a fresh mapping costs 700 page faults. `benchmarks/image_transport.py` measures
    what this saves. To be called once, before the first image.

    Returns:
        Whether it was done: False with another C library, or where the user has set
        MALLOC_MMAP_THRESHOLD_.
    """
    if 'MALLOC_MMAP_THRESHOLD_' in os.environ:
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT) and mallopt(_M_TRIM_THRESHOLD, _KEPT))
