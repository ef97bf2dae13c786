"""Driver monitoring without ROS: definitions, hysteresis, unknowns, zones, who drives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from headpose_ros.driver_monitoring.events import ENDED, LOST, STARTED
from headpose_ros.driver_monitoring.filters import Hysteresis
from headpose_ros.driver_monitoring.learning.profiles import (
    ProfileError,
    profile_path,
    read_profile,
    write_profile,
)
from headpose_ros.driver_monitoring.monitor import DriverMonitor
from headpose_ros.driver_monitoring.options import DriverOptions
from headpose_ros.driver_monitoring.report import EYES, PRESENCES, SIGNALS, STATES
from headpose_ros.driver_monitoring.signals.cover import shows_nothing
from headpose_ros.driver_monitoring.signals.eyelids.levels import LidLevels
from headpose_ros.driver_monitoring.signals.eyelids.openness import OpenEyes, measure_openness
from headpose_ros.driver_monitoring.signals.eyelids.options import LidOptions
from headpose_ros.driver_monitoring.signals.head.neutral import NeutralOptions, NeutralPose
from headpose_ros.driver_monitoring.signals.seat import SeatOptions
from headpose_ros.driver_monitoring.zones import ELSEWHERE, ZoneError
from headpose_ros.driver_monitoring.zones_file import parse_zones, read_zones, to_yaml
from headpose_ros.geometry.face_shape import aligned_mean_face
from headpose_ros.geometry.rotations import FRONTAL
from headpose_ros.perception.faces import Face

ZONES_FILE = Path(__file__).parents[1] / 'config' / 'zones.yaml'
ZONES = read_zones(ZONES_FILE)
SIZE = (640, 480)
RATE = 30.0
#: Degrees of the head that lie in the middle of what they look at.
MIRROR, LAP = (36.0, -6.0), (0.0, -45.0)


def turned(azimuth=0.0, elevation=0.0, lean=0.0):
    """R_optical_face of a head turned in its own neutral frame, degrees."""
    angles = [azimuth, -elevation, lean]
    return FRONTAL @ Rotation.from_euler('ZYX', angles, degrees=True).as_matrix()


def a_face(
    azimuth=0.0, elevation=0.0, lean=0.0, eyes=1.0, mouth=0.05, name='f1', x=200.0, side=150
):
    return Face(
        id=name,
        box=np.array([x, 120.0, side, side]),
        rotation=turned(azimuth, elevation, lean),
        landmarks=np.zeros((0, 2)),
        visibility=np.zeros(0),
        landmark_confidence=np.zeros(0),
        confidence=0.9,
        openness=np.array([eyes, eyes, mouth]),
    )


def alive(face, rng):
    """The same face some px aside: no living head is the same to the pixel in two pictures."""
    return replace(face, box=face.box + np.append(rng.uniform(-3, 3, 2), [0, 0]))


class Drive:
    """Feeds a monitor and remembers what it said."""

    def __init__(self, options=None, settle=10.0):
        self.monitor = DriverMonitor(ZONES, options or DriverOptions())
        self.now, self.events, self.reports = 100.0, [], []
        self.rng = np.random.default_rng(1)
        if settle:
            self.hold(settle)

    def step(self, faces, covered=None):
        self.now += 1 / RATE
        faces = [alive(face, self.rng) for face in faces]
        report = self.monitor.update(self.now, faces, SIZE, covered)
        self.reports.append(report)
        self.events += report.events
        return report

    def hold(self, seconds, *look, **face):
        for _ in range(round(seconds * RATE)):
            report = self.step([a_face(*look, **face)])
        return report

    def gone(self, seconds, covered=None):
        for _ in range(round(seconds * RATE)):
            report = self.step([], covered)
        return report

    def told(self, kind, transition=None):
        return [e for e in self.events if e.kind == kind and transition in (None, e.transition)]


def test_a_glance_is_told_with_zone_onset_and_end():
    drive = Drive()
    start = drive.now
    drive.hold(1.5, *MIRROR)
    back = drive.now
    drive.hold(1.0)
    begun, ended = drive.told('glance')
    assert (begun.transition, ended.transition) == (STARTED, ENDED)
    assert begun.id == ended.id
    assert begun.onset == pytest.approx(start, abs=0.1)
    assert begun.known - begun.onset == pytest.approx(0.5, abs=0.1)
    assert ended.end == pytest.approx(back, abs=0.1)
    assert ended.zone == 'left_mirror'
    assert not drive.told('long_glance')


def test_a_look_shorter_than_a_glance_is_none():
    drive = Drive()
    drive.hold(0.3, *MIRROR)
    drive.hold(1.0)
    assert not drive.events


def test_a_blink_neither_ends_a_glance_nor_is_a_closure():
    drive = Drive()
    drive.hold(1.0, *MIRROR)
    drive.hold(0.25, *MIRROR, eyes=0.0)
    drive.hold(0.6, *MIRROR)
    assert [e.transition for e in drive.told('glance')] == [STARTED]
    assert not drive.told('closure')


@pytest.mark.parametrize(
    ('kind', 'limit', 'state'),
    [('microsleep', 1.0, 'microsleep'), ('sleep', 3.0, 'asleep')],
)
def test_closed_eyes_count_from_their_definition_on(kind, limit, state):
    drive = Drive()
    start = drive.now
    drive.hold(limit - 0.1, eyes=0.05)
    assert not drive.told(kind)
    assert drive.hold(0.3, eyes=0.05).state == state
    (begun,) = drive.told(kind)
    assert begun.onset == pytest.approx(start, abs=0.07)
    assert begun.known == pytest.approx(start + limit, abs=0.1)
    drive.hold(0.2)
    assert drive.told(kind, ENDED)


def test_a_long_glance_distracts_and_the_road_ends_it():
    drive = Drive()
    assert drive.hold(2.3, *LAP).state == 'distracted'
    assert drive.hold(0.5).state == 'attentive'
    assert [e.transition for e in drive.told('long_glance')] == [STARTED, ENDED]


def test_many_short_glances_add_up_and_the_road_refills():
    drive = Drive()
    for _ in range(12):
        drive.hold(1.5, *LAP)
        report = drive.hold(0.5)
    assert report.state == 'distracted'
    assert drive.told('repeated_glances', STARTED) and not drive.told('long_glance')
    assert drive.hold(20.0).state == 'attentive'
    assert drive.told('repeated_glances', ENDED)


def test_short_looks_at_mirrors_do_not_add_up():
    drive = Drive()
    for _ in range(15):
        drive.hold(0.9, *MIRROR)
        report = drive.hold(0.6)
    assert report.signals['off_road_accumulated'].value < 1.0


def test_values_between_the_two_limits_change_nothing():
    drive = Drive()
    drive.hold(1.0, eyes=0.05)
    assert drive.hold(1.0, eyes=0.3).eyes == 'closed'
    assert drive.hold(0.2, eyes=0.5).eyes == 'open'
    assert drive.hold(1.0, eyes=0.3).eyes == 'open'


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40))
def test_a_gate_changes_only_beyond_its_limits(values):
    gate, state = Hysteresis(0.2, 0.4), None
    for value in values:
        new = gate.update(value)
        if state is not None and new != state:
            assert value < 0.2 if new else value > 0.4
        state = new


def test_drowsy_eyes_raise_perclos():
    drive = Drive()
    for _ in range(20):
        drive.hold(1.6)
        report = drive.hold(0.4, eyes=0.05)
    assert report.signals['perclos'].value == pytest.approx(0.16, abs=0.03)
    for _ in range(20):
        drive.hold(1.4)
        report = drive.hold(0.6, eyes=0.05)
    assert report.state == 'drowsy' and drive.told('perclos', STARTED)


def test_an_empty_seat_is_not_drowsy():
    drive = Drive(settle=40.0)
    for _ in range(4):
        drive.hold(1.6, eyes=0.05)
        drive.hold(1.0)
    assert not drive.told('perclos')
    drive.gone(20.0)
    # The open eyes of the first seconds have left the window by now.
    assert drive.reports[-1].state == 'no_driver'
    assert not drive.told('perclos')


def test_a_drowsy_driver_who_leaves_is_lost_and_not_drowsy():
    drive = Drive(settle=30.0)
    for _ in range(6):
        drive.hold(2.0, eyes=0.05)
        drive.hold(1.0)
    assert drive.told('perclos', STARTED)
    assert drive.gone(12.0).state == 'no_driver'
    assert drive.told('perclos', LOST)


def test_blinks_are_counted_and_timed():
    drive = Drive()
    for _ in range(12):
        drive.hold(4.8)
        report = drive.hold(0.2, eyes=0.0)
    assert report.signals['blink_rate'].value == pytest.approx(12, abs=1.5)
    assert report.signals['blink_duration'].value == pytest.approx(0.2, abs=0.04)


def test_a_yawn_is_told_and_speech_is_none():
    drive = Drive()
    drive.hold(2.5, mouth=0.9)
    drive.hold(0.5)
    assert [e.transition for e in drive.told('yawn')] == [STARTED, ENDED]
    for _ in range(20):
        drive.hold(0.2, mouth=0.7)
        drive.hold(0.2, mouth=0.1)
    assert len(drive.told('yawn', STARTED)) == 1


def nod(drive, eyes):
    for elevation in np.concatenate([np.linspace(0, -20, 24), np.linspace(-20, 0, 10)]):
        drive.step([a_face(0, elevation, eyes=eyes)])
    drive.hold(0.3)


def test_a_nod_needs_closed_eyes_that_were_seen():
    drive = Drive()
    for eyes in (1.0, np.nan):
        nod(drive, eyes)
    assert not drive.told('nod')
    nod(drive, 0.05)
    assert len(drive.told('nod', STARTED)) == 1
    nod(drive, 0.05)
    assert drive.reports[-1].state == 'drowsy'


def test_a_nod_may_end_with_eyes_that_open_at_its_bottom():
    drive = Drive()
    drive.hold(0.8, eyes=0.05)
    drive.hold(0.2, 0, -12, eyes=0.05)
    drive.hold(1 / RATE, 0, -22, eyes=0.05)
    drive.hold(0.3, 0, -22)
    drive.hold(1.0)
    assert drive.told('nod', STARTED)


def test_where_the_head_went_with_closed_eyes_is_no_part_of_a_glance():
    drive = Drive()
    drive.hold(0.8, eyes=0.05)
    drive.hold(0.4, *LAP, eyes=0.05)
    opened = drive.now
    drive.hold(1.0, *LAP)
    assert drive.told('glance', STARTED)[0].onset == pytest.approx(opened, abs=0.1)


def test_a_head_that_hangs_is_a_slump_but_a_look_down_is_not():
    drive = Drive()
    drive.hold(4.0, *LAP)
    assert not drive.told('slump')
    drive.hold(1.0)
    assert drive.hold(4.0, 0, -30, eyes=0.05).state == 'asleep'
    assert drive.told('slump', STARTED)


def test_hidden_eyes_are_unknown_and_said_so():
    drive = Drive()
    report = drive.hold(5.0, eyes=np.nan)
    assert report.eyes == 'hidden'
    assert 'hidden' in report.reason
    assert not report.signals['eye_openness'].valid and not report.signals['closure'].valid
    assert report.state == 'attentive' and report.confidence < 0.5


def test_an_eye_measured_now_and_then_behind_sunglasses_is_none():
    drive = Drive()
    for _ in range(5):
        drive.hold(0.9, eyes=np.nan)
        drive.hold(0.1, eyes=0.0)
    assert drive.reports[-1].eyes == 'hidden'
    drive.hold(1.5, *MIRROR, eyes=0.1)
    assert drive.reports[-1].eyes == 'hidden'
    assert not drive.told('closure')
    assert drive.hold(3.0).eyes == 'open'


def test_eyes_missed_for_a_moment_are_not_hidden():
    drive = Drive()
    drive.hold(1.9, eyes=np.nan)
    drive.hold(0.8)
    assert drive.hold(1.9, eyes=np.nan).eyes == 'unknown'
    assert drive.hold(0.2).eyes == 'open'


def test_eyes_that_are_still_being_learned_are_not_hidden():
    drive = Drive(settle=0)
    for _ in range(round(4 * RATE)):
        report = drive.step([with_landmarks(1.0)])
        assert report.eyes == 'unknown'
    for _ in range(round(4 * RATE)):
        report = drive.step([with_landmarks(1.0, visible=0.2)])
    assert report.eyes == 'hidden'


def test_an_event_whose_face_goes_out_of_sight_is_lost():
    drive = Drive()
    drive.hold(1.5, eyes=0.05)
    seen = drive.now
    drive.gone(1.0)
    (lost,) = drive.told('closure', LOST)
    assert lost.end == pytest.approx(seen, abs=0.01)


def test_a_stream_that_stops_loses_the_event_and_does_not_extend_it():
    drive = Drive()
    drive.hold(1.5, *LAP)
    last = drive.now
    report = drive.monitor.stop()
    assert report.state == 'unknown'
    assert {(e.kind, e.transition, e.end) for e in report.events} == {('glance', LOST, last)}
    assert drive.monitor.stop() is None


def test_a_gap_loses_the_event_at_the_last_image_before_it():
    drive = Drive()
    drive.hold(1.5, *LAP)
    last = drive.now
    drive.now += 3.0
    drive.hold(0.1, *LAP)
    (lost,) = drive.told('glance', LOST)
    assert lost.end == last
    assert not drive.told('long_glance')
    drive.hold(1.0, *LAP)
    assert len(drive.told('glance', STARTED)) == 2


def test_a_clock_that_jumps_back_keeps_the_neutral_pose():
    drive = Drive()
    drive.hold(1.5, *LAP)
    drive.now = 5.0
    report = drive.hold(0.2)
    assert drive.told('glance', LOST)
    assert report.neutral_known and report.zone == 'road'


def test_before_the_neutral_pose_is_known_nothing_is_guessed():
    drive = Drive(settle=0)
    report = drive.hold(3.0, *LAP)
    assert (report.state, report.zone, report.neutral_known) == ('unknown', '', False)
    assert not drive.events


def test_the_neutral_pose_is_the_mode_and_not_the_mean():
    neutral, rng = NeutralPose(NeutralOptions(), 0.35), np.random.default_rng(5)
    for i in range(3000):
        aside = (i // 300) % 3 == 2  # a third of the time
        azimuth, elevation = (-40.0, -20.0) if aside else (12.0, 4.0)
        neutral.update(turned(azimuth + rng.normal(0, 1.5), elevation + rng.normal(0, 1.5)), 1 / 30)
    off = np.degrees(neutral.relative(turned(12.0, 4.0)))
    assert np.abs(off[:2]).max() < 0.7


def test_the_neutral_pose_follows_another_seat_and_can_be_reset():
    drive = Drive(DriverOptions(neutral=NeutralOptions(memory_seconds=20.0)))
    assert drive.hold(0.5, 20, 0).zone != 'road'
    assert drive.hold(30.0, 20, 0).zone == 'road'
    drive.monitor.reset_neutral()
    assert not drive.hold(1.0, 20, 0).neutral_known


@given(
    st.floats(-40, 40),
    st.floats(-25, 25),
    st.floats(-20, 20),
    st.floats(-50, 50),
    st.floats(-40, 40),
)
@settings(max_examples=50, deadline=None)
def test_directions_are_those_of_the_neutral_frame_wherever_the_camera_is(a, b, c, azimuth, up):
    camera = Rotation.from_euler('ZYX', [a, b, c], degrees=True).as_matrix()
    neutral = NeutralPose(NeutralOptions(), 0.35)
    neutral.reset(FRONTAL @ camera)
    relative = neutral.relative(FRONTAL @ camera @ FRONTAL.T @ turned(azimuth, up))
    assert np.degrees(relative) == pytest.approx([azimuth, up, 0], abs=1e-6)


def test_a_turned_face_that_is_lost_counts_as_off_the_road():
    drive = Drive()
    for azimuth in np.linspace(0, 70, 15):
        drive.step([a_face(azimuth)])
    report = drive.gone(3.0)
    assert report.presence == 'turned_away' and report.state == 'distracted'
    assert drive.told('long_glance', STARTED)[0].zone == ELSEWHERE


def test_no_face_is_hidden_then_absent_and_covered_only_when_that_is_known():
    drive = Drive()
    assert drive.gone(1.0).presence == 'hidden'
    assert drive.gone(1.0, covered=True).presence == 'covered'
    report = drive.gone(5.0, covered=False)
    assert (report.presence, report.state) == ('absent', 'no_driver')


@pytest.mark.parametrize(
    ('level', 'noise', 'nothing'), [(3, 1, True), (90, 1, True), (60, 25, False)]
)
def test_a_covered_camera_shows_nothing(level, noise, nothing):
    rng = np.random.default_rng(0)
    image = rng.normal(level, noise, (480, 640, 3)).clip(0, 255).astype(np.uint8)
    assert shows_nothing(image) is nothing


def test_of_two_faces_the_driver_stays_the_driver():
    drive = Drive()
    other = a_face(60, name='f2', x=420.0, side=180)
    for _ in range(100):
        report = drive.step([other, a_face()])
    assert (report.driver_id, report.candidates) == ('f1', 2)


def test_a_new_id_in_the_same_place_is_the_same_driver():
    drive = Drive()
    drive.gone(4.0)
    report = drive.step([a_face(name='f9', x=215.0)])
    assert (report.driver_id, report.neutral_known) == ('f9', True)


def test_another_driver_learns_anew():
    drive = Drive()
    drive.gone(4.0)
    report = drive.step([a_face(name='f9', x=480.0)])
    assert (report.driver_id, report.neutral_known) == ('f9', False)


def test_faces_outside_the_seat_never_drive():
    drive = Drive(DriverOptions(seat=SeatOptions(region=(0.5, 0.0, 0.5, 1.0))), settle=1.0)
    assert drive.reports[-1].driver_id == ''
    assert drive.step([a_face(x=100.0), a_face(name='f2', x=400.0)]).driver_id == 'f2'


LANDMARKS = aligned_mean_face()[:, :2] * 1000


def with_landmarks(opening, visible=1.0, mouth=0.0):
    """A frontal face whose lids are a share of their usual gap apart."""
    points, visibility = LANDMARKS.copy(), np.ones(68)
    for eye in (slice(36, 42), slice(42, 48)):
        middle = points[eye, 1].mean()
        points[eye, 1] = middle + (points[eye, 1] - middle) * opening
        visibility[eye] = visible
    width = np.linalg.norm(points[64] - points[60])
    points[62], points[66] = points[60] + [width / 2, 0], points[60] + [width / 2, mouth * width]
    return replace(a_face(), landmarks=points, visibility=visibility, openness=np.full(3, np.nan))


def test_openness_comes_from_landmarks_against_the_drivers_own_eyes():
    eyes = OpenEyes(LidOptions())
    assert np.isnan(measure_openness(with_landmarks(1.0), eyes)[:2]).all()
    for _ in range(300):
        eyes.learn(with_landmarks(1.0), 1 / RATE)
    assert measure_openness(with_landmarks(1.0), eyes)[:2] == pytest.approx(1.0, abs=0.06)
    assert measure_openness(with_landmarks(0.35), eyes)[:2] == pytest.approx(0.0, abs=0.06)
    assert measure_openness(with_landmarks(1.0, mouth=0.7), eyes)[2] == pytest.approx(0.7)


def test_hidden_eyes_have_no_openness_whatever_the_network_says():
    eyes = OpenEyes(LidOptions())
    face = replace(with_landmarks(1.0, visible=0.2), openness=np.array([0.8, 0.9, 0.1]))
    openness = measure_openness(face, eyes)
    assert np.isnan(openness[:2]).all() and openness[2] == pytest.approx(0.1)


def test_the_shipped_zones_mirror_for_the_other_drive():
    right = ZONES.for_drive('right_hand')
    assert ZONES.find(*np.radians(MIRROR)) == 'left_mirror'
    assert right.find(-np.radians(36.0), np.radians(-6.0)) == 'right_mirror'
    assert right.for_drive('left_hand') == ZONES
    assert parse_zones(to_yaml(ZONES)).names == ZONES.names


GOOD = """drive: left_hand
zones:
  road:
    role: road
    boxes:
      - {azimuth_deg: [-10, 10], elevation_deg: [-10, 10]}
  mirror:
    role: driving
    boxes:
      - {azimuth_deg: [20, 50], elevation_deg: [-10, 10]}
