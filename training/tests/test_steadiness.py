"""The jitter penalty: frames that move as they say, and zero for what follows them."""

from __future__ import annotations

import pytest
import torch
from headpose_ros.models.outputs import NetworkOutputs, expected_points, gaussians

from headpose_training.systems.steadiness import next_frames, unsteadiness

SIZE = 64
NO_NOISE = torch.zeros(3, 1, 1)


def spots(count):
    """Return (B, 3, S, S) pictures of one soft spot each."""
    places = 0.3 + 0.4 * torch.rand(count, 1, 2)
    return gaussians(places, SIZE, 0.07).expand(-1, 3, -1, -1)


def middles(images):
    """Return (B, 2) centres of brightness over the side."""
    light = images.mean(dim=1, keepdim=True)
    return expected_points((light / light.sum(dim=(2, 3), keepdim=True)).log())[:, 0]


def outputs(points, rotation):
    return NetworkOutputs(rotation=rotation, points=points, log_maps=None, visibility=None)


def test_next_frames_move_as_they_say():
    torch.manual_seed(0)
    images = spots(8)
    frames, moved = next_frames(images, NO_NOISE)
    assert moved.abs().max() * SIZE > 1
    assert middles(frames) - middles(images) == pytest.approx(moved, abs=0.02 / SIZE)


def test_next_frames_have_noise_in_grey_levels():
    torch.manual_seed(0)
    images = torch.zeros(64, 3, 16, 16)
    frames, _ = next_frames(images, torch.full((3, 1, 1), 1 / 127.5))
    levels = frames.std(dim=(1, 2, 3)) * 127.5
    assert 0.8 < levels.min() < 3
    assert 10 < levels.max() < 13


def test_points_that_follow_the_face_are_steady():
    torch.manual_seed(0)
    points, moved = torch.rand(4, 68, 2), torch.randn(4, 2) * 0.01
    rotation = torch.eye(3).expand(4, 3, 3)
    steps, turns = unsteadiness(
        outputs(points, rotation), outputs(points + moved[:, None], rotation), moved
    )
    assert steps == pytest.approx(0, abs=1e-6)
    assert turns == pytest.approx(0, abs=1e-3)
    steps, _ = unsteadiness(outputs(points, rotation), outputs(points, rotation), moved)
    assert steps == pytest.approx(moved.abs().mean())
