from __future__ import annotations

import threading
import time

import numpy as np

from headpose_ros.ros.newest import NewestItems
from headpose_ros.ros.statistics import NodeStatistics


def test_the_newest_item_of_each_sender_wins():
    slots: NewestItems[int] = NewestItems()
    lost = [slots.put('left', item) for item in range(5)] + [slots.put('right', 9)]
    assert slots.take() == {'left': 4, 'right': 9}
    assert lost == [False, True, True, True, True, False]


def test_every_item_is_taken_or_counted():
    slots: NewestItems[int] = NewestItems()
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
    slots: NewestItems[int] = NewestItems()
    for round_ in range(20):
        for item in range(50):
            slots.put('fast', item)
        slots.put('slow', round_)
        assert slots.take() == {'fast': 49, 'slow': round_}


def test_a_slow_taker_gets_items_that_are_fresh():
    slots: NewestItems[float] = NewestItems()
    period, work = 0.02, 0.053
    stop = threading.Event()

    def send() -> None:
        due = time.monotonic()
        while not stop.is_set():
            slots.put('camera', time.monotonic())
            due += period
            time.sleep(max(due - time.monotonic(), 0))

    sender = threading.Thread(target=send)
    sender.start()
    ages = []
    for _ in range(40):
        items = slots.take()
        assert items is not None
        ages.append(time.monotonic() - items['camera'])
        time.sleep(work)
    stop.set()
    sender.join()
    # Without waiting for the next one it would be half a period.
    assert np.median(ages[10:]) < 0.35 * period


def test_nobody_waits_for_a_sender_that_stopped():
    slots: NewestItems[int] = NewestItems()
    for item in range(10):
        slots.put('camera', item)
        time.sleep(0.02)
    time.sleep(0.05)
    start = time.monotonic()
    assert slots.take() == {'camera': 9}
    assert time.monotonic() - start < 0.01


def test_closing_wakes_who_waits_and_tells_what_is_left():
    slots: NewestItems[int] = NewestItems()
    results: list[object] = []
    waiter = threading.Thread(target=lambda: results.append(slots.take()))
    waiter.start()
    assert slots.close() == []
    waiter.join(timeout=10)
    assert results == [None]
    assert slots.put('late', 1)
    other: NewestItems[int] = NewestItems()
    other.put('one', 1)
    assert other.close() == ['one']


def test_statistics_give_median_and_high_percentile():
    statistics = NodeStatistics()
    for age in range(1, 101):
        statistics.note(age=float(age), decode=1.0)
    summary = statistics.summary()
    assert summary['milliseconds']['age'] == {'median': 50.5, 'p95': 95.05}
    assert summary['milliseconds']['decode']['median'] == 1.0
