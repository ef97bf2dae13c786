import json
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from headpose_ros import DEFAULT_MODEL
from headpose_ros.geometry.face_shape import mean_face
from headpose_ros.geometry.rotations import FRONTAL, face_from_aligned, matrix_from_aflw
from headpose_ros.models.weights import load_model
from headpose_ros.perception.faces import Face
from headpose_ros.perception.infer import FaceNetwork

from headpose_training.data.augment import mirrored_landmarks, thinned
from headpose_training.data.formats import read_faces
from headpose_training.errors import TrainingError
from headpose_training.metrics.estimates import estimate_of, estimate_of_changed
from headpose_training.metrics.pose import geodesic_deg
from headpose_training.studies import annotation, pose_labels, symmetry, tracking
from headpose_training.studies import zero_pitch as zero_poses
from headpose_training.studies.landmark_to_pose import landmark_to_pose
from headpose_training.studies.low_resolution import low_resolution
from headpose_training.studies.pnp import CAMERA, SUBSETS, solve_pose
from headpose_training.studies.zero_pitch import zero_pitch


def seen(pose, distance=1.2):
    """Return (68, 2) px of the mean face before the camera of the studies."""
    turn = cv2.Rodrigues(face_from_aligned(pose))[0]
    return cv2.projectPoints(mean_face(), turn, np.array([0, 0, distance]), CAMERA, None)[0][:, 0]


@pytest.mark.parametrize('subset', SUBSETS)
@pytest.mark.parametrize('angles', [(0, 0, 0), (10, -40, 20), (-25, 75, 0)])
def test_solves_the_pose_of_the_mean_face(subset, angles):
    pose = matrix_from_aflw(np.radians(angles))
    assert geodesic_deg(solve_pose(seen(pose), subset)[None], pose[None])[0] < 0.01


def test_a_face_of_another_depth_is_held_wrongly():
    pose = matrix_from_aflw(np.radians([0, 40, 0]))
    solved = solve_pose(seen(pose), stretch=(1.4, 1, 1))
    assert geodesic_deg(solved[None], pose[None])[0] > 3


@pytest.fixture(scope='module')
def poses(real_faces, tmp_path_factory):
    folder = tmp_path_factory.mktemp('landmark_to_pose')
    landmark_to_pose(real_faces, folder)
    return folder


def test_landmark_to_pose_shows_what_hurts(poses):
    rows = json.loads((poses / 'landmark_to_pose.json').read_text())['rows']
    errors = {(r['study'], r['points'], r['value']): r['geodesic']['value'] for r in rows}
    assert errors['points', '68', 0] < 3
    assert errors['jitter', '68', 10] > errors['jitter', '68', 0]
    assert errors['jitter', '6', 10] > 2 * errors['jitter', '68', 10]
    assert errors['width', '68', 1.4] > errors['width', '68', 1.0]
    assert errors['depth', '68', 0.6] > errors['depth', '68', 1.0]


def test_landmark_to_pose_writes_table_and_plot(poses):
    table = (poses / 'landmark_to_pose.md').read_text()
    assert '| jitter 10 px | 68 |' in table
    assert '| width x 0.6 | 68 |' in table
    assert (poses / 'landmark_to_pose.png').stat().st_size > 5000


def test_landmark_to_pose_repeats_itself(poses, real_faces, tmp_path):
    landmark_to_pose(real_faces, tmp_path)
    name = 'landmark_to_pose.json'
    assert (tmp_path / name).read_text() == (poses / name).read_text()


@pytest.mark.parametrize('study', [landmark_to_pose, low_resolution])
def test_faces_without_pose_labels_are_refused(study, tmp_path, monkeypatch):
    module = 'low_resolution' if study is low_resolution else 'landmark_to_pose'
    monkeypatch.setattr(f'headpose_training.studies.{module}.read_faces', lambda *_: [])
    with pytest.raises(TrainingError, match='no face of'):
        study(tmp_path, tmp_path)


@pytest.mark.parametrize(('factor', 'left'), [(1, 128), (5, 26), (15, 9)])
def test_coarse_pictures_keep_few_pixels_and_their_place(factor, left):
    ramp = np.repeat(np.arange(128, dtype=np.uint8)[None, :, None], 128, axis=0).repeat(3, axis=2)
    coarsened = thinned(ramp, factor)
    assert len(np.unique(coarsened)) == left
    shift = coarsened.astype(float) - ramp
    assert abs(shift.mean()) <= 1
    assert np.abs(shift).max() <= factor


@pytest.mark.parametrize('margin', [1.35, 1.8])
def test_without_loss_the_network_sees_what_it_always_sees(margin, real_faces):
    model = load_model(DEFAULT_MODEL)
    network = FaceNetwork(replace(model, spec=replace(model.spec, margin=margin)), 'cpu')
    face = read_faces('real_faces', real_faces, ('afw',))[0]
    same = estimate_of_changed(network, face, lambda crop: thinned(crop, 1))
    usual = estimate_of(network, face)
    assert same.landmarks == pytest.approx(usual.landmarks, abs=0.05)
    assert same.landmark_error == pytest.approx(usual.landmark_error, rel=1e-3)
    assert same.rotation == pytest.approx(usual.rotation, abs=1e-3)


def test_low_resolution_writes_a_line_per_method_and_factor(real_faces, tmp_path):
    low_resolution(real_faces, tmp_path)
    content = json.loads((tmp_path / 'low_resolution.json').read_text())
    lines = [(row['method'], row['factor'], row['pixels']) for row in content['rows']]
    assert len(lines) == len(set(lines)) == 8
    assert ('network', 15, 9) in lines
    assert ('solvePnP from its landmarks', 5, 26) in lines
    nme = {row['factor']: row['nme']['value'] for row in content['rows'] if row['nme']}
    assert nme[15] > 2 * nme[1]
    assert (
        f'| {DEFAULT_MODEL} | network | x15 | 9 |' in (tmp_path / 'low_resolution.md').read_text()
    )
    assert (tmp_path / 'low_resolution.png').stat().st_size > 5000


