"""One table of many reports: what each network reaches and costs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headpose_ros.files import check_new

from headpose_training.errors import TrainingError
from headpose_training.metrics.report import ALIGNED, BASELINE_FACTOR, GEODESIC
from headpose_training.metrics.tables import cell, markdown_table, write_report

#: Columns: heading, and the metric of a report that it shows.
_COLUMNS = {
    'geodesic (deg)': f'{GEODESIC}, {ALIGNED}',
    'MAE (deg)': f'MAE of the three angles, {ALIGNED}',
    'NME (%)': 'NME outer eyes',
    'mean pose beaten by': BASELINE_FACTOR,
}


def compare(reports: Sequence[Path], out: Path, overwrite: bool = False) -> None:
    """Put the headlines of reports into one table; write compare.md and compare.json.

    Args:
        reports: report.json files of `headpose-train evaluate`.
        out: Folder for the table.
        overwrite: Replace the table that an earlier call left in it; else that is an error.

    Raises:
        TrainingError: A file is missing or is no report, or they are not of the same faces.
    """
    check_new(out / 'compare.json', overwrite)
    contents = [_read(path) for path in reports]
    judged = {(c['format'], *c['sets'], c['faces']) for c in contents}
    if len(judged) != 1:
        raise TrainingError(f'the reports are not of the same faces: {sorted(judged)}')
    first = contents[0]
    title = f'# On {", ".join(first["sets"]) or first["format"]}: {first["faces"]} faces'
    header = ['weights', 'model', *_COLUMNS, 'parameters', 'GMAC', 'ms per face']
    note = (
        f'Pose errors with {ALIGNED}; MAE in the AFLW2000 factorisation; NME by outer eyes. '
        'In brackets: bootstrap over faces, 95 %. Times: '
        + '; '.join(sorted({_machine(content['cost']) for content in contents}))
        + '.'
    )
    lines = [title, '', note, '', *markdown_table(header, map(_row, contents))]
    write_report(out, 'compare', {'rows': contents}, lines)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        if not {'weights', 'model', 'metrics', 'cost', 'format', 'sets', 'faces'} <= content.keys():
            raise ValueError('keys are missing')
    except (OSError, ValueError, AttributeError) as error:
        raise TrainingError(
            f'{path} is no report.json of headpose-train evaluate: {error}'
        ) from error
    return content


def _machine(cost: Mapping[str, Any]) -> str:
    return f'{cost["device"]}, {cost["threads"]} thread(s)'


def _row(content: Mapping[str, Any]) -> list[str]:
    metrics, cost = content['metrics'], content['cost']
    return [
        content['weights'],
        content['model'],
        *(cell(metrics.get(name)) for name in _COLUMNS.values()),
        f'{cost["parameters"] / 1e6:.2f} M',
        f'{cost["gmac"]:.3f}',
        f'{cost["ms_per_face"]:.1f}',
    ]
