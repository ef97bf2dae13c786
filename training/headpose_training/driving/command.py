"""How well the driver monitor tells what happens: on simulated signals, on rendered pictures."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from headpose_ros import DEFAULT_MODEL
from headpose_ros.driver_monitoring.options import DriverOptions
from headpose_ros.driver_monitoring.zones_file import read_zones
from headpose_ros.files import check_new
from headpose_ros.ros.node.share import share_file
from numpy.typing import NDArray
from rich.progress import track

from headpose_training.driving.lasting import jobs, judge_lasting, summary
from headpose_training.driving.rendered import SIGNALS, judge_films
from headpose_training.driving.simulated import drives
from headpose_training.driving.truth import (
    Outcome,
    false_alarms,
    rows,
    tally,
    watch,
)
from headpose_training.metrics.tables import markdown_table, write_report

Array = NDArray[np.float64]
Numbers = dict[str, float | None]

#: The seed that is reported. Thresholds were chosen with others.
JUDGED_SEED = 20_261
_HEADER = ('', 'events', 'reported', 'precision', 'recall', 'delay, s', '95th percentile, s')
_SIGNALS_HEADER = ('', 'known', 'median error', '95th percentile', 'measured for 1 true')
_LASTING = (
    'Drives of half an hour in which one thing lasts to the end, of drivers with ordinary and with '
    'narrow eyes. Asleep: the least share of the sleep, from 5 s after it began, in which it was '
    'reported. Ended: events of sleep that ended, not lost, while it lasted. Lap as road: all '
    'seconds of looks into the lap in which the road was reported. Learned: the longest time to '
    'another neutral pose. False: events of attentive driving that are true of nothing.'
)
_LASTING_HEADER = (
    '',
    'images/s',
    'drives',
    'asleep',
    'ended',
    'lap as road, s',
    'learned, s',
    'false',
)
#: Eyes of the drivers of half an hour.
DRIVERS = ('ordinary', 'narrow')
#: Lids that blink vary by more.
_LEAST_VARIANCE = 1e-3
#: Rows that are shown for each kind of drive.
_BY_DRIVE = ('glance ≥ 1 s', 'closure ≥ 0.6 s')


def judge_driver(
    out: Path,
    zones: Path | None = None,
    sequences: int = 220,
    attentive_hours: float = 4.0,
    lasting: tuple[str, ...] = DRIVERS,
    seed: int = JUDGED_SEED,
    workers: int = 2,
    overwrite: bool = False,
) -> None:
    """Judge the driver monitor on simulated drives with exact truth; write and show the table.

    Args:
        out: Folder for driver.md and driver.json.
        zones: Zones file; that of the package without one.
        sequences: How many drives of 80 s, beside the attentive ones.
        attentive_hours: How long drivers are attentive, in all.
        lasting: Eyes, ordinary or narrow, of the drivers of half an hour in which one thing lasts.
        seed: Of the drives; others than the default are for choosing thresholds.
        workers: Processes beside this one.
        overwrite: Replace the table that an earlier call left in it; else that is an error.
    """
    check_new(out / 'driver.json', overwrite)
    options = DriverOptions()
    known = read_zones(zones or share_file('config/zones.yaml'))
    simulated = track(
        drives(seed, sequences, attentive_hours), 'driving', sequences + round(attentive_hours * 10)
    )
    half_hours = jobs(seed, lasting)
    judge = partial(judge_lasting, zones=known, options=options)
    with multiprocessing.get_context('spawn').Pool(workers) as pool:
        judged = pool.imap_unordered(judge, half_hours)
        outcomes = [watch(drive, known, options) for drive in simulated]
        lasted = list(track(judged, 'half hours', len(half_hours)))
    said = f'Simulated signals, seed {seed}.'
    report(out, 'driver', outcomes, options, said, lasting=summary(lasted))


def judge_rendered(
    out: Path,
    weights: str = DEFAULT_MODEL,
    zones: Path | None = None,
    sequences: int = 36,
    seconds: float = 40.0,
    rate: float = 15.0,
    seed: int = JUDGED_SEED,
    workers: int = 0,
    overwrite: bool = False,
) -> None:
    """Judge detector, network, tracker and driver monitor together on rendered drives.

    Args:
        out: Folder for driver_rendered.md and driver_rendered.json.
        weights: Name of a network, or a file.
        zones: Zones file; that of the package without one.
        sequences: How many drives.
        seconds: Length of each.
        rate: Pictures a second.
        seed: Of the drives; others than the default are for choosing thresholds.
        workers: Processes that render and judge; 0 is one per core.
        overwrite: Replace the table that an earlier call left in it; else that is an error.

    Raises:
        TrainingError: There is no EGL, or the heads are missing.
        HeadposeError: The weights or the zones cannot be used.
    """
    check_new(out / 'driver_rendered.json', overwrite)
    options = DriverOptions()
    known = read_zones(zones or share_file('config/zones.yaml'))
    processes = min(workers or os.cpu_count() or 1, sequences)
    films = judge_films(seed, sequences, seconds, rate, weights, known, processes)
    judged = list(track(films, 'rendering and driving', sequences))
    said = f'Rendered at {rate:g} Hz, seed {seed}, through the network {Path(weights).name}.'
    signals = _signals(np.concatenate([one.signals for one in judged]))
    outcomes = [one.outcome for one in judged]
    report(out, 'driver_rendered', outcomes, options, said, signals)


def _signals(values: Array) -> dict[str, Numbers]:
    """Return how the measured signals of (N, 4, 2) compare with the true ones."""
    found = {}
    for name, (true, measured) in zip(SIGNALS, values.transpose(1, 2, 0), strict=True):
        there = np.isfinite(true)
        both = there & np.isfinite(measured)
        found[name] = {
            'known': float(both.sum() / max(there.sum(), 1)),
            'error': float(np.median(np.abs(measured - true)[both])),
            'error_95': float(np.percentile(np.abs(measured - true)[both], 95)),
            'slope': _slope(true[both], measured[both]),
        }
    return found


def _slope(true: Array, measured: Array) -> float | None:
    """Return how much more is measured for 1 more; None where the truth hardly varies."""
    spread = float(np.var(true)) if len(true) else 0.0
    if spread < _LEAST_VARIANCE:
        return None
    return float(np.mean((true - true.mean()) * (measured - measured.mean())) / spread)


def report(
    out: Path,
    name: str,
    outcomes: Sequence[Outcome],
    options: DriverOptions,
    said: str,
    signals: dict[str, Numbers] | None = None,
    lasting: Sequence[dict[str, Any]] = (),
) -> None:
    """Write a table about drives that were watched, and show it.

    Args:
        out: Folder.
        name: Of the files.
        outcomes: What was told.
        options: Of the monitor.
        said: What the drives are.
        signals: How the measured signals compare with the true ones, by name.
        lasting: Rows of `lasting.summary`.
    """
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
        'signals': signals or {},
        'lasting': list(lasting),
    }
    write_report(out, name, content, _lines(content, said))


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
    lines += markdown_table(_HEADER, table)
    if content['lasting']:
        lines += [_LASTING, '']
        lines += markdown_table(_LASTING_HEADER, map(_lasting_cells, content['lasting']))
    if content['signals']:
        lines += ['Signals against the truth, degrees and shares of open:', '']
        lines += markdown_table(_SIGNALS_HEADER, map(_signal_cells, content['signals'].items()))
    return lines


def _lasting_cells(row: dict[str, Any]) -> list[str]:
    return [
        row['name'],
        f'{row["rate"]:g}',
        str(row['drives']),
        _number(row['asleep']),
        '-' if row['ended'] is None else str(row['ended']),
        f'{row["lap_as_road"]:.1f}' if row['name'].startswith('phone') else '-',
        '-' if row['learned'] is None else f'{row["learned"]:.0f}',
        f'{row["false"]} in {row["hours"]:.1f} h',
    ]


def _signal_cells(signal: tuple[str, Numbers]) -> list[str]:
    name, row = signal
    return [name, *(_number(row[key]) for key in ('known', 'error', 'error_95', 'slope'))]


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
