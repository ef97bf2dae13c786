"""The judge of driver monitoring: matching against hand-made truth, and a short simulated run."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from headpose_ros.driver_monitoring.learning.moment import Moment
from headpose_ros.driver_monitoring.options import DriverOptions
from headpose_ros.driver_monitoring.zones_file import read_zones

from headpose_training.driving import lasting
from headpose_training.driving.command import judge_driver
from headpose_training.driving.simulated import drives
from headpose_training.driving.truth import (
    FoundEvent,
    Outcome,
    Row,
    TruthEvent,
    false_alarms,
    tally,
)

ROW = Row('glance', 'glance', 1.0, 0.5)


def found(onset, end, known=None, zone='lap', lost=False, kind='glance'):
    return FoundEvent(kind, onset, end, onset + 0.5 if known is None else known, zone, lost)


def true(onset, end, zone='lap', judged=True, kind='glance'):
    return TruthEvent(kind, onset, end, zone, judged)


def judged(truth, events, row=ROW):
    return tally(row, [Outcome('test', tuple(truth), tuple(events), 3600.0, True)])


def test_hits_misses_and_false_ones_are_counted():
    result = judged([true(10, 12), true(20, 22)], [found(10.1, 12.2), found(30, 32)])
    assert (result['events'], result['recall'], result['precision']) == (2, 0.5, 0.5)
    assert result['delay'] == pytest.approx(0.1)


def test_one_found_event_answers_one_truth():
    result = judged([true(10, 12), true(13, 15)], [found(10, 15)])
    assert (result['recall'], result['precision']) == (0.5, 1.0)


def test_two_found_events_in_one_truth_are_one_too_many_unless_the_first_was_lost():
    assert judged([true(10, 14)], [found(10, 11.5), found(12, 14)])['precision'] == 0.5
    parts = [found(10, 11.5, lost=True), found(12, 14)]
    assert judged([true(10, 14)], parts)['precision'] == 1.0


def test_the_zone_counts_where_it_is_asked_for():
    wrong = ([true(10, 12)], [found(10, 12, zone='rear')])
    assert judged(*wrong)['recall'] == 1.0
    assert judged(*wrong, row=Row('zone', 'glance', 1.0, 0.5, zone=True))['recall'] == 0.0


def test_what_nobody_can_see_is_neither_asked_for_nor_held_against_it():
    result = judged([true(10, 12, judged=False)], [found(10, 12)])
    assert (result['events'], result['recall'], result['precision']) == (0, None, 1.0)


def test_a_truth_far_too_short_makes_a_found_event_wrong():
    assert judged([true(10, 10.8)], [found(10, 11.1)])['precision'] == 1.0
    assert judged([true(10, 10.4)], [found(10, 11.1)])['precision'] == 0.0


def test_false_alarms_are_counted_by_the_hour_with_their_limit():
    drive = Outcome(
        'test', (true(10, 12),), (found(10, 12), found(50, 52, kind='yawn')), 7200, True
    )
    result = false_alarms([drive, Outcome('other', (), (found(1, 2),), 7200, False)])
    assert (result['events'], result['kinds'], result['per_hour']) == (1, {'yawn': 1}, 0.5)
    # Garwood's upper limit for one event is 5.57.
    assert result['per_hour_upper'] == pytest.approx(5.572 / 2, abs=0.001)


def test_simulated_drives_are_what_they_say_and_the_same_again():
    first, again = (next(drives(3, 1, 0.0)) for _ in range(2))
    assert first.truth == again.truth and first.truth
    stamps, eyes = [], []
    for (stamp, faces), (_, same) in zip(first.frames, again.frames, strict=True):
        stamps.append(stamp)
        for face, other in zip(faces, same, strict=True):
            assert np.array_equal(face.rotation, other.rotation)
            eyes.append(face.openness[0])
    assert min(np.diff(stamps)) > 0
    assert 15 < 1 / np.median(np.diff(stamps)) < 31
    assert 0.7 < np.median(eyes) < 1.05


def test_the_command_writes_a_table_that_meets_the_bars_on_a_short_run(tmp_path):
    zones = Path(__file__).parents[2] / 'config' / 'zones.yaml'
    judge_driver(tmp_path, zones, sequences=8, attentive_hours=0.1, lasting=(), seed=5, workers=1)
    report = json.loads((tmp_path / 'driver.json').read_text())
    for name in ('glance ≥ 1 s', 'closure ≥ 0.6 s'):
        row = report['rows'][name]
        assert row['events'] >= 10
        assert min(row['precision'], row['recall']) >= 0.9 and row['delay'] < 0.3
    assert math.isfinite(report['false_alarms']['per_hour_upper'])
    assert '| glance ≥ 1 s |' in (tmp_path / 'driver.md').read_text()
    assert DriverOptions().glances.limit == report['rows']['long glance']['definition']


ZONES = read_zones(Path(__file__).parents[2] / 'config' / 'zones.yaml')


def short(monkeypatch, name, seconds, begins):
    """Return what comes of a situation in a short drive at 5 images a second."""
    situation = replace(lasting.SITUATIONS[name], seconds=seconds, begins=begins)
    monkeypatch.setitem(lasting.SITUATIONS, name, situation)
    job = lasting.Job(name, 5.0, 'narrow', (3,))
    return lasting.judge_lasting(job, ZONES, DriverOptions())


def test_a_sleep_that_lasts_is_judged_to_its_end(monkeypatch):
    result = short(monkeypatch, 'head hangs after 10 min', 300.0, 60.0)
    assert (result['asleep'], result['ended']) == (1.0, 0)
    # Somebody who takes whatever is there for the road, and whatever eyes for open ones.
    monkeypatch.setattr(Moment, 'awake', property(lambda moment: moment.visible))
    monkeypatch.setattr(Moment, 'attentive', property(lambda moment: moment.visible))
    worse = short(monkeypatch, 'head hangs after 10 min', 300.0, 60.0)
    assert worse['asleep'] < 0.9 and worse['ended'] > 0


def test_a_lap_and_a_moved_seat_are_judged(monkeypatch):
    assert short(monkeypatch, 'phone in the lap from second 0', 120.0, 0.0)['lap_as_road'] == 0.0
    moved = short(monkeypatch, 'seat moved after 10 min', 300.0, 120.0)
    assert 0.0 < moved['learned'] <= 120.0
    assert moved['hours'] == pytest.approx((300.0 - moved['learned']) / 3600)


def test_half_hours_are_put_into_rows_that_show_the_worst():
    one = {'name': 'sunglasses after 10 min', 'rate': 5.0, 'eyes': 'narrow', 'asleep': None}
    one |= {'ended': None, 'lap_as_road': 0.5, 'learned': None, 'false': 1, 'hours': 0.5}
    sleep = {**one, 'name': 'eyes closed after 1 min', 'asleep': 0.9, 'ended': 2}
    rows = lasting.summary([one, one, sleep, {**sleep, 'asleep': 1.0}])
    assert [row['name'] for row in rows] == [sleep['name'], one['name']]
    assert (rows[0]['asleep'], rows[0]['ended'], rows[0]['drives']) == (0.9, 4, 2)
    assert (rows[1]['asleep'], rows[1]['false'], rows[1]['hours']) == (None, 2, 1.0)
