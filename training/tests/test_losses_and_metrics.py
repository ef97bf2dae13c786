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


def test_the_expected_error_is_calibrated_where_its_loss_is_least():
    errors = torch.from_numpy(np.random.default_rng(0).gamma(2.0, 1.5, 20000))
    scales = torch.linspace(1.0, 6.0, 101)
    values = [losses.expected_error(torch.full_like(errors, s), errors).item() for s in scales]
    assert scales[int(np.argmin(values))].item() == pytest.approx(errors.mean().item(), abs=0.05)


def test_the_expected_error_teaches_nothing_to_what_it_judges():
    error = torch.ones(4, requires_grad=True)
    expected = torch.full((4,), 2.0, requires_grad=True)
    losses.expected_error(expected, error).backward()
    assert error.grad is None
    assert (expected.grad > 0).all()


def test_unknown_labels_do_not_count():
    predicted = torch.tensor([[0.5, 0.5, 0.5]], requires_grad=True)
    loss = losses.where_known(predicted, torch.tensor([[0.25, np.nan, 1.0]]))
    loss.backward()
    assert loss.item() == pytest.approx(0.375)
    assert predicted.grad[0, 1] == 0
    assert losses.where_known(predicted, torch.full((1, 3), np.nan)).item() == 0


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
