"""What programs print, and how they end when something outside of them fails."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

EXIT_ERROR = 2


def accept_any_text() -> None:
    """Let everything be printed: what a terminal's encoding lacks is written as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')


def report(program: str, error: Exception) -> int:
    """Print an error as one line; return the exit code that goes with it."""
    if isinstance(error, BrokenPipeError):
        _forget_output()  # whoever read has seen enough
        return EXIT_ERROR
    text = _of_system(error) if isinstance(error, OSError) else str(error)
    print(f'{program}: error: {" ".join(text.split())}', file=sys.stderr)
    return EXIT_ERROR


def finish() -> None:
    """Write what waits to be printed.

    Raises:
        OSError: It cannot be written: the reader is gone, or its disk is full.
    """
    try:
        sys.stdout.flush()
    except OSError:
        _forget_output()
        raise


def _of_system(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f'{error.filename}: {reason}' if error.filename else reason


def _forget_output() -> None:
    """Let Python flush into nothing at its end, where it would complain again."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
