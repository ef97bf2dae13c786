"""Faces of consecutive images in; rows of `driver` and `events` out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from headpose_ros.batch.look import Seen
from headpose_ros.batch.rows import driver_row
from headpose_ros.driver_monitoring.events import LOST, STARTED, Event
from headpose_ros.driver_monitoring.monitor import DriverMonitor
from headpose_ros.driver_monitoring.options import DriverOptions
from headpose_ros.driver_monitoring.zones import Zones

Row = dict[str, Any]


class Drive:
    """Judges the driver of one topic.

    Args:
        zones: What there is to look at.
    """

    def __init__(self, zones: Zones) -> None:
        options = DriverOptions()
        self._monitor = DriverMonitor(zones, options)
        self._gap = options.stream.gap
        self._waiting: Row | None = None
        self._known: dict[int, float] = {}
        self._later = 0.0  # s, of stamps against offsets

    def take(self, seen: Seen, image: Row) -> tuple[list[Row], list[Row]]:
        """Judge an image.

        Args:
            seen: Its faces.
            image: The columns that say which image this is.

        Returns:
            Rows of `driver`, of the image before, whose duration is known now, and of `events`.
        """
        self._later = seen.stamp - seen.offset
        report = self._monitor.update(seen.stamp, seen.faces, seen.size, seen.covered)
        before, self._waiting = self._waiting, {**image, **driver_row(report, len(seen.faces))}
        finished = [] if before is None else [self._lasting(before, seen.stamp)]
        return finished, list(self._events(report.events))

    def end(self) -> tuple[list[Row], list[Row]]:
        """Return the last rows of `driver` and `events`; what is under way is lost."""
        report = self._monitor.stop()
        events = () if report is None else report.events
        last = [] if self._waiting is None else [{**self._waiting, 'duration': 0.0}]
        return last, list(self._events(events))

    def _lasting(self, row: Row, until: float) -> Row:
        seconds = until - row['stamp']
        return {**row, 'duration': seconds if 0.0 <= seconds <= self._gap else 0.0}

    def _events(self, transitions: tuple[Event, ...]) -> Iterator[Row]:
        """Yield the events that came to an end."""
        for event in transitions:
            if event.transition == STARTED:
                self._known[event.id] = event.known
                continue
            yield {
                'event': event.id,
                'kind': event.kind,
                'zone': event.zone,
                'onset': event.onset,
                'end': event.end,
                'duration': event.duration,
                'offset': max(event.onset - self._later, 0.0),
                'known': self._known.pop(event.id, event.known),
                'lost': event.transition == LOST,
            }


def is_drive(seen: Seen) -> bool:
    """Return whether an image is one of several in time, and not a picture for itself."""
    return not math.isnan(seen.stamp)
