"""Every backend says what PyTorch says, and one that fails is replaced."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import SMALL, write_small

from headpose_ros import DEFAULT_MODEL
from headpose_ros.geometry.crop import CropWindow
from headpose_ros.geometry.rotations import geodesic
from headpose_ros.models.onnx_check import check_onnx
from headpose_ros.models.outputs import NetworkOutputs, mass_near
from headpose_ros.models.registry import IMAGENET, MODELS, WeightsError
from headpose_ros.models.released import FOLDER, find_weights, released
from headpose_ros.models.weights import LoadedModel, load_model
from headpose_ros.perception.backends import choose
from headpose_ros.perception.backends.base import BackendError
from headpose_ros.perception.backends.choose import Fallbacks, make
from headpose_ros.perception.backends.deployed import deployed, readings
from headpose_ros.perception.backends.exported import exported
from headpose_ros.perception.backends.onnx_runtime import OnnxRuntimeBackend
from headpose_ros.perception.crop import cut
from headpose_ros.perception.device import CPU, Device
from headpose_ros.perception.infer import FaceNetwork
from headpose_ros.sources.photograph import photograph

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope='module')
def model():
    return load_model(DEFAULT_MODEL)


@pytest.fixture(scope='module')
def crops():
    """Cut a real face out of a photograph in many ways: turned, moved, near, far, and missed."""
    image = photograph()
    rng = np.random.default_rng(0)
    near = rng.uniform([205, 110, 90, -0.7], [245, 150, 220, 0.7], (56, 4))
    anywhere = rng.uniform([0, 0, 40, -3], [512, 512, 300, 3], (8, 4))
    windows = [CropWindow(*place) for place in np.concatenate([near, anywhere])]
    return np.stack([cut(image, window, 128) for window in windows])


@pytest.fixture(scope='module')
def plain(model, crops):
    """Run the network as it was trained: float32, norms apart."""
    pixels = torch.stack([model.spec.to_input(crop) for crop in crops])
    with torch.inference_mode():
        found = model.network(pixels)
    named = {name: value.numpy() for name, value in readings(found).items()}
    assert set(named) >= {'rotation', 'points', 'visibility', 'confidence'}
    return named


def worst(found, wanted):
    """Return the largest differences: degrees of a rotation, px of a crop of 128."""
    turned = [geodesic(a, b) for a, b in zip(found['rotation'], wanted['rotation'], strict=True)]
    return np.rad2deg(np.max(turned)), 128 * np.abs(found['points'] - wanted['points']).max()


@pytest.mark.parametrize('backend', ['torch', 'onnxruntime'])
def test_a_backend_agrees_with_the_plain_network(backend, model, crops, plain):
    runner = make(model, CPU, backend)
    parts = [{k: v.copy() for k, v in runner.run(part).items()} for part in np.split(crops, [1, 4])]
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    assert found.keys() == plain.keys()
    assert all(array.dtype == np.float32 for array in found.values())
    degrees, px = worst(found, plain)
    assert degrees < 0.05
    assert px < 0.05
    for name in ('visibility', 'confidence'):
        assert np.abs(found[name] - plain[name]).max() < 1e-3


def test_half_precision_moves_rotations_and_landmarks_little(model, crops, plain):
    """As on a GPU; this machine has none, so the CPU computes in half precision here."""
    network, some = deployed(model, torch.float16), slice(0, 64, 16)
    with torch.inference_mode():
        outputs = network.named(torch.from_numpy(crops[some]))
    found = {name: value.numpy() for name, value in outputs.items()}
    assert all(array.dtype == np.float32 for array in found.values())
    degrees, px = worst(found, {name: value[some] for name, value in plain.items()})
    assert degrees < 0.5
    assert px < 0.5


@pytest.mark.parametrize('name', MODELS)
def test_every_network_runs_in_half_precision(name):
    torch.manual_seed(0)
    options, size = SMALL[name]
    spec = replace(MODELS[name], input_size=size)
    model = LoadedModel(spec, spec.build(**options).eval().requires_grad_(False), {})
    crops = grey(spec, 1)
    with torch.inference_mode():
        found = deployed(model, torch.float16).named(torch.from_numpy(crops))
    plain = make(model, CPU, 'torch').run(crops)
    assert {n: tuple(v.shape) for n, v in found.items()} == {n: v.shape for n, v in plain.items()}
    assert all(torch.isfinite(value).all() for value in found.values())


def grey(spec, count):
    return np.full((count, spec.input_size, spec.input_size, 3), 128, np.uint8)


@pytest.mark.parametrize('name', MODELS)
def test_every_network_runs_on_what_is_asked_for_or_says_why_not(name, tmp_path, monkeypatch):
    def written(*arguments):
        content = exported(*arguments)
        check_onnx(content)  # what we write is let through where it comes from others
        return content

    monkeypatch.setattr('headpose_ros.perception.backends.exported.exported', written)
    network = Fallbacks(find_weights(str(write_small(name, tmp_path))), CPU, 'onnxruntime')
    exportable = network.spec.onnx
    assert network.current.name == ('onnxruntime' if exportable else 'torch'), network.reason
    assert network.degraded != exportable
    found = network.run(grey(network.spec, 3))
    assert found['rotation'].shape == (3, 3, 3)
    points = found.get('points', np.zeros((3, 0, 2)))
    assert points.shape == (3, network.spec.landmarks, 2)


@pytest.mark.parametrize('name', released())
def test_both_forms_of_released_weights_are_one_network(name, crops):
    weights = find_weights(name)
    onnx, plain = (make(weights, CPU, backend) for backend in ('onnxruntime', 'torch'))
    degrees, px = worst(onnx.run(crops), plain.run(crops))
    assert degrees < 0.05
    assert px < 0.05
    assert onnx.spec == plain.spec


def test_maps_stay_inside_and_unknown_outputs_pass_by_name():
    points, maps = torch.rand(2, 5, 2), torch.randn(2, 5, 8, 8).flatten(2).log_softmax(2)
    maps = maps.view(2, 5, 8, 8)
    outputs = NetworkOutputs(torch.eye(3).repeat(2, 1, 1), points, maps, torch.zeros(2, 5))
    found = readings(outputs)
    assert set(found) == {'rotation', 'points', 'visibility', 'confidence'}
    assert torch.equal(found['confidence'], mass_near(maps, points))
    assert torch.equal(found['visibility'], torch.full((2, 5), 0.5))

    class Later:  # a version of the outputs with one more field
        def _asdict(self):
            return {**outputs._asdict(), 'openness': torch.ones(2, 3), 'score': None}

    assert set(readings(Later())) == {*found, 'openness'}
    assert set(readings(NetworkOutputs(outputs.rotation, None, None, None))) == {'rotation'}


def test_folding_changes_nothing_and_leaves_the_given_network_alone(model, crops, plain):
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    network = deployed(model)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in network.modules())
    with torch.inference_mode():
        found = network.named(torch.from_numpy(crops[:4]))
    assert np.abs(found['points'].numpy() - plain['points'][:4]).max() < 1e-5
    after = model.network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.fixture
def copy(tmp_path):
    """Return the default weights in a folder of their own, with their ONNX file and card."""
    for suffix in ('safetensors', 'onnx', 'json'):
        shutil.copy(FOLDER / f'{DEFAULT_MODEL}.{suffix}', tmp_path)
    return tmp_path / f'{DEFAULT_MODEL}.safetensors'


def test_an_onnx_file_of_other_weights_is_not_run(copy):
    """As after a new training that was exported by an older version beside an old file."""
    shutil.copy(FOLDER / 'mnn_lite_research.onnx', copy.with_suffix('.onnx'))
    copy.with_suffix('.json').unlink()
    network = Fallbacks(find_weights(str(copy)), CPU)
    assert network.current.name == 'torch'
    assert 'was not made from mnn_lite_free.safetensors' in network.reason


def test_a_damaged_onnx_file_is_refused(copy):
    with copy.with_suffix('.onnx').open('ab') as file:
        file.write(b'x')
    with pytest.raises(WeightsError, match=r'mnn_lite_free.onnx is damaged'):
        find_weights(str(copy))


def test_weights_without_an_onnx_file_are_exported_in_memory(copy, model, crops, plain):
    copy.with_suffix('.onnx').unlink()
    network = Fallbacks(find_weights(str(copy)), CPU)
    assert network.current.name == 'onnxruntime'
    degrees, px = worst(network.run(crops), plain)
    assert degrees < 0.05
    assert px < 0.05


def test_an_onnx_file_says_how_it_is_fed(tmp_path):
    model = load_model(str(write_small('ccr', tmp_path)))
    backend = OnnxRuntimeBackend(exported(model, 'a digest'), 'test')
    assert backend.spec == model.spec
    assert backend.made_from == 'a digest'
    header = backend._session.get_modelmeta().custom_metadata_map
    assert (header['model'], header['scheme']) == ('ccr', 'ibug68')
    assert float(header['margin']) == model.spec.margin
    assert json.loads(header['normalization']) == [[0.5] * 3, [0.5] * 3]


def test_weights_of_another_normalisation_are_refused(model, monkeypatch):
    file = exported(model)
    other = replace(MODELS['mnn_lite'], normalization=IMAGENET)
    monkeypatch.setitem(MODELS, 'mnn_lite', other)
    with pytest.raises(WeightsError, match=r'test has the normalization .* export it again'):
        OnnxRuntimeBackend(file, 'test')


@pytest.mark.parametrize('package', ['onnx', 'onnxruntime'])
def test_a_missing_package_is_named_and_replaced(package, model, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)  # import says that it is not there
    network = Fallbacks(model, CPU, 'onnxruntime')
    assert network.current.name == 'torch'
    assert network.degraded
    assert f'the package {package} is missing' in network.reason


def test_auto_takes_onnx_runtime_on_a_cpu(model):
    network = Fallbacks(model, CPU)
    assert network.current.name == 'onnxruntime'
    assert not network.degraded
    assert 'fastest for cpu' in network.reason


def test_a_gpu_that_fails_is_replaced_by_the_cpu():
    """This machine has no GPU, so that PyTorch's first attempt to use one fails."""
    if torch.cuda.is_available():
        pytest.skip('this machine has a GPU')
    network = Fallbacks(find_weights(DEFAULT_MODEL), Device('cuda'))
    assert (network.current.name, network.device) == ('onnxruntime', CPU)
    assert 'torch on cuda' in network.reason


