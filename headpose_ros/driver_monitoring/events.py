"""What the driver does, from beginning to end."""

from __future__ import annotations

from dataclasses import dataclass

#: All kinds of events, in the order of the KIND_ constants of headpose_ros/DriverEvent, from 1.
KINDS = (
    'glance',
    'long_glance',
    'repeated_glances',
    'closure',
    'microsleep',
    'sleep',
    'perclos',
    'yawn',
    'nod',
    'slump',
)

STARTED, ENDED, LOST = 'started', 'ended', 'lost'


@dataclass(frozen=True)
class Event:
    """One transition of something that the driver does.

    Attributes:
        id: Unique while the program runs.
        kind: One of `KINDS`.
        transition: `STARTED`, `ENDED`, or `LOST` when it could not be followed to its end.
        onset: When it began, s.
        end: Until when it is known to have lasted, s.
        known: When this transition was known, s.
        zone: Name of the zone of a glance, else empty.
    """

    id: int
    kind: str
    transition: str
    onset: float
    end: float
    known: float
    zone: str = ''

    @property
    def duration(self) -> float:
        """How long it is known to have lasted, s."""
        return self.end - self.onset
