"""Published counts, read-outs and weights."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.utils.flop_counter import FlopCounterMode

from headpose_ros.geometry.rotations import matrix_from_mnn_euler
from headpose_ros.models import outputs, weights
from headpose_ros.models.mnn import Mnn
from headpose_ros.models.registry import MODELS, to_input


def gmac(network, size):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, size, size))
    return counter.get_total_flops() / 2e9


def counts(network):
    trainable = sum(p.numel() for p in network.parameters())
    named = network.named_buffers()
    return trainable, trainable + sum(b.numel() for n, b in named if 'num_batches' not in n)


@pytest.mark.parametrize(
    ('landmarks', 'trainable', 'with_statistics', 'macs'),
    [(0, 2_038_982, 2_048_710, 5.649), (68, 4_879_316, 4_900_948, 13.646)],
)
def test_mnn_has_the_published_size(landmarks, trainable, with_statistics, macs):
    network = Mnn(landmarks).eval()
    assert counts(network) == (trainable, with_statistics)
    assert gmac(network, 256) == pytest.approx(macs, abs=5e-4)


def test_mnn_lite_is_small_enough_for_a_robot():
    assert gmac(MODELS['mnn_lite'].build().eval(), 128) <= 0.15


@pytest.mark.parametrize('name', MODELS)
def test_every_model_gives_what_its_line_says(name):
    spec = MODELS[name]
    with torch.no_grad():
        out = spec.build().eval()(torch.randn(2, 3, spec.input_size, spec.input_size))
    identity = out.rotation @ out.rotation.transpose(1, 2)
    assert torch.allclose(identity, torch.eye(3).expand(2, 3, 3), atol=1e-5)
    if not spec.landmarks:
        assert out.points is out.visibility is None
        return
    assert out.points.shape == (2, spec.landmarks, 2)
    assert out.visibility.shape == (2, spec.landmarks)
    assert torch.allclose(out.log_maps.exp().sum((2, 3)), torch.ones(2, spec.landmarks), atol=1e-4)


def test_rotation_twin_of_the_geometry():
    angles = np.random.default_rng(0).normal(size=(9, 3))
    twin = outputs.rotation_from_mnn_euler(torch.tensor(angles)).numpy()
    assert twin == pytest.approx(matrix_from_mnn_euler(angles))


def test_six_numbers_make_a_rotation():
    rotation = outputs.rotation_from_6d(torch.randn(50, 6))
    assert torch.allclose(rotation.transpose(1, 2) @ rotation, torch.eye(3), atol=1e-5)
    assert torch.allclose(torch.linalg.det(rotation), torch.ones(50), atol=1e-5)


def test_read_out_of_a_one_hot_map_is_the_cell_s_centre():
    maps = torch.full((1, 1, 32, 32), 1e-12)
    maps[0, 0, 3, 20] = 1.0
    points = outputs.expected_points(maps.log())
    assert points[0, 0].tolist() == pytest.approx([20.5 / 32, 3.5 / 32])
    assert outputs.mass_near(maps.log(), points).item() == pytest.approx(1.0, abs=1e-6)


def test_a_flat_map_is_no_confidence():
    flat = torch.full((1, 1, 32, 32), 1 / 1024).log()
    points = outputs.expected_points(flat)
    assert points[0, 0].tolist() == pytest.approx([0.5, 0.5], abs=1e-5)
    assert outputs.mass_near(flat, points).item() < 0.03


def test_input_is_rgb_within_one():
    crop = np.zeros((4, 4, 3), np.uint8)
    crop[..., 2] = 255  # red in BGR
    tensor = to_input(crop)
    assert tensor.shape == (3, 4, 4)
    assert tensor[0].unique().tolist() == [1.0]
    assert tensor[2].unique().tolist() == [-1.0]


@pytest.mark.parametrize('name', weights.released())
def test_released_weights_match_their_card(name):
    model = weights.load_model(name)
    path = weights.FOLDER / f'{name}.safetensors'
    assert model.card['sha256'] == weights.sha256(path)
    assert path.stat().st_size == model.card['bytes'] <= 16e6
    assert {'data', 'license', 'command', 'metrics'} <= model.card.keys()
    assert not model.network.training


@pytest.fixture
def copy(tmp_path):
    for suffix in ('safetensors', 'json'):
        shutil.copy(weights.FOLDER / f'mnn_lite.{suffix}', tmp_path)
    return tmp_path / 'mnn_lite.safetensors'


def test_damaged_weights_are_refused(copy):
    data = bytearray(copy.read_bytes())
    data[-100] ^= 1
    copy.write_bytes(data)
    with pytest.raises(weights.WeightsError, match='damaged'):
        weights.load_model(str(copy))


def test_a_broken_card_is_refused(copy):
    copy.with_suffix('.json').write_text(json.dumps({'license': 'x'}))
    with pytest.raises(weights.WeightsError, match='is not JSON with a sha256'):
        weights.load_model(str(copy))


def test_weights_of_another_network_are_refused(copy):
    copy.with_suffix('.json').unlink()
    save_file(load_file(copy), copy, metadata={'model': 'mnn'})
    with pytest.raises(weights.WeightsError, match='does not fit the network mnn'):
        weights.load_model(str(copy))


def test_weights_of_an_unknown_network_are_refused(copy):
    copy.with_suffix('.json').unlink()
    save_file(load_file(copy), copy, metadata={'model': 'resnet'})
    with pytest.raises(weights.WeightsError, match="is for the model 'resnet'"):
        weights.load_model(str(copy))


@pytest.mark.parametrize('content', [b'', b'not safetensors at all'])
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / 'x.safetensors'
    path.write_bytes(content)
    with pytest.raises(weights.WeightsError, match='is not a safetensors file'):
        weights.load_model(str(path))
