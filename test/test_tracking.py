from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_faces import IMAGE, Head, Scene, score

from headpose_ros.geometry.crop import CropWindow
from headpose_ros.perception.analyze import Analyzer
from headpose_ros.perception.detect import Detection
from headpose_ros.perception.smoothing import SmoothingOptions
from headpose_ros.perception.tracking import PREFERENCES, FaceTracker, TrackingOptions
from headpose_ros.perception.tracking.matching import assign, iou
from headpose_ros.perception.tracking.track import Motion

SHAPE = (480, 640, 3)
RAW = SmoothingOptions(enabled=False)
SEEDS = range(15)


def at(x, y=200.0, side=20.0):
    return Detection(np.array([x, y, side, side]), CropWindow(x, y, side), 0.9)


def step(tracker, stamp, detections=None):
    """Let one image pass, in which the visible faces stay where their windows are."""
    tracker.advance(stamp)
    new = [] if detections is None else tracker.match(detections, SHAPE)
    tracker.follow(tracker.visible)
    return new


def ids(tracks):
    return [track.id for track in tracks]


def test_ids_begin_with_the_prefix_of_their_analyzer():
    scene = Scene([Head((600, 300), (0, 0), 200)], np.random.default_rng(0), misses=0.0, ghosts=0.0)
    analyzer = Analyzer(scene, scene, TrackingOptions(confirm_hits=1), id_prefix='left_')
    assert [face.id for face in analyzer.track(IMAGE, 0.0)] == ['left_1']


def test_iou_golden():
    boxes = [[0, 0, 10, 10]]
    assert iou(boxes, [[0, 0, 10, 10], [5, 0, 10, 10], [10, 0, 5, 5]])[0] == pytest.approx(
        [1, 1 / 3, 0]
    )
    assert iou([], boxes).shape == (0, 1)


def test_ids_follow_their_faces_when_the_order_changes():
    tracker = FaceTracker()
    step(tracker, 0.0, [at(100), at(300)])
    step(tracker, 0.1, [at(301), at(101)])
    assert [(t.id, t.box[0]) for t in tracker.confirmed] == [('f1', 100), ('f2', 300)]


def test_windows_are_kept_or_taken_from_the_detector():
    for keep, x in ((True, 100.0), (False, 102.0)):
        tracker = FaceTracker(keep_windows=keep)
        step(tracker, 0.0, [at(100)])
        step(tracker, 0.1, [at(102)])
        assert tracker.visible[0].box[0] == tracker.visible[0].window.center_x == x


def test_a_face_is_reported_from_its_last_confirming_frame_on():
    tracker = FaceTracker(TrackingOptions(confirm_hits=3))
    reported = []
    for frame in range(4):
        step(tracker, frame / 30, [at(100)])
        reported.append(ids(tracker.confirmed))
    assert reported == [[], [], ['f1'], ['f1']]


@pytest.mark.parametrize('period', [0.1, 0.6, 1.5, 1.9])
def test_faces_of_slow_cameras_are_confirmed_and_keep_their_id(period):
    tracker = FaceTracker(TrackingOptions())
    reported = []
    for frame in range(5):
        step(tracker, frame * period, [at(100)])
        reported.append(ids(tracker.confirmed))
    assert reported == [[], ['f1'], ['f1'], ['f1'], ['f1']]


def test_pictures_farther_apart_than_the_memory_stand_alone():
    tracker = FaceTracker(TrackingOptions())
    reported = []
    for frame in range(3):
        step(tracker, frame * 10.0, [at(100)])
        reported.append(len(tracker.confirmed))
    assert reported == [0, 1, 1]
    tracker.clear()
    step(tracker, 0.0, [at(100)])
    assert not tracker.confirmed


def test_a_face_lost_before_it_was_confirmed_is_forgotten():
    tracker = FaceTracker(TrackingOptions(confirm_hits=3), keep_windows=False)
    step(tracker, 0.0, [at(100)])
    step(tracker, 0.1, [])
    assert tracker.visible == tracker.hidden == ()
    assert step(tracker, 0.2, [at(100)]) == ['f2']


