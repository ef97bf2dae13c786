"""Whether something may be learned about the driver at a moment.

What is learned (how open eyes look, where the road is) decides later what a sleeper looks like. So
it is learned only from moments that are judged attentive themselves: a sleeper's closed eyes must
never become what open eyes are compared with, and a lap never the road. Any event that has begun,
reported or still too short for it, freezes learning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headpose_ros.driver_monitoring.detectors.episode import Episode

#: Events of who is awake, only looks elsewhere.
GAZE = frozenset({'glance', 'long_glance', 'repeated_glances'})
#: No yawn lasts longer, s: a mouth that stays open is one that is measured so.
_LONGEST_YAWN = 10.0


@dataclass(frozen=True)
class Moment:
    """What is judged about the driver in one image.

    Attributes:
        visible: Whether the face is seen, in a picture that lives.
        closed: Whether the eyes are closed; None for not known.
        off_road: Whether the driver looks away from the road; None for not known.
        busy: Kinds of the events that have begun, known already or still too short for it.
    """

    visible: bool
    closed: bool | None
    off_road: bool | None
    busy: frozenset[str] = frozenset()

    @property
    def awake(self) -> bool:
        """Whether nothing speaks for sleep; the driver may look elsewhere, for however long."""
        return self.visible and not self.closed and self.busy <= GAZE

    @property
    def attentive(self) -> bool:
        """Whether the driver is awake and nothing has begun: what is seen now may be learned."""
        return self.awake and not self.busy and not self.off_road


def under_way(episodes: Mapping[str, Episode], stamp: float) -> frozenset[str]:
    """Return the kinds of events that have begun by a stamp, also ones too short to be reported."""
    begun = {kind: e.onset for kind, e in episodes.items() if e.onset is not None}
    if stamp - begun.get('yawn', stamp) > _LONGEST_YAWN:
        del begun['yawn']
    return frozenset(begun)
