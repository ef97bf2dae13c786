"""What really happens in a drive, and how well that is told: truth and found events to a table.

Nothing here knows where the faces come from: simulated signals and rendered pictures through a
network are judged by the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from headpose_ros.driver_monitoring.events import LOST, STARTED, Event
from headpose_ros.driver_monitoring.monitor import DriverMonitor
from headpose_ros.driver_monitoring.options import DriverOptions
from headpose_ros.driver_monitoring.report import Report
from headpose_ros.driver_monitoring.zones import Zones
from headpose_ros.perception.faces import Face
from scipy.optimize import linear_sum_assignment
from scipy.stats import chi2

#: An event this much shorter than a row's shortest is neither right nor wrong in it, s.
_EDGE = 0.25
#: Where one truth event and one found event overlap by less they do not match, s.
_LEAST_OVERLAP = 0.05


@dataclass(frozen=True)
class TruthEvent:
    """Something that the driver does.

    Attributes:
        kind: As `headpose_ros.driver_monitoring.episodes.KINDS`.
        onset: Its beginning, s. A glance begins as the eyes leave the road and ends as they leave
            the target (ISO 15007); eyes are closed while 80 % closed (P80).
        end: Its end, s.
        zone: Of a glance; empty for a direction that no zone holds.
        judged: Whether it can be seen at all: not behind a hand or sunglasses.
    """

    kind: str
    onset: float
    end: float
    zone: str = ''
    judged: bool = True

    @property
    def duration(self) -> float:
        """Its length, s."""
        return self.end - self.onset


@dataclass(frozen=True)
class Drive:
    """Faces over time and what they show.

    Attributes:
        name: What kind of drive it is.
        size: Width and height of the images, px.
        truth: All that happens in it.
        frames: Stamps in s and the faces in each image; read once.
        attentive: Whether nothing in it calls for a warning.
    """

    name: str
    size: tuple[int, int]
    truth: Sequence[TruthEvent]
    frames: Iterable[tuple[float, Sequence[Face]]]
    attentive: bool = False


@dataclass(frozen=True)
class FoundEvent:
    """An event of the monitor from beginning to end.

    Attributes:
        kind: As in `TruthEvent`.
        onset: Its beginning, s.
        end: Its end, s.
        known: When it was reported first, s.
        zone: Of a glance.
        lost: Whether it could not be followed to its end.
    """

    kind: str
    onset: float
    end: float
    known: float
    zone: str
    lost: bool

    @property
    def duration(self) -> float:
        """Its length as far as it was followed, s."""
        return self.end - self.onset


@dataclass(frozen=True)
class Outcome:
    """One drive, judged.

    Attributes:
        name: Of the drive.
        truth: What happened.
        found: What was reported.
        seconds: Length of the drive.
        attentive: As in `Drive`.
        states: Seconds in each state of the driver.
        eyes: Seconds in each state of the eyes.
    """

    name: str
    truth: tuple[TruthEvent, ...]
    found: tuple[FoundEvent, ...]
    seconds: float
    attentive: bool
    states: dict[str, float] = field(default_factory=dict)
    eyes: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """What is asked about one kind of event.

    Attributes:
        name: For people.
        kind: Of the events.
        shortest: Truth events from this length on count, s.
        definition: An event can be known so long after its onset, s.
        zone: Whether the zone must be right too.
    """

    name: str
    kind: str
    shortest: float
    definition: float
    zone: bool = False


def watch(
    drive: Drive,
    zones: Zones,
    options: DriverOptions,
    note: Callable[[Report], None] | None = None,
) -> Outcome:
    """Run the monitor over a drive.

    Args:
        drive: What it sees, and what is true.
        zones: What there is to look at.
        options: Its thresholds.
        note: Called with every report.
    """
    monitor, events = DriverMonitor(zones, options), list[Event]()
    states, eyes = dict[str, float](), dict[str, float]()
    first = last = None
    for stamp, faces in drive.frames:
        report = monitor.update(stamp, faces, drive.size)
        events += report.events
        if note is not None:
            note(report)
        passed = 0.0 if last is None else stamp - last
        states[report.state] = states.get(report.state, 0.0) + passed
        eyes[report.eyes] = eyes.get(report.eyes, 0.0) + passed
        first, last = stamp if first is None else first, stamp
    stopped = monitor.stop()
    events += stopped.events if stopped else ()
    seconds = 0.0 if first is None or last is None else last - first
    found = tuple(_whole(events))
    return Outcome(drive.name, tuple(drive.truth), found, seconds, drive.attentive, states, eyes)


def rows(options: DriverOptions) -> tuple[Row, ...]:
    """Return what is judged; limits with a margin, as at a limit itself either answer is right."""
    o = options
    return (
        Row('glance ≥ 1 s', 'glance', 1.0, o.glances.minimum),
        Row('glance ≥ 1 s, zone right', 'glance', 1.0, o.glances.minimum, zone=True),
        Row('glance ≥ 0.7 s', 'glance', 0.7, o.glances.minimum),
        Row('long glance', 'long_glance', o.glances.limit + _EDGE, o.glances.limit),
        Row('closure ≥ 0.6 s', 'closure', 0.6, o.closures.minimum),
        Row(
            'micro-sleep',
            'microsleep',
            o.closures.microsleep + _EDGE,
            o.closures.microsleep,
        ),
        Row('sleep', 'sleep', o.closures.sleep + _EDGE, o.closures.sleep),
        Row('yawn', 'yawn', o.yawns.minimum, o.yawns.minimum),
        Row('nod', 'nod', 0.0, 0.0),
        Row('slump', 'slump', o.slumps.minimum + _EDGE, o.slumps.minimum),
    )


def tally(row: Row, outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """Return counts, precision, recall and median delay of one row over drives."""
    hits = misses = right = wrong = 0
    delays: list[float] = []
    for outcome in outcomes:
        truth = [event for event in outcome.truth if event.kind == row.kind]
        found = [event for event in outcome.found if event.kind == row.kind]
        pairs = paired(truth, found, row.zone)
        wanted = [i for i, t in enumerate(truth) if t.judged and t.duration >= row.shortest]
        hits += sum(i in pairs for i in wanted)
        misses += sum(i not in pairs for i in wanted)
        delays += [
            found[pairs[i]].known - truth[i].onset - definition(row, truth[i])
            for i in wanted
            if i in pairs
        ]
        for verdict in _verdicts(row, truth, found, pairs):
            right += verdict
            wrong += not verdict
    return {
        'events': hits + misses,
        'found': right + wrong,
        'recall': hits / (hits + misses) if hits + misses else None,
        'precision': right / (right + wrong) if right + wrong else None,
        'delay': float(np.median(delays)) if delays else None,
        'delay_95': float(np.percentile(delays, 95)) if delays else None,
    }


def false_alarms(outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """Return how many events of attentive drives are true of nothing, and how many that is an hour.

    The upper limit is that of the exact 95 % interval of a Poisson rate (Garwood 1936).
    """
    drives = [outcome for outcome in outcomes if outcome.attentive]
    false = [event for outcome in drives for event in false_events(outcome)]
    hours = sum(outcome.seconds for outcome in drives) / 3600
    kinds = {kind: sum(e.kind == kind for e in false) for kind in sorted({e.kind for e in false})}
    upper = float(chi2.ppf(0.975, 2 * len(false) + 2) / 2)
    return {
        'hours': hours,
        'events': len(false),
        'kinds': kinds,
        'per_hour': len(false) / hours if hours else None,
        'per_hour_upper': upper / hours if hours else None,
    }


def false_events(outcome: Outcome) -> Iterator[FoundEvent]:
    """Yield what was reported and is true of nothing; long glances and micro-sleeps included."""
    base = {'long_glance': 'glance', 'microsleep': 'closure', 'sleep': 'closure'}
    for event in outcome.found:
        kinds = {event.kind, base.get(event.kind, event.kind)}
        if not any(t.kind in kinds and overlap(t, event) > 0 for t in outcome.truth):
            yield event


def _whole(events: Iterable[Event]) -> Iterator[FoundEvent]:
    """Put the transitions of events together."""
    started = dict[int, Event]()
    for event in events:
        if event.transition == STARTED:
            started[event.id] = event
            continue
        first, lost = started.pop(event.id), event.transition == LOST
        yield FoundEvent(event.kind, event.onset, event.end, first.known, event.zone, lost)


def paired(truth: Sequence[TruthEvent], found: Sequence[FoundEvent], zone: bool) -> dict[int, int]:
    """Return the index of the found event by that of the truth event, by greatest overlap."""
    shared = np.zeros((len(truth), len(found)))
    for i, t in enumerate(truth):
        for j, f in enumerate(found):
            fits = not zone or not t.zone or t.zone == f.zone
            common = overlap(t, f)
            shared[i, j] = common if fits and common > _LEAST_OVERLAP else 0.0
    picked = zip(*linear_sum_assignment(-shared), strict=True)
    return {int(i): int(j) for i, j in picked if shared[i, j] > 0}


def _verdicts(
    row: Row,
    truth: Sequence[TruthEvent],
    found: Sequence[FoundEvent],
    pairs: dict[int, int],
) -> Iterator[bool]:
    """Yield for every found event that counts whether it is right."""
    partner = {j: truth[i] for i, j in pairs.items()}
    for j, event in enumerate(found):
        if event.duration < row.shortest:
            continue
        overlapped = [t for t in truth if overlap(t, event) > _LEAST_OVERLAP]
        if j in partner:
            true = partner[j]
            # As long as the row asks for, or near enough to that for either answer.
            yield not true.judged or true.duration >= row.shortest - _EDGE
        elif overlapped and (
            event.lost or _continues(found, event) or not all(t.judged for t in overlapped)
        ):
            continue
        else:
            yield False


def _continues(found: Sequence[FoundEvent], event: FoundEvent) -> bool:
    """Whether an event that was lost goes on in this one: pieces of one are no false alarms."""
    return any(f.lost and f.end <= event.onset <= f.end + 2.0 for f in found if f is not event)


def overlap(truth: TruthEvent, found: FoundEvent) -> float:
    """Return for how long two events are at the same time, s; negative for never."""
    return min(truth.end, found.end) - max(truth.onset, found.onset)


def definition(row: Row, truth: TruthEvent) -> float:
    """Return how long after its onset an event can be known: a nod only once it is over."""
    return truth.duration if row.kind == 'nod' else row.definition
