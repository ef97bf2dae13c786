"""Persons, attention and engagement, from faces alone."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ncx2

from headpose_ros.parameter import ParameterProblem
from headpose_ros.people.attention import (
    Attention,
    AttentionOptions,
    points_at,
    within_cone,
)
from headpose_ros.people.engagement import Engagement, Level
from headpose_ros.people.persons import Match, Persons
from headpose_ros.perception.faces import Face

# A face that looks straight at the camera.
FRONTAL = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])
CAMERA = np.zeros(3)
CONE = math.radians(15)


def face(name='f1', x=100.0, side=50.0, rotation=FRONTAL, position=None, error=math.nan):
    none = np.zeros(0)
    covariance = np.zeros((6, 6))
    covariance[3:, 3:] = np.eye(3) * error**2
    box = np.array([x - side / 2, 100.0, side, side])
    return Face(
        name, box, rotation, none, none, none, 0.9, position=position, covariance=covariance
    )


def yawed(angle):
    """Return a frontal face turned about the camera's vertical axis."""
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]) @ FRONTAL


def test_a_new_face_is_that_of_a_new_anonymous_person():
    persons = Persons()
    assert persons.update(0.0, [face('f1'), face('f2', 300)]) == [
        Match('f1', 'pf1', 1.0),
        Match('f2', 'pf2', 1.0),
    ]
    assert persons.update(0.1, [face('f1')]) == []
    assert [(p.id, p.present) for p in persons.known] == [('pf2', False), ('pf1', True)]


def test_a_face_that_comes_back_is_likely_the_same_and_less_so_later_and_farther_away():
    def back(after, x):
        persons = Persons(memory=2.0)
        persons.update(0.0, [face()])
        persons.update(0.1, [])
        (match,) = persons.update(after, [face(x=x)])
        assert (match.face, match.person) == ('f1', 'pf1')
        return match.likelihood

    assert back(0.2, 100) == pytest.approx(0.5 + 0.5 * 0.9)
    assert back(0.2, 100) > back(1.0, 100) > back(1.9, 100) > 0.5
    assert back(0.2, 100) > back(0.2, 130) > back(0.2, 160) > 0.5


def test_a_face_with_a_new_id_may_be_somebody_who_has_just_gone():
    persons = Persons(memory=2.0)
    persons.update(0.0, [face('f1')])
    persons.update(0.1, [])
    own, other = persons.update(1.0, [face('f2')])
    assert (own.person, other.person) == ('pf2', 'pf1')
    assert own.likelihood == pytest.approx(1 / 1.5)  # half of the memory has passed
    assert other.likelihood == pytest.approx(0.5 / 1.5)


def test_who_is_gone_longer_than_the_memory_is_forgotten():
    persons = Persons(memory=2.0)
    persons.update(0.0, [face('f1')])
    assert persons.update(2.0, []) == []
    assert persons.update(2.1, []) == [Match('f1', 'pf1', 0.0)]
    assert persons.known == ()
    assert persons.update(2.2, [face('f2')]) == [Match('f2', 'pf2', 1.0)]


def test_a_clock_that_jumps_back_forgets_everybody():
    persons = Persons()
    persons.update(10.0, [face('f1')])
    assert persons.update(5.0, [face('f2')]) == [Match('f1', 'pf1', 0.0), Match('f2', 'pf2', 1.0)]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(0.0, 1.0), st.dictionaries(st.integers(1, 30), st.floats(0, 640), max_size=4)
        ),
        max_size=30,
    )
)
def test_likelihoods_of_newcomers_sum_to_one_and_few_persons_are_remembered(images):
    persons, stamp, former = Persons(memory=1.0), 0.0, set()
    for step, places in images:
        stamp += step
        known = {person.face for person in persons.known}
        matches = persons.update(stamp, [face(f'f{n}', x) for n, x in places.items()])
        assert all(0.0 <= match.likelihood <= 1.0 for match in matches)
        for name in {match.face for match in matches if match.likelihood} - known - former:
            shares = [match.likelihood for match in matches if match.face == name]
            assert sum(shares) == pytest.approx(1.0)
        former |= known
        present = {person.face for person in persons.known if person.present}
        assert present == {f'f{n}' for n in places}


def test_stamps_that_stand_still_do_not_fill_the_memory():
    persons = Persons()
    for number in range(100):
        persons.update(0.0, [face(f'f{number}')])
    assert len(persons.known) <= 18


@given(angle=st.floats(0.0, 1.5), cone=st.floats(0.02, 1.0), error=st.floats(0.002, 0.6))
def test_the_probability_of_a_cone_is_a_noncentral_chi_square(angle, cone, error):
    expected = ncx2.cdf((cone / error) ** 2, 2, (angle / error) ** 2)
    assert within_cone(angle, cone, error) == pytest.approx(expected, abs=2e-3)


def test_a_frontal_face_points_at_the_camera_and_one_turned_by_45_degrees_does_not():
    error = math.radians(3)
    for position in (None, np.array([0.0, 0.0, 1.0])):
        ahead = face(position=position, error=error)
        aside = face(position=position, error=error, rotation=yawed(math.radians(45)))
        assert points_at(ahead, CAMERA, CONE) > 0.999
        assert points_at(aside, CAMERA, CONE) < 1e-6


