"""Drives of half an hour in which one thing lasts: is it still reported at the end?

A driver sleeps, hangs in the belt or looks into the lap for as long as it takes a monitor that
learns from anything to get used to it; sunglasses and a moved seat are what it should get used to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from headpose_ros.driver_monitoring.options import DriverOptions
from headpose_ros.driver_monitoring.report import Report
from headpose_ros.driver_monitoring.zones import Zones
from numpy.typing import NDArray

from headpose_training.driving.script import GRID, Script, fill, smooth_step, truth_of
from headpose_training.driving.simulated import DAY, SIZE, Conditions, frames, measure
from headpose_training.driving.truth import Drive, Outcome, TruthEvent, false_events, watch

Array = NDArray[np.float64]

HALF_AN_HOUR = 1800.0
#: Images a second.
RATES = (5.0, 10.0, 30.0)
#: How eyes are measured, closed and open.
EYES = {'ordinary': (0.0, 1.0), 'narrow': (0.06, 0.5)}
#: What lasts has been reported so long after it began, s: 3 s by definition, and what it takes.
_REPORTED = 5.0
#: A glance is under way for certain so long after its beginning and before its end, s.
_TURNING = 0.8
#: A new neutral pose is known when directions are right to this many degrees ...
_RIGHT = 4.0
#: ... in the median of so many seconds.
_BLOCK = 5.0
#: Kinds of events that no script has as truth.
_UNWRITTEN = frozenset({'repeated_glances', 'perclos'})


@dataclass(frozen=True)
class Situation:
    """Something that lasts from a moment on to the end of a drive.

    Attributes:
        begins: So long the driver is attentive before, s.
        write: Writes it into a script, from a time on.
        asleep: Whether the driver is asleep from then on.
        seconds: Length of the drive.
    """

    begins: float
    write: Callable[[Script, float], None]
    asleep: bool = False
    seconds: float = HALF_AN_HOUR


@dataclass(frozen=True)
class Job:
    """One drive.

    Attributes:
        name: One of `SITUATIONS`.
        rate: Images a second.
        eyes: One of `EYES`.
        seed: Of everything in it.
    """

    name: str
    rate: float
    eyes: str
    seed: tuple[int, ...]


def jobs(seed: int, drivers: Sequence[str], rates: Sequence[float] = RATES) -> list[Job]:
    """Return all situations at all rates, each with another driver, the longest first.

    At the highest rate, which takes as long as all others, one driver has to do.

    Args:
        seed: Of everything.
        drivers: Eyes of each, of `EYES`.
        rates: Images a second.
    """
    found = [
        Job(name, rate, eyes, (seed, 2_000_000, number, round(rate), driver))
        for rate in rates
        for number, name in enumerate(SITUATIONS)
        for driver, eyes in enumerate(drivers)
        if rate < max(rates) or driver == number % len(drivers)
    ]
    return sorted(found, key=lambda job: -job.rate * SITUATIONS[job.name].seconds)


def judge_lasting(job: Job, zones: Zones, options: DriverOptions) -> dict[str, Any]:
    """Return what the monitor makes of a drive.

    Returns:
        `asleep`: share of the sleep in which it was reported, None without any; `ended`: how many
        events of it ended though it went on; `lap_as_road`: seconds in which the lap was the road;
        `learned`: seconds until a new neutral pose was known, None without one; `false`: events of
        attentive driving that are true of nothing, and `hours` of it.
    """
    situation = SITUATIONS[job.name]
    script, conditions = _written(job, situation)
    measured = measure(script, conditions)
    truth = truth_of(script, measured.stamps, measured.found, measured.stamps < 0)
    reports: list[Report] = []
    drive = Drive(job.name, SIZE, truth, frames(script, conditions, measured))
    outcome = watch(drive, zones, options, reports.append)
    begins = situation.begins
    learned = _learned(reports, script, begins) if situation.write is _move_seat else None
    calm = situation.begins
    if situation.write in (_move_seat, _attentive):
        calm = script.seconds
    return {
        'name': job.name,
        'rate': job.rate,
        'eyes': job.eyes,
        'asleep': _asleep(reports, begins) if situation.asleep else None,
        'ended': _ended(outcome, begins) if situation.asleep else None,
        'lap_as_road': _lap_as_road(reports, truth),
        'learned': learned,
        'false': _false(outcome, calm, begins, learned),
        'hours': (calm - (learned or 0.0)) / 3600,
    }


def summary(outcomes: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row for every situation and rate: the worst of its drives, and sums."""
    groups: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for outcome in outcomes:
        groups.setdefault((outcome['name'], outcome['rate']), []).append(outcome)
    order = list(SITUATIONS)
    return [
        {
            'name': name,
            'rate': rate,
            'drives': len(group),
            'asleep': _worst(min, group, 'asleep'),
            'ended': _worst(sum, group, 'ended'),
            'lap_as_road': sum(one['lap_as_road'] for one in group),
            'learned': _worst(max, group, 'learned'),
            'false': sum(one['false'] for one in group),
            'hours': sum(one['hours'] for one in group),
        }
        for (name, rate), group in sorted(
            groups.items(), key=lambda item: (order.index(item[0][0]), item[0][1])
        )
    ]


