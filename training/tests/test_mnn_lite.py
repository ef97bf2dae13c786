"""Training of mnn_lite: what each weight of its losses is for."""

from __future__ import annotations

import torch
from headpose_ros.models.mnn_lite import MnnLite
from headpose_ros.models.outputs import mean_rotation, rotation_from_6d

from headpose_training.systems.losses import angles, geodesic
from headpose_training.systems.mnn_lite import MnnLiteSystem, turned_points
from headpose_training.systems.steadiness import next_frames, unsteadiness


def batch_of(count):
    points = 0.2 + 0.6 * torch.rand(count, 68, 2)
    return {
        'image': torch.randn(count, 3, 128, 128),
        'points': points,
        'rotation': torch.eye(3).expand(count, 3, 3).contiguous(),
        'visible': torch.ones(count, 68),
        'weight': torch.ones(count, 68),
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


def test_first_epochs_train_the_pose_of_landmarks_alone():
    torch.manual_seed(0)
    batch = batch_of(8) | {'rotation': rotation_from_6d(torch.randn(8, 6))}
    system = MnnLiteSystem(points_epochs=1)
    before = {name: value.clone() for name, value in system.network.state_dict().items()}
    assert list(system.losses(batch)) == ['points']

    def error():
        with torch.no_grad():
            told = system.network.rotation_of_points(batch['points'])
        return float(geodesic(told, batch['rotation']))

    first = error()
    trained(system, batch)
    assert error() < 0.8 * first
    for name, value in system.network.state_dict().items():
        assert name.startswith('pose_of_points') or torch.equal(value, before[name])


def test_void_labels_teach_nothing():
    torch.manual_seed(0)
    batch = batch_of(8)
    batch['face'][:2] = 0
    batch['points'][:2] = torch.nan
    batch['rotation'][:2] = torch.nan
    assert MnnLiteSystem(points_epochs=1).losses(batch)['points'].isfinite()


def test_landmarks_turn_with_the_head():
    torch.manual_seed(0)
    rotation = rotation_from_6d(torch.randn(40, 6))
    solid = torch.randn(40, 68, 3)
    flat = (solid @ rotation.transpose(1, 2))[:, :, :2] * 0.1 + 0.5
    points, turned = turned_points(flat, rotation)
    expected = (solid @ turned.transpose(1, 2))[:, :, :2] * 0.1 + 0.5
    assert (turned - rotation).abs().amax() > 0.1
    assert 0 < (points - expected).abs().amax() < 0.1


def test_the_pose_of_landmarks_minds_neither_place_nor_size():
    torch.manual_seed(0)
    network, points = MnnLite(), torch.rand(4, 68, 2)
    torch.testing.assert_close(
        network.rotation_of_points(points * 0.5 + 0.3), network.rotation_of_points(points)
    )


def test_the_mean_of_rotations_lies_between_them():
    torch.manual_seed(0)
    one = rotation_from_6d(torch.randn(9, 6))
    other = turned_points(torch.zeros(9, 1, 2), one)[1]
    mean = mean_rotation(one, other)
    between = angles(mean, one) + angles(mean, other)
    torch.testing.assert_close(between, angles(one, other), rtol=0.01, atol=1e-3)


def test_crops_without_a_face_need_not_be_steady():
    torch.manual_seed(0)
    system = MnnLiteSystem(steady_weight=1.0)
    batch = batch_of(8)
    assert 'steady' in system.losses(batch)
    batch['face'][:2] = 0
    assert 'steady' not in system.losses(batch)


def test_landmarks_without_a_reliable_label_teach_nothing():
    torch.manual_seed(0)
    batch, system = batch_of(4), MnnLiteSystem()
    batch['weight'][:, 20:30] = 0

    def taught():
        parts = system.losses(batch)
        return parts['wing'] + parts['maps'] + parts['errors']

    with torch.no_grad():
        before = float(taught())
        batch['points'][:, 20:30] += 0.3
        assert float(taught()) == before
        batch['points'][:, 30] += 0.1
        assert float(taught()) > before
