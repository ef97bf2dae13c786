"""Every event of one drive with the truth beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from headpose_ros.driver_monitoring.options import DriverOptions
from headpose_ros.tools.drive import Drive, Span

from headpose_training.driving.truth import (
    FoundEvent,
    Row,
    TruthEvent,
    definition,
    overlap,
    paired,
    rows,
)
from headpose_training.metrics.tables import markdown_table

TOLD, MISSED, FALSE, OTHER_ZONE, HIDDEN = 'told', 'missed', 'false', 'other zone', 'hidden'
_HEADER = ('what', 'true: from', 'to', 'zone', 'told: from', 'to', 'zone', 'delay, s', '')


@dataclass(frozen=True)
class Comparison:
    """One event: true, told, or both.

    Attributes:
        kind: As in `TruthEvent`.
        verdict: One of the words above; hidden: nobody could see it, and nobody told it.
        true: What happened; None: nothing.
        told: What was told; None: nothing.
        delay: From when its definition was met until it was told, s.
    """

    kind: str
    verdict: str
    true: TruthEvent | None
    told: FoundEvent | None
    delay: float | None = None

    @property
    def onset(self) -> float:
        """When it began, s."""
        event = self.true or self.told
        return event.onset if event else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def compare(truth: Sequence[TruthEvent], drive: Drive, options: DriverOptions) -> list[Comparison]:
    """Return all that happened and all that was told, in the order of time."""
    found = [_found(span) for span in (*drive.events, *told_states(drive))]
    asked = {row.kind: row for row in rows(options)} | _more(options)
    result: list[Comparison] = []
    for kind in sorted({e.kind for e in truth} | {e.kind for e in found}):
        some = [event for event in truth if event.kind == kind]
        told = [event for event in found if event.kind == kind]
        result += _compared(asked[kind], some, told)
    return sorted(result, key=lambda one: (one.onset, one.kind))


def table_lines(comparisons: Sequence[Comparison]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = markdown_table(_HEADER, map(_cells, comparisons))
    counts = {
        v: sum(c.verdict == v for c in comparisons) for v in (TOLD, OTHER_ZONE, MISSED, FALSE)
    }
    said = ', '.join(f'{count} {verdict}' for verdict, count in counts.items())
    return [*lines, f'{said}. Times in s; delay from when the definition is met.', '']


def _more(options: DriverOptions) -> dict[str, Row]:
    """Return rows for what is judged in this table alone."""
    return {
        'repeated_glances': Row('repeated glances', 'repeated_glances', 0.0, 0.0),
        'perclos': Row('PERCLOS', 'perclos', 0.0, 0.0),
        'absent': Row('absent', 'absent', 0.0, options.seat.absent_seconds),
        'sunglasses': Row('eyes hidden', 'sunglasses', 0.0, options.lids.hidden_seconds),
    }


def _compared(
    row: Row, truth: Sequence[TruthEvent], found: Sequence[FoundEvent]
) -> list[Comparison]:
    pairs = paired(truth, found, zone=False)
    result = []
    for i, true in enumerate(truth):
        told = found[pairs[i]] if i in pairs else None
        if told is None:
            verdict = MISSED if true.judged else HIDDEN
            result.append(Comparison(row.kind, verdict, true, None))
            continue
        delay = told.known - true.onset - definition(row, true)
        is_same = not true.zone or true.zone == told.zone
        verdict = TOLD if is_same else OTHER_ZONE
        result.append(Comparison(row.kind, verdict, true, told, delay))
    # Further pieces of a true event that was lost between are no false ones.
    result += [
        Comparison(row.kind, FALSE, None, told)
        for j, told in enumerate(found)
        if j not in pairs.values() and not any(overlap(true, told) > 0 for true in truth)
    ]
    return result


def told_states(drive: Drive) -> list[Span]:
    """Return what only states tell: nobody there, and hidden eyes."""
    absent = [replace(s, kind='absent') for s in drive.presences if s.kind == 'absent']
    hidden = [replace(s, kind='sunglasses') for s in drive.eyes if s.kind == 'hidden']
    return absent + hidden


def _found(span: Span) -> FoundEvent:
    return FoundEvent(span.kind, span.onset, span.end, span.known, span.zone, span.lost)


def _cells(one: Comparison) -> list[str]:
    true, told = one.true, one.told
    return [
        one.kind.replace('_', ' '),
        *_times(true),
        *_times(told),
        '' if one.delay is None else f'{one.delay:+.2f}',
        one.verdict,
    ]


def _times(event: TruthEvent | FoundEvent | None) -> list[str]:
    if event is None:
        return ['', '', '']
    return [f'{event.onset:.1f}', f'{event.end:.1f}', event.zone.replace('_', ' ')]