def test_a_face_aside_of_the_axis_must_turn_to_point_at_the_camera():
    place, error = np.array([1.0, 0.0, 1.0]), math.radians(3)
    assert points_at(face(position=place, error=error), CAMERA, CONE) < 1e-6
    # 45 degrees towards the image's left: where the camera is.
    towards = face(position=place, error=error, rotation=yawed(math.radians(45)))
    assert points_at(towards, CAMERA, CONE) > 0.999


def test_a_named_place_is_pointed_at_by_who_turns_there():
    place, error = np.array([0.0, 0.0, 1.0]), math.radians(3)
    screen = np.array([-1.0, 0.0, 0.0])
    assert points_at(face(position=place, error=error), screen, CONE) < 1e-6
    towards = face(position=place, error=error, rotation=yawed(math.radians(45)))
    assert points_at(towards, screen, CONE) > 0.999


def test_what_is_not_known_has_no_probability():
    place = np.array([0.0, 0.0, 1.0])
    assert math.isnan(points_at(face(), np.array([0.0, 1.0, 0.0]), CONE))
    assert math.isnan(points_at(face(position=place), None, CONE))
    assert math.isnan(points_at(face(position=place), place, CONE))


def test_a_pose_that_is_less_certain_gives_a_probability_nearer_to_chance():
    one = [points_at(face(error=math.radians(e)), CAMERA, CONE) for e in (3, 10, 30)]
    assert one[0] > 0.99 > one[1] > 0.6 > one[2]
    unknown = points_at(face(), CAMERA, CONE)
    assert points_at(face(error=math.radians(5)), CAMERA, CONE) == pytest.approx(unknown)


def test_turning_about_its_own_axis_makes_a_direction_no_less_certain():
    rolled = face()
    rolled.covariance[3:, 3:] = np.diag([0.0, 0.0, 1.0])  # about the optical axis
    assert points_at(rolled, CAMERA, CONE) == pytest.approx(1.0)


def test_a_place_that_is_less_certain_widens_the_direction_of_a_near_target():
    near = face(position=np.array([0.0, 0.0, 0.5]), error=math.radians(2))
    unsure = replace(near, covariance=near.covariance.copy())
    unsure.covariance[:3, :3] = np.eye(3) * 0.2**2
    assert points_at(unsure, CAMERA, CONE) < points_at(near, CAMERA, CONE) - 0.1


@given(st.lists(st.floats(-1.5, 1.5), min_size=1, max_size=30))
def test_durations_grow_while_attention_stays_and_begin_anew_when_it_changes(angles):
    attention, last = Attention(CONE), None
    for step, angle in enumerate(angles):
        turned = face(rotation=yawed(angle), error=0.05)
        (now,) = attention.update(0.1 * step, [turned], {'camera': CAMERA})
        assert now.attending or now.probability < 0.6
        assert not now.attending or now.probability >= 0.4
        if last is not None and last.attending == now.attending:
            assert now.duration == pytest.approx(last.duration + 0.1)
        else:
            assert now.duration == 0.0
        last = now


def test_attention_of_who_is_gone_is_forgotten():
    attention = Attention(CONE)
    attention.update(0.0, [face()], {'camera': CAMERA})
    attention.update(1.0, [], {'camera': CAMERA})
    (back,) = attention.update(2.0, [face()], {'camera': CAMERA})
    assert (back.attending, back.duration) == (True, 0.0)
    (before,) = attention.update(1.0, [face()], {'camera': CAMERA})
    assert before.duration == 0.0


def test_targets_are_different_names():
    assert AttentionOptions(targets=('camera', 'screen')).targets == ('camera', 'screen')
    for wrong in (('screen', 'screen'), ('',), ()):
        with pytest.raises(ParameterProblem, match='parameter targets'):
            AttentionOptions(targets=wrong)


def test_engagement_begins_is_there_ends_and_is_over():
    engagement = Engagement(dwell=2.0)
    assert engagement.update(False, 0.0) is Level.DISENGAGED
    assert engagement.update(True, 0.0) is Level.ENGAGING
    assert engagement.update(True, 1.9) is Level.ENGAGING
    assert engagement.update(True, 2.0) is Level.ENGAGED
    assert engagement.update(False, 0.0) is Level.DISENGAGING
    assert engagement.update(True, 0.0) is Level.ENGAGED
    assert engagement.update(False, 0.5) is Level.DISENGAGING
    assert engagement.update(False, 2.0) is Level.DISENGAGED
    assert engagement.update(True, 0.5) is Level.ENGAGING


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 5)), max_size=30))
def test_nobody_is_engaged_who_never_attended_for_the_dwell(steps):
    engagement, long_enough = Engagement(dwell=2.0), False
    for attending, duration in steps:
        long_enough = long_enough or (attending and duration >= 2.0)
        level = engagement.update(attending, duration)
        assert long_enough or level in (Level.ENGAGING, Level.DISENGAGED)
