"""How many yawns and nods there were lately, as signs of drowsiness."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from headpose_ros.driver_monitoring.filters import WindowShare
from headpose_ros.driver_monitoring.signals.signals import Signals
from headpose_ros.driver_monitoring.thresholds import OURS
from headpose_ros.parameter import parameter


@dataclass(frozen=True)
class DrowsinessOptions:
    """How many yawns and nods mean drowsy."""

    window: float = parameter(
        300.0,
        'Window in which yawns and nods are counted.',
        minimum=30.0,
        maximum=3600.0,
        unit='s',
        source=OURS,
        former='drowsy_window',
    )
    yawns: int = parameter(
        3,
        'This many yawns in the window mean drowsy.',
        minimum=1,
        maximum=100,
        source=OURS,
        former='drowsy_yawns',
    )
    nods: int = parameter(
        2,
        'This many nods in the window mean drowsy.',
        minimum=1,
        maximum=100,
        source=OURS,
        former='drowsy_nods',
    )


class RecentCount:
    """Counts what began within a sliding window.

    Args:
        window: Length, s.
    """

    def __init__(self, window: float) -> None:
        self._window = window
        self._watched = WindowShare(window)
        self._stamps: deque[float] = deque()

    def update(self, signals: Signals, stamp: float, began: Iterable[float]) -> None:
        """Take over what began at an image, by the stamps at which that was known, s."""
        self._watched.add(stamp, signals.seconds, signals.presence == 'visible' or None)
        self._stamps.extend(began)
        while self._stamps and self._stamps[0] <= stamp - self._window:
            self._stamps.popleft()

    @property
    def count(self) -> int:
        """How many there were."""
        return len(self._stamps)

    @property
    def evidence(self) -> float:
        """For how much of the window the driver was in sight, s."""
        return min(self._watched.measured, self._window)
