import pytest
import torch

from headpose_training.averaging import average


def averaged(steps, decay=0.998):
    """Return the average of a weight that was 0 untrained and is 1 ever since."""
    value = torch.zeros(1)
    for step in range(steps):
        value = average(value, torch.ones(1), step, decay=decay)
    return value.item()


def test_the_average_of_a_short_run_has_forgotten_the_untrained_weights():
    assert averaged(100) > 0.999


def test_the_memory_reaches_back_over_about_a_ninth_of_the_run():
    weights = torch.zeros(400)
    for step in range(400):
        now = torch.zeros(400)
        now[step] = 1.0
        weights = average(weights, now, step, decay=0.998)
    age = (weights * torch.arange(399, -1, -1)).sum() / weights.sum()
    assert age == pytest.approx(400 / 9, rel=0.15)


def test_the_decay_limits_the_memory():
    step = average(torch.zeros(1), torch.ones(1), 1_000_000, decay=0.99)
    assert step.item() == pytest.approx(0.01)


def test_counters_are_not_averaged():
    assert average(torch.tensor(3), torch.tensor(8), 50, decay=0.998).item() == 8