@pytest.mark.parametrize(('gap', 'name'), [(0.1, 'f1'), (1.9, 'f1'), (2.1, 'f2')])
def test_a_face_that_comes_back_in_time_keeps_its_id(gap, name):
    tracker = FaceTracker(TrackingOptions(retain=2.0), keep_windows=False)
    for stamp in (0.0, 0.1, 0.2):
        step(tracker, stamp, [at(100)])
    step(tracker, 0.21, [])
    assert ids(tracker.visible) == []
    step(tracker, 0.2 + gap, [at(101)])
    assert ids(tracker.visible) == [name]


def test_empty_frames_without_the_detector_age_hidden_faces_too():
    tracker = FaceTracker(TrackingOptions(retain=1.0), keep_windows=False)
    for stamp in (0.0, 0.1):
        step(tracker, stamp, [at(100)])
    step(tracker, 0.2, [])
    assert ids(tracker.hidden) == ['f1']
    for frame in range(10):
        tracker.advance(0.3 + 0.1 * frame)
    assert tracker.hidden == ()


def test_after_a_gap_in_the_video_only_the_detector_tells_who_is_there():
    tracker = FaceTracker()
    for stamp in (0.0, 0.1):
        step(tracker, stamp, [at(100)])
    tracker.advance(1.0)
    assert tracker.visible == ()
    assert ids(tracker.hidden) == ['f1']


def test_what_the_detector_never_sees_again_is_given_up():
    tracker = FaceTracker()
    stamps = np.arange(0, 10, 0.1)
    for stamp in stamps:
        step(tracker, stamp, [at(100)] if stamp < 0.5 else [])
        if not tracker.visible:
            break
    assert 2.4 < stamp < 3.0


def test_a_face_that_the_detector_sees_now_and_then_is_kept():
    tracker = FaceTracker()
    for frame in range(300):
        step(tracker, frame / 10, [at(100)] if frame % 15 == 0 else [])
    assert ids(tracker.confirmed) == ['f1']


def test_of_two_tracks_on_one_face_the_one_that_expected_it_stays():
    tracker = FaceTracker(TrackingOptions(confirm_hits=1))
    step(tracker, 0.0, [at(100), at(150)])
    tracker.advance(0.1)
    first, second = tracker.visible
    ran_over = replace(first, box=second.box + 0.5, window=replace(second.window))
    tracker.follow([ran_over, second])
    assert ids(tracker.visible) == ['f2']
    assert ids(tracker.hidden) == ['f1']


def test_of_two_tracks_equally_on_one_face_the_older_stays():
    tracker = FaceTracker(TrackingOptions(confirm_hits=1))
    step(tracker, 0.0, [at(100), at(100.1)])
    assert ids(tracker.visible) == ['f1']


def test_motion_is_learned_and_fades():
    motion = Motion(np.zeros(2), 0.0, np.zeros(2), 20.0)
    for frame in range(1, 60):
        motion = motion.moved(CropWindow(10.0 * frame, 0.0, 40.0), frame / 30, crowded=False)
    assert motion.side == pytest.approx(40, rel=0.03)
    assert motion.velocity == pytest.approx([300, 0], rel=0.01)
    assert motion.at(motion.stamp + 0.1)[0] - motion.center[0] == pytest.approx(28.5, rel=0.02)
    assert motion.at(motion.stamp + 60)[0] - motion.center[0] == pytest.approx(300, rel=0.02)


def seen(tracker, stamp, places):
    """Let one image pass, in which the landmarks put the windows to (x, side)."""
    tracker.advance(stamp)
    moved = zip(tracker.visible, places, strict=True)
    tracker.follow([replace(t, window=CropWindow(x, 200.0, side)) for t, (x, side) in moved])


def test_a_face_that_walked_out_of_the_picture_is_awaited_at_its_border():
    tracker = FaceTracker(TrackingOptions(confirm_hits=1))
    step(tracker, 0.0, [at(350, side=60)])
    for frame in range(1, 30):
        seen(tracker, frame / 30, [(350.0 + 10 * frame, 60.0)])
    assert tracker.visible[0].motion.velocity[0] > 250
    tracker.advance(1.0)
    tracker.follow([])
    step(tracker, 2.0, [at(615, side=60)])
    assert ids(tracker.visible) == ['f1']


