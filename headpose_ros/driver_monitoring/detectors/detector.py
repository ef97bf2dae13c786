"""What all detectors have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import inf

from headpose_ros.driver_monitoring.detectors.episode import Episode
from headpose_ros.driver_monitoring.events import Event
from headpose_ros.driver_monitoring.signals.signals import Signals


class Detector(ABC):
    """Finds one kind of episode in the signals, or a few that rest on the same signal.

    Args:
        episodes: What it follows, in the order of `events.KINDS`.
    """

    def __init__(self, *episodes: Episode) -> None:
        self.episodes = episodes

    @abstractmethod
    def update(self, signals: Signals, stamp: float) -> list[Event]:
        """Return the transitions at a stamp.

        Args:
            signals: Of the image.
            stamp: Of the image, s; never less than at the last call.
        """

    def lose(self, stamp: float, seen: float = inf) -> list[Event]:
        """End whatever is under way as lost; arguments as those of `Episode.lose`."""
        return [event for episode in self.episodes for event in episode.lose(stamp, seen)]
