"""The driver's state to messages: the only place that fills DriverState and DriverEvent."""

from __future__ import annotations

from std_msgs.msg import Header

from headpose_ros import msg
from headpose_ros.driver_monitoring.events import ENDED, KINDS, LOST, STARTED, Event
from headpose_ros.driver_monitoring.report import EYES, PRESENCES, STATES, Report, Signal
from headpose_ros.ros.node.stamps import time_message

_TRANSITIONS = {
    STARTED: msg.DriverEvent.TRANSITION_STARTED,
    ENDED: msg.DriverEvent.TRANSITION_ENDED,
    LOST: msg.DriverEvent.TRANSITION_LOST,
}


def state_message(header: Header, report: Report) -> msg.DriverState:
    """Fill a headpose_ros/DriverState.

    Args:
        header: Of the Faces message, taken over unchanged.
        report: What is known.
    """
    return msg.DriverState(
        header=header,
        state=STATES.index(report.state),
        confidence=report.confidence,
        reason=report.reason,
        presence=PRESENCES.index(report.presence),
        driver_id=report.driver_id,
        candidates=min(report.candidates, 255),
        eyes=EYES.index(report.eyes),
        neutral_known=report.neutral_known,
        zone=report.zone,
        on_road=report.on_road,
        events=[event_message(header, event) for event in report.active],
        **{name: _signal(signal) for name, signal in report.signals.items()},
    )


def event_message(header: Header, event: Event) -> msg.DriverEvent:
    """Fill a headpose_ros/DriverEvent; its stamp is that of the image that made it known."""
    known = Header(stamp=time_message(event.known), frame_id=header.frame_id)
    return msg.DriverEvent(
        header=known,
        id=event.id,
        kind=1 + KINDS.index(event.kind),
        transition=_TRANSITIONS[event.transition],
        onset=time_message(event.onset),
        end=time_message(event.end),
        zone=event.zone,
    )


def _signal(signal: Signal) -> msg.DriverSignal:
    return msg.DriverSignal(value=signal.value, valid=signal.valid, window=signal.window)