def test_a_face_that_another_covers_keeps_its_size_and_way():
    tracker = FaceTracker(TrackingOptions(confirm_hits=1))
    near, far = (lambda k: 100.0 + 6 * k), (lambda k: 400.0 - 6 * k)
    step(tracker, 0.0, [at(near(0), side=150), at(far(0), side=120)])
    for frame in range(1, 15):
        seen(tracker, frame / 30, [(near(frame), 150.0), (far(frame), 120.0)])
    front, back = ids(tracker.visible)
    # The covered face's landmarks stay beside the one before it, and shrink.
    for frame in range(15, 30):
        squeezed = (far(14) - 2, 120.0 - 8 * (frame - 14))
        seen(tracker, frame / 30, [(near(frame), 150.0), squeezed][: len(tracker.visible)])
    assert ids(tracker.hidden) == [back]
    assert tracker.hidden[0].motion.side == pytest.approx(120, rel=0.05)
    assert tracker.hidden[0].motion.velocity[0] == pytest.approx(-180, rel=0.2)
    step(tracker, 1.3, [at(near(39), side=150), at(far(39), side=120)])
    assert set(ids(tracker.visible)) == {front, back}


def test_assignment_minimises_the_whole_cost_within_the_gates():
    tracker = FaceTracker()
    step(tracker, 0.0, [at(100), at(112)])
    # The nearest of the first track is the only one of the second.
    assert assign(tracker.visible, [at(107), at(94)], 0.0, SHAPE) == {0: 1, 1: 0}
    assert assign(tracker.visible, [at(100, side=40)], 0.0, SHAPE) == {}
    assert assign(tracker.visible, [at(125)], 0.0, SHAPE) == {}


@pytest.mark.parametrize(
    ('prefer', 'kept'), [('size', [300.0]), ('centre', [330.0]), ('region', [600.0])]
)
def test_the_cap_keeps_the_preferred_faces(prefer, kept):
    options = TrackingOptions(max_faces=1, prefer=prefer, region=(0.75, 0.0, 0.25, 1.0))
    tracker = FaceTracker(options)
    step(tracker, 0.0, [at(300, 100, 90), at(330, 240, 60), at(600, 240, 30)])
    assert [t.box[0] for t in tracker.visible] == kept


def test_outside_of_the_preferred_region_the_largest_come_first():
    tracker = FaceTracker(
        TrackingOptions(max_faces=2, prefer='region', region=(0.9, 0.0, 0.1, 1.0))
    )
    step(tracker, 0.0, [at(100, side=20), at(300, side=60), at(200, side=40)])
    assert sorted(t.box[0] for t in tracker.visible) == [200, 300]


def test_a_newcomer_must_be_clearly_preferred_to_replace_a_followed_face():
    tracker = FaceTracker(TrackingOptions(max_faces=1))
    step(tracker, 0.0, [at(100, side=60)])
    assert step(tracker, 0.1, [at(100, side=60), at(300, side=80)]) == []
    assert step(tracker, 0.2, [at(100, side=60), at(300, side=100)]) == ['f2']
    assert ids(tracker.confirmed) == ['f1']
    step(tracker, 0.3)
    assert ids(tracker.visible) == ['f2']


def test_a_confirmed_face_keeps_its_place_until_the_newcomer_is_confirmed():
    tracker = FaceTracker(TrackingOptions(max_faces=1))
    step(tracker, 0.0, [at(100, side=60)])
    step(tracker, 0.1)
    for frame in range(2, 20):
        tracker.advance(frame / 10)
        for name in tracker.match([at(100, side=60), at(300, side=200)], SHAPE):
            (lamp,) = [track for track in tracker.visible if track.id == name]
            tracker.place(lamp, None)
        tracker.follow(tracker.visible)
        assert ids(tracker.confirmed) == ['f1']
        assert tracker.left_out == 1


def test_faces_beyond_a_cap_that_is_lowered_are_forgotten_the_least_preferred_first():
    tracker = FaceTracker()
    for stamp in (0.0, 0.1, 0.2):
        step(tracker, stamp, [at(100, side=40), at(300, side=60)])
    tracker.options = TrackingOptions(max_faces=1)
    step(tracker, 0.3)
    assert ids(tracker.visible) == ['f2']


class LampScene(Scene):
    """From 0.2 s on there is a lamp, which only the detector takes for a face."""

    def detect(self, image, quarter_turns=(0,)):
        lamp = Detection(np.array([900.0, 100, 300, 300]), CropWindow(1050, 250, 400), 0.99)
        return [lamp] * (self.time > 0.2) + super().detect(image, quarter_turns)


