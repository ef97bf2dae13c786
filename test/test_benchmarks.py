"""The harness of the benchmarks; what it measures is no matter of tests."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / 'benchmarks'


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


@pytest.mark.parametrize(('value', 'code'), [(0.9, 0), (1.1, 1), (None, 0)])
def test_a_slow_row_fails_the_check_and_a_missing_one_does_not(module, value, code, capsys):
    entry = {'ours': 'a', 'other': 'b', 'bound': 1.0, 'ratio': value}
    assert module('run').report([entry]) == code
    assert ('SLOW' in capsys.readouterr().out) == bool(code)


def test_a_row_says_which_package_it_lacks(module):
    worker = module('measure').Worker('no such row')
    assert worker.about == {'missing': 'the process ended'}
    assert not worker.works
    worker.close()
