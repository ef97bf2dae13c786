"""The harness of the benchmarks; what it measures is no matter of tests."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / 'benchmarks'


LIVE = ('cpu', 'memory', 'age', 'age95', 'answered')


@pytest.fixture
def module(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def test_every_ratio_is_between_rows_that_are_timed_in_turn(module):
    run, rows = module('run'), module('rows').ROWS
    together = {group: groups for groups in run.TOGETHER for group in groups}
    assert set(together) == {row.group for row in rows.values()}
    for entry in run.RATIOS:
        ours, other = rows[entry['ours']], rows[entry['other']]
        assert together[ours.group] == together[other.group]


def test_a_ratio_is_the_median_over_rounds_and_not_of_medians(module):
    ratio = module('measure').ratio
    # The machine was ten times slower in the last two rounds, for both.
    results = {'a': {'rounds': [1, 1, 10, 20]}, 'b': {'rounds': [2, 2, 20, 40]}}
    assert ratio(results, 'a', 'b') == 0.5
    assert ratio({**results, 'b': {'missing': 'dlib'}}, 'a', 'b') is None


@pytest.mark.parametrize(
    ('value', 'code', 'verdict'), [(0.9, 0, 'ok'), (1.1, 1, 'SLOW'), (None, 1, 'MISSING')]
)
def test_a_slow_row_and_a_missing_one_fail_the_check(module, value, code, verdict, capsys):
    entry = {'ours': 'a', 'other': 'b', 'bound': 1.0, 'ratio': value}
    results = {'a': {'median': 1.0}, 'b': {'missing': 'dlib'}}
    assert module('run').report([entry], results) == code
    said = capsys.readouterr().out
    assert said.startswith(verdict)
    assert ('b: dlib (pip install -r benchmarks/requirements.txt)' in said) == (value is None)


def test_faces_and_cameras_are_plotted_from_one_on(module):
    run, rows = module('run'), module('rows').ROWS
    counts = {
        label: sorted(row.faces for name, row in rows.items() if re.fullmatch(pattern, name))
        for label, pattern in run.SCALING.items()
    }
    assert counts == {
        'crop to result': [1, 2, 4, 8],
        'pose node': [1, 2, 4, 8],
        'pose node, a face a camera': [1, 2, 4],
    }


def test_the_page_tells_what_was_measured_and_what_is_missing(module):
    pytest.importorskip('rclpy', reason='rclpy, which the page of a live node needs')
    run, rows = module('run'), module('rows').ROWS
    results = {name: {'missing': 'a package'} for name in rows}
    results['tracked frame'] = {'median': 4.5, 'p95': 6.0, 'memory': 300.0}
    network = dict.fromkeys(('operations', 'bytes', 'milliseconds'), 1e9)
    network |= dict.fromkeys(('of_arithmetic', 'of_memory', 'of_bound'), 0.5)
    content = {
        'machine': run.machine(),
        'rows': results,
        'ratios': [{**entry, 'ratio': None} for entry in run.RATIOS],
        'models': {'mnn_lite': network},
        'counts': {'mnn_lite': {'parameters': 10, 'operations': 1e9}},
        'arithmetic': 1e11,
        'memory': 1e10,
        'profile': {'stages_ms': {'crop': 0.2}, 'operations': {'conv': 0.5}},
        'footprint': {
            'about': 'a machine',
            'values': {'environment of make demo': 700.0},
        },
        'live': {'1 faces, 1 camera': dict.fromkeys(LIVE, 0.25)},
        'accuracy': {'dlib': {'missing': 'dlib'}},
    }
    page = run.page(content)
    for text in (
        '| tracked frame | 1 | 4.50 | 6.00 | 300 |',
        '| MediaPipe Face Mesh | | not run: a package | | |',
        '| environment of make demo | MB | 700.0 | <= 750 |',
        '| 1 faces, 1 camera | 25% |',
        '| dlib | not run: dlib is missing |',
        'All rows run on the CPU',
    ):
        assert text in page


def test_a_row_says_which_package_it_lacks(module):
    worker = module('measure').Worker('no such row')
    assert worker.about == {'missing': 'the process ended'}
    assert not worker.works
    worker.close()
