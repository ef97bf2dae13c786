"""What Fast DDS leaves behind in shared memory when a process is killed."""

from __future__ import annotations

import fcntl
import re
from pathlib import Path

_FOLDER = Path('/dev/shm')
#: A segment, and beside it a file of this name with `_el`, locked for as long as its owner lives.
_SEGMENT = re.compile(r'fast(dds|rtps)_[0-9a-f]{16}')


def abandoned_segments(folder: Path = _FOLDER) -> list[Path]:
    """Return the segments whose owners are gone: memory that nobody gives back.

    Args:
        folder: Where Fast DDS keeps them; a folder that is missing holds none.
    """
    if not folder.is_dir():
        return []
    segments = [file for file in folder.iterdir() if _SEGMENT.fullmatch(file.name)]
    return [file for file in segments if _is_free(file.with_name(f'{file.name}_el'))]


def _is_free(lock: Path) -> bool:
    """Return whether nobody holds a lock; one that is missing or another user's counts as held."""
    try:
        with lock.open('rb') as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