def test_an_unknown_backend_is_refused(model):
    with pytest.raises(
        BackendError, match="unknown backend 'fast': expected one of auto, onnxruntime, torch"
    ):
        FaceNetwork(model, 'cpu', 'fast')


class Failing:
    """A backend that works for a while, as a GPU that another process fills."""

    name, device, details = 'onnxruntime', CPU, 'test'

    def __init__(self, calls, error, spec):
        self.calls, self.error, self.spec = calls, error, spec

    def run(self, crops):
        self.calls -= 1
        if self.calls < 0:
            raise self.error
        return {'rotation': np.zeros((len(crops), 3, 3), np.float32)}


@pytest.mark.parametrize(
    'error', [torch.OutOfMemoryError('CUDA out of memory'), RuntimeError('device lost\nmore')]
)
def test_the_frame_that_broke_a_backend_is_computed_by_the_next(error, model, crops, monkeypatch):
    real = choose.make
    monkeypatch.setattr(
        choose,
        'make',
        lambda m, d, name: (
            Failing(2, error, model.spec) if name == 'onnxruntime' else real(m, d, name)
        ),
    )
    network = Fallbacks(model, CPU, 'onnxruntime')
    said: list[str] = []
    network.warn = said.append
    assert not network.run(crops[:2])['rotation'].any()
    found = network.run(crops[:2])
    assert np.array_equal(found['rotation'], make(model, CPU, 'torch').run(crops[:2])['rotation'])
    assert network.current.name == 'torch'
    (warning,) = said
    assert str(error).splitlines()[0] in warning
    assert 'more' not in warning
    network.run(crops[:1])
    assert len(said) == 1, 'a fall-back is told once'


def test_an_error_of_the_last_resort_is_not_hidden(model):
    network = Fallbacks(model, CPU, 'torch')
    with pytest.raises(Exception, match=r'crops|size'):
        network.run(np.zeros((1, 40, 41, 3), np.uint8))
    assert network.run(grey(model.spec, 1))['rotation'].shape == (1, 3, 3)
