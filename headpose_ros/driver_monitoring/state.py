"""The state of the driver: the gravest that anything speaks for, and the confidence in it."""

from __future__ import annotations

from headpose_ros.driver_monitoring.detectors.bank import DetectorBank
from headpose_ros.driver_monitoring.detectors.recent import DrowsinessOptions
from headpose_ros.driver_monitoring.filters import WindowShare, known_or
from headpose_ros.driver_monitoring.signals.signals import Signals

#: Events that make a state, the gravest first, with the reason that is reported.
_GRAVE = (
    ('sleep', 'asleep', 'eyes closed as in sleep'),
    ('slump', 'asleep', 'the head hangs'),
    ('microsleep', 'microsleep', 'eyes closed as in a micro-sleep'),
    ('long_glance', 'distracted', 'eyes off the road in one long glance'),
    ('repeated_glances', 'distracted', 'eyes off the road in repeated glances'),
    ('perclos', 'drowsy', 'eyes closed for much of the time (PERCLOS)'),
)
#: States that rest on the eyes alone.
_BY_EYES = frozenset({'asleep', 'microsleep', 'drowsy'})


def classify_state(
    signals: Signals, detectors: DetectorBank, neutral_known: bool, options: DrowsinessOptions
) -> tuple[str, str]:
    """Return the state, one of `report.STATES`, and the reason for people.

    Args:
        signals: Of the image.
        detectors: What is under way.
        neutral_known: Whether the neutral pose is known.
        options: How many yawns and nods mean drowsy.
    """
    if signals.presence == 'unknown':
        return 'unknown', 'the picture stands still'
    if signals.presence == 'absent':
        return 'no_driver', 'no face where the driver sits'
    for kind, state, reason in _GRAVE:
        if detectors.episodes[kind].event is not None:
            return state, reason
    if detectors.nods.recent.count >= options.nods:
        return 'drowsy', f'{detectors.nods.recent.count} nods'
    if detectors.yawns.recent.count >= options.yawns:
        return 'drowsy', f'{detectors.yawns.recent.count} yawns'
    is_closed = bool(signals.eyes.closed) and detectors.episodes['closure'].event is not None
    return _calm_state(signals, neutral_known, is_closed)


def _calm_state(signals: Signals, neutral_known: bool, is_closed: bool) -> tuple[str, str]:
    """Return the state when nothing is wrong, as far as is known."""
    if signals.presence != 'visible':
        return 'unknown', f'the face is {signals.presence.replace("_", " ")}'
    if not neutral_known:
        return 'unknown', 'the neutral pose is not known yet'
    if signals.gaze.off_road is None:
        return 'unknown', 'the direction of the head is not known'
    if is_closed:
        return 'unknown', 'eyes closed for longer than a blink'
    target = signals.gaze.zone if signals.gaze.off_road else 'the road'
    unseen = '; eyes are hidden and not judged' if signals.eyes.state == 'hidden' else ''
    return 'attentive', f'looks at {target}{unseen}'


class Confidence:
    """The confidence in a state: for how much of the last seconds its signals were measured.

    Args:
        window: How long to look back, s.
    """

    def __init__(self, window: float) -> None:
        self._gaze, self._eyes = WindowShare(window), WindowShare(window)
        self._face = 0.0

    def update(self, signals: Signals, stamp: float) -> None:
        """Take over what was measured of an image."""
        self._gaze.add(stamp, signals.seconds, signals.gaze.off_road is not None)
        self._eyes.add(stamp, signals.seconds, signals.eyes.closed is not None)
        self._face = signals.confidence

    def of(self, state: str) -> float:
        """Return the confidence in a state, 0..1."""
        if state in ('unknown', 'no_driver'):
            return 0.0 if state == 'unknown' else 1.0
        shares = [self._eyes.share]
        if state not in _BY_EYES:
            shares = [self._gaze.share] + (shares if state == 'attentive' else [])
        return known_or(sum(shares) / len(shares), 0.0) * self._face
