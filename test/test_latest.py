from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from headpose_ros.ros.input import latest
from headpose_ros.ros.input.latest import LatestPerSender
from headpose_ros.ros.node.statistics import NodeStatistics


def test_the_newest_item_of_each_sender_wins():
    slots: LatestPerSender[int] = LatestPerSender()
    lost = [slots.put('left', item) for item in range(5)] + [slots.put('right', 9)]
    assert slots.take() == {'left': 4, 'right': 9}
    assert lost == [False, True, True, True, True, False]


def test_every_item_is_taken_or_counted():
    slots: LatestPerSender[int] = LatestPerSender()
    taken: list[int] = []

    def work() -> None:
        while (items := slots.take()) is not None:
            taken.extend(items.values())

    worker = threading.Thread(target=work)
    worker.start()
    lost = sum(slots.put('one', item) for item in range(1, 5001))
    while not taken or taken[-1] != 5000:
        pass
    slots.close()
    worker.join(timeout=10)
    assert not worker.is_alive()
    assert len(taken) + lost == 5000
    assert taken == sorted(taken)


def test_a_fast_sender_does_not_starve_a_slow_one():
    slots: LatestPerSender[int] = LatestPerSender()
    for round_ in range(20):
        for item in range(50):
            slots.put('fast', item)
        slots.put('slow', round_)
        assert slots.take() == {'fast': 49, 'slow': round_}


class Played:
    """Stands for the condition and the clock of slots whose one sender has a period.

    Waiting plays the sender until what is waited for is there, or for as long as is waited.
    """

    def __init__(
        self, slots: LatestPerSender[float], period: float, monkeypatch: pytest.MonkeyPatch
    ):
        self.now, self._due, self._period, self._slots = 100.0, 100.0, period, slots
        monkeypatch.setattr(latest.time, 'monotonic', lambda: self.now)
        monkeypatch.setattr(slots, '_changed', self)

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def notify(self) -> None: ...

    def pass_time(self, seconds: float) -> None:
        self.wait_for(lambda: False, seconds)

    def stop(self) -> None:
        self._due = np.inf

    def wait_for(self, predicate: Callable[[], object], timeout: float = 1e3) -> bool:
        end = self.now + timeout
        while not predicate() and self._due <= end:
            self.now, self._due = self._due, self._due + self._period
            self._slots.put('camera', self.now)
        if not predicate():
            self.now = end
        return bool(predicate())


def test_a_slow_taker_gets_items_that_are_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    slots: LatestPerSender[float] = LatestPerSender()
    played = Played(slots, period=0.02, monkeypatch=monkeypatch)
    ages = []
    for _ in range(60):
        items = slots.take()
        assert items is not None
        ages.append(played.now - items['camera'])
        played.pass_time(0.0531)
    # Without waiting for the next one it would be half a period.
    assert np.mean(ages[20:]) < 0.02 / 6
    assert max(ages[20:]) <= 0.02 / 3


def test_nobody_waits_for_a_sender_that_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    slots: LatestPerSender[float] = LatestPerSender()
    played = Played(slots, period=0.02, monkeypatch=monkeypatch)
    played.pass_time(0.2)
    played.stop()
    played.pass_time(0.05)
    before = played.now
    assert slots.take() is not None
    assert played.now == before


def test_closing_wakes_who_waits_and_tells_what_is_left():
    slots: LatestPerSender[int] = LatestPerSender()
    results: list[object] = []
    waiter = threading.Thread(target=lambda: results.append(slots.take()))
    waiter.start()
    assert slots.close() == []
    waiter.join(timeout=10)
    assert results == [None]
    assert slots.put('late', 1)
    other: LatestPerSender[int] = LatestPerSender()
    other.put('one', 1)
    assert other.close() == ['one']


def test_statistics_give_median_and_high_percentile():
    statistics = NodeStatistics()
    for age in range(1, 101):
        statistics.note(age=float(age), decode=1.0)
    summary = statistics.summary()
    assert summary['milliseconds']['age'] == {'median': 50.5, 'p95': 95.05}
    assert summary['milliseconds']['decode']['median'] == 1.0