def _worst(
    pick: Callable[[Iterable[Any]], Any], group: Sequence[dict[str, Any]], key: str
) -> float | None:
    values = [one[key] for one in group if one[key] is not None]
    return pick(values) if values else None


def _written(job: Job, situation: Situation) -> tuple[Script, Conditions]:
    """Return what the driver does, and how it is measured."""
    script = Script(np.random.default_rng(job.seed), situation.seconds)
    script.blinks()
    fill(script, 'attentive', min(20.0, situation.begins), situation.begins)
    situation.write(script, situation.begins)
    conditions = replace(DAY, rate=(job.rate, job.rate), lids=EYES[job.eyes])
    if job.name.startswith('sunglasses'):
        conditions = replace(conditions, sunglasses=situation.begins)
    return script, conditions


def _sleep(script: Script, start: float) -> None:
    script.close_eyes(start, script.seconds - start)


def _hang(script: Script, start: float) -> None:
    """Fall asleep with a head that sinks, straight or to a side."""
    rng = script.rng
    _sleep(script, start)
    depth = np.array([0.0, -rng.uniform(28, 42), rng.choice([-1, 0, 1]) * rng.uniform(5, 30)])
    script.angles += smooth_step(script.time, start, 1.2)[:, None] * depth
    script.truth.append(TruthEvent('slump', start + 0.7, script.seconds))


def _look_into_lap(script: Script, start: float) -> None:
    """Use a phone in the lap, with looks of 2 s at the road."""
    now = start
    while now < script.seconds - 13.0:
        now = script.glance(now, 'lap', script.rng.uniform(4.0, 12.0)) + 2.0


def _move_seat(script: Script, start: float) -> None:
    """Move the seat, which turns the neutral pose before the camera, and drive on."""
    side = script.rng.choice([-1, 1])
    moved = np.array([side * script.rng.uniform(10, 20), script.rng.uniform(-10, 10), 0.0])
    script.angles += smooth_step(script.time, start, 2.0)[:, None] * moved
    script.moved = moved
    _attentive(script, start + 5.0)


def _attentive(script: Script, start: float) -> None:
    fill(script, 'attentive', start, script.seconds)


SITUATIONS = {
    'eyes closed after 1 min': Situation(60.0, _sleep, asleep=True),
    'eyes closed after 40 min': Situation(2400.0, _sleep, asleep=True, seconds=4200.0),
    'head hangs after 10 min': Situation(600.0, _hang, asleep=True),
    'phone in the lap from second 0': Situation(0.0, _look_into_lap),
    'phone in the lap after 10 min': Situation(600.0, _look_into_lap),
    'sunglasses after 10 min': Situation(600.0, _attentive),
    'seat moved after 10 min': Situation(600.0, _move_seat),
}


def _asleep(reports: Sequence[Report], begins: float) -> float:
    told = [r.state == 'asleep' for r in reports if r.stamp > begins + _REPORTED]
    return float(np.mean(told))


def _ended(outcome: Outcome, begins: float) -> int:
    """Return how many events of sleep ended while it lasted, other than lost."""
    last = outcome.seconds - 1.0
    return sum(
        e.kind in ('sleep', 'slump') and not e.lost and begins < e.end < last for e in outcome.found
    )


def _lap_as_road(reports: Sequence[Report], truth: Sequence[TruthEvent]) -> float:
    stamps = np.array([report.stamp for report in reports])
    passed = np.diff(stamps, prepend=stamps[0])
    is_lap = np.zeros(len(stamps), bool)
    for event in truth:
        if event.kind == 'glance' and event.zone == 'lap':
            is_lap |= (stamps > event.onset + _TURNING) & (stamps < event.end)
    road = np.array([report.on_road and report.zone != '' for report in reports])
    return float(passed[is_lap & road].sum())


def _learned(reports: Sequence[Report], script: Script, begins: float) -> float:
    """Return how long after it moved the neutral pose was known, s."""
    stamps = np.array([report.stamp for report in reports])
    index = np.rint(stamps * GRID).astype(int)
    true = script.angles[index, :2] - script.moved[:2]
    told = np.degrees([[r.signals[k].value for k in ('azimuth', 'elevation')] for r in reports])
    away = np.hypot(*(told - true).T)
    wrong = begins
    for start in np.arange(begins + _BLOCK, stamps[-1], _BLOCK):
        block = away[(stamps >= start) & (stamps < start + _BLOCK)]
        if len(block) and not np.nanmedian(block) < _RIGHT:
            wrong = start + _BLOCK
    return float(wrong - begins)


def _false(outcome: Outcome, calm: float, begins: float, learned: float | None) -> int:
    """Return how many false events there are in attentive driving, until `calm`."""
    until = begins + (learned or 0.0)
    return sum(
        event.kind not in _UNWRITTEN
        and event.onset < calm
        and not (learned is not None and begins < event.onset < until)
        for event in false_events(outcome)
    )