"""


@pytest.mark.parametrize(
    ('old', 'new', 'said'),
    [
        ('[20, 50]', '[5, 50]', r"z.yaml:10: zone 'mirror' overlaps 'road' \(line 6\) by 5.0 x 20"),
        ('[20, 50]', '[50, 20]', 'z.yaml:10: azimuth_deg .* two rising numbers'),
        ('[20, 50]', '[20, .nan]', 'z.yaml:10: azimuth_deg'),
        ('[20, 50]', '[20, 500]', 'z.yaml:10: azimuth_deg'),
        ('[20, 50]', '20', 'z.yaml:10: azimuth_deg'),
        ('elevation_deg: [-10, 10]}\n  mirror', 'up: [-10, 10]}\n  mirror', "z.yaml:6: .*'up'"),
        ('role: driving', 'role: fun', 'z.yaml:8: role .* expected road or driving or other'),
        ('role: driving', 'role: road', 'expected one zone with role road, got 2'),
        ('  mirror:', '  road:', "z.yaml:7: no YAML: 'road' stands there twice"),
        ('  mirror:', '  elsewhere:', "z.yaml:8: a zone cannot be named 'elsewhere'"),
        ('left_hand', 'middle', 'z.yaml:1: drive: expected left_hand or right_hand'),
        ('[-10, 10], elevation', '[5, 10], elevation', 'z.yaml:6: the road must hold the neutral'),
        ('zones:', 'zones: [', r'z.yaml:\d+: no YAML'),
        ('drive: left_hand\n', '', 'z.yaml:1: the file: drive is missing'),
    ],
)
def test_a_wrong_zones_file_is_refused_with_its_line(old, new, said):
    assert old in GOOD
    with pytest.raises(ZoneError, match=said):
        parse_zones(GOOD.replace(old, new, 1), 'z.yaml')


@pytest.mark.parametrize('number', ['nan', '.nan', 'NaN', 'inf', '-inf', '.inf', '1e999'])
@pytest.mark.parametrize('field', ['azimuth_deg', 'elevation_deg'])
@pytest.mark.parametrize('place', [0, 1])
def test_zones_without_finite_limits_are_refused(number, field, place):
    limits = {'azimuth_deg': ['20', '50'], 'elevation_deg': ['-10', '10']}
    limits[field][place] = number
    box = ', '.join(f'{name}: [{low}, {high}]' for name, (low, high) in limits.items())
    text = GOOD.replace('azimuth_deg: [20, 50], elevation_deg: [-10, 10]', box)
    assert number in text
    with pytest.raises(ZoneError, match=f'z.yaml:10: {field} of zone .mirror.'):
        parse_zones(text, 'z.yaml')


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_no_text_breaks_the_reader_of_zones(text):
    with pytest.raises(ZoneError):
        parse_zones(text)


def test_calibration_moves_a_zone_to_where_the_driver_looks():
    drive = Drive()
    assert drive.hold(0.5, 36, 25).zone == ELSEWHERE
    drive.monitor.calibrate('left_mirror', 2.0)
    drive.hold(2.2, 36, 25)
    assert 'is calibrated' in drive.monitor.calibration_status
    assert drive.hold(0.2, 36, 25).zone == 'left_mirror'
    assert drive.hold(0.2).zone == 'road'


@given(st.sampled_from(ZONES.names), st.floats(-3.1, 3.1), st.floats(-1.2, 1.2))
@settings(max_examples=200, deadline=None)
def test_no_calibration_makes_zones_overlap(name, azimuth, elevation):
    try:
        zones = ZONES.calibrated(name, azimuth, elevation)
    except ZoneError:
        return
    assert zones.find(azimuth, elevation) == name
    boxes = [box for zone in zones.zones for box in zone.boxes]
    for i, first in enumerate(boxes):
        assert all(min(first.overlap(other)) < 1e-9 for other in boxes[:i])
    assert zones.find(0.0, 0.0) == 'road'


def test_a_driver_is_stored_and_loaded(tmp_path):
    drive = Drive()
    path = profile_path(tmp_path, 'anna')
    write_profile(path, drive.monitor.profile())
    other = DriverMonitor(ZONES)
    other.load(read_profile(path))
    assert other.update(1.0, [a_face(*MIRROR)], SIZE).zone == 'left_mirror'


def test_a_damaged_driver_is_refused_in_words(tmp_path):
    path = tmp_path / 'anna.yaml'
    for text in ('', '[]', 'neutral: 3', 'neutral: [[1,0,0],[0,1,0],[0,0,5]]\nopen_eyes: [1, 1]'):
        path.write_text(text)
        with pytest.raises(ProfileError, match=r'anna\.yaml is no file of a driver'):
            read_profile(path)
    with pytest.raises(ProfileError, match='letters, digits'):
        profile_path(tmp_path, '../anna')


numbers = st.floats(allow_nan=True, allow_infinity=True, width=32)


@st.composite
def any_faces(draw):
    faces = []
    for name in draw(st.lists(st.sampled_from(['f1', 'f2']), max_size=2, unique=True)):
        rotation = turned(draw(st.floats(-180, 180)), draw(st.floats(-90, 90)))
        if draw(st.booleans()):
            rotation[draw(st.integers(0, 2)), draw(st.integers(0, 2))] = draw(numbers)
        landmarks = draw(st.sampled_from([np.zeros((0, 2)), LANDMARKS, np.full((68, 2), np.nan)]))
        visibility = draw(st.sampled_from([np.zeros(0), np.ones(68), np.full(68, np.nan)]))
        box = np.array([draw(st.one_of(st.floats(0, 400), numbers)) for _ in range(4)])
        openness = np.array([draw(numbers) for _ in range(3)])
        faces.append(
            Face(
                name,
                box,
                rotation,
                landmarks,
                visibility,
                visibility,
                draw(numbers),
                openness=openness,
            )
        )
    return faces


@given(
    st.lists(
        st.tuples(st.floats(-1.0, 2.0), any_faces(), st.sampled_from([None, True, False])),
        max_size=25,
    )
)
@settings(max_examples=60, deadline=None)
def test_nothing_that_comes_in_breaks_it_and_every_event_ends_once(steps):
    drive = Drive(settle=7.0)
    for passed, faces, covered in steps:
        drive.now = max(drive.now + passed, 0.0)
        report = drive.monitor.update(drive.now, faces, SIZE, covered)
        drive.events += report.events
        assert report.state in STATES and report.eyes in EYES and report.presence in PRESENCES
        assert 0.0 <= report.confidence <= 1.0
        assert tuple(report.signals) == SIGNALS
        assert all(signal.window >= 0 for signal in report.signals.values())
        assert report.signals['perclos'].valid is False or 0 <= report.signals['perclos'].value <= 1
        for event in report.events:
            assert event.onset <= event.end <= event.known
    stopped = drive.monitor.stop()
    drive.events += stopped.events if stopped else ()
    begun = [e.id for e in drive.events if e.transition == STARTED]
    ended = [e.id for e in drive.events if e.transition != STARTED]
    assert sorted(begun) == sorted(ended) == sorted(set(begun))


def blinking(lids, blinks, open_at, closed_at, stamp=0.0, seconds=0.2):
    """Let somebody blink; return the stamp of the end."""
    for _ in range(blinks):
        for length, openness in ((2.0, open_at), (seconds, closed_at)):
            for _ in range(round(length * RATE)):
                stamp += 1 / RATE
                lids.learn(stamp, openness, 1 / RATE, True)
    return stamp


def test_openness_is_stretched_between_the_drivers_own_open_and_closed_eyes():
    lids = LidLevels(LidOptions())
    # Nothing is known of who has not blinked yet.
    assert lids.stretch(0.4) == pytest.approx(0.4)
    blinking(lids, 8, 0.9, 0.38)
    assert lids.stretch(0.38) == pytest.approx(0.0, abs=0.02)
    assert lids.stretch(0.9) == pytest.approx(1.0, abs=0.02)
    assert np.isnan(lids.stretch(np.nan))
    lids.reset()
    assert lids.stretch(0.4) == pytest.approx(0.4)


def test_long_closures_and_squints_are_no_blinks():
    drooping, squinting = LidLevels(LidOptions()), LidLevels(LidOptions())
    blinking(drooping, 8, 0.9, 0.5, seconds=2.0)
    assert drooping.closed == 0.0
    blinking(squinting, 8, 0.9, 0.65)
    assert squinting.closed < 0.56 * squinting.open


def test_eyes_that_a_network_never_calls_closed_still_close():
    drive = Drive()
    for _ in range(8):
        drive.hold(2.0, eyes=0.9)
        drive.hold(0.2, eyes=0.38)
    drive.hold(2.0, eyes=0.9)
    report = drive.hold(1.5, eyes=0.36)
    assert report.state == 'microsleep' and drive.told('closure', STARTED)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.one_of(st.floats(0, 1.2), st.just(np.nan)), max_size=300))
def test_stretched_openness_is_never_negative_and_unknown_only_where_it_was(values):
    lids = LidLevels(LidOptions())
    for index, value in enumerate(values):
        lids.learn(index / RATE, value, 1 / RATE, True)
        stretched = lids.stretch(value)
        assert np.isnan(stretched) == np.isnan(value)
        assert np.isnan(stretched) or 0 <= stretched < 10
