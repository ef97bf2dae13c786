import numpy as np
import pytest
import torch
from headpose_ros.geometry.rotations import matrix_from_aflw
from scipy.spatial.transform import Rotation

from headpose_training.metrics.landmarks import auc, failure_rate, nme_outer_eyes
from headpose_training.metrics.pose import (
    aligned_geodesic_deg,
    angle_errors_deg,
    geodesic_deg,
)
from headpose_training.systems import losses


def test_geodesic_loss_is_the_angle():
    target = torch.eye(3)[None]
    for degrees in (0.5, 5.0, 90.0, 170.0):
        turned = torch.tensor(Rotation.from_rotvec([0, np.radians(degrees), 0]).as_matrix())[None]
        loss = losses.geodesic(turned.float(), target).item()
        assert np.degrees(loss) == pytest.approx(degrees, 1e-3)


def test_geodesic_loss_has_a_finite_gradient_at_zero():
    rotation = torch.eye(3)[None].requires_grad_()
    losses.geodesic(rotation, torch.eye(3)[None]).backward()
    assert torch.isfinite(rotation.grad).all()


def test_wing_is_continuous_and_grows():
    errors = torch.linspace(0, 30, 3001)
    points = torch.stack([errors, errors], 1)[:, None]
    values = torch.stack([losses.wing(p[None], torch.zeros(1, 1, 2)) for p in points])
    steps = values.diff()
    assert (steps > 0).all()
    assert steps.max() < 0.06


def test_map_cross_entropy_is_least_at_the_true_point():
    target = torch.tensor([[[0.5, 0.25]]])
    cells = (torch.arange(32) + 0.5) / 32

    def log_map(x, y):
        squared = (cells[None] - x) ** 2 + (cells[:, None] - y) ** 2
        return (-squared * 32**2 / 2).flatten().log_softmax(0).view(1, 1, 32, 32)

    weight = torch.ones(1, 1)
    true = losses.map_cross_entropy(log_map(0.5, 0.25), target, weight)
    assert true < losses.map_cross_entropy(log_map(0.6, 0.25), target, weight)
    assert true < losses.map_cross_entropy(log_map(0.25, 0.5), target, weight)


def test_nme_golden():
    target = np.zeros((1, 68, 2))
    target[0, 45] = [50.0, 0.0]
    predicted = target + np.array([3.0, 4.0])
    assert nme_outer_eyes(predicted, target)[0] == pytest.approx(0.1)


def test_failure_rate_and_auc_golden():
    nme = np.array([0.0, 0.04, 0.08, 0.2])
    assert failure_rate(nme) == 0.25
    assert auc(nme) == pytest.approx(0.375)


def test_constant_rotation_is_no_error():
    target = Rotation.random(50, rng=1).as_matrix()
    offset = Rotation.from_euler('x', 5, degrees=True).as_matrix()
    assert geodesic_deg(target @ offset, target) == pytest.approx(5.0)
    assert aligned_geodesic_deg(target @ offset, target) == pytest.approx(0.0, abs=1e-4)


def test_angle_errors_wrap_round():
    roll = np.radians([[0.0, 0.0, 179.0], [0.0, 0.0, -179.0]])
    a, b = matrix_from_aflw(roll)
    assert angle_errors_deg(a[None], b[None])[0] == pytest.approx([0.0, 0.0, 2.0], abs=1e-6)


def test_a_random_guess_is_not_halved():
    a, b = (Rotation.random(4000, rng=seed).as_matrix() for seed in (1, 2))
    assert geodesic_deg(a, b).mean() == pytest.approx(126.5, abs=2.0)
