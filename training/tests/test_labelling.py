"""Labels for photographs that have none: conventions, agreement, terms, interruptions."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from headpose_ros.geometry.crop import CropWindow
from headpose_ros.geometry.landmarks import MIRROR
from headpose_ros.geometry.rotations import geodesic, in_plane, matrix_from_aflw

from headpose_training.data.drawn_faces import project
from headpose_training.data.formats import read_faces
from headpose_training.data.module import FaceData
from headpose_training.data.readers.labelled import read_about
from headpose_training.errors import TrainingError
from headpose_training.labelling import command, opinions
from headpose_training.labelling.command import label
from headpose_training.labelling.conventions import (
    Upright,
    fit,
    in_convention,
    mesh_rotations,
)
from headpose_training.labelling.merge import MergeConfig, merge
from headpose_training.labelling.opinions import Opinions
from headpose_training.labelling.teachers import FREE, RESEARCH, Look, NetworkTeacher
from headpose_training.labelling.views import views

SIZE = 160
TERMS = 'CC0; drawn by a test'


def poses(count, seed=0):
    rng = np.random.default_rng(seed)
    angles = rng.normal(0, [10, 25, 10], (count, 3))
    return np.stack([matrix_from_aflw(np.radians(a)) for a in angles])


def marked(rotations):
    """Return (N, 68, 2) px of drawn faces of these poses, in pictures of `SIZE`."""
    return np.stack([project(rotation) for rotation in rotations])


def opinions_of(points, rotations, **more):
    count = len(points)
    given = {
        'points': points,
        'spread': np.ones((count, 68)),
        'depth': np.zeros((count, 68)),
        'rotation': rotations,
        'rotation_spread': np.zeros(count),
        'iris': np.full((count, 2, 2), np.nan),
        'visibility': np.ones((count, 68)),
    }
    return Opinions(**(given | more))


def habit(points, rotations):
    """Return points as a teacher marks them whose jaw moves with the yaw, on upright faces."""
    moved = points.copy()
    for i, rotation in enumerate(rotations):
        shift = np.zeros((68, 2))
        shift[:17, 0] = 0.02 + 0.03 * np.arcsin(rotation[0, 2])
        moved[i] += Upright.of(points[i], rotation).outside(shift)
    return moved


def test_views_lead_back_to_the_photograph():
    image = np.zeros((100, 120, 3), np.uint8)
    points = np.random.default_rng(1).uniform(20, 80, (68, 2))
    rotation = matrix_from_aflw([0.1, 0.4, 0.2])
    seen = views(image, CropWindow(50.0, 40.0, 60.0, 0.3))
    assert {view.mirror for view in seen} == {False, True}
    for view in seen:
        there = points[MIRROR] * [-1, 1] + [119, 0] if view.mirror else points
        np.testing.assert_allclose(view.landmarks_in_photograph(there), points)
    flipped = next(view for view in seen if view.mirror)
    np.testing.assert_allclose(
        flipped.rotation_in_photograph(flipped.rotation_in_photograph(rotation)), rotation
    )
    # The mirror image of a window that is turned clockwise is turned the other way.
    assert (flipped.window.center_x, flipped.window.angle) == (119.0 - 50.0, -0.3)


def test_a_convention_that_follows_the_yaw_is_removed():
    rotations = poses(300)
    points = marked(rotations)
    other = habit(points, rotations)
    noisy = other + np.random.default_rng(2).normal(0, 0.3, other.shape)
    convention = fit(noisy, points, rotations)
    left = in_convention(other, rotations, convention) - points
    before = np.abs(other - points)[:, :17].mean()
    assert before > 0.8
    assert np.abs(left)[:, :17].mean() < 0.15 * before


def test_teachers_who_never_agree_give_no_convention():
    rotations = poses(80)
    points = marked(rotations)
    elsewhere = points + np.random.default_rng(3).normal(0, 40, points.shape)
    with pytest.raises(ValueError, match='two teachers agree on'):
        fit(elsewhere, points, rotations)


def test_a_shape_without_a_pose_takes_the_zero_of_another_teacher():
    rotations = poses(200)
    shape = np.random.default_rng(4).normal(0, 1, (68, 3))
    solid = shape @ rotations.transpose(0, 2, 1)
    found = mesh_rotations(solid[:, :, :2] * 30 + 80, solid[:, :, 2] * 30, rotations)
    assert np.degrees(geodesic(found, rotations)).max() < 0.1


def test_where_teachers_differ_the_point_is_left_out_and_a_turned_face_whole():
    rotations = poses(120)
    points = marked(rotations)
    other = points + np.random.default_rng(5).normal(0, 0.1, points.shape)
    other[7, 30] += 30
    turned = rotations.copy()
    turned[9] = in_plane(0.6) @ turned[9]
    merged = merge(
        opinions_of(points, rotations), [opinions_of(other, turned)], MergeConfig(turned=25.0)
    )
    assert merged.reliability[7, 30] == 0
    assert merged.reliability[7, 31] == pytest.approx(1)
    assert not merged.usable[9]
    assert merged.usable.sum() == 119
    assert np.degrees(geodesic(merged.rotation[8], rotations[8])) < 0.1


def test_a_face_that_one_teacher_misses_has_no_label():
    rotations = poses(120)
    points = marked(rotations)
    other = points.copy()
    other[3] = np.nan
    merged = merge(opinions_of(points, rotations), [opinions_of(other, rotations)], MergeConfig())
    assert not merged.usable[3]
    assert merged.usable.sum() == 119


class Drawer:
    """A teacher of drawn faces: it knows them by their picture's mean brightness."""

    name, family, terms = 'drawer', FREE, 'CC0'
    asked = 0

    def __init__(self, shift=0.0):
        self.shift = shift

    def __call__(self, seen):
        type(self).asked += 1
        rotation = ROTATIONS[round(float(seen[0].image.mean()))]
        look = Look(
            project(rotation) + self.shift,
            np.zeros(68),
            rotation,
            np.full((2, 2), 50.0),
            np.ones(68),
        )
        return [look] * len(seen)


