from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from headpose_ros.geometry.rotations import geodesic
from headpose_ros.perception.faces import Pose
from headpose_ros.perception.smoothing import PoseFilter, SmoothingOptions

RATE = 30.0
NOISE = np.radians(1.5)
#: Of the turn: rad/s, half of its angle in rad, when it starts in s.
SPEED, HALF, START = np.radians(100.0), np.radians(40.0), 1.0
PLACE = np.array([0.2, -0.1, 0.8])
VECTORS = st.tuples(*[st.floats(-3.0, 3.0)] * 3)
SEEDS = st.integers(0, 2**32 - 1)


def turn(times):
    """Return the yaw in rad of a head that turns by 80 degrees at 100 degrees per second."""
    return np.clip((times - START) * SPEED - HALF, -HALF, HALF)


def about_y(angles):
    return Rotation.from_rotvec(np.outer(angles, [0, 1, 0]))


def noisy(rotations, rng):
    return Rotation.from_rotvec(rng.normal(0, NOISE, (len(rotations), 3))) * rotations


def smooth(times, rotations, positions=None, pose_filter=None):
    """Return (N, 3, 3) smoothed rotations, (N, 3) positions and the twists."""
    pose_filter = pose_filter or PoseFilter()
    places = np.tile(PLACE, (len(times), 1)) if positions is None else positions
    inputs = zip(times, rotations.as_matrix(), places, strict=True)
    poses, twists = zip(*[pose_filter.update(t, Pose(R, p)) for t, R, p in inputs], strict=True)
    return np.array([p.rotation for p in poses]), np.array([p.position for p in poses]), twists


def jitter(rotations):
    """Return the mean absolute second difference of (N, 3, 3), rad."""
    steps = Rotation.from_matrix(rotations[1:] @ rotations[:-1].swapaxes(1, 2)).as_rotvec()
    return np.linalg.norm(np.diff(steps, axis=0), axis=1).mean()


def lag(times, rotations):
    """Return the shift in s of the true turn that comes nearest to (N, 3, 3)."""
    shifts = np.arange(-0.05, 0.2, 0.001)
    errors = [
        (geodesic(about_y(turn(times - s)).as_matrix(), rotations) ** 2).sum() for s in shifts
    ]
    return shifts[np.argmin(errors)]


def test_a_still_head_is_calm_and_a_turning_one_is_not_late():
    rng, still, moving = (
        np.random.default_rng(0),
        np.arange(0, 20, 1 / RATE),
        np.arange(0, 3, 1 / RATE),
    )
    raw = noisy(about_y(np.zeros(len(still))), rng)
    ratio = jitter(smooth(still, raw)[0][30:]) / jitter(raw.as_matrix()[30:])
    lags, over, worst = [], [], []
    for _ in range(15):
        truth = about_y(turn(moving))
        out, _, _ = smooth(moving, noisy(truth, rng))
        lags.append(lag(moving, out))
        over.append(Rotation.from_matrix(out).as_rotvec()[:, 1].max() - HALF)
        worst.append(geodesic(truth.as_matrix(), out).max())
    print(f'jitter {100 * ratio:.1f} % of raw')
    print(f'lag {1e3 * np.mean(lags):.0f} ms, at most {1e3 * np.max(lags):.0f}')
    print(
        f'overshoot {np.degrees(np.mean(over)):.1f}, worst {np.degrees(np.mean(worst)):.1f} degrees'
    )
    assert ratio <= 0.30
    assert np.max(lags) <= 0.050
    assert np.degrees(np.mean(over)) < 4.0


def test_positions_are_calmer_too():
    rng, times = np.random.default_rng(0), np.arange(0, 10, 1 / RATE)
    raw = PLACE + rng.normal(0, 0.01 * np.linalg.norm(PLACE), (len(times), 3))
    _, out, twists = smooth(times, about_y(np.zeros(len(times))), raw)
    calm, wild = (np.abs(np.diff(p[30:], n=2, axis=0)).mean() for p in (out, raw))
    assert calm <= 0.30 * wild
    assert out[30:].std(axis=0) == pytest.approx(0.4 * raw[30:].std(axis=0), rel=0.5)
    assert np.linalg.norm([t.linear for t in twists[30:]], axis=1).mean() < 0.1


@pytest.mark.parametrize('rate', [10.0, 30.0, 60.0])
def test_the_twist_is_the_speed_in_the_optical_frame(rate):
    times = np.arange(0, 1.5, 1 / rate)
    velocity = np.array([0.1, 0.0, -0.2])
    rotations = about_y(0.8 * times) * Rotation.from_rotvec([0.5, 1.0, -0.3])
    _, _, twists = smooth(times, rotations, PLACE + np.outer(times, velocity))
    # Velocities fade a little towards rest.
    assert twists[-1].angular == pytest.approx([0, 0.72, 0], abs=0.1)
    assert twists[-1].linear == pytest.approx(0.9 * velocity, abs=0.03)


