"""The driver in a recording: signals, states and events over time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message
from rosbags.interfaces import Connection

from headpose_ros.driver_monitoring.events import KINDS
from headpose_ros.driver_monitoring.report import EYES, PRESENCES, SIGNALS, STATES
from headpose_ros.msg import DriverEvent, DriverState
from headpose_ros.ros.node.stamps import seconds
from headpose_ros.tools.definitions import type_name
from headpose_ros.tools.recording import Recording, RecordingError

Array = NDArray[np.float64]

#: Angles, which are shown in degrees.
_ANGLES = frozenset({'azimuth', 'elevation', 'lean'})


@dataclass(frozen=True)
class Span:
    """Something from one time to another.

    Attributes:
        kind: One of `events.KINDS`, a state, or a zone.
        onset: Its beginning, s.
        end: Its end, s.
        zone: Of a glance.
        known: When it was known, s.
        lost: Whether it could not be followed to its end.
    """

    kind: str
    onset: float
    end: float
    zone: str = ''
    known: float = float('nan')
    lost: bool = False


@dataclass(frozen=True)
class Drive:
    """What was recorded, times in s from the first state.

    Attributes:
        start: The stamp of the first state, s.
        times: (N,) of the states.
        signals: (N,) by the names of `report.SIGNALS`, angles in degrees; NaN: not known.
        states: Of the driver, as spans.
        presences: Of the face.
        eyes: Of the eyes.
        zones: Where the head points.
        events: What the driver did.
    """

    start: float
    times: Array
    signals: dict[str, Array]
    states: list[Span] = field(default_factory=list)
    presences: list[Span] = field(default_factory=list)
    eyes: list[Span] = field(default_factory=list)
    zones: list[Span] = field(default_factory=list)
    events: list[Span] = field(default_factory=list)


def read_drive(recording: Path, namespace: str = '') -> Drive:
    """Read the topics `driver_state` and `driver_events` of a bag.

    Args:
        recording: Bag folder, or a single .mcap or .db3 file.
        namespace: Of the topics, where there are several drivers.

    Raises:
        RecordingError: The bag cannot be read, or has no DriverState, or several topics of it.
    """
    with Recording(recording) as reader:
        states = _only(reader, recording, DriverState, namespace)
        events = [
            c
            for c in reader.connections
            if c.topic == _beside(states.topic) and c.msgtype == type_name(DriverEvent)
        ]
        read = list(_messages(reader, [states, *events]))
    found = [message for message in read if isinstance(message, DriverState)]
    if not found:
        raise RecordingError(f'{recording} has no message on {states.topic}: nothing to show')
    return drive_of(found, [message for message in read if isinstance(message, DriverEvent)])


def drive_of(states: list[Any], events: list[Any]) -> Drive:
    """Return the drive that messages describe.

    Args:
        states: headpose_ros/DriverState, at least one, in order.
        events: headpose_ros/DriverEvent, in order.
    """
    start = seconds(states[0].header.stamp)
    times = np.array([seconds(state.header.stamp) for state in states]) - start
    signals = {}
    for name in SIGNALS:
        values = np.array([getattr(state, name).value for state in states], np.float64)
        signals[name] = np.degrees(values) if name in _ANGLES else values
    return Drive(
        start=start,
        times=times,
        signals=signals,
        states=list(_runs(times, [STATES[state.state] for state in states])),
        presences=list(_runs(times, [PRESENCES[state.presence] for state in states])),
        eyes=list(_runs(times, [EYES[state.eyes] for state in states])),
        zones=list(_runs(times, [state.zone for state in states])),
        events=list(_events(events, start, float(times[-1]))),
    )


def _only(reader: Recording, recording: Path, kind: Any, namespace: str) -> Connection:
    """Return the one connection of a type."""
    found = [c for c in reader.connections if c.msgtype == type_name(kind)]
    names = sorted({c.topic for c in found})
    if not found:
        raise RecordingError(
            f'{recording} has no {type_name(kind)}: record driver_state and driver_events'
        )
    wanted = f'/{namespace.strip("/")}/driver_state' if namespace.strip('/') else names[0]
    if len(names) > 1 and not namespace:
        raise RecordingError(
            f'{recording} has drivers on {", ".join(names)}: choose one with --namespace'
        )
    chosen = [c for c in found if c.topic == wanted]
    if not chosen:
        raise RecordingError(f'{recording} has no {wanted}: expected {" or ".join(names)}')
    return chosen[0]


def _beside(topic: str) -> str:
    return topic.removesuffix('driver_state') + 'driver_events'


def _messages(reader: Recording, connections: list[Connection]) -> Iterator[Any]:
    kinds = {type_name(kind): kind for kind in (DriverState, DriverEvent)}
    for connection, _, data in reader.messages(connections):
        try:
            yield deserialize_message(data, kinds[connection.msgtype])
        except RuntimeError as error:  # rclpy's for cut messages
            raise RecordingError(f'a message on {connection.topic} is damaged') from error


def _runs(times: Array, names: list[str]) -> Iterator[Span]:
    """Yield what stayed the same for a while."""
    first = 0
    for i in range(1, len(names) + 1):
        if i == len(names) or names[i] != names[first]:
            end = times[min(i, len(names) - 1)]
            yield Span(names[first], float(times[first]), float(end), known=float(times[first]))
            first = i


def _events(events: Iterable[Any], start: float, last: float) -> Iterator[Span]:
    """Put the transitions of events together; those that did not end last to the end."""
    begun: dict[int, Span] = {}
    for event in events:
        span = Span(
            KINDS[event.kind - 1],
            seconds(event.onset) - start,
            seconds(event.end) - start,
            event.zone,
            seconds(event.header.stamp) - start,
        )
        if event.transition == DriverEvent.TRANSITION_STARTED:
            begun[event.id] = span
            continue
        first = begun.pop(event.id, span)
        is_lost = event.transition == DriverEvent.TRANSITION_LOST
        yield replace(span, known=first.known, lost=is_lost)
    for span in begun.values():
        yield replace(span, end=last, lost=True)


def kinds(events: Iterable[Span]) -> list[str]:
    """Return the kinds of events that there are, in the order in which they are shown."""
    found = {event.kind for event in events}
    return [kind for kind in KINDS if kind in found] + sorted(found - set(KINDS))
