"""Stamps of messages as seconds, and back."""

from __future__ import annotations

from typing import Any

from builtin_interfaces.msg import Time

from headpose_ros.errors import HeadposeError

_LATEST = (2**31 - 1) * 10**9  # ns


class StampError(HeadposeError, ValueError):
    """A stamp that is no time."""


def seconds(stamp: Any) -> float:
    """Return a builtin_interfaces/Time as seconds, good to a microsecond for times of today.

    Raises:
        StampError: It is negative, or its nanoseconds are a second or more.
    """
    if stamp.sec < 0 or not 0 <= stamp.nanosec < 10**9:
        raise StampError(
            f'the stamp is {stamp.sec} s and {stamp.nanosec} ns: expected a time that is not '
            'negative, with less than 1e9 ns'
        )
    return float(stamp.sec) + 1e-9 * float(stamp.nanosec)


def time_message(at: float) -> Time:
    """Return the builtin_interfaces/Time of some seconds, the nearest that there is."""
    nanoseconds = min(max(round(at * 1e9), 0), _LATEST)
    return Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)
