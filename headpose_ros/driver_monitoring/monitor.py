"""Faces in, the driver's state and events out. Time comes from stamps only."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headpose_ros.driver_monitoring.calibration import Calibration
from headpose_ros.driver_monitoring.episodes import ENDED, STARTED, Episode, Event, Gate, Shares
from headpose_ros.driver_monitoring.eyelids import Eyelids, HiddenEyes
from headpose_ros.driver_monitoring.glances import Angles, MedianFilter, NodDetector, RoadTimer
from headpose_ros.driver_monitoring.learning import GAZE, Moment, under_way
from headpose_ros.driver_monitoring.lids import LidLevels
from headpose_ros.driver_monitoring.neutral import NeutralPose
from headpose_ros.driver_monitoring.openness import OpenEyes, eyes_in_sight, measure_openness
from headpose_ros.driver_monitoring.options import DriverOptions
from headpose_ros.driver_monitoring.reseating import Reseating
from headpose_ros.driver_monitoring.seat import DriverChooser
from headpose_ros.driver_monitoring.still import StillFace
from headpose_ros.driver_monitoring.zones import ZoneError, Zones
from headpose_ros.perception.faces import Face

Array = NDArray[np.float64]

#: In the order of the STATE_, PRESENCE_ and EYES_ constants of headpose_ros/DriverState, from 0.
STATES = ('unknown', 'attentive', 'distracted', 'drowsy', 'microsleep', 'asleep', 'no_driver')
PRESENCES = ('unknown', 'visible', 'turned_away', 'hidden', 'absent', 'covered')
EYES = ('unknown', 'open', 'closed', 'hidden')
#: The signals of a report, in the order of headpose_ros/DriverState.
SIGNALS = (
    'azimuth',
    'elevation',
    'lean',
    'eye_openness',
    'mouth_openness',
    'off_road',
    'off_road_accumulated',
    'closure',
    'perclos',
    'blink_rate',
    'blink_duration',
    'yawns',
    'nods',
)

_UNKNOWN_ANGLES: Angles = (np.nan, np.nan, np.nan)
#: Events that make a state, the gravest first, and what they say to people.
_GRAVE = (
    ('sleep', 'asleep', 'eyes closed as in sleep'),
    ('slump', 'asleep', 'the head hangs'),
    ('microsleep', 'microsleep', 'eyes closed as in a micro-sleep'),
    ('long_glance', 'distracted', 'eyes off the road in one long glance'),
    ('repeated_glances', 'distracted', 'eyes off the road in repeated glances'),
    ('perclos', 'drowsy', 'eyes closed for much of the time (PERCLOS)'),
)
#: A head that hangs has come up when it hangs by less than this share of the angle of a slump.
_RAISED = 0.75
#: States that rest on the eyes alone.
_BY_EYES = frozenset({'asleep', 'microsleep', 'drowsy'})


class Signal(NamedTuple):
    """A number and what it rests on.

    Attributes:
        value: NaN where not known.
        window: Seconds of evidence; 0 for one image.
    """

    value: float = np.nan
    window: float = 0.0

    @property
    def valid(self) -> bool:
        """Whether the value is known."""
        return math.isfinite(self.value)


@dataclass(frozen=True)
class Report:
    """What is known about the driver at one stamp; fields as in headpose_ros/DriverState.

    Attributes:
        stamp: Of the image, s.
        state: One of `STATES`.
        confidence: How sure the state is, 0..1.
        reason: Why this state, for people.
        presence: One of `PRESENCES`.
        driver_id: Id of the driver's face, empty when it is not in sight.
        candidates: How many faces are where the driver may be.
        eyes: One of `EYES`.
        neutral_known: Whether the neutral pose is known.
        zone: Where the head points; empty for not known.
        on_road: Whether that is the road.
        signals: By the names of `SIGNALS`.
        active: The events under way.
        events: The transitions at this stamp.
    """

    stamp: float
    state: str = 'unknown'
    confidence: float = 0.0
    reason: str = ''
    presence: str = 'unknown'
    driver_id: str = ''
    candidates: int = 0
    eyes: str = 'unknown'
    neutral_known: bool = False
    zone: str = ''
    on_road: bool = False
    signals: dict[str, Signal] = field(default_factory=lambda: dict.fromkeys(SIGNALS, Signal()))
    active: tuple[Event, ...] = ()
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class DriverProfile:
    """What was learned about one driver.

    Attributes:
        neutral: (3, 3) R_optical_face of the neutral pose.
        open_eyes: (2,) aspect ratios of the open right and left eye; NaN where not known.
        zones: The zones, as calibrated.
    """

    neutral: Array
    open_eyes: Array
    zones: Zones


class DriverMonitor:
    """Judges one driver from the faces of consecutive images.

    Args:
        zones: What there is to look at.
        options: Thresholds.
    """

    def __init__(self, zones: Zones, options: DriverOptions | None = None) -> None:
        self.zones = zones
        self._ids = count(1)
        self._neutral = NeutralPose(options or DriverOptions())
        self._open_eyes = OpenEyes(self._neutral.options)
        self._lids = LidLevels(self._neutral.options)
        self._reseating = Reseating(self._neutral.options)
        self._stamp: float | None = None
        self._collecting: Calibration | None = None
        self.calibration_said = ''
        self.configure(self._neutral.options)

    def configure(self, options: DriverOptions) -> None:
        """Take over other thresholds; what was learned about the driver stays.

        Events under way are dropped: call :meth:`stop` before to have them ended as lost.
        """
        self.options = options
        self._neutral.options = self._open_eyes.options = options
        self._lids.options = self._reseating.options = options
        self._chooser = DriverChooser(options)
        self._begin()

    def update(
        self,
        stamp: float,
        faces: Sequence[Face],
        size: tuple[int, int],
        covered: bool | None = None,
        still: bool = False,
    ) -> Report:
        """Judge one image.

        Args:
            stamp: Of the image, s. One before the last means that the clock jumped: what was
                learned about the driver stays, events under way are lost.
            faces: All faces in the image.
            size: Width and height of the image, px.
            covered: Whether the picture shows nothing at all; None for not known.
            still: Whether the picture is known to have stood still for `still_seconds`. A face
                that is the same to the pixel for so long says so as well.
        """
        lost = self._resume(stamp)
        seconds = 0.0 if self._stamp is None else stamp - self._stamp
        self._stamp = stamp
        seat = self._chooser.update(stamp, faces, size)
        if seat.changed:
            lost += self._lose(stamp)
            self._forget()
        lost += self._watch_still(stamp, seat.face, still)
        face = None if self._is_still else seat.face
        self._observe(stamp, seconds, face, covered)
        events = lost + self._judge(stamp, seconds) + self._learn(stamp, seconds, face)
        return self._report(stamp, seat.face, seat.candidates, tuple(events))

    def stop(self) -> Report | None:
        """End the events under way as lost, as no more images come; None if none came at all."""
        if self._stamp is None:
            return None
        stamp, events = self._stamp, tuple(self._lose(self._stamp))
        self._stamp = None
        self._begin()
        return Report(
            stamp,
            reason='no images any more',
            neutral_known=self._neutral.rotation is not None,
            events=events,
        )

    def reset_neutral(self) -> None:
        """Forget the neutral pose; it is learned anew."""
        self._neutral.reset()
        self._reseating.reset()

    def calibrate(self, zone: str, seconds: float) -> None:
        """Learn where a zone is from the directions of the next seconds of known direction.

        Raises:
            ZoneError: There is no such zone, it is the road, or the neutral pose is not known.
        """
        self.zones.to_calibrate(zone)
        if self._neutral.rotation is None:
            raise ZoneError('the neutral pose is not known yet: look at the road for a while')
        self._collecting = Calibration(zone, seconds)
        self.calibration_said = f'looking at {zone}'

    def profile(self) -> DriverProfile | None:
        """Return what was learned about the driver; None while there is no neutral pose."""
        if self._neutral.rotation is None:
            return None
        return DriverProfile(self._neutral.rotation, self._open_eyes.aspects, self.zones)

    def load(self, profile: DriverProfile) -> None:
        """Start from what was learned about a driver before."""
        self._neutral.reset(profile.neutral)
        self._open_eyes.reset(profile.open_eyes)
        self._lids.reset()
        self._reseating.reset()
        self.zones = profile.zones

    def _forget(self) -> None:
        """Another driver: nothing that was learned holds any more."""
        self._neutral.reset()
        self._open_eyes.reset()
        self._lids.reset()
        self._reseating.reset()
        self._begin()

    def _begin(self) -> None:
        """Start all timers and windows anew."""
        options = self.options
        self._road = RoadTimer(options)
        self._eyelids = Eyelids(options)
        self._hidden = HiddenEyes(options.hidden_seconds)
        self._still, self._is_still = StillFace(), False
        self._steady = MedianFilter(options.head_window)
        self._dip = NodDetector(options)
        self._yawning = Gate(-options.yawn_above, -options.yawn_below)
        self._overdrawn = Gate(-options.accumulated_limit, -options.accumulated_limit / 2)
        self._drowsy = Gate(-options.perclos_limit, -options.perclos_release)
        self._gaze_known = Shares(options.confidence_window)
        self._eyes_known = Shares(options.confidence_window)
        self._watched = Shares(options.drowsy_window)
        self._yawns: deque[float] = deque()
        self._nods: deque[float] = deque()
        self._episodes = self._make_episodes()
        self._last_seen: float | None = None
        self._angles = self._last_angles = _UNKNOWN_ANGLES
        self._openness, self._eye_openness = np.full(3, np.nan), np.nan
        self._presence, self._eyes = 'unknown', 'unknown'
        self._face_confidence = 0.0
        self._collecting = None

    def _make_episodes(self) -> dict[str, Episode]:
        o = self.options
        timing = {
            'glance': (o.glance_minimum, o.glance_release),
            'long_glance': (o.glance_limit, o.glance_release),
            'repeated_glances': (0.0, 0.0),
            'closure': (o.closure_minimum, 0.0),
            'microsleep': (o.microsleep_minimum, 0.0),
            'sleep': (o.sleep_minimum, 0.0),
            'perclos': (0.0, 0.0),
            'yawn': (o.yawn_minimum, 0.0),
            'slump': (o.slump_minimum, o.glance_release),
        }
        return {
            kind: Episode(kind, minimum, release, o.unknown_grace, self._ids)
            for kind, (minimum, release) in timing.items()
        }

    def _resume(self, stamp: float) -> list[Event]:
        """Return what a gap before a stamp, or a jump back, interrupted."""
        if self._stamp is None or 0 <= stamp - self._stamp <= self.options.stream_gap:
            return []
        lost = self._lose(self._stamp)
        if stamp < self._stamp:
            self._chooser.clear()
            self._begin()
        else:
            self._steady = MedianFilter(self.options.head_window)
            self._dip.reset()
            # Nobody knows where the eyes were meanwhile.
            self._road.look(self.zones, _UNKNOWN_ANGLES)
        self._stamp = None
        return lost

    def _lose(self, stamp: float, seen: float = math.inf) -> list[Event]:
        """End all events under way as lost; nothing was seen after `seen`."""
        return [event for e in self._episodes.values() for event in e.lose(stamp, seen)]

    def _watch_still(self, stamp: float, face: Face | None, known: bool) -> list[Event]:
        """Find out whether the picture stands still: what it shows does not go on then."""
        before, longest = self._is_still, self.options.still_seconds
        since = min(self._still.update(stamp, face), stamp - longest if known else stamp)
        self._is_still = stamp - since >= longest
        return self._lose(stamp, since) if self._is_still and not before else []

    def _observe(
        self, stamp: float, seconds: float, face: Face | None, covered: bool | None
    ) -> None:
        """Measure direction and openness; NaN where there is nothing to measure."""
        self._angles, self._openness = _UNKNOWN_ANGLES, np.full(3, np.nan)
        if face is not None:
            self._measure(face)
        self._angles = self._steady.update(stamp, self._angles)
        if face is not None:
            self._last_seen, self._last_angles = stamp, self._angles
        self._presence = self._where(stamp, face is not None, covered)
        measured = self._measured_eyes
        self._hidden.update(stamp, seconds, self._are_eyes_seen(face, measured))
        # What is now and then measured behind sunglasses are no eyes.
        self._judged_eyes = np.nan if self._hidden.state else measured
        self._eye_openness = self._lids.stretch(self._judged_eyes)
        self._eyelids.update(stamp, self._eye_openness, seconds, self._lids.is_known)
        self._eyes = self._see_eyes(face)

    def _measure(self, face: Face) -> None:
        self._openness = measure_openness(face, self._open_eyes)
        self._face_confidence = min(max(_known_or(face.confidence, 0.0), 0.0), 1.0)
        if np.isfinite(face.rotation).all():
            self._angles = self._neutral.relative(face.rotation)

    def _learn(self, stamp: float, seconds: float, face: Face | None) -> list[Event]:
        """Learn about the driver, if this is a moment to learn from; return what that ends."""
        closed, off_road = self._eyelids.closed, self._road.off_road
        busy = under_way(self._episodes, stamp)
        moment = Moment(face is not None, closed, off_road, busy)
        self._lids.learn(stamp, self._judged_eyes, seconds, moment.attentive)
        if face is None or not moment.awake:
            return []
        self._calibrate(seconds)
        if moment.attentive:
            self._open_eyes.learn(face, seconds)
        return self._learn_posture(stamp, seconds, face.rotation, moment)

    def _learn_posture(
        self, stamp: float, seconds: float, rotation: Array, moment: Moment
    ) -> list[Event]:
        """Learn where the road is; return the glances that are lost as it is elsewhere."""
        if not np.isfinite(rotation).all():
            return []
        if moment.off_road is False:
            self._neutral.confirm(seconds)
        if moment.attentive:
            self._neutral.update(rotation, seconds)
        is_open = moment.closed is False
        moved = self._reseating.update(rotation, seconds, is_open, self._neutral)
        if moved is None:
            return []
        self._neutral.move(moved)
        self._reseating.reset()
        self._steady, self._road = MedianFilter(self.options.head_window), RoadTimer(self.options)
        return [event for kind in sorted(GAZE) for event in self._episodes[kind].lose(stamp)]

    @property
    def _measured_eyes(self) -> float:
        """The mean openness of the eyes that can be seen, as measured; NaN for none."""
        right, left = float(self._openness[0]), float(self._openness[1])
        if right != right or left != left:
            return left if right != right else right
        return (right + left) / 2

    def _where(self, stamp: float, seen: bool, covered: bool | None) -> str:
        """Return the presence of the driver."""
        if self._is_still:
            return 'unknown'
        if seen:
            return 'visible'
        if covered:
            return 'covered'
        if self._last_seen is None:
            return 'hidden'
        gone = stamp - self._last_seen
        if self._was_turned and gone <= self.options.forget_seconds:
            return 'turned_away'
        return 'hidden' if gone < self.options.absent_seconds else 'absent'

    @property
    def _was_turned(self) -> bool:
        """Whether the face was last seen turned so far that the detector may lose it."""
        azimuth, elevation, _ = self._last_angles
        return bool(np.hypot(azimuth, elevation) > self.options.turned_away)

    def _are_eyes_seen(self, face: Face | None, measured: float) -> bool | None:
        """Whether an eye of a face in sight is seen; None without a face."""
        if face is None:
            return None
        # Eyes that are compared with nothing yet are seen, too.
        learning = self._open_eyes.is_learning and eyes_in_sight(face, self.options)
        return bool(np.isfinite(measured)) or learning

    def _see_eyes(self, face: Face | None) -> str:
        """Return what is known about the eyes."""
        if self._eyelids.closed is not None:
            return 'closed' if self._eyelids.closed else 'open'
        return 'hidden' if face is not None and self._hidden.state else 'unknown'

    def _judge(self, stamp: float, seconds: float) -> list[Event]:
        """Return the transitions of all events."""
        self._look(stamp)
        self._road.count(self.zones, seconds)
        self._gaze_known.add(stamp, seconds, self._road.off_road is not None)
        self._eyes_known.add(stamp, seconds, self._eyelids.closed is not None)
        self._watched.add(stamp, seconds, self._presence == 'visible' or None)
        events = self._judge_gaze(stamp) + self._judge_eyes(stamp)
        events += self._judge_mouth(stamp) + self._judge_posture(stamp)
        for past in (self._yawns, self._nods):
            while past and past[0] <= stamp - self.options.drowsy_window:
                past.popleft()
        return events

    def _look(self, stamp: float) -> None:
        """Find out where the driver looks, and since when."""
        road = self._road
        before = road.off_road
        if self._presence == 'turned_away':
            # A face that had come back would have been found.
            road.look_away()
        elif not self._eyelids.closed:
            road.look(self.zones, self._angles)
        elif self._closure >= self.options.blink_longest:
            road.look_nowhere()
            # Where the head went meanwhile is no part of a glance after it.
            road.told = stamp
        # else a blink, through which the eyes stay where they were.
        if road.off_road is not before:
            is_turn = before is not None and bool(road.zone)
            moved = self._steady.moving_since(stamp, self._angles, road.told)
            road.since, road.told = moved if is_turn else stamp, stamp

    @property
    def _closure(self) -> float:
        """How long the eyes have been closed, s; 0 for open, NaN for not known."""
        if self._eyelids.closed is None or self._stamp is None:
            return np.nan
        return self._stamp - self._eyelids.since if self._eyelids.closed else 0.0

    def _judge_gaze(self, stamp: float) -> list[Event]:
        off, zone = self._road.off_road, self._road.main_zone
        spent = np.nan if off is None else -self._road.accumulated
        since = self._road.since
        events = self._episodes['glance'].update(stamp, off, since, zone)
        events += self._episodes['long_glance'].update(stamp, off, since, zone)
        overdrawn = self._overdrawn.update(spent) if off is not None else None
        return events + self._episodes['repeated_glances'].update(stamp, overdrawn)

    def _judge_eyes(self, stamp: float) -> list[Event]:
        closed, since = self._eyelids.closed, _known_or(self._eyelids.since, stamp)
        events = []
        for kind in ('closure', 'microsleep', 'sleep'):
            events += self._episodes[kind].update(stamp, closed, since)
        return events + self._episodes['perclos'].update(stamp, self._is_drowsy())

    def _is_drowsy(self) -> bool | None:
        """Return whether PERCLOS is beyond its limit; None while nobody is there."""
        if self._is_still or self._presence == 'absent':
            return None
        drowsy = self._drowsy.state
        # What leaves the window while the eyes are not seen makes nobody drowsy.
        if self._eyelids.closed is not None or not np.isfinite(self._eyelids.perclos):
            drowsy = self._drowsy.update(-self._eyelids.perclos)
        return drowsy

    def _judge_mouth(self, stamp: float) -> list[Event]:
        events = self._episodes['yawn'].update(stamp, self._yawning.update(-self._openness[2]))
        self._yawns.extend(event.known for event in events if event.transition == STARTED)
        return events

    def _judge_posture(self, stamp: float) -> list[Event]:
        _, elevation, lean = self._angles
        events = self._episodes['slump'].update(stamp, self._hangs(elevation, lean))
        nod = self._dip.update(stamp, elevation, self._closure)
        if nod is not None:
            name = next(self._ids)
            self._nods.append(stamp)
            events += [
                Event(name, 'nod', transition, *nod, stamp) for transition in (STARTED, ENDED)
            ]
        return events

    def _hangs(self, elevation: float, lean: float) -> bool | None:
        """Whether the head hangs forward or to a side, and the driver does not just look there."""
        closed, most = self._eyelids.closed, self.options.slump_angle
        if elevation != elevation:
            return None
        if self._episodes['slump'].onset is not None:
            most *= _RAISED
        if abs(lean) > most:
            return closed is not False
        return closed if elevation < -most else False

    def _calibrate(self, seconds: float) -> None:
        """Take the present direction into a calibration that is under way."""
        calibration = self._collecting
        azimuth, elevation, _ = self._angles
        if calibration is None or azimuth != azimuth:
            return
        if not calibration.add(azimuth, elevation, seconds):
            return
        self._collecting = None
        try:
            self.zones = self.zones.calibrated(calibration.zone, *calibration.direction())
            self.calibration_said = f'{calibration.zone} is calibrated'
        except ZoneError as error:
            self.calibration_said = f'{calibration.zone} is not calibrated: {error}'

    def _report(
        self, stamp: float, face: Face | None, candidates: int, events: tuple[Event, ...]
    ) -> Report:
        state, reason = self._state()
        zone = self._road.zone
        return Report(
            stamp=stamp,
            state=state,
            confidence=self._confidence(state),
            reason=reason,
            presence=self._presence,
            driver_id='' if face is None else face.id,
            candidates=candidates,
            eyes=self._eyes,
            neutral_known=self._neutral.rotation is not None,
            zone=zone,
            on_road=bool(zone) and self._road.off_road is False,
            signals=self._signals(),
            active=tuple(e.event for e in self._episodes.values() if e.event is not None),
            events=events,
        )

    def _state(self) -> tuple[str, str]:
        """Return the gravest state that something speaks for, and why."""
        if self._is_still:
            return 'unknown', 'the picture stands still'
        if self._presence == 'absent':
            return 'no_driver', 'no face where the driver sits'
        for kind, state, reason in _GRAVE:
            if self._episodes[kind].event is not None:
                return state, reason
        if len(self._nods) >= self.options.drowsy_nods:
            return 'drowsy', f'{len(self._nods)} nods'
        if len(self._yawns) >= self.options.drowsy_yawns:
            return 'drowsy', f'{len(self._yawns)} yawns'
        return self._calm_state()

    def _calm_state(self) -> tuple[str, str]:
        """Return the state when nothing is wrong, as far as is known."""
        if self._presence != 'visible':
            return 'unknown', f'the face is {self._presence.replace("_", " ")}'
        if self._neutral.rotation is None:
            return 'unknown', 'the neutral pose is not known yet'
        if self._road.off_road is None:
            return 'unknown', 'the direction of the head is not known'
        if self._eyelids.closed and self._episodes['closure'].event is not None:
            return 'unknown', 'eyes closed for longer than a blink'
        where = 'the road' if not self._road.off_road else self._road.zone
        unseen = '; eyes are hidden and not judged' if self._eyes == 'hidden' else ''
        return 'attentive', f'looks at {where}{unseen}'

    def _confidence(self, state: str) -> float:
        if state in ('unknown', 'no_driver'):
            return 0.0 if state == 'unknown' else 1.0
        shares = [self._eyes_known.share]
        if state not in _BY_EYES:
            shares = [self._gaze_known.share] + (shares if state == 'attentive' else [])
        return _known_or(sum(shares) / len(shares), 0.0) * self._face_confidence

    def _signals(self) -> dict[str, Signal]:
        options, eyelids = self.options, self._eyelids
        head = options.head_window
        off = self._road.off_road
        onset = self._episodes['glance'].onset
        glance = 0.0 if onset is None or self._stamp is None else self._stamp - onset
        seen = min(self._watched.measured, options.drowsy_window)
        values = (
            *((angle, head) for angle in self._angles),
            (self._eye_openness, 0.0),
            (float(self._openness[2]), 0.0),
            (np.nan if off is None else glance, glance),
            (np.nan if off is None else self._road.accumulated, options.accumulated_limit),
            (self._closure, self._closure),
            *((v, eyelids.measured) for v in (eyelids.perclos, eyelids.blink_rate)),
            (eyelids.blink_duration, eyelids.measured),
            *((float(len(past)) if seen else np.nan, seen) for past in (self._yawns, self._nods)),
        )
        signals = (Signal(value, _known_or(window, 0.0)) for value, window in values)
        return dict(zip(SIGNALS, signals, strict=True))


def _known_or(value: float, other: float) -> float:
    """Return a value, or another one where it is NaN."""
    return value if value == value else other
