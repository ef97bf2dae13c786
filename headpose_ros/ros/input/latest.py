"""Newest items: what comes too fast is replaced, never queued."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from typing import Generic, TypeVar

import numpy as np

Item = TypeVar('Item')

#: Arrivals by which a sender's period is known.
_ARRIVALS = 8
#: An item that has waited for more than this share of its sender's period is not worth the work
#: when the next one is about to come.
_STALE = 1 / 3
#: How late the next one may be, in periods; and what is too long to wait for it, s.
_GRACE, _LONGEST = 0.1, 0.05


class LatestPerSender(Generic[Item]):
    """Hands the newest item of each of several senders from one thread to another.

    The taker gets what waits of all senders at once: none of them can starve another. A taker that
    is slower than its only sender gets items that are on average a sixth of a period old or less:
    it waits for the next one where that is nearer than the last.
    """

    def __init__(self) -> None:
        self._arrivals: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_ARRIVALS))
        self._items: dict[str, Item] = {}
        self._closed = False
        self._changed = threading.Condition()

    def put(self, sender: str, item: Item) -> bool:
        """Place an item, replacing one of the same sender that was not taken yet.

        Returns:
            Whether an item is lost by this: the one replaced, or this one after the end.
        """
        with self._changed:
            if self._closed:
                return True
            replaced = sender in self._items
            self._items[sender] = item
            self._arrivals[sender].append(time.monotonic())
            self._changed.notify()
            return replaced

    def take(self) -> dict[str, Item] | None:
        """Wait for items and take all of them, by sender; None once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed)
            self._await_fresher()
            items, self._items = self._items, {}
            return None if self._closed else items

    def _await_fresher(self) -> None:
        """Wait for the next item where the one at hand is stale and the next one is near."""
        if self._closed or len(self._items) != 1:
            return
        arrivals = self._arrivals[next(iter(self._items))]
        if len(arrivals) < _ARRIVALS:
            return
        last, period = arrivals[-1], float(np.median(np.diff(arrivals)))
        waited = time.monotonic() - last
        left = (1 + _GRACE) * period - waited
        if _STALE * period < waited < period and left < _LONGEST:
            self._changed.wait_for(lambda: arrivals[-1] != last or self._closed, left)

    def close(self) -> list[str]:
        """Let :meth:`take` return None from now on; return whose items nobody took."""
        with self._changed:
            self._closed = True
            left, self._items = list(self._items), {}
            self._changed.notify_all()
            return left
