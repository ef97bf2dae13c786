"""Files that are written: never over others unasked, and whole or not at all."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from headpose_ros.errors import HeadposeError


class OutputError(HeadposeError):
    """A file that cannot be written or found; the message has its name and the cause."""


def check_new(path: Path, overwrite: bool = False) -> None:
    """Check, before long work, that a file or folder may be written.

    Args:
        path: What is to be written.
        overwrite: Whether the user has asked to replace what is there.

    Raises:
        OutputError: It exists already.
    """
    if not overwrite and os.path.lexists(path):
        raise OutputError(f'{path} exists already: choose another name, or --overwrite it')


def make_folder(folder: Path) -> None:
    """Make a folder where there is none.

    Raises:
        OutputError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f'cannot make the folder {folder}: {error.strerror}') from error


def write_whole(path: Path, data: bytes, overwrite: bool = False) -> None:
    """Write a file aside and rename it, so that a full disk leaves no half of it.

    Args:
        path: File to write.
        data: What it will hold.
        overwrite: As for :func:`check_new`.

    Raises:
        OutputError: It exists already or cannot be written.
    """
    check_new(path, overwrite)
    aside = path.parent / f'.{uuid.uuid4().hex}.part'
    try:
        try:
            with aside.open('xb') as stream:
                stream.write(data)
            aside.replace(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(f'cannot write {path}: {error.strerror}') from error