def test_without_a_position_only_the_rotation_is_smoothed():
    pose_filter = PoseFilter()
    pose, twist = pose_filter.update(0.0, Pose(np.eye(3), None))
    assert pose.position is None and twist.linear is None
    pose, twist = pose_filter.update(0.1, Pose(np.eye(3), PLACE))
    assert pose.position == pytest.approx(PLACE)
    assert twist.linear == pytest.approx(np.zeros(3))


def test_a_single_outlier_is_not_followed():
    times, rotations = np.arange(0, 1, 1 / RATE), about_y(np.zeros(30))
    vectors, places = rotations.as_rotvec(), np.tile(PLACE, (30, 1))
    vectors[20], places[20] = [0, 0, 3.0], -PLACE
    out, positions, _ = smooth(times, Rotation.from_rotvec(vectors), places)
    assert geodesic(out, np.eye(3)).max() < 1e-6
    assert positions == pytest.approx(np.tile(PLACE, (30, 1)))


def test_a_jump_that_lasts_is_believed():
    times = np.arange(0, 1, 1 / RATE)
    target = Rotation.from_rotvec([0, 0, 2.0]).as_matrix()
    out, _, _ = smooth(times, Rotation.from_rotvec(np.outer(times >= 0.5, [0, 0, 2.0])))
    assert geodesic(out[times < 0.5], np.eye(3)).max() < 1e-6
    assert geodesic(out[times >= 0.5][2:], target).max() < 1e-6


@pytest.mark.parametrize('jump', [-5.0, 2.0])
def test_time_that_jumps_starts_the_filter_anew(jump):
    pose_filter, times = PoseFilter(), np.arange(0, 1, 1 / RATE)
    smooth(times, about_y(3 * times), pose_filter=pose_filter)
    fresh = Rotation.from_rotvec([0.1, 0.2, 0.3]).as_matrix()
    pose, twist = pose_filter.update(times[-1] + jump, Pose(fresh, 2 * PLACE))
    assert pose.rotation == pytest.approx(fresh)
    assert pose.position == pytest.approx(2 * PLACE)
    assert twist.angular == pytest.approx(np.zeros(3))


def test_frames_that_were_dropped_do_not_stop_a_turn():
    times = np.arange(0, 3, 1 / RATE)
    times = times[np.random.default_rng(0).random(len(times)) < 0.6]
    truth = about_y(turn(times))
    out, _, _ = smooth(times, truth)
    assert lag(times, out) < 0.05
    assert np.degrees(geodesic(out, truth.as_matrix())).max() < 10


def test_a_camera_whose_stamps_stand_still_gets_its_raw_poses():
    rotations = about_y(np.linspace(0, 1, 20))
    out, _, twists = smooth(np.zeros(20), rotations)
    assert out == pytest.approx(rotations.as_matrix())
    assert np.array([t.angular for t in twists]) == pytest.approx(np.zeros((20, 3)))


def test_half_a_turn_is_passed_without_a_flip():
    times = np.arange(0, 7, 1 / RATE)
    rotations = Rotation.from_rotvec(np.outer(times, [0, 1, 0])) * Rotation.from_rotvec([0.2, 0, 0])
    out, _, _ = smooth(times, rotations)
    assert np.degrees(geodesic(out[1:], out[:-1])).max() < 4
    assert np.degrees(geodesic(out, rotations.as_matrix()))[15:].max() < 3