class Guest(Drawer):
    name, family, terms = 'guest', RESEARCH, 'for research'


ROTATIONS = poses(200)


@pytest.fixture
def photographs(tmp_path, monkeypatch):
    """Write 60 pictures, and let drawn teachers and a fixed window stand for the real ones."""
    folder = tmp_path / 'photographs'
    folder.mkdir()
    for i in range(60):
        cv2.imwrite(str(folder / f'{i:03d}.png'), np.full((SIZE, SIZE, 3), i, np.uint8))
    teachers = {'drawer': Drawer, 'second': lambda: Drawer(0.4), 'guest': Guest}
    for module in (command, opinions):
        monkeypatch.setattr(module, 'opener', teachers.__getitem__)
    monkeypatch.setattr(opinions, 'load_analyzer', lambda *_: None)
    monkeypatch.setattr(opinions, '_window', lambda *_: np.array([80.0, 80.0, 100.0, 0.0]))
    monkeypatch.setattr(opinions, 'SHARD', 25)
    monkeypatch.setattr(Drawer, 'asked', 0)
    return folder


def labelled(photographs, out, **more):
    words = {'reference': 'drawer', 'teachers': ['second']} | more
    label(photographs, out, TERMS, overwrite=True, **words)
    return read_faces('labelled', out)


def test_photographs_are_labelled_and_read_again(photographs, tmp_path):
    faces = labelled(photographs, tmp_path / 'labels')
    assert len(faces) == 60
    face = faces[12]
    assert face.file == photographs / '012.png'
    np.testing.assert_allclose(face.landmarks, project(ROTATIONS[12]), atol=0.5)
    assert np.degrees(geodesic(face.rotation, ROTATIONS[12])) < 0.1
    assert face.reliability.min() > 0.9
    about = read_about(tmp_path / 'labels')
    assert about['photograph_terms'] == TERMS
    assert set(about['teachers']) == {'drawer'}
    assert about['family'] == FREE


def test_interrupted_labelling_goes_on_where_it_stopped(photographs, tmp_path, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(command, 'write_labels', stopped)
        labelled(photographs, tmp_path / 'labels')
    before, Drawer.asked = Drawer.asked, 0
    (tmp_path / 'labels/opinions/second-00001.npz').unlink()
    assert len(labelled(photographs, tmp_path / 'labels')) == 60
    assert before == 120
    assert Drawer.asked == 25


def test_an_unreadable_photograph_has_no_label(photographs, tmp_path):
    (photographs / '030.png').write_bytes(b'no picture')
    faces = labelled(photographs, tmp_path / 'labels')
    assert '030.png' not in {face.name for face in faces}
    assert len(faces) == 59


def test_other_photographs_under_old_opinions_are_refused(photographs, tmp_path):
    labelled(photographs, tmp_path / 'labels')
    (photographs / '000.png').rename(photographs / '0000.png')
    with pytest.raises(TrainingError, match='is of other photographs'):
        labelled(photographs, tmp_path / 'labels')


def test_a_research_teacher_cannot_teach_free_weights(photographs, tmp_path):
    with pytest.raises(TrainingError, match='cannot come from guest'):
        labelled(photographs, tmp_path / 'labels', teachers=['guest'])
    labelled(photographs, tmp_path / 'labels', teachers=['guest'], family=RESEARCH)
    with pytest.raises(TrainingError, match='weights for any use cannot learn from'):
        FaceData(tmp_path / 'labels', 'labelled', (), free=True)


def test_free_recipes_take_free_labels_only(photographs, real_faces, tmp_path):
    labelled(photographs, tmp_path / 'labels')
    FaceData(tmp_path / 'labels', 'labelled', (), free=True)
    with pytest.raises(TrainingError, match='non-commercial research'):
        FaceData(real_faces, free=True)


def test_labels_of_another_version_are_refused(photographs, tmp_path):
    labelled(photographs, tmp_path / 'labels')
    file = tmp_path / 'labels/label.json'
    file.write_text(json.dumps(json.loads(file.read_text()) | {'version': 0}))
    with pytest.raises(TrainingError, match='labels of version 0'):
        read_faces('labelled', tmp_path / 'labels')


def test_a_missing_teacher_is_named(photographs, tmp_path, monkeypatch):
    from headpose_training.labelling import teachers

    monkeypatch.setattr(command, 'opener', teachers.opener)
    monkeypatch.setitem(__import__('sys').modules, 'mediapipe', None)
    with pytest.raises(TrainingError, match='the teacher mediapipe lacks mediapipe: pip install'):
        label(photographs, tmp_path / 'labels', TERMS, reference='mediapipe')


def test_our_network_is_a_teacher_on_the_terms_of_its_card(real_faces):
    face = read_faces('real_faces', real_faces)[0]
    teacher = NetworkTeacher('mnn_lite_free')
    assert teacher.family == FREE
    seen = views(face.read_image(), CropWindow.around_landmarks(face.landmarks))
    looks = teacher(seen)
    spread = np.std([look.points for look in looks], axis=0)
    # Views of one face agree far better than they lie apart in their own windows.
    assert np.linalg.norm(spread, axis=1).mean() < 0.1 * seen[0].window.side
    assert NetworkTeacher('mnn_lite_research').family == RESEARCH