@pytest.mark.parametrize('raised', [0.0, 7.0])
def test_heads_whose_zero_pose_looks_up_are_found_out(raised, real_faces, tmp_path, monkeypatch):
    upward = matrix_from_aflw(np.radians([raised, 0.0, 0.0]))
    landmarks = mean_face() @ FRONTAL.T @ upward.T @ FRONTAL

    class Heads:
        name = 'statue'

        def sample(self, rng):
            return self

        def mesh(self, expression):
            return SimpleNamespace(landmarks=landmarks)

    monkeypatch.setattr(zero_poses, 'load_heads', lambda path: [Heads()])
    monkeypatch.setattr(zero_poses, '_FRONTAL_DEG', 60.0)
    zero_pitch(real_faces, tmp_path, heads=2)
    rows = json.loads((tmp_path / 'zero_pitch.json').read_text())['rows']
    assert [row['points'] for row in rows] == ['51', '68']
    for row in rows:
        assert row['pitch']['value'] == pytest.approx(raised, abs=0.3)
        assert row['yaw']['value'] == pytest.approx(0.0, abs=0.3)


def test_switched_swapped_missed_and_invented_ids_are_counted():
    def face(name, x):
        return Face(name, np.array([x, 0, 10, 10]), np.eye(3), *np.zeros((3, 0)), confidence=1.0)

    def truth(*places):
        return [tracking._Truth(np.array([x, 0, 10, 10.0]), seen) for x, seen in places]

    score, both = tracking._Score(), truth((0, 1.0), (100, 1.0))
    for time in (0.0, 1.0):
        tracking._count(score, [face('f1', 0), face('f2', 100)], both, time)
    tracking._count(score, [face('f2', 0), face('f3', 100)], both, 2.0)
    tracking._count(score, [face('f2', 1), face('f4', 300)], both, 3.0)
    # Nobody can be expected to see who is covered, or has just come into sight.
    tracking._count(score, [], truth((0, 0.1), (100, 0.1)), 4.0)
    tracking._count(score, [], both, 4.1)
    assert score.counts == {
        'faces': 6, 'missed': 1, 'switches': 2, 'swaps': 1, 'reported': 8, 'false': 1
    }  # fmt: skip


def test_marks_beside_the_labels_are_told_for_both_halves_of_the_face(monkeypatch):
    shape = mean_face()[:, 1:] * [1000.0, -1000.0]
    eyes = np.linalg.norm(shape[45] - shape[36])
    inward = np.zeros((68, 2))
    inward[[36, 45]] = [[0.03 * eyes, 0], [-0.03 * eyes, 0]]  # to the right is inward for the right
    inward[[31, 35]] = [0, -0.02 * eyes]  # up
    turned = []
    for angle in (-0.4, 0.0, 0.3):
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        labels, seen = shape @ turn, (shape + inward) @ turn
        turned.append(SimpleNamespace(landmarks=labels, seen=seen))
    lost = SimpleNamespace(landmarks=shape, seen=shape + eyes)
    monkeypatch.setattr(
        annotation, 'estimate_of', lambda _, face: SimpleNamespace(landmarks=face.seen)
    )
    aside = annotation.beside(None, [*turned, lost])
    expected = np.zeros((68, 2))
    expected[[36, 45]], expected[[31, 35]] = [3.0, 0.0], [0.0, 2.0]
    np.testing.assert_allclose(aside, expected, atol=1e-6)


def test_labels_that_are_shifted_against_their_pictures_are_told_from_a_leaning_network():
    rng = np.random.default_rng(0)
    true = rng.uniform(40, 240, (50, 68, 2))
    right = np.array([1.0, 0.0])
    leaning = np.stack([true + 0.4 * right, true - 0.4 * right], axis=1)
    found = symmetry._measures(leaning, true + 1.5 * right)
    assert found['lean']['value'] == pytest.approx(0.4)
    assert found['right']['value'] == pytest.approx(1.5)
    assert found['moved']['value'] < found['given']['value']
    again = mirrored_landmarks(mirrored_landmarks(true[0], 287), 287)
    np.testing.assert_allclose(again, true[0])


def test_labels_that_turn_heads_less_than_they_are_turned_are_told(monkeypatch, tmp_path):
    rng = np.random.default_rng(0)
    angles = rng.uniform(-0.6, 0.6, (400, 3))

    def faces(format, folder, sets=()):
        scale = [0.7, 1.0, 1.0] if format == 'real_faces' else [1.0, 1.0, 1.0]
        turned = [(seen(matrix_from_aflw(a)), matrix_from_aflw(a * scale)) for a in angles]
        return [SimpleNamespace(landmarks=points, rotation=r) for points, r in turned]

    monkeypatch.setattr(pose_labels, 'read_faces', faces)
    pose_labels.pose_labels(tmp_path, tmp_path, tmp_path, tmp_path, steps=400)
    own, other = json.loads((tmp_path / 'pose_labels.json').read_text())['rows']
    assert own['photographs']['value'] < 2.0 < other['photographs']['value']
    assert own['spread of pitch'] == pytest.approx(1.0, abs=0.05)
    assert other['spread of pitch'] == pytest.approx(0.7, abs=0.05)
    assert other['spread of yaw'] == pytest.approx(1.0, abs=0.05)