@pytest.mark.parametrize('confirm_hits', [1, 2])
def test_a_lamp_larger_than_the_face_does_not_take_its_place(confirm_hits):
    scene = LampScene([Head([300, 360], [0, 0], 120)], np.random.default_rng(0), 0.0, 0.0)
    options = TrackingOptions(max_faces=1, confirm_hits=confirm_hits, detect_every=3)
    analyzer, reported = Analyzer(scene, scene, options), []
    for frame in range(30):
        scene.time = frame / 30
        reported.append([face.id for face in analyzer.track(IMAGE, scene.time)])
    assert reported[confirm_hits - 1 :] == [['f1']] * (31 - confirm_hits)


def test_the_first_face_stays_first_until_another_is_clearly_preferred():
    tracker = FaceTracker(TrackingOptions(confirm_hits=1), keep_windows=False)
    first = []
    for frame, side in enumerate([60, 64, 57, 80, 95]):
        step(tracker, frame / 30, [at(100, side=60), at(300, side=side)])
        first.append(tracker.ranked(SHAPE)[0].id)
    assert first == ['f1', 'f1', 'f1', 'f1', 'f2']


def test_memory_is_bounded_even_when_stamps_stand_still():
    tracker = FaceTracker(TrackingOptions(confirm_hits=1), keep_windows=False)
    for frame in range(100):
        step(tracker, 0.0, [at(100 * (frame % 6), 80 * (frame % 5), 10 + 2 * (frame % 7))])
    assert len(tracker.visible) + len(tracker.hidden) < 20


FRAMES = st.lists(
    st.tuples(
        st.floats(0.0, 3.0),
        st.one_of(
            st.none(),
            st.lists(
                st.builds(at, st.floats(0, 640), st.floats(0, 480), st.floats(10, 200)), max_size=6
            ),
        ),
    ),
    max_size=25,
)


@settings(deadline=None)
@given(FRAMES, st.booleans(), st.integers(1, 4), st.integers(1, 3), st.sampled_from(PREFERENCES))
def test_whatever_is_detected_ids_are_unique_never_reused_and_the_cap_holds(
    frames, keep, cap, hits, prefer
):
    options = TrackingOptions(max_faces=cap, confirm_hits=hits, prefer=prefer, retain=1.5)
    tracker, ended, stamp = FaceTracker(options, keep), set(), 0.0
    for number, (dt, detections) in enumerate(frames):
        before = {*ids(tracker.visible), *ids(tracker.hidden)}
        stamp += dt
        step(tracker, stamp, detections)
        now = [*ids(tracker.visible), *ids(tracker.hidden)]
        assert len(now) == len(set(now))
        assert all(name[0].isalpha() for name in now)
        assert len(tracker.confirmed) <= cap
        assert len(tracker.visible) <= 2 * cap
        assert all(stamp - t.motion.stamp <= 1.5 for t in tracker.hidden)
        assert not ended & set(now)
        ended |= before - set(now)
        if number % 7 == 6:
            ended |= set(now)
            tracker.clear()


@settings(deadline=None)
@given(FRAMES)
def test_a_detection_belongs_to_one_track_at_most(frames):
    tracker, stamp = FaceTracker(), 0.0
    for dt, detections in frames:
        stamp += dt
        tracker.advance(stamp)
        pairs = assign(tracker.visible, detections or [], stamp, SHAPE)
        assert len(set(pairs.values())) == len(pairs)
        step(tracker, stamp, detections)


def crossing(rng, landmarks):
    """Return two faces that meet in the middle, one before the other."""
    sides = rng.permutation(rng.uniform(70, 200) * np.array([1, rng.uniform(0.65, 0.95)]))
    speeds, middle, time = rng.uniform(100, 450, 2), rng.uniform([500, 250], [780, 450]), 1.5
    apart = rng.uniform(-0.25, 0.25, 2) * sides
    left = Head(middle - np.array([speeds[0] * time, apart[0]]), [speeds[0], 0], sides[0])
    right = Head(middle + np.array([speeds[1] * time, apart[1]]), [-speeds[1], 0], sides[1])
    return Scene([left, right], rng, landmarks=landmarks)


