import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

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
