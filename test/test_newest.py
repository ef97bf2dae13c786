from __future__ import annotations

import threading

from headpose_ros.ros.newest import NewestSlot
from headpose_ros.ros.statistics import NodeStatistics


def test_the_newest_item_wins_and_the_others_are_counted():
    slot: NewestSlot[int] = NewestSlot()
    for item in range(5):
        slot.put(item)
    assert slot.take() == 4
    assert slot.replaced == 4


def test_every_item_is_taken_or_counted():
    slot: NewestSlot[int] = NewestSlot()
    taken: list[int] = []

    def work() -> None:
        while (item := slot.take()) is not None:
            taken.append(item)

    worker = threading.Thread(target=work)
    worker.start()
    for item in range(1, 5001):
        slot.put(item)
    while not taken or taken[-1] != 5000:
        pass
    slot.close()
    worker.join(timeout=10)
    assert not worker.is_alive()
    assert len(taken) + slot.replaced == 5000
    assert taken == sorted(taken)


def test_closing_wakes_who_waits():
    slot: NewestSlot[int] = NewestSlot()
    results: list[int | None] = []
    waiter = threading.Thread(target=lambda: results.append(slot.take()))
    waiter.start()
    slot.close()
    waiter.join(timeout=10)
    assert results == [None]


def test_statistics_give_median_and_high_percentile():
    statistics = NodeStatistics()
    for age in range(1, 101):
        statistics.note(age=float(age), decode=1.0)
    summary = statistics.summary()
    assert summary['milliseconds']['age'] == {'median': 50.5, 'p95': 95.05}
    assert summary['milliseconds']['decode']['median'] == 1.0