def passing(rng, landmarks):
    """Return a face at rest and a nearer one that passes before it."""
    side, speed = rng.uniform(90, 200), rng.uniform(150, 350)
    behind = Head([640, 360 + rng.uniform(-20, 20)], [0, 0], side * rng.uniform(0.65, 0.9))
    before = Head([640 - speed * 1.5, 360], [speed, 0], side)
    return Scene([before, behind], rng, landmarks=landmarks)


def covered(rng, landmarks):
    """Return a face that something covers for a while."""
    away = (1.0, 1.0 + rng.uniform(0.1, 1.5))
    return Scene(
        [Head([640, 360], rng.uniform(-60, 60, 2), rng.uniform(70, 200), away)],
        rng,
        landmarks=landmarks,
    )


def sitting(rng, landmarks):
    """Return three faces that hardly move, before a detector that sees ghosts."""
    places = 120 + 200 * rng.choice(6, 3, replace=False)
    heads = [
        Head([x, rng.uniform(200, 500)], rng.uniform(-20, 20, 2), rng.uniform(70, 150))
        for x in places
    ]
    return Scene(heads, rng, ghosts=0.2, landmarks=landmarks)


def total(make, landmarks, seconds=3.5):
    counts = Counter()
    for seed in SEEDS:
        scene = make(np.random.default_rng(seed), landmarks)
        counts += score(scene, seconds, smoothing=RAW)
    print(f'{make.__name__}, {landmarks} landmarks: {dict(counts)}')
    return counts


@pytest.mark.parametrize('make', [crossing, passing, covered, sitting])
def test_with_landmarks_no_id_is_switched_and_nobody_is_invented(make):
    counts = total(make, 68)
    assert counts['switches'] == 0
    assert counts['false'] == 0
    assert counts['misses'] < 0.02 * counts['faces']


@pytest.mark.parametrize(('make', 'switches'), [(crossing, 4), (passing, 8), (sitting, 3)])
def test_with_the_detector_alone_ids_are_hardly_switched(make, switches):
    counts = total(make, 0)
    assert counts['switches'] <= switches
    assert counts['false'] < 0.01 * counts['frames']
    assert counts['misses'] < 0.12 * counts['faces']  # the detector's own are 0.10


def test_the_detector_looks_when_it_must():
    rng = np.random.default_rng(0)
    options = TrackingOptions(detect_every=10)
    head = Head([640, 360], [0, 0], 120, away=(1.0, 1.5))
    scene = Scene([head], rng, misses=0.0, ghosts=0.0)
    analyzer, looked = Analyzer(scene, scene, options), []
    for frame in range(60):
        scene.time, before = frame / 30, scene.looks
        analyzer.track(IMAGE, scene.time)
        if scene.looks > before:
            looked.append(frame)
    # First frame, every ten; from the loss on in every frame; every ten again.
    assert looked == [0, 10, 20, *range(30, 46), 55]


def test_while_one_of_two_faces_is_hidden_the_detector_searches_more_often():
    rng = np.random.default_rng(0)
    gone = Head([300, 360], [0, 0], 120, away=(1.0, 2.0))
    scene = Scene([gone, Head([900, 360], [0, 0], 120)], rng, misses=0.0, ghosts=0.0)
    counts = score(scene, 2.0, settling=0.0, tracking=TrackingOptions(confirm_hits=1))
    assert counts['looks'] == 3 + 10
    counts = score(replace(scene, looks=0), 3.0, settling=0.15)
    assert counts['misses'] == counts['switches'] == 0


def test_an_empty_scene_is_searched_turned_by_one_quarter_after_the_other():
    asked = []

    class Watched(Scene):
        def detect(self, image, quarter_turns=()):
            asked.append(tuple(quarter_turns))
            return super().detect(image)

    face = Head((300, 200), (0, 0), 100, away=(0.05, 0.35))
    scene = Watched([face], np.random.default_rng(1), misses=0.0, ghosts=0.0, noise=0.0)
    analyzer = Analyzer(scene, scene, TrackingOptions(detect_every=1000))
    for step in range(9):
        scene.time = step * 0.05
        analyzer.track(IMAGE, scene.time)
    everywhere = (0, 1, 2, 3)
    # Seen, gone, and back in the eighth image.
    assert asked == [everywhere, everywhere, (0, 2), (0, 3), (0, 1), (0, 2), (0, 3), (0, 1)]