def walk(seed, count=40, spread=0.2):
    """Return stamps with gaps, and rotations that wander."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.0, 0.2, count))
    steps = Rotation.from_rotvec(rng.normal(0, spread, (count, 3)))
    path = [Rotation.from_rotvec(rng.uniform(-3, 3, 3))]
    for step in steps[1:]:
        path.append(step * path[-1])
    return times, Rotation.concatenate(path)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.floats(-1.0, 2.0), VECTORS), min_size=1, max_size=30))
def test_the_output_is_a_rotation_whatever_comes(inputs):
    times = np.cumsum([dt for dt, _ in inputs])
    out, _, _ = smooth(times, Rotation.from_rotvec([vector for _, vector in inputs]))
    assert out @ out.swapaxes(1, 2) == pytest.approx(np.tile(np.eye(3), (len(out), 1, 1)), abs=1e-9)
    assert np.linalg.det(out) == pytest.approx(1.0)


@settings(deadline=None, max_examples=20)
@given(SEEDS, VECTORS)
def test_a_still_head_is_found_in_the_end(seed, vector):
    times, wandering = walk(seed)
    still = np.tile(vector, (120, 1))
    after = times[-1] + np.arange(1, 121) / RATE
    rotations = Rotation.concatenate([wandering, Rotation.from_rotvec(still)])
    out, _, twists = smooth(np.concatenate([times, after]), rotations)
    assert np.degrees(geodesic(out[-1], rotations[-1].as_matrix())) < 0.2
    assert np.linalg.norm(twists[-1].angular) < np.radians(1.0)


@settings(deadline=None, max_examples=20)
@given(SEEDS, VECTORS, VECTORS)
def test_turning_camera_and_face_frame_turns_the_output(seed, camera, frame):
    times, rotations = walk(seed)
    left, right = Rotation.from_rotvec(camera), Rotation.from_rotvec(frame)
    places = np.tile(PLACE, (len(times), 1)) + np.outer(times, [0.1, -0.05, 0.02])
    out, positions, twists = smooth(times, rotations, places)
    turned, moved, turned_twists = smooth(times, left * rotations * right, left.apply(places))
    assert turned == pytest.approx(left.as_matrix() @ out @ right.as_matrix(), abs=1e-6)
    assert moved == pytest.approx(left.apply(positions), abs=1e-6)
    assert turned_twists[-1].angular == pytest.approx(left.apply(twists[-1].angular), abs=1e-5)


@settings(deadline=None, max_examples=20)
@given(SEEDS)
def test_more_noise_smooths_more(seed):
    rng = np.random.default_rng(seed)
    times, raw = np.arange(0, 3, 1 / RATE), noisy(about_y(np.zeros(90)), rng)
    by_noise = [
        jitter(smooth(times, raw, pose_filter=PoseFilter(SmoothingOptions(rotation_noise=n)))[0])
        for n in (0.005, 0.026, 0.1)
    ]
    assert by_noise[0] > by_noise[1] > by_noise[2]


def test_images_that_the_network_doubts_count_for_less():
    rng, times = np.random.default_rng(4), np.arange(300) / RATE
    doubts = np.where(rng.random(300) < 0.3, 4.0, 1.0) * np.radians(3.0)
    scale = doubts / np.radians(3.0)
    raw = Rotation.from_rotvec(rng.normal(0, NOISE, (300, 3)) * scale[:, None])
    blind, warned = PoseFilter(), PoseFilter()
    errors = {}
    for name, pose_filter, told in (
        ('blind', blind, np.full(300, np.nan)),
        ('warned', warned, doubts),
    ):
        poses = [
            pose_filter.update(t, Pose(r.as_matrix(), None), d)[0].rotation
            for t, r, d in zip(times, raw, told, strict=True)
        ]
        errors[name] = geodesic(np.array(poses)[30:], np.eye(3)).mean()
    print(f'still head, some images bad: mean errors {errors} rad')
    assert errors['warned'] < 0.8 * errors['blind']


def test_a_doubt_that_stays_the_same_changes_nothing():
    times, rng = np.arange(60) / RATE, np.random.default_rng(5)
    raw = noisy(about_y(turn(times)), rng).as_matrix()
    without, same = PoseFilter(), PoseFilter()
    for time, rotation in zip(times, raw, strict=True):
        one = without.update(time, Pose(rotation, None))[0]
        other = same.update(time, Pose(rotation, None), 0.07)[0]
        np.testing.assert_allclose(one.rotation, other.rotation, atol=1e-12)


def error_over_variance(times, rotations, positions, settled):
    """Return the mean squared errors over the filter's variances, each 1 if the filter is right."""
    rng, pose_filter, ratios = np.random.default_rng(0), PoseFilter(), []
    measured, spread = noisy(rotations, rng), 0.01 * np.linalg.norm(PLACE)
    for number, (time, true) in enumerate(zip(times, rotations, strict=True)):
        place = positions[number] + rng.normal(0, spread, 3)
        pose, _ = pose_filter.update(time, Pose(measured[number].as_matrix(), place))
        turn = (Rotation.from_matrix(pose.rotation) * true.inv()).as_rotvec()
        errors = turn @ turn / 3, np.sum((pose.position - positions[number]) ** 2) / 3
        ratios.append(np.array(errors) / pose_filter.variances)
    return np.mean(ratios[settled:], axis=0)


def test_the_variances_are_those_of_the_errors_of_a_still_head():
    times = np.arange(600) / RATE
    still = error_over_variance(times, about_y(0 * times), np.tile(PLACE, (600, 1)), 30)
    print(f'still head, squared errors over variances: {still.round(2)}')
    assert ((still > 0.5) & (still < 1.5)).all()


def test_the_variances_grow_with_a_head_that_turns():
    times = np.arange(int(3 * RATE)) / RATE
    still, turning = PoseFilter(), PoseFilter()
    largest = 0.0
    for time, rotation in zip(times, about_y(turn(times)), strict=True):
        still.update(time, Pose(np.eye(3), PLACE))
        turning.update(time, Pose(rotation.as_matrix(), PLACE))
        largest = max(largest, turning.variances[0])
    assert largest > 2 * still.variances[0]
    assert turning.variances[0] < NOISE**2
