from __future__ import annotations

import numpy as np
import pytest

from headpose_ros.geometry import landmarks
from headpose_ros.geometry.face_shape import mean_face


@pytest.mark.parametrize(
    ('point', 'partner'),
    [
        *[(0, 16), (7, 9), (8, 8), (17, 26), (27, 27), (30, 30), (31, 35), (33, 33), (36, 45)],
        *[(37, 44), (39, 42), (41, 46), (48, 54), (51, 51), (57, 57), (60, 64), (62, 62), (67, 65)],
    ],
)
def test_mirror_golden(point, partner):
    assert landmarks.MIRROR[point] == partner
    assert landmarks.MIRROR[partner] == point


def test_mirror_is_an_involution():
    assert (landmarks.MIRROR[landmarks.MIRROR] == np.arange(68)).all()


def test_groups_cover_every_point_once():
    assert sorted(i for group in landmarks.GROUPS.values() for i in group) == list(range(68))


def test_mean_face_is_in_the_face_frame():
    face = mean_face()
    assert face[landmarks.SELLION] == pytest.approx(np.zeros(3))
    assert face[45, 1] > 0.03  # the left eye is to the person's left, +y
    assert face[8, 2] < -0.08  # the chin is below, -z
    assert face[30, 0] > 0.01  # the tip of the nose is in front, +x
    right, left = landmarks.OUTER_EYE_CORNERS
    assert 0.08 < np.linalg.norm(face[left] - face[right]) < 0.10


def test_mean_face_is_symmetric():
    mirrored = mean_face()[landmarks.MIRROR] * [1, -1, 1]
    assert mirrored == pytest.approx(mean_face(), abs=2e-5)


def test_mean_face_cannot_be_changed_by_accident():
    with pytest.raises(ValueError, match='read-only'):
        mean_face()[0, 0] = 1.0
