"""Stamps of messages as seconds."""

from __future__ import annotations

from typing import Any


def seconds(stamp: Any) -> float:
    """Return a builtin_interfaces/Time as seconds, good to a microsecond for times of today."""
    return float(stamp.sec) + 1e-9 * float(stamp.nanosec)
