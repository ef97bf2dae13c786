"""Published counts, read-outs and weights."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_models import SMALL
from torch.utils.flop_counter import FlopCounterMode

from headpose_ros import DEFAULT_MODEL
from headpose_ros.geometry.face_shape import mean_face
from headpose_ros.geometry.rotations import FRONTAL, matrix_from_aflw, matrix_from_mnn_euler
from headpose_ros.models import bins, outputs, parts3d, weights
from headpose_ros.models.hopenet import Hopenet, published_state
from headpose_ros.models.mnn import Mnn
from headpose_ros.models.registry import IMAGENET, MODELS
from headpose_ros.models.released import FOLDER


def unallocated(build, *arguments):
    """Build a large network without memory for its parameters: enough to count and to shape."""
    with torch.device('meta'):
        return build(*arguments).eval()


def run_unallocated(network, size):
    with torch.no_grad(), torch.device('meta'):
        return network(torch.zeros(1, 3, size, size))


def gmac(network, size):
    with FlopCounterMode(display=False) as counter:
        run_unallocated(network, size)
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
    network = unallocated(Mnn, landmarks)
    assert counts(network) == (trainable, with_statistics)
    assert gmac(network, 256) == pytest.approx(macs, abs=5e-4)


@pytest.mark.parametrize(('name', 'bound'), [('mnn_lite', 0.15), ('mnn_direct', 0.08)])
def test_our_networks_are_small_enough_for_a_robot(name, bound):
    assert gmac(unallocated(MODELS[name].build), 128) <= bound


def test_depth_network_is_a_resnet_200():
    """69 inputs, 66 outputs: 62.96 M parameters with 36 blocks in the third group, not 38."""
    depth = unallocated(parts3d.Depth, 66, (3, 24, 36, 3), 64)
    assert counts(depth)[0] / 1e6 == pytest.approx(62.96, abs=5e-3)


def test_hopenet_has_resnet_50_and_three_heads():
    # torchvision's ResNet-50 without its classifier, and 3 x 66 bins.
    assert counts(unallocated(Hopenet))[0] == 25_557_032 - (2048 + 1) * 1000 + 3 * (2048 + 1) * 66


@pytest.mark.parametrize('name', MODELS)
def test_every_model_gives_what_its_line_says(name):
    spec, (options, size) = MODELS[name], SMALL[name]
    with torch.no_grad():
        out = spec.build(**options).eval()(torch.randn(2, 3, size, size))
    identity = out.rotation @ out.rotation.transpose(1, 2)
    assert torch.allclose(identity, torch.eye(3).expand(2, 3, 3), atol=1e-5)
    assert torch.allclose(torch.linalg.det(out.rotation), torch.ones(2), atol=1e-5)
    assert (out.depth is not None) == spec.depth
    if not spec.landmarks:
        assert out.points is out.visibility is None
        return
    assert out.points.shape == (2, spec.landmarks, 2)
    assert out.visibility.shape == (2, spec.landmarks)
    if out.log_maps is not None:
        sums = out.log_maps.exp().sum((2, 3))
        assert torch.allclose(sums, torch.ones(2, spec.landmarks), atol=1e-4)


@pytest.mark.parametrize(
    ('name', 'shape'),
    [
        ('ccr', (68, 64, 64)),
        ('hopenet', None),
        ('ranking', None),
        ('parts3d', (66, 384, 384)),
    ],
)
def test_published_sizes_run(name, shape):
    out = run_unallocated(unallocated(MODELS[name].build), MODELS[name].input_size)
    assert out.rotation.shape == (1, 3, 3)
    assert shape is None or out.log_maps.shape == (1, *shape)


def test_ccr_supervises_every_block_and_listens_to_the_one_before():
    network = MODELS['ccr'].build(width=16, blocks=2)
    blocks = network.blocks(torch.randn(2, 3, 128, 128))
    assert [tuple(b.angle_logits.shape) for b in blocks] == [(2, 3, 66)] * 2
    blocks[1].maps.square().sum().backward()
    # The second block's landmarks depend on the first block's pose, through both ways.
    exchange = network.exchanges[0]
    assert all(p.grad.abs().sum() > 0 for p in exchange.parameters())
    assert network.poses[0].conv4[0].conv1.weight.grad.abs().sum() > 0


def test_only_zero_layers_that_let_gradients_through_start_at_zero():
    network = parts3d.Detection('resnet18', 66)
    logits = network(torch.randn(1, 3, 64, 64))
    assert not logits.any()
    logits.sum().backward()
    assert network.score.weight.grad.abs().sum() > 0


def test_bilinear_deconvolution_starts_as_interpolation():
    layer = parts3d.bilinear_deconvolution(1, 4)
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    with torch.no_grad():
        inside = layer(ramp)[0, 0, 16, 8:-8]
    assert torch.allclose(inside.diff(), torch.full((15,), 0.25), atol=1e-6)


def test_peaks_are_read_between_cells():
    points = torch.tensor([[[0.31, 0.52], [0.7, 0.25]]])
    maps = parts3d.part_gaussians(points, 128)
    assert torch.allclose(parts3d.peak_points(maps), points, atol=2e-3)


def test_the_mean_face_turned_is_found_again():
    rotation = torch.tensor(matrix_from_aflw(np.radians([[10.0, 40.0, -20.0]]))).float()
    shape = torch.tensor(mean_face() @ FRONTAL.T).float()
    shape = shape - shape.mean(dim=0)
    solid = shape @ rotation.transpose(1, 2) * 3.0 + 0.5
    assert torch.allclose(parts3d.rotation_onto(shape, solid), rotation, atol=1e-4)


def test_bins_hold_their_centres():
    centers = bins.centers(torch.zeros(()).double())
    assert bins.bin_of(centers).tolist() == list(range(66))
    assert np.degrees(centers[[0, -1]].tolist()) == pytest.approx([-97.5, 97.5])


def test_left_edges_read_half_a_bin_low():
    logits = torch.full((66,), -100.0).double()
    logits[40] = 100.0
    by_center, by_edge = (
        float(bins.expected_angles(logits, values(logits)))
        for values in (bins.centers, bins.left_edges)
    )
    assert np.degrees(by_center - by_edge) == pytest.approx(1.5)


def test_published_hopenet_weights_fit():
    ours = unallocated(Hopenet).state_dict()
    published = {name.removeprefix('trunk.'): value for name, value in ours.items()} | {
        'fc_finetune.weight': torch.zeros(3, 2051),
        'fc_finetune.bias': torch.zeros(3),
    }
    assert published_state(published).keys() == ours.keys()


@pytest.mark.parametrize(
    ('name', 'options'),
    [
        ('hopenet', {'backbone': 'vgg'}),
        ('hopenet', {'decode': 'right'}),
        ('mnn', {'input_size': 96}),
    ],
)
def test_wrong_options_are_named(name, options):
    with pytest.raises(ValueError, match=str(next(iter(options.values())))):
        MODELS[name].build(**options)


def test_rotation_twin_of_the_geometry():
    angles = np.random.default_rng(0).normal(size=(9, 3))
    twin = outputs.rotation_from_mnn_euler(torch.tensor(angles)).numpy()
    assert twin == pytest.approx(matrix_from_mnn_euler(angles))


def test_rotation_twin_of_the_aflw_geometry():
    angles = np.random.default_rng(0).normal(size=(9, 3))
    twin = outputs.rotation_from_aflw_euler(torch.tensor(angles)).numpy()
    assert twin == pytest.approx(matrix_from_aflw(angles))


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
    assert outputs.mass_near(flat, points).item() == pytest.approx((2 * 32 / 16 / 32) ** 2)


def test_confidence_does_not_jump_with_the_last_digit_of_a_point():
    torch.manual_seed(0)
    maps = torch.randn(1, 1, 32, 32).flatten(2).mul(3).softmax(2).view(1, 1, 32, 32).log()
    places = torch.linspace(0.3, 0.7, 4001)
    found = [outputs.mass_near(maps, place.expand(1, 1, 2)).item() for place in places]
    assert np.ptp(found) > 0.01
    assert np.abs(np.diff(found)).max() < 0.002


@pytest.mark.parametrize(
    ('name', 'red', 'blue'),
    [
        ('mnn_lite', 1.0, -1.0),
        ('hopenet', (1 - IMAGENET.mean[0]) / IMAGENET.std[0], -IMAGENET.mean[2] / IMAGENET.std[2]),
    ],
)
def test_input_is_normalised_rgb(name, red, blue):
    crop = np.zeros((4, 4, 3), np.uint8)
    crop[..., 2] = 255  # red in BGR
    tensor = MODELS[name].to_input(crop)
    assert tensor.shape == (3, 4, 4)
    assert tensor[0].unique().tolist() == pytest.approx([red])
    assert tensor[2].unique().tolist() == pytest.approx([blue])


def test_a_narrow_variant_is_loaded_as_it_was_built(tmp_path):
    options, size = SMALL['ccr']
    spec = replace(MODELS['ccr'], input_size=size, margin=1.7)
    network = spec.build(**options).eval()
    weights.save_weights(tmp_path / 'x.safetensors', spec, network.state_dict(), options)
    loaded = weights.load_model(str(tmp_path / 'x.safetensors'))
    assert (loaded.spec.input_size, loaded.spec.margin) == (size, 1.7)
    crops = torch.randn(1, 3, size, size)
    with torch.no_grad():
        one, other = network(crops).rotation, loaded.network(crops).rotation
    assert torch.allclose(one, other, atol=0.02)  # half precision on disk


@pytest.mark.parametrize('header', [{'options': '{"deep": 1}'}, {'input_size': 'big'}])
def test_a_header_that_does_not_fit_is_refused(copy, header):
    copy.with_suffix('.json').unlink()
    save_file(load_file(copy), copy, metadata={'model': 'mnn_lite', **header})
    with pytest.raises(weights.WeightsError, match=str(copy)):
        weights.load_model(str(copy))


@pytest.fixture
def copy(tmp_path):
    for suffix in ('safetensors', 'json'):
        shutil.copy(FOLDER / f'{DEFAULT_MODEL}.{suffix}', tmp_path)
    return tmp_path / f'{DEFAULT_MODEL}.safetensors'


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
    with pytest.raises(weights.WeightsError, match=r'safetensors has'):
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
