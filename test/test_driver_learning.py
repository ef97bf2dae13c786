"""What the driver monitor learns, from which moments, and that a sleeper stays asleep."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_driver import LANDMARKS, MIRROR, SIZE, ZONES, a_face, alive, turned, with_landmarks

from headpose_ros.driver_monitoring.detectors.episode import Episode
from headpose_ros.driver_monitoring.events import ENDED, LOST, STARTED
from headpose_ros.driver_monitoring.learning.moment import Moment, under_way
from headpose_ros.driver_monitoring.monitor import DriverMonitor
from headpose_ros.driver_monitoring.signals.eyelids.closure import EyeClosure
from headpose_ros.driver_monitoring.signals.eyelids.openness import OpenEyes, measure_openness
from headpose_ros.driver_monitoring.signals.eyelids.options import LidOptions
from headpose_ros.driver_monitoring.signals.frozen import StillFace
from headpose_ros.driver_monitoring.signals.head.neutral import NeutralOptions, NeutralPose
from headpose_ros.driver_monitoring.signals.head.reseating import Reseating

#: Minutes are simulated here: few images a second.
RATE = 5.0
LAP = (3.0, -40.0)


class SlowDrive:
    """Feeds a monitor with noisy faces, a few a second."""

    def __init__(self, seed: int = 0, lids: tuple[float, float] = (0.0, 0.95)) -> None:
        self.monitor = DriverMonitor(ZONES)
        self.rng = np.random.default_rng(seed)
        self.closed, self.opened = lids
        self.now, self.events, self.reports = 0.0, [], []

    def face(self, azimuth=0.0, elevation=0.0, lean=0.0, lids=1.0):
        noise = self.rng.normal(0, 1.5, 3)
        measured = self.closed + (self.opened - self.closed) * lids + self.rng.normal(0, 0.04)
        eyes = float(np.clip(measured, 0, 1))
        face = a_face(azimuth + noise[0], elevation + noise[1], lean + noise[2], eyes=eyes)
        return alive(face, self.rng)

    def step(self, face):
        self.now += 1 / RATE
        report = self.monitor.update(self.now, [face], SIZE)
        self.reports.append(report)
        self.events += report.events
        return report

    def look(self, seconds, *look, lids=1.0):
        """Look somewhere, blinking; return the reports."""
        begun = len(self.reports)
        for _ in range(round(seconds * RATE)):
            blinks = lids == 1.0 and self.now % 4.0 < 0.9 / RATE
            self.step(self.face(*look, lids=0.0 if blinks else lids))
        return self.reports[begun:]

    def drive(self, seconds, azimuth=0.0, elevation=0.0):
        """Look at the road, and at a mirror for a second now and then."""
        begun = len(self.reports)
        for second in range(round(seconds)):
            at_mirror = second % 10 == 9
            aside = MIRROR if at_mirror else (0.0, 0.0)
            self.look(1.0, azimuth + aside[0], elevation + aside[1])
        return self.reports[begun:]

    def ended(self, kind):
        return [e for e in self.events if e.kind == kind and e.transition == ENDED]


def states(reports):
    return {report.state for report in reports}


@pytest.mark.parametrize('lids', [(0.0, 0.95), (0.15, 0.95), (0.06, 0.5)])
def test_closed_eyes_are_asleep_for_as_long_as_they_are_closed(lids):
    drive = SlowDrive(lids=lids)
    drive.drive(60.0)
    asleep = drive.look(400.0, lids=0.0)
    assert states(asleep[25:]) == {'asleep'}
    assert not drive.ended('sleep')
    # PERCLOS looks back for a minute.
    assert drive.look(5.0)[-1].state == 'drowsy'
    (over,) = drive.ended('sleep')
    assert over.end == pytest.approx(460.0, abs=1.0)


@pytest.mark.parametrize(('lean', 'lids'), [(0.0, 0.0), (30.0, np.nan)])
def test_a_head_that_hangs_is_asleep_for_as_long_as_it_hangs(lean, lids):
    drive = SlowDrive()
    drive.drive(60.0)
    asleep = drive.look(400.0, 0.0, -40.0, lean, lids=lids)
    assert states(asleep[30:]) == {'asleep'}
    assert not drive.ended('slump')
    drive.drive(5.0)
    assert len(drive.ended('slump')) == 1


@pytest.mark.parametrize('before', [0.0, 60.0])
def test_a_lap_that_is_looked_at_most_of_the_time_never_is_the_road(before):
    drive = SlowDrive()
    drive.drive(before)
    lap = []
    for _ in range(40):
        lap += drive.look(8.0, *LAP)[4:]
        road = drive.look(2.0)
    assert not any(report.on_road for report in lap)
    assert 'road' in {report.zone for report in road}


def test_a_lap_that_was_learned_in_a_parked_car_is_given_up_for_the_road():
    drive = SlowDrive()
    drive.look(90.0, *LAP)
    assert drive.monitor.profile() is not None
    for _ in range(3):
        drive.look(8.0, *LAP)
        drive.look(2.0)
    assert drive.look(2.0)[-1].zone == 'road'
    assert not any(report.on_road for report in drive.look(8.0, *LAP)[4:])


@pytest.mark.parametrize('moved', [(18.0, 0.0), (-14.0, -9.0), (0.0, 12.0)])
def test_another_seat_is_learned_within_two_minutes_of_driving(moved):
    drive = SlowDrive()
    drive.drive(300.0)
    drive.drive(120.0, *moved)
    reports = drive.drive(60.0, *moved)
    assert states(reports) == {'attentive'}
    assert np.mean([report.zone == 'road' for report in reports]) > 0.85


def test_sunglasses_neither_make_a_sleeper_nor_a_road_of_a_hanging_head():
    drive = SlowDrive()
    drive.drive(120.0)
    drive.opened = drive.closed = np.nan
    drive.drive(5.0)
    assert states(drive.drive(120.0)) == {'attentive'}
    hangs = drive.look(300.0, 0.0, -40.0)
    assert not any(report.on_road for report in hangs[5:])


def test_a_head_that_sinks_little_by_little_takes_the_road_along_no_farther_than_a_slump():
    drive = SlowDrive()
    drive.drive(120.0)
    for elevation in np.linspace(0, -45, 30):
        drive.look(30.0, 0.0, elevation)
    assert not drive.reports[-1].on_road
    assert drive.reports[-1].state == 'distracted'


def test_the_same_face_for_two_seconds_is_a_picture_that_stands_still():
    drive = SlowDrive()
    drive.drive(20.0)
    # A frozen picture of a blink becomes no sleep.
    frozen = drive.face(lids=0.0)
    began = drive.now
    reports = [drive.step(frozen) for _ in range(round(30 * RATE))]
    late = [report for report in reports if report.stamp > began + 2.3]
    assert states(late) == {'unknown'}
    assert {report.reason for report in late} == {'the picture stands still'}
    assert not any(e.kind == 'sleep' for e in drive.events)
    (lost,) = [e for e in drive.events if e.kind == 'closure' and e.transition == LOST]
    assert lost.end == pytest.approx(began + 1 / RATE)
    assert drive.look(1.0)[-1].state == 'attentive'


def test_a_still_face_is_one_that_differs_by_what_a_tracker_makes_of_one_picture():
    rng = np.random.default_rng(0)
    face = replace(with_landmarks(1.0), box=np.array([100.0, 100.0, 200.0, 200.0]))
    still = StillFace()
    for stamp in range(5):
        points = LANDMARKS + rng.uniform(-0.1, 0.1, LANDMARKS.shape)
        assert still.update(float(stamp), replace(face, landmarks=points)) == 0.0
    for stamp, other in enumerate(
        (
            replace(face, landmarks=LANDMARKS + 1.0),
            replace(face, rotation=turned(0.1)),
            replace(face, openness=np.array([0.9, 0.9, 0.1])),
            replace(face, box=face.box + 4.0),
        ),
        start=5,
    ):
        assert still.update(float(stamp), other) == stamp
    assert still.update(20.0, None) == 20.0


ATTENTIVE = Moment(visible=True, closed=False, off_road=False)


def test_only_attentive_moments_are_learned_from():
    assert ATTENTIVE.attentive and ATTENTIVE.awake
    # Eyes behind sunglasses, and a road that is not known yet, speak against nothing.
    assert replace(ATTENTIVE, closed=None, off_road=None).attentive
    for asleep in (
        replace(ATTENTIVE, visible=False),
        replace(ATTENTIVE, closed=True),
        replace(ATTENTIVE, busy=frozenset({'slump'})),
    ):
        assert not asleep.awake and not asleep.attentive
    elsewhere = replace(ATTENTIVE, off_road=True, busy=frozenset({'glance'}))
    assert elsewhere.awake and not elsewhere.attentive


@given(st.sampled_from(['glance', 'closure', 'sleep', 'perclos', 'yawn', 'slump']))
def test_any_event_that_has_begun_freezes_learning_before_it_is_reported(kind):
    episode = Episode(kind, 3.0, 0.2, 0.4, count(1))
    episodes = {kind: episode}
    assert under_way(episodes, 1.0) == frozenset()
    assert not episode.update(1.0, True)
    assert under_way(episodes, 1.0) == {kind}
    assert not replace(ATTENTIVE, busy=under_way(episodes, 1.0)).attentive


def test_a_mouth_that_is_always_open_does_not_keep_everything_from_being_learned():
    yawn = Episode('yawn', 1.5, 0.0, 0.4, count(1))
    yawn.update(1.0, True)
    assert under_way({'yawn': yawn}, 10.0) == {'yawn'}
    assert under_way({'yawn': yawn}, 12.0) == frozenset()


def closure_of(openness, seconds_each=0.2, closed_for=4.0):
    """Close the eyes, then show openness after openness; return whether they are closed then."""
    closure, stamp = EyeClosure(LidOptions(), 3.0), 0.0
    for value in [1.0] * 3 + [0.05] * round(closed_for / seconds_each) + list(openness):
        stamp += seconds_each
        closure.update(stamp, value, seconds_each)
    return closure


def test_one_image_does_not_wake_a_sleeper_and_clearly_open_eyes_do():
    assert closure_of([0.9]).closed
    assert closure_of([0.6, 0.05, 0.6, 0.05]).closed
    awake = closure_of([0.9, 0.9])
    assert awake.closed is False
    # From when on they were open, not when that was sure.
    assert awake.since == pytest.approx(4.6 + 0.2 * 0.3 / 0.85)
    assert closure_of([0.4], closed_for=0.4).closed is False


def test_a_blink_before_a_gap_is_no_sleep_after_it():
    drive = SlowDrive()
    drive.look(10.0)
    drive.step(drive.face(lids=0.0))
    drive.now += 20.0
    drive.look(2.0)
    assert not [e for e in drive.events if e.kind in ('microsleep', 'sleep')]


@given(st.lists(st.floats(0.0, 0.34), max_size=60))
def test_eyes_that_never_pass_the_limit_stay_closed(values):
    assert closure_of(values).closed


def test_without_the_drivers_own_eyes_above_the_limit_is_open():
    closure = EyeClosure(LidOptions(), 3.0)
    for stamp, openness in enumerate([0.3, 0.1, 0.3]):
        closure.update(0.1 * stamp, openness, 0.1, known=False)
    assert closure.closed is False


def test_aspect_ratios_of_closed_eyes_are_never_learned_as_open_ones():
    eyes = OpenEyes(LidOptions())
    for _ in range(300):
        eyes.learn(with_landmarks(0.3), 1 / RATE)
    assert np.isnan(eyes.aspects).all()
    assert measure_openness(with_landmarks(0.3), eyes)[:2] == pytest.approx(0.0)


def test_a_low_first_posture_needs_patience_and_gives_way_to_one_far_above():
    patient = NeutralPose(NeutralOptions(), 0.35)
    for _ in range(50):
        patient.update(turned(*LAP), 1.0)
    assert patient.rotation is None
    for _ in range(25):
        patient.update(turned(*LAP), 1.0)
    assert patient.rotation is not None and patient.is_low and not patient.is_firm
    quick = NeutralPose(NeutralOptions(), 0.35)
    for _ in range(4):
        for look, seconds in ((LAP, 8), ((0.0, 0.0), 2)):
            for _ in range(seconds):
                quick.update(turned(*look), 1.0)
    assert quick.rotation is not None
    assert np.degrees(quick.relative(turned(0, 0))) == pytest.approx([0, 0, 0], abs=1.0)


def reseated(look, seen=True, lean=0.0, back=0.0, confirmed=100.0):
    """Return where the road is found after looking somewhere for long: degrees, or None."""
    neutral, reseating = NeutralPose(NeutralOptions(), 0.35), Reseating(NeutralOptions(), 0.35)
    neutral.reset(turned(0.0, 0.0))
    neutral.confirm(confirmed)
    for second in range(150):
        away = second % 20 >= back
        rotation = turned(*look, lean) if away else turned(0.0, 0.0)
        if (found := reseating.update(rotation, 1.0, seen, neutral)) is not None:
            return np.degrees(neutral.relative(found)).round(3).tolist()
    return None


def test_the_road_moves_only_to_where_somebody_who_drives_can_look():
    assert reseated((20.0, -5.0)) == pytest.approx([20.0, -5.0, 0.0], abs=0.1)
    assert reseated((20.0, -5.0), seen=False) is not None
    assert reseated((0.0, 28.0)) is not None
    # Looks of 2 s at the road keep it where it is; a lap, and a head that hangs, are none.
    assert reseated((20.0, -5.0), back=2) is None
    assert reseated(LAP) is None
    assert reseated((0.0, 28.0), seen=False) is None
    assert reseated((5.0, -5.0), seen=False, lean=30.0) is None


def test_zones_are_not_calibrated_by_a_sleeper():
    drive = SlowDrive()
    drive.drive(60.0)
    drive.monitor.calibrate('left_mirror', 2.0)
    drive.look(3.0, 36.0, 25.0, lids=0.0)
    assert drive.monitor.calibration_status == 'looking at left_mirror'
    drive.look(4.0, 36.0, 25.0)
    assert drive.monitor.calibration_status == 'left_mirror is calibrated'


def test_a_glance_that_is_none_since_the_seat_moved_is_lost_and_not_ended():
    drive = SlowDrive()
    drive.drive(120.0)
    drive.look(115.0, 20.0, 0.0)
    long = [e.transition for e in drive.events if e.kind == 'long_glance']
    assert long == [STARTED, LOST]
