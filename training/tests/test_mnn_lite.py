"""Training of mnn_lite: what each weight of its losses is for."""

from __future__ import annotations

import torch
from headpose_ros.models.outputs import rotation_from_6d

from headpose_training.systems.losses import geodesic
from headpose_training.systems.mnn_lite import MnnLiteSystem
from headpose_training.systems.steadiness import next_frames, unsteadiness


def batch_of(count):
    points = 0.2 + 0.6 * torch.rand(count, 68, 2)
    return {
        'image': torch.randn(count, 3, 128, 128),
        'points': points,
        'rotation': torch.eye(3).expand(count, 3, 3).contiguous(),
        'visible': torch.ones(count, 68),
        'openness': torch.rand(count, 3),
        'face': torch.ones(count),
    }


def trained(system, batch):
    """Return the system after a few steps on one batch."""
    system.train()
    optimizer = torch.optim.Adam(system.parameters(), 1e-3)
    for _ in range(12):
        parts = system.losses(batch)
        optimizer.zero_grad()
        torch.stack(list(parts.values())).sum().backward()
        optimizer.step()
    return system


def test_training_with_the_penalty_makes_a_network_steadier():
    left = {}
    for weight in (0.0, 20.0):
        torch.manual_seed(0)
        batch = batch_of(8)
        system = trained(MnnLiteSystem(steady_weight=weight), batch)
        torch.manual_seed(1)
        frames, moved = next_frames(batch['image'], torch.full((3, 1, 1), 1 / 127.5))
        with torch.no_grad():
            steps, _ = unsteadiness(system.network(batch['image']), system.network(frames), moved)
        left[weight] = float(steps)
    assert left[20.0] < 0.8 * left[0.0]


def test_a_head_that_is_shown_true_landmarks_learns_from_them():
    left = {}
    for weight in (0.0, 4.0):
        torch.manual_seed(0)
        batch = batch_of(8) | {'rotation': rotation_from_6d(torch.randn(8, 6))}
        system = trained(MnnLiteSystem(true_points_weight=weight), batch)
        with torch.no_grad():
            pooled = system.network.encode(batch['image'])[1]
            told = system.network.rotation(pooled, batch['points'])
        left[weight] = float(geodesic(told, batch['rotation']))
    assert left[4.0] < 0.8 * left[0.0]


def test_crops_without_a_face_need_not_be_steady():
    torch.manual_seed(0)
    system = MnnLiteSystem(steady_weight=1.0)
    batch = batch_of(8)
    assert 'steady' in system.losses(batch)
    batch['face'][:2] = 0
    assert 'steady' not in system.losses(batch)
