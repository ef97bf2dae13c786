"""`headpose-train judge-driver`: how well the driver monitor tells what happens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from headpose_ros.driver.options import DriverOptions
from headpose_ros.driver.zones import read_zones
from headpose_ros.ros.share import share_file
from rich.progress import track

from headpose_training.driving.simulated import drives
from headpose_training.driving.truth import (
    Outcome,
    false_alarms,
    rows,
    tally,
    watch,
)
from headpose_training.metrics.tables import markdown_table, write_report

#: The seed that is reported. Thresholds were chosen with others.
JUDGED_SEED = 20_261
_HEADER = ('', 'events', 'reported', 'precision', 'recall', 'delay, s', '95th percentile, s')
#: Rows that are shown for each kind of drive.
_BY_DRIVE = ('glance ≥ 1 s', 'closure ≥ 0.6 s')


def judge_driver(
    out: Path,
    zones: Path | None = None,
    sequences: int = 220,
    attentive_hours: float = 4.0,
    seed: int = JUDGED_SEED,
) -> None:
    """Judge the driver monitor on simulated drives with exact truth; write and show the table.

    Args:
        out: Folder for driver.md and driver.json.
        zones: Zones file; that of the package without one.
        sequences: How many drives of 80 s, beside the attentive ones.
        attentive_hours: How long drivers are attentive, in all.
        seed: Of the drives; others than the default are for choosing thresholds.
    """
    options = DriverOptions()
    known = read_zones(zones or share_file('config/zones.yaml'))
    simulated = track(
        drives(seed, sequences, attentive_hours), 'driving', sequences + round(attentive_hours * 10)
    )
    outcomes = [watch(drive, known, options) for drive in simulated]
    report(out, outcomes, options, f'Simulated signals, seed {seed}.')


def report(out: Path, outcomes: Sequence[Outcome], options: DriverOptions, said: str) -> None:
    """Write `driver.md` and `driver.json` about drives that were watched, and show the table."""
    asked = rows(options)
    content = {
        'drives': len(outcomes),
        'hours': sum(outcome.seconds for outcome in outcomes) / 3600,
        'rows': {row.name: {**asdict(row), **tally(row, outcomes)} for row in asked},
        'false_alarms': false_alarms(outcomes),
        'by_drive': {
            name: {row.name: tally(row, some) for row in asked if row.name in _BY_DRIVE}
            for name, some in _by_name(outcomes).items()
        },
        'sunglasses_told': _told(outcomes),
    }
    write_report(out, 'driver', content, _lines(content, said))


def _lines(content: dict[str, Any], said: str) -> list[str]:
    alarms = content['false_alarms']
    drives_said = f'{content["drives"]} drives, {content["hours"]:.1f} h. {said}'
    lines = ['# Driver monitor against truth', '', drives_said, '']
    lines += markdown_table(_HEADER, (_cells(name, row) for name, row in content['rows'].items()))
    lines += [
        f'Attentive driving: {alarms["hours"]:.1f} h, {alarms["events"]} false events '
        f'{alarms["kinds"] or ""}: {_number(alarms["per_hour"])} an hour, at most '
        f'{_number(alarms["per_hour_upper"])} with 95 % confidence.',
        '',
        f'Sunglasses: eyes reported as hidden for {_number(content["sunglasses_told"])} of the '
        'time.',
        '',
    ]
    table = (
        _cells(f'{name}: {row}', found)
        for name, found_rows in content['by_drive'].items()
        for row, found in found_rows.items()
        if found['events'] or found['found']
    )
    return lines + markdown_table(_HEADER, table)


def _cells(name: str, row: dict[str, Any]) -> list[str]:
    numbers = (_number(row[key]) for key in ('precision', 'recall', 'delay', 'delay_95'))
    return [name, str(row['events']), str(row['found']), *numbers]


def _number(value: float | None) -> str:
    return '-' if value is None else f'{value:.3f}'


def _by_name(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    found: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        found.setdefault(outcome.name, []).append(outcome)
    return found


def _told(outcomes: Iterable[Outcome]) -> float | None:
    """Return the share of time with sunglasses in which the eyes are said to be hidden."""
    some = [outcome for outcome in outcomes if outcome.name == 'sunglasses']
    seconds = sum(outcome.seconds for outcome in some)
    return sum(o.eyes.get('hidden', 0.0) for o in some) / seconds if seconds else None
