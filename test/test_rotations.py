"""Golden tests of every rotation convention."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from headpose_ros.geometry import rotations as rot

ANGLES = st.tuples(*[st.floats(-1.5, 1.5)] * 3)
VECTORS = st.tuples(*[st.floats(-3.0, 3.0)] * 3)


def rx(a):
    return np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])


def ry(a):
    return np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])


def rz(a):
    return np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])


def test_frontal_face_is_rep_155_in_rep_103():
    expected = [[0, 1, 0], [0, 0, -1], [-1, 0, 0]]
    assert rot.face_from_aligned(np.eye(3)) == pytest.approx(np.array(expected))


@given(ANGLES)
def test_aflw_is_rx_minus_pitch_ry_yaw_rz_roll(angles):
    pitch, yaw, roll = angles
    expected = rx(-pitch) @ ry(yaw) @ rz(roll)
    assert rot.matrix_from_aflw(angles) == pytest.approx(expected, abs=1e-12)
    assert rot.aflw_from_matrix(expected) == pytest.approx(np.array(angles), abs=1e-6)


@given(ANGLES)
def test_mnn_is_ry_minus_yaw_rx_minus_pitch_rz_roll(angles):
    pitch, yaw, roll = angles
    expected = ry(-yaw) @ rx(-pitch) @ rz(roll)
    assert rot.matrix_from_mnn_euler(angles) == pytest.approx(expected, abs=1e-12)
    assert rot.mnn_euler_from_matrix(expected) == pytest.approx(np.array(angles), abs=1e-6)


def test_stacks_keep_their_shape():
    angles = np.zeros((2, 5, 3))
    assert rot.matrix_from_aflw(angles).shape == (2, 5, 3, 3)
    assert rot.aflw_from_matrix(rot.matrix_from_aflw(angles)).shape == (2, 5, 3)


@pytest.mark.parametrize(
    ('angles', 'axis', 'row', 'sign'),
    [
        ((0.3, 0, 0), 0, 1, -1),  # looking up: the nose points to smaller image y
        ((0, 0.3, 0), 0, 0, -1),  # +yaw: the nose points to the image's left
        ((0, 0, 0.3), 2, 0, +1),  # +roll: the top of the head leans to the image's right
    ],
)
def test_signs_as_seen_in_the_image(angles, axis, row, sign):
    face = rot.face_from_aligned(rot.matrix_from_aflw(angles))
    assert np.sign(face[row, axis]) == sign


def test_in_plane_adds_to_roll():
    turned = rot.in_plane(0.2) @ rot.matrix_from_aflw([0, 0, 0.3])
    assert rot.aflw_from_matrix(turned) == pytest.approx([0, 0, 0.5])


@given(
    st.floats(-3.1, 3.1),
    st.floats(-1.5, 1.5),
    st.floats(-2.5, 2.5),
)
def test_in_plane_angle_is_steady_at_any_yaw(turn, pitch, yaw):
    head = rot.in_plane(turn) @ rot.matrix_from_aflw([pitch, yaw, 0])
    assert rot.in_plane_angle(head) == pytest.approx(turn)


@given(VECTORS)
def test_toward_turns_the_optical_axis_by_the_shortest_way(direction):
    sight = np.array([*direction[:2], abs(direction[2]) + 0.01])
    sight = sight / np.linalg.norm(sight)
    turn = rot.toward(sight)
    assert turn @ [0, 0, 1] == pytest.approx(sight)
    assert turn @ turn.T == pytest.approx(np.eye(3), abs=1e-9)
    assert rot.geodesic(np.eye(3), turn) == pytest.approx(np.arccos(min(sight[2], 1)), abs=1e-6)


def test_toward_golden():
    right = [np.sqrt(0.5), 0, np.sqrt(0.5)]
    assert rot.toward(right) == pytest.approx(ry(np.pi / 4))
    assert rot.toward([0, 0, 1]) == pytest.approx(np.eye(3))


@given(ANGLES)
def test_mirror_negates_yaw_and_roll(angles):
    pitch, yaw, roll = angles
    expected = rot.matrix_from_aflw([pitch, -yaw, -roll])
    assert rot.mirrored(rot.matrix_from_aflw(angles)) == pytest.approx(expected, abs=1e-12)


@given(VECTORS, VECTORS)
def test_geodesic_is_a_metric_that_ignores_the_camera(a, b):
    A, B = Rotation.from_rotvec(a).as_matrix(), Rotation.from_rotvec(b).as_matrix()
    turn = Rotation.from_rotvec([0.4, -1.0, 0.2]).as_matrix()
    assert rot.geodesic(A, A) == pytest.approx(0, abs=1e-6)
    assert rot.geodesic(A, B) == pytest.approx(rot.geodesic(B, A), abs=1e-6)
    assert rot.geodesic(turn @ A, turn @ B) == pytest.approx(rot.geodesic(A, B), abs=1e-6)


@pytest.mark.parametrize('degrees', [0.0, 1e-3, 5.0, 90.0, 179.0])
def test_geodesic_golden(degrees):
    assert np.degrees(rot.geodesic(np.eye(3), ry(np.radians(degrees)))) == pytest.approx(degrees)


def test_reading_one_factorisation_as_the_other_costs_degrees():
    rng = np.random.default_rng(0)
    true = np.radians(rng.normal(0, [20, 35, 20], (4000, 3)))
    misread = rot.mnn_euler_from_matrix(rot.matrix_from_aflw(true)) * [1, -1, 1]
    assert np.degrees(np.abs(misread - true)).mean() > 2.0


def test_constant_offset_is_found():
    target = Rotation.random(40, rng=3).as_matrix()
    offset = Rotation.from_euler('yx', [4, -7], degrees=True).as_matrix()
    assert rot.constant_offset(target @ offset.T, target) == pytest.approx(offset, abs=1e-9)


def test_quaternion_is_xyzw_with_positive_w():
    assert rot.quaternion_from_matrix(np.eye(3)) == pytest.approx([0, 0, 0, 1])
    _, _, z, w = rot.quaternion_from_matrix(rz(np.radians(-350)))
    assert w > 0
    assert z == pytest.approx(np.sin(np.radians(5)))


#: Any rotations, those by 0 and 180 degrees about each axis among them, where formulas break.
TURNS = st.one_of(
    st.integers(0, 2**32 - 1).map(lambda seed: Rotation.random(rng=seed).as_matrix()),
    st.sampled_from([np.eye(3), *(2 * np.outer(axis, axis) - np.eye(3) for axis in np.eye(3))]),
    VECTORS.map(lambda vector: Rotation.from_rotvec(1e-7 * np.array(vector)).as_matrix()),
)


@given(TURNS, TURNS, st.floats(0, 1))
def test_our_rotations_are_those_of_scipy(first, second, share):
    one, other = Rotation.from_matrix(first), Rotation.from_matrix(second)
    assert rot.geodesic(first, second) == pytest.approx((one.inv() * other).magnitude(), abs=1e-9)
    quaternion = rot.quaternion_from_matrix(first)
    assert quaternion[3] >= 0
    assert abs(quaternion @ one.as_quat()) == pytest.approx(1)
    assert rot.matrix_from_quaternion(3 * quaternion) == pytest.approx(first, abs=1e-9)
    if rot.geodesic(first, second) < np.pi - 1e-3:  # else there are two shortest ways
        middle = Slerp([0, 1], Rotation.concatenate([one, other]))(share).as_matrix()
        assert rot.between(first, second, share) == pytest.approx(middle, abs=1e-7)


@pytest.mark.parametrize('sign', [-1, 1])
@given(st.floats(-1.5, 1.5))
def test_at_gimbal_lock_roll_is_zero_and_the_rotation_is_kept(sign, other):
    locked = rot.matrix_from_aflw([other, sign * np.pi / 2, 0.3])
    found = rot.aflw_from_matrix(locked)
    assert found[2] == 0
    assert rot.matrix_from_aflw(found) == pytest.approx(locked, abs=1e-6)
    locked = rot.matrix_from_mnn_euler([sign * np.pi / 2, other, 0.3])
    found = rot.mnn_euler_from_matrix(locked)
    assert found[2] == 0
    assert rot.matrix_from_mnn_euler(found) == pytest.approx(locked, abs=1e-6)


@pytest.mark.parametrize('last', [0, np.nan, np.inf, -np.inf])
def test_a_quaternion_of_no_length_is_refused(last):
    with pytest.raises(ValueError, match='no length'):
        rot.matrix_from_quaternion([0, 0, 0, last])


@pytest.mark.parametrize('length', [5e-324, 1e-200, 1.0, 1e200, 1.7e308])
def test_a_quaternion_of_any_length_is_a_rotation(length):
    found = rot.matrix_from_quaternion([length, 0, 0, length])
    assert found == pytest.approx(np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]), abs=1e-12)
