"""`mnn_direct`: its patches, its covariance, and labels of eyes that turn with the picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from headpose_ros.geometry.crop import CropWindow
from headpose_ros.models.mnn_direct import MnnDirect, covariance_of
from headpose_ros.models.outputs import chance_near
from headpose_ros.perception.backends.deployed import readings
from scipy.spatial.transform import Rotation

from headpose_training.data.augment import mirror
from headpose_training.data.formats import read_faces
from headpose_training.data.labelled_crop import Eyes, cut
from headpose_training.systems import losses
from headpose_training.systems.mnn_direct import MnnDirectSystem


def sampled_alone(features, points, first, last):
    """Return what bilinear sampling in the corners' own axes gives, one sample after the other."""
    across = last - first
    below = np.array([-across[1], across[0]])
    values = []
    for row in np.linspace(-0.5, 0.5, 5) * 1.5 * 0.7:
        for column in np.linspace(-0.5, 0.5, 7) * 1.5:
            x, y = ((first + last) / 2 + column * across + row * below) * 32 - 0.5
            values.append(3.0 * x - 2.0 * y)  # a plane: bilinear interpolation is exact
    return np.array(values)


def test_patches_lie_in_the_axes_of_their_corners():
    network = MnnDirect().eval()
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing='ij')
    plane = (3 * x - 2 * y).expand(1, 32, 32, 32)
    points = torch.full((1, 68, 2), 0.5)
    corners = {36: (0.30, 0.40), 39: (0.45, 0.45), 42: (0.55, 0.45), 45: (0.7, 0.38)}
    corners |= {48: (0.40, 0.70), 54: (0.62, 0.74)}
    for index, place in corners.items():
        points[0, index] = torch.tensor(place)
    found = network._patches(plane, points)[0].reshape(3, 32, 35)[:, 0].numpy()
    for patch, pair in zip(found, ((36, 39), (42, 45), (48, 54)), strict=True):
        first, last = (np.array(corners[i]) for i in pair)
        np.testing.assert_allclose(patch, sampled_alone(plane, points, first, last), atol=1e-3)


def test_a_covariance_has_the_size_that_is_usual_and_no_negative_axis():
    torch.manual_seed(0)
    start = covariance_of(torch.zeros(1, 6))[0]
    np.testing.assert_allclose(start.numpy(), np.eye(3) * np.exp(-5.0), rtol=1e-5)
    assert torch.linalg.eigvalsh(covariance_of(torch.randn(50, 6))).min() > 0


def test_the_likelihood_is_best_at_the_covariance_of_the_errors():
    rng = np.random.default_rng(0)
    true = np.array([[0.02, 0.008, 0.0], [0.008, 0.01, 0.002], [0.0, 0.002, 0.004]])
    errors = rng.multivariate_normal(np.zeros(3), true, 20000)
    turns = torch.tensor(Rotation.from_rotvec(errors).as_matrix())
    predicted = torch.tensor(Rotation.random(20000, rng=1).as_matrix())

    def likelihood(covariance):
        expected = torch.tensor(covariance).expand(20000, 3, 3)
        return float(losses.covariance(expected, predicted, turns @ predicted))

    best = likelihood(true)
    for other in (0.7 * true, 1.4 * true, np.diag(np.diag(true)), true[::-1, ::-1].copy()):
        assert likelihood(other) > best + 0.01


@pytest.mark.parametrize('degrees', [0.0, 0.01, 30.0, 170.0])
def test_rotation_vectors_agree_with_scipy(degrees):
    vectors = np.radians(degrees) * np.array([[1.0, 0, 0], [0.6, -0.8, 0], [0.48, 0.6, 0.64]])
    rotations = torch.tensor(Rotation.from_rotvec(vectors).as_matrix())
    np.testing.assert_allclose(losses.rotation_vector(rotations).numpy(), vectors, atol=1e-6)


def test_confidence_is_the_chance_of_lying_near():
    out = MnnDirect().eval()(torch.zeros(1, 3, 128, 128))
    given = readings(out)
    assert 'confidence' in given
    draws = torch.distributions.Exponential(1 / 0.05).sample((100000,))
    near = float((draws < 1 / 16).float().mean())
    assert float(chance_near(torch.tensor(0.05))) == pytest.approx(near, abs=0.01)
    assert ((given['eye_seen'] >= 0) & (given['eye_seen'] <= 1)).all()


@pytest.fixture
def face(real_faces):
    known = read_faces('real_faces', real_faces)[0]
    gaze = np.array([[0.1, 0.2, -1.0], [0.3, 0.1, -1.0]])
    gaze /= np.linalg.norm(gaze, axis=1, keepdims=True)
    iris = known.landmarks[[37, 44]] + 1.0
    return replace(known, gaze=gaze, iris=iris, iris_visible=np.array([True, True]))


def test_eyes_turn_with_the_crop(face):
    window = CropWindow.around_landmarks(face.landmarks, 0.5)
    eyes = cut(face, window, 128).eyes
    turn = Rotation.from_euler('z', -0.5).as_matrix()
    np.testing.assert_allclose(eyes.gaze, face.gaze @ turn.T)
    upright = cut(face, CropWindow.around_landmarks(face.landmarks), 128).eyes
    np.testing.assert_allclose(upright.gaze, face.gaze)


def test_a_mirrored_crop_has_mirrored_eyes(face):
    crop = cut(face, CropWindow.around_landmarks(face.landmarks), 128)
    eyes = mirror(crop).eyes
    np.testing.assert_allclose(eyes.gaze[0], crop.eyes.gaze[1] * [-1, 1, 1])
    np.testing.assert_allclose(eyes.iris[1], [1 - crop.eyes.iris[0, 0], crop.eyes.iris[0, 1]])
    twice = mirror(mirror(crop)).eyes
    np.testing.assert_allclose(twice.iris, crop.eyes.iris)


def test_an_eye_that_is_covered_is_not_seen_and_looks_nowhere(face):
    eyes = cut(face, CropWindow.around_landmarks(face.landmarks), 128).eyes
    covered = eyes.hidden(np.array([True, False]))
    assert covered.seen.tolist() == [0, 1]
    assert np.isnan(covered.gaze[0]).all()
    assert np.isnan(covered.iris[0]).all()
    assert np.isfinite(covered.gaze[1]).all()
    assert np.isnan(Eyes().hidden(np.array([True, True])).seen).all()


def test_unknown_eyes_teach_nothing():
    torch.manual_seed(0)
    system = MnnDirectSystem()
    batch = {
        'image': torch.randn(4, 3, 128, 128),
        'points': torch.rand(4, 68, 2),
        'rotation': torch.eye(3).expand(4, 3, 3).contiguous(),
        'visible': torch.ones(4, 68),
        'weight': torch.ones(4, 68),
        'openness': torch.rand(4, 3),
        'face': torch.ones(4),
        'gaze': torch.full((4, 2, 3), torch.nan),
        'iris': torch.full((4, 2, 2), torch.nan),
        'eye_seen': torch.full((4, 2), torch.nan),
    }
    parts = system.losses(batch)
    for name in ('gaze', 'gaze_error', 'iris', 'eye_seen'):
        assert float(parts[name].detach()) == 0
    assert torch.stack(list(parts.values())).isfinite().all()
