"""Engagement of a person with the robot, by attention over time.

Engagement is the process by which participants establish, maintain and end their perceived
connection during an interaction (Sidner, Lee, Kidd, Lesh and Rich, "Explorations in engagement for
humans and robots", Artificial Intelligence 166, 2005). The levels are those of
hri_msgs/EngagementLevel; attention alone decides, not distance or speech.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """How engaged a person is; the numbers of hri_msgs/EngagementLevel."""

    UNKNOWN = 0
    DISENGAGED = 1
    ENGAGING = 2
    ENGAGED = 3
    DISENGAGING = 4


@dataclass
class Engagement:
    """Follows one person.

    Attributes:
        dwell: Attention of this length, s, engages, and inattention of this length disengages.
    """

    dwell: float
    _engaged: bool = False

    def update(self, attending: bool, duration: float) -> Level:
        """Return the level after one image that shows the person.

        Args:
            attending: Whether the person attends to the robot.
            duration: Since when, s.
        """
        if attending != self._engaged and duration >= self.dwell:
            self._engaged = attending
        if self._engaged:
            return Level.ENGAGED if attending else Level.DISENGAGING
        return Level.ENGAGING if attending else Level.DISENGAGED
