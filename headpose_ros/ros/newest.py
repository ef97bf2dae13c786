"""Newest items: what comes too fast is replaced, never queued."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

Item = TypeVar('Item')


class NewestItems(Generic[Item]):
    """Hands the newest item of each of several senders from one thread to another.

    The taker gets what waits of all senders at once: none of them can starve another.
    """

    def __init__(self) -> None:
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
            self._changed.notify()
            return replaced

    def take(self) -> dict[str, Item] | None:
        """Wait for items and take all of them, by sender; None once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed)
            items, self._items = self._items, {}
            return None if self._closed else items

    def close(self) -> list[str]:
        """Let :meth:`take` return None from now on; return whose items nobody took."""
        with self._changed:
            self._closed = True
            left, self._items = list(self._items), {}
            self._changed.notify_all()
            return left
