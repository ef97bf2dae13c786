"""Files of other people's making, read within bounds."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from headpose_ros.errors import HeadposeError


class FileError(HeadposeError):
    """A file that cannot be read; the message is the reason, without the path."""


def user_path(text: str | Path) -> Path:
    """Return the path that a user wrote, with `~` replaced by the home folder.

    Raises:
        FileError: It can be no path, or there is no such home folder.
    """
    try:
        path = Path(text).expanduser()
        os.fsencode(path)
    except (RuntimeError, ValueError) as error:
        raise FileError(f'not a path: {error}') from error
    if '\0' in str(path):
        raise FileError('not a path: it contains a null byte')
    return path


def read_bounded(path: Path, most: int, follow: bool = True) -> bytes:
    """Return the content of a regular file.

    Args:
        path: The file.
        most: Bytes that it may have.
        follow: Whether the path may be a link.

    Raises:
        FileError: It is missing, larger, unreadable, or a folder, pipe or device, which may have
            no end.
    """
    try:
        # Non-blocking: a pipe that nobody writes to must not hold us up.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
        descriptor = os.open(path, flags)
        with os.fdopen(descriptor, 'rb') as file:
            known = os.fstat(descriptor)
            if not stat.S_ISREG(known.st_mode):
                raise FileError('not a regular file')
            # Files of /proc have no size, and others grow while they are read.
            too_large = known.st_size > most or len(content := file.read(most + 1)) > most
    except OSError as error:
        raise FileError(_reason(error)) from error
    except ValueError as error:  # a null byte, or a lone surrogate
        raise FileError(f'not a path: {error}') from error
    if too_large:
        raise FileError(f'larger than {_readable(most)}: expected at most that')
    return content


def _reason(error: OSError) -> str:
    if error.errno == errno.ENXIO:  # a socket, or a device without a driver
        return 'not a regular file'
    if error.errno == errno.ELOOP:
        return 'a link'
    return error.strerror or str(error)


def _readable(count: int) -> str:
    return f'{count / 1e6:.4g} MB' if count >= 1e5 else f'{count} bytes'
