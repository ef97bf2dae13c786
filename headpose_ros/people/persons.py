"""Anonymous persons, and which of them a face may belong to (REP 155, candidate matches).

No identity is recognised: a person is who carries one face while it is followed, and what speaks
for a match is place, size and time, never looks. All time is that of the images' stamps, in
seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from headpose_ros.perception.faces import Face

#: Standard deviation of where a face comes back, in sides of its box: at once, and more for each
#: second; the reach of `perception.tracking`.
_REACH, _REACH_PER_SECOND = 0.5, 0.5
#: And that of the logarithm of its size: a factor of 1.7.
_LOG_SIZE = np.log(1.7)
#: Persons out of sight that are remembered, even when stamps stand still and none is forgotten.
_MOST_GONE = 16


@dataclass(frozen=True)
class Match:
    """How likely a face is that of a person.

    Attributes:
        face: Id of the face.
        person: Id of the person.
        likelihood: 0..1; 0 states that they do not belong together any more.
    """

    face: str
    person: str
    likelihood: float


@dataclass(frozen=True)
class Person:
    """An anonymous person, from the first sight of a face until it is forgotten.

    Attributes:
        id: Made of the face's id: `p` and that; never reused.
        face: Id of the face.
        center: float64 (2,) px where the face was seen last.
        side: Longer side of its box there, px.
        seen: When, s.
        present: Whether the newest image shows it.
    """

    id: str
    face: str
    center: NDArray[np.float64]
    side: float
    seen: float
    present: bool = True


class Persons:
    """The people before one camera.

    Args:
        memory: How long a person out of sight is remembered, s: as long as the tracker remembers
            faces. May be changed at any time.
    """

    def __init__(self, memory: float = 2.0) -> None:
        self.memory = memory
        self._persons: dict[str, Person] = {}
        self._stamp = -np.inf

    @property
    def known(self) -> tuple[Person, ...]:
        """All persons: those out of sight, the longest gone first, then those in sight."""
        return tuple(self._persons.values())

    def update(self, stamp: float, faces: Sequence[Face]) -> list[Match]:
        """Take in the faces of one image.

        Args:
            stamp: Of the image, s. One before the last image's forgets everybody.
            faces: The faces.

        Returns:
            What is new: matches of faces that are new or back, and matches of likelihood 0 for
            persons that are forgotten.
        """
        forgotten = self._forget(stamp)
        now = {face.id: _sight(face, stamp) for face in faces}
        matches = [match for face in now.values() for match in self._matches(face)]
        gone = {
            name: replace(person, present=False)
            for name, person in self._persons.items()
            if name not in now
        }
        self._persons = {**gone, **now}
        return forgotten + matches

    def clear(self) -> list[Match]:
        """Forget everybody; return their matches of likelihood 0."""
        gone = _parted(self._persons.values())
        self._persons, self._stamp = {}, -np.inf
        return gone

    def _forget(self, stamp: float) -> list[Match]:
        """Forget who is out of sight for too long; return their matches of likelihood 0."""
        parted = self.clear() if stamp < self._stamp else []
        self._stamp = stamp
        gone = [person for person in self.known if not person.present]
        remembered = [p for p in gone if stamp - p.seen <= self.memory][-_MOST_GONE:]
        kept = {person.id for person in remembered}
        lost = [person for person in gone if person.id not in kept]
        for person in lost:
            del self._persons[person.face]
        return parted + _parted(lost)

    def _matches(self, now: Person) -> list[Match]:
        """Return whom a face of this image may belong to, where that is new."""
        before = self._persons.get(now.face)
        if before is None:
            return self._matches_of_newcomer(now)
        if before.present:
            return []
        # The tracker has decided that it is the same: as likely as not, or more.
        return [Match(now.face, now.id, 0.5 + 0.5 * nearness(before, now, self.memory))]

    def _matches_of_newcomer(self, now: Person) -> list[Match]:
        """Return matches with the face's own person and with those out of sight; their sum is 1."""
        gone = [person for person in self.known if not person.present]
        weights = {person.id: nearness(person, now, self.memory) for person in gone}
        # Somebody new is at least as likely as each of them: the tracker has refused them all.
        total = 1.0 + sum(weights.values())
        shares = {now.id: 1.0 / total, **{name: w / total for name, w in weights.items()}}
        return [Match(now.face, name, share) for name, share in shares.items() if share > 0.0]


def nearness(before: Person, now: Person, memory: float) -> float:
    """Return how well a sight of a face continues an earlier one, 0..1.

    1 for the same place and size at once; a Gaussian of the way in sides of the box and of the
    ratio of sizes, that falls linearly to 0 within `memory` seconds. The widths are those of the
    tracker's gate; they are not calibrated on people.
    """
    unseen = now.seen - before.seen
    if unseen >= memory:
        return 0.0
    side = np.sqrt(before.side * now.side)
    way = np.linalg.norm(now.center - before.center) / side
    jump = way / (_REACH + _REACH_PER_SECOND * unseen)
    growth = np.log(now.side / before.side) / _LOG_SIZE
    return float(np.exp(-0.5 * (jump**2 + growth**2)) * (1.0 - unseen / memory))


def person_id(face: str) -> str:
    """Return the id of the anonymous person of a face."""
    return f'p{face}'


def _sight(face: Face, stamp: float) -> Person:
    side = max(float(face.box[2:].max()), 1.0)
    return Person(person_id(face.id), face.id, face.box[:2] + face.box[2:] / 2, side, stamp)


def _parted(persons: Iterable[Person]) -> list[Match]:
    return [Match(person.face, person.id, 0.0) for person in persons]
