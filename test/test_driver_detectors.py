"""Each detector alone, and the state, fed with signals made by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from test_driver import MIRROR, ZONES, a_face

from headpose_ros.driver_monitoring.detectors.bank import DetectorBank
from headpose_ros.driver_monitoring.detectors.closures import ClosureDetector, ClosureOptions
from headpose_ros.driver_monitoring.detectors.glances import GlanceDetector, GlanceOptions
from headpose_ros.driver_monitoring.detectors.nods import NodDetector, NodOptions
from headpose_ros.driver_monitoring.detectors.perclos import PerclosDetector
from headpose_ros.driver_monitoring.detectors.recent import DrowsinessOptions
from headpose_ros.driver_monitoring.detectors.slumps import SlumpDetector, SlumpOptions
from headpose_ros.driver_monitoring.detectors.yawns import YawnDetector, YawnOptions
from headpose_ros.driver_monitoring.events import ENDED, KINDS, LOST, STARTED
from headpose_ros.driver_monitoring.options import DriverOptions
from headpose_ros.driver_monitoring.signals.eyelids.eyelids import EyeSignals, HiddenEyes
from headpose_ros.driver_monitoring.signals.eyelids.options import LidOptions, PerclosOptions
from headpose_ros.driver_monitoring.signals.frozen import FrozenPicture
from headpose_ros.driver_monitoring.signals.gaze import Gaze, GazeClassifier
from headpose_ros.driver_monitoring.signals.head.direction import (
    HeadAngles,
    HeadDirection,
    HeadOptions,
)
from headpose_ros.driver_monitoring.signals.head.neutral import NeutralOptions, NeutralPose
from headpose_ros.driver_monitoring.signals.presence import PresenceClassifier
from headpose_ros.driver_monitoring.signals.seat import SeatOptions
from headpose_ros.driver_monitoring.signals.signals import Signals
from headpose_ros.driver_monitoring.state import Confidence, classify_state
from headpose_ros.geometry.rotations import FRONTAL
from headpose_ros.parameter import ParameterProblem

STEP, GRACE = 0.1, 0.4
#: A visible driver who looks at the road, open-eyed.
CALM = Signals(
    seconds=STEP,
    presence='visible',
    head=HeadAngles(0.0, 0.0, 0.0),
    gaze=Gaze('road', 'road', False),
    eyes=EyeSignals(closed=False, closure=0.0),
    mouth=0.05,
    confidence=1.0,
)
CLOSED = replace(CALM, eyes=EyeSignals(closed=True, closure=0.6))
UNSEEN = Signals(seconds=STEP, presence='hidden')


class Feed:
    """Feeds a detector and keeps what it reports."""

    def __init__(self, detector):
        self.detector, self.now, self.events = detector, 0.0, []

    def hold(self, seconds, signals):
        for _ in range(round(seconds / STEP)):
            self.now += STEP
            self.events += self.detector.update(signals, self.now)

    @property
    def told(self):
        return [(event.kind, event.transition) for event in self.events]


def away(zone='lap', role='other'):
    return replace(CALM, gaze=Gaze(zone, role, True))


def test_a_glance_ends_on_the_road_and_becomes_a_long_one_at_its_limit():
    feed = Feed(GlanceDetector(GlanceOptions(), GRACE, count(1)))
    feed.hold(1.5, away())
    assert feed.told == [('glance', STARTED)]
    feed.hold(1.0, away())
    assert feed.told[1:] == [('long_glance', STARTED)]
    assert feed.detector.off_road_for(feed.now) == pytest.approx(2.4)
    feed.hold(0.5, CALM)
    assert feed.told[2:] == [('glance', ENDED), ('long_glance', ENDED)]
    assert feed.detector.off_road_for(feed.now) == 0.0


def test_a_glance_is_at_the_zone_in_which_most_of_it_was_spent():
    feed = Feed(GlanceDetector(GlanceOptions(), GRACE, count(1)))
    for zone, seconds in (('lap', 0.2), ('passenger', 0.9), ('rear', 0.3)):
        feed.hold(seconds, away(zone))
    feed.hold(0.5, CALM)
    assert feed.events[-1].zone == 'passenger'


def test_glances_add_up_mirrors_are_free_for_a_second_and_the_road_refills():
    feed = Feed(GlanceDetector(GlanceOptions(), GRACE, count(1)))
    feed.hold(1.0, away('left_mirror', 'driving'))
    assert feed.detector.accumulated == 0.0
    feed.hold(3.0, away('lap'))
    assert feed.detector.accumulated == pytest.approx(3.0)
    feed.hold(2.0, UNSEEN)
    assert feed.detector.accumulated == pytest.approx(3.0)
    feed.hold(2.0, CALM)
    assert feed.detector.accumulated == pytest.approx(2.0)
    for _ in range(8):
        feed.hold(1.6, away())
        feed.hold(0.4, CALM)
    assert ('repeated_glances', STARTED) in feed.told
    feed.hold(15.0, CALM)
    assert feed.told[-1] == ('repeated_glances', ENDED)


def test_a_gaze_that_is_unknown_for_longer_than_the_grace_loses_the_glance():
    feed = Feed(GlanceDetector(GlanceOptions(), GRACE, count(1)))
    feed.hold(1.0, away())
    feed.hold(0.4, UNSEEN)
    assert feed.told == [('glance', STARTED)]
    feed.hold(0.3, UNSEEN)
    assert feed.events[-1].transition == LOST
    assert feed.events[-1].end == pytest.approx(1.0)


def test_glances_are_lost_when_the_road_is_found_elsewhere():
    feed = Feed(GlanceDetector(GlanceOptions(), GRACE, count(1)))
    feed.hold(4.0, away())
    lost = feed.detector.restart(feed.now)
    assert [(e.kind, e.transition) for e in lost] == [('glance', LOST), ('long_glance', LOST)]
    assert feed.detector.accumulated == 0.0


def test_closed_eyes_are_a_closure_then_microsleep_then_sleep():
    feed = Feed(ClosureDetector(ClosureOptions(), GRACE, count(1)))
    feed.hold(0.5, CLOSED)
    assert feed.told == []
    feed.hold(3.0, CLOSED)
    assert feed.told == [(kind, STARTED) for kind in ('closure', 'microsleep', 'sleep')]
    feed.hold(STEP, CALM)
    assert feed.told[3:] == [(kind, ENDED) for kind in ('closure', 'microsleep', 'sleep')]


def test_a_closure_begins_when_the_lids_came_down():
    feed = Feed(ClosureDetector(ClosureOptions(), GRACE, count(1)))
    feed.hold(1.0, replace(CALM, eyes=EyeSignals(closed=True, since=0.03)))
    assert {event.onset for event in feed.events} == {0.03}


def of_perclos(share, closed=False):
    return replace(CALM, eyes=EyeSignals(closed=closed, closure=0.0, perclos=share))


def test_perclos_has_hysteresis_and_ends_when_nobody_is_there():
    feed = Feed(PerclosDetector(PerclosOptions(), GRACE, count(1)))
    feed.hold(1.0, of_perclos(np.nan))
    feed.hold(1.0, of_perclos(0.14))
    assert feed.told == []
    feed.hold(1.0, of_perclos(0.16))
    feed.hold(1.0, of_perclos(0.12))
    assert feed.told == [('perclos', STARTED)]
    feed.hold(1.0, of_perclos(0.09))
    assert feed.told[1:] == [('perclos', ENDED)]
    feed.hold(1.0, of_perclos(0.2))
    feed.hold(1.0, replace(UNSEEN, presence='absent'))
    assert feed.told[-1] == ('perclos', LOST)


def test_what_leaves_the_window_unseen_makes_nobody_drowsy():
    feed = Feed(PerclosDetector(PerclosOptions(), GRACE, count(1)))
    feed.hold(1.0, of_perclos(0.05))
    feed.hold(1.0, of_perclos(0.9, closed=None))
    assert feed.told == []


def test_yawns_are_wide_and_long_and_are_counted():
    feed = Feed(YawnDetector(YawnOptions(), 60.0, GRACE, count(1)))
    assert feed.detector.recent.evidence == 0.0
    for mouth, seconds in ((0.9, 1.0), (0.05, 1.0), (0.9, 2.0), (0.5, 1.0), (0.05, 1.0)):
        feed.hold(seconds, replace(CALM, mouth=mouth))
    assert feed.told == [('yawn', STARTED), ('yawn', ENDED)]
    assert feed.events[-1].duration == pytest.approx(3.0)
    recent = feed.detector.recent
    assert (recent.count, recent.evidence) == (1, pytest.approx(6.0))
    feed.hold(70.0, CALM)
    assert (recent.count, recent.evidence) == (0, pytest.approx(60.0))


def hanging(elevation=0.0, lean=0.0, closed: bool | None = True):
    return replace(CALM, head=HeadAngles(0.0, elevation, lean), eyes=EyeSignals(closed=closed))


@pytest.mark.parametrize(
    ('signals', 'is_slump'),
    [
        (hanging(-0.5), True),
        (hanging(-0.5, closed=False), False),
        (hanging(-0.5, closed=None), False),
        (hanging(lean=0.5, closed=None), True),
        (hanging(lean=-0.5, closed=False), False),
        (hanging(-0.2), False),
        (hanging(np.nan), False),
    ],
)
def test_a_slump_hangs_forward_with_closed_eyes_or_to_a_side(signals, is_slump):
    feed = Feed(SlumpDetector(SlumpOptions(), 0.2, GRACE, count(1)))
    feed.hold(4.0, signals)
    assert feed.told == [('slump', STARTED)] * is_slump


def test_a_slump_lasts_until_the_head_is_well_up():
    feed = Feed(SlumpDetector(SlumpOptions(), 0.2, GRACE, count(1)))
    feed.hold(4.0, hanging(-0.5))
    feed.hold(2.0, hanging(-0.3))
    assert feed.told == [('slump', STARTED)]
    feed.hold(0.5, hanging(-0.2))
    assert feed.told[1:] == [('slump', ENDED)]


def drop(elevation, closure):
    eyes = EyeSignals(closed=closure > 0, closure=closure)
    return replace(CALM, head=HeadAngles(0.0, elevation, 0.0), eyes=eyes)


@pytest.mark.parametrize(
    ('depth', 'closure', 'seconds', 'is_nod'),
    [
        (-0.3, 0.6, 1.0, True),
        (-0.1, 0.6, 1.0, False),  # too shallow
        (-0.3, 0.2, 1.0, False),  # a blink
        (-0.3, np.nan, 1.0, False),  # sunglasses
        (-0.3, 0.6, 3.0, False),  # too long
    ],
)
def test_a_nod_is_deep_short_and_with_closed_eyes(depth, closure, seconds, is_nod):
    feed = Feed(NodDetector(NodOptions(), 0.1, 60.0, count(1)))
    feed.hold(seconds, drop(depth, closure))
    assert feed.told == []
    feed.hold(STEP, CALM)
    assert feed.told == [('nod', STARTED), ('nod', ENDED)] * is_nod
    assert feed.detector.recent.count == is_nod


def test_a_drop_across_a_gap_is_no_nod():
    feed = Feed(NodDetector(NodOptions(), 0.1, 60.0, count(1)))
    feed.hold(1.0, drop(-0.3, 0.6))
    assert feed.detector.lose(feed.now) == []
    feed.hold(STEP, CALM)
    assert feed.told == []


def test_the_bank_follows_every_kind_and_loses_what_is_under_way():
    bank = DetectorBank(DriverOptions(), count(1))
    assert [*bank.episodes, 'nod'] == sorted(KINDS, key=lambda kind: kind == 'nod')
    feed = Feed(bank)
    feed.hold(1.2, CLOSED)
    assert [event.kind for event in bank.active] == ['closure', 'microsleep']
    lost = bank.lose(feed.now, seen=1.0)
    assert {(e.kind, e.transition, e.end) for e in lost} == {
        ('closure', LOST, 1.0),
        ('microsleep', LOST, 1.0),
    }
    assert bank.active == ()


def state_of(signals, bank=None, neutral_known=True):
    bank = bank or DetectorBank(DriverOptions(), count(1))
    return classify_state(signals, bank, neutral_known, DrowsinessOptions())


def test_the_state_is_the_gravest_that_anything_speaks_for():
    bank = DetectorBank(DriverOptions(), count(1))
    feed = Feed(bank)
    feed.hold(2.5, away())
    assert state_of(away(), bank)[0] == 'distracted'
    feed.hold(1.5, replace(away(), eyes=CLOSED.eyes))
    assert state_of(CLOSED, bank)[0] == 'microsleep'
    feed.hold(2.0, replace(away(), eyes=CLOSED.eyes))
    assert state_of(CLOSED, bank)[0] == 'asleep'


def test_without_events_the_state_is_attentive_or_unknown_with_the_reason():
    assert state_of(CALM) == ('attentive', 'looks at the road')
    assert state_of(away('left_mirror', 'driving')) == ('attentive', 'looks at left_mirror')
    hidden = replace(CALM, eyes=EyeSignals(hidden=True))
    assert 'eyes are hidden' in state_of(hidden)[1]
    for signals, neutral_known, reason in (
        (Signals(), True, 'the picture stands still'),
        (UNSEEN, True, 'the face is hidden'),
        (CALM, False, 'the neutral pose is not known yet'),
        (replace(CALM, gaze=Gaze()), True, 'the direction of the head is not known'),
    ):
        assert state_of(signals, neutral_known=neutral_known) == ('unknown', reason)
    assert state_of(replace(UNSEEN, presence='absent'))[0] == 'no_driver'


def test_confidence_is_the_share_of_time_in_which_the_signals_were_measured():
    confidence = Confidence(2.0)
    for step in range(20):
        eyes = CALM.eyes if step % 2 else EyeSignals(hidden=True)
        confidence.update(replace(CALM, eyes=eyes, confidence=0.8), STEP * step)
    assert confidence.of('attentive') == pytest.approx(0.8 * (1.0 + 0.5) / 2)
    assert confidence.of('asleep') == pytest.approx(0.8 * 0.5)
    assert confidence.of('distracted') == pytest.approx(0.8)
    assert (confidence.of('unknown'), confidence.of('no_driver')) == (0.0, 1.0)


def classifier():
    neutral = NeutralPose(NeutralOptions(), 0.35)
    neutral.reset(FRONTAL)
    return GazeClassifier(HeadDirection(HeadOptions(), neutral), 0.035, 0.5)


def looking(gaze, stamp, angles, eyes=CALM.eyes, presence='visible'):
    return gaze.update(stamp, ZONES, presence, HeadAngles(*np.radians(angles), 0.0), eyes)


def test_gaze_is_a_zone_and_keeps_it_within_the_margin_and_through_a_blink():
    gaze = classifier()
    assert looking(gaze, 0.0, (0, 0)) == Gaze('road', 'road', False, 0.0)
    mirror = looking(gaze, 1.0, MIRROR)
    assert (mirror.zone, mirror.role, mirror.off_road) == ('left_mirror', 'driving', True)
    edge = np.degrees(ZONES['left_mirror'].boxes[0].azimuth[0])
    assert looking(gaze, 1.1, (edge - 1.9, -6)).zone == 'left_mirror'
    blink = EyeSignals(closed=True, closure=0.2)
    assert looking(gaze, 1.2, (0, 0), blink).zone == 'left_mirror'
    asleep = EyeSignals(closed=True, closure=0.6)
    assert looking(gaze, 1.6, (0, -40), asleep) == Gaze('', '', False, 1.6)


def test_gaze_is_unknown_without_a_direction_and_elsewhere_when_turned_away():
    gaze = classifier()
    assert looking(gaze, 0.0, (np.nan, np.nan)).off_road is None
    assert looking(gaze, 0.1, (np.nan, np.nan), presence='turned_away').zone == 'elsewhere'
    gaze.interrupt()
    assert looking(gaze, 5.0, (0, 0)).since == 5.0


def test_presence_is_that_of_the_face_and_of_how_it_was_seen_last():
    presence = PresenceClassifier(SeatOptions(), 0.7)
    ahead, aside = HeadAngles(0.0, 0.0, 0.0), HeadAngles(1.0, 0.0, 0.0)
    assert presence.update(0.0, None, None, False) == 'hidden'
    assert presence.update(1.0, ahead, None, False) == 'visible'
    assert presence.update(2.0, None, True, False) == 'covered'
    assert presence.update(3.0, None, None, False) == 'hidden'
    assert presence.update(6.0, None, None, False) == 'absent'
    assert presence.update(7.0, aside, None, False) == 'visible'
    assert presence.update(20.0, None, None, False) == 'turned_away'
    assert presence.update(28.0, None, None, False) == 'absent'
    assert presence.update(29.0, None, None, True) == 'unknown'


def test_a_picture_is_frozen_from_its_first_face_that_stays_the_same():
    frozen, face = FrozenPicture(2.0), a_face()
    assert [frozen.update(stamp, face, False) for stamp in (1.0, 2.0, 3.0, 4.0)] == [
        None,
        None,
        1.0,
        None,
    ]
    assert frozen.is_frozen
    assert frozen.update(5.0, None, False) is None and not frozen.is_frozen
    # The picture itself is known to stand still.
    assert frozen.update(6.0, None, True) == 4.0


def test_eyes_are_hidden_when_hardly_seen_for_a_whole_window():
    hidden = HiddenEyes(3.0)
    for step in range(28):
        hidden.update(step * STEP, STEP, False)
    assert not hidden.state
    for step in range(28, 32):
        hidden.update(step * STEP, STEP, False)
    assert hidden.state
    for step in range(32, 52):
        hidden.update(step * STEP, STEP, True)
    assert hidden.state
    for step in range(52, 58):
        hidden.update(step * STEP, STEP, True)
    assert not hidden.state


@pytest.mark.parametrize(
    ('part', 'values', 'said'),
    [
        (LidOptions, {'closed_below': 0.4}, 'closed_below is 0.4: expected at most open_above'),
        (ClosureOptions, {'microsleep': 4.0}, 'microsleep is 4.0: expected at most sleep'),
        (ClosureOptions, {'minimum': 1.5}, 'minimum is 1.5: expected at most microsleep'),
        (GlanceOptions, {'minimum': 2.0, 'limit': 1.0}, 'minimum is 2.0'),
        (YawnOptions, {'below': 0.6}, 'below is 0.6: expected at most above'),
        (PerclosOptions, {'release': 0.2}, 'release is 0.2: expected at most limit'),
        (SeatOptions, {'region': (0.0, 0.0, 0.0, 1.0)}, 'region'),
    ],
)
def test_thresholds_that_contradict_each_other_are_refused(part, values, said):
    with pytest.raises(ParameterProblem, match=said):
        part(**values)
