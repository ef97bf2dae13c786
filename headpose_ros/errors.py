"""Errors that a user can cause and mend: reported as one line, never as a traceback."""

from __future__ import annotations


class HeadposeError(Exception):
    """Base of every expected failure of headpose_ros.

    The message is one line that names what was wrong and what was expected. Command line programs
    and nodes print it and leave with exit code 2; anything else that is raised is a defect.
    """

    def __str__(self) -> str:
        """Return the message on a single line, whatever a wrapped library put into it."""
        return ' '.join(super().__str__().split())


def shortened(text: str, longest: int = 60) -> str:
    """Return a name from outside, cut off where it is long."""
    return text if len(text) <= longest else f'{text[:longest]}...'


def quoted(text: str) -> str:
    """Return a name from outside in quotes, on one line and cut off where it is long."""
    return repr(shortened(text))
