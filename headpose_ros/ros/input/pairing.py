"""Colour images with the depth of the same moment, where there is one.

`message_filters` pairs messages by their stamps, and a stand-in does where it is not installed.
Either drops what finds no partner; here a colour image goes on alone instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from headpose_ros.ros.node.stamps import seconds

#: Stamps of one moment differ by less than this, s: a little over half a period at 30 Hz, as two
#: cameras that run free differ by up to half.
_SLOP = 0.02
#: Messages that wait for their partner.
_QUEUE = 10
#: A depth camera that is silent for longer than this, s, is not waited for.
_SILENCE = 0.5

Paired = Callable[[Any, Any], None]


class DepthPairing:
    """Hands on colour images in their order, each once, with its depth image or None.

    An image waits for its depth until the next image comes, and does not wait while there is no
    recent depth at all. What counts are stamps alone. Not safe across threads: to be fed from the
    callbacks of one executor thread.

    Args:
        deliver: Takes the colour image and the depth image or None.
    """

    def __init__(self, deliver: Paired) -> None:
        self._deliver = deliver
        self._waiting: Any = None
        self._newest = self._depth = float('-inf')
        self._synchronizer = _synchronizer(self._paired)

    def add_image(self, image: Any) -> None:
        """Take in a colour image; any message with a header."""
        self._give_up()
        if _stamp(image) < self._newest:
            self._restart()
        self._newest, self._waiting = _stamp(image), image
        self._synchronizer.add(0, image)
        if abs(self._depth - self._newest) > _SILENCE:
            self._give_up()

    def add_depth(self, depth: Any) -> None:
        """Take in a depth image."""
        if _stamp(depth) < self._depth:
            # A bag that starts again: what waits is of another time.
            self._give_up()
            self._restart()
        self._depth = _stamp(depth)
        self._synchronizer.add(1, depth)

    def _restart(self) -> None:
        self._newest = self._depth = float('-inf')
        self._synchronizer = _synchronizer(self._paired)

    def _paired(self, image: Any, depth: Any) -> None:
        """Hand on a pair, unless its image went on alone already."""
        if image is self._waiting:
            self._waiting = None
            self._deliver(image, depth)

    def _give_up(self) -> None:
        """Hand on the waiting image without depth."""
        image, self._waiting = self._waiting, None
        if image is not None:
            self._deliver(image, None)


class _Synchronizer(Protocol):
    def add(self, index: int, message: Any) -> None: ...


def _synchronizer(paired: Paired) -> _Synchronizer:
    """Return what calls `paired` with messages 0 and 1 of about the same stamp."""
    try:
        import message_filters
    except ImportError:
        return _StandIn(paired)
    return _MessageFilters(message_filters, paired)


class _MessageFilters:
    """The approximate synchroniser of message_filters."""

    def __init__(self, message_filters: Any, paired: Paired) -> None:
        self._inputs = [message_filters.SimpleFilter() for _ in range(2)]
        self._filter = message_filters.ApproximateTimeSynchronizer(self._inputs, _QUEUE, _SLOP)
        self._filter.registerCallback(paired)

    def add(self, index: int, message: Any) -> None:
        """Take in a message of input 0 or 1."""
        self._inputs[index].signalMessage(message)


class _StandIn:
    """Pairs a message with the waiting one of the other input whose stamp is nearest."""

    def __init__(self, paired: Paired) -> None:
        self._paired = paired
        self._waiting: tuple[list[Any], list[Any]] = ([], [])

    def add(self, index: int, message: Any) -> None:
        """Take in a message of input 0 or 1."""
        stamp, others = _stamp(message), self._waiting[1 - index]
        nearest = min(others, key=lambda other: abs(_stamp(other) - stamp), default=None)
        if nearest is None or abs(_stamp(nearest) - stamp) > _SLOP:
            self._waiting[index].append(message)
            del self._waiting[index][:-_QUEUE]
            return
        others.remove(nearest)
        self._paired(*((message, nearest) if index == 0 else (nearest, message)))


def _stamp(message: Any) -> float:
    return seconds(message.header.stamp)
