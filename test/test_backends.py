"""Every backend says what PyTorch says, and one that fails is replaced."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from small_models import write_small

from headpose_ros import DEFAULT_MODEL
from headpose_ros.geometry.crop import CropWindow
from headpose_ros.geometry.rotations import geodesic
from headpose_ros.models.outputs import FaceOutputs, mass_near
from headpose_ros.models.registry import MODELS
from headpose_ros.models.weights import load_model
from headpose_ros.perception.backends import choose
from headpose_ros.perception.backends.base import BackendError
from headpose_ros.perception.backends.choose import Fallbacks, make
from headpose_ros.perception.backends.deployed import deployed, example, readings
from headpose_ros.perception.backends.static import StaticBackend
from headpose_ros.perception.crop import cut
from headpose_ros.perception.infer import FaceNetwork

CPU = torch.device('cpu')
PACKAGES = {'onnxruntime': ('onnx', 'onnxruntime'), 'openvino': ('onnx', 'openvino')}


def need(backend):
    for package in PACKAGES.get(backend, ()):
        pytest.importorskip(package, reason=f'{backend} needs the package {package}')


@pytest.fixture(scope='module')
def model():
    return load_model(DEFAULT_MODEL)


@pytest.fixture(scope='module')
def crops():
    """Cut a real face out of a photograph in many ways: turned, moved, near, far, and missed."""
    photo = pytest.importorskip('skimage.data', reason='scikit-image has the photograph')
    image = np.ascontiguousarray(photo.astronaut()[:, :, ::-1])
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


def build(backend, model):
    """Make any CPU backend; static batches stand in for those of a GPU."""
    need(backend)
    return StaticBackend(model, CPU) if backend == 'static' else make(model, CPU, backend)


@pytest.mark.parametrize('backend', ['eager', 'onnxruntime', 'openvino', 'static'])
def test_a_backend_agrees_with_the_plain_network(backend, model, crops, plain):
    runner = build(backend, model)
    parts = [{k: v.copy() for k, v in runner.run(part).items()} for part in np.split(crops, [1, 4])]
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    assert found.keys() == plain.keys()
    assert all(array.dtype == np.float32 for array in found.values())
    turned = [geodesic(a, b) for a, b in zip(found['rotation'], plain['rotation'], strict=True)]
    assert np.rad2deg(np.max(turned)) < 0.1
    assert 256 * np.abs(found['points'] - plain['points']).max() < 0.2
    for name in ('visibility', 'confidence'):
        assert np.abs(found[name] - plain[name]).max() < 1e-3


@pytest.mark.parametrize('name', MODELS)
@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino'])
def test_every_network_runs_on_what_is_asked_for_or_says_why_not(backend, name, tmp_path):
    need(backend)
    model = load_model(str(write_small(name, tmp_path)))
    network = Fallbacks(model, CPU, backend)
    exportable = model.spec.onnx
    assert network.current.name == (backend if exportable else 'eager'), network.reason
    assert network.degraded != exportable
    found = network.run(example(model.spec, 3).numpy())
    assert found['rotation'].shape == (3, 3, 3)
    points = found.get('points', np.zeros((3, 0, 2)))
    assert points.shape == (3, model.spec.landmarks, 2)


def test_maps_stay_inside_and_unknown_outputs_pass_by_name():
    points, maps = torch.rand(2, 5, 2), torch.randn(2, 5, 8, 8).flatten(2).log_softmax(2)
    maps = maps.view(2, 5, 8, 8)
    outputs = FaceOutputs(torch.eye(3).repeat(2, 1, 1), points, maps, torch.zeros(2, 5))
    found = readings(outputs)
    assert set(found) == {'rotation', 'points', 'visibility', 'confidence'}
    assert torch.equal(found['confidence'], mass_near(maps, points))
    assert torch.equal(found['visibility'], torch.full((2, 5), 0.5))

    class Later:  # a version of the outputs with one more field
        def _asdict(self):
            return {**outputs._asdict(), 'openness': torch.ones(2, 3), 'score': None}

    assert set(readings(Later())) == {*found, 'openness'}
    assert set(readings(FaceOutputs(outputs.rotation, None, None, None))) == {'rotation'}


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


@pytest.mark.parametrize('count', [1, 2, 3, 5, 9])
def test_static_batches_are_filled_up_and_split(model, crops, count):
    found = StaticBackend(model, CPU, buckets=(2, 4)).run(crops[:count])
    wanted = make(model, CPU, 'eager').run(crops[:count])
    assert {name: v.shape for name, v in found.items()} == {k: v.shape for k, v in wanted.items()}
    assert all(np.abs(found[name] - wanted[name]).max() < 1e-4 for name in wanted)


def test_a_later_frame_does_not_change_what_an_earlier_one_gave(model, crops):
    runner = StaticBackend(model, CPU, buckets=(1,))
    first = runner.run(crops[:1])
    kept = {name: value.copy() for name, value in first.items()}
    runner.run(crops[1:2])
    assert all(np.array_equal(first[name], kept[name]) for name in kept)


@pytest.mark.parametrize('package', ['onnx', 'onnxruntime', 'openvino'])
def test_a_missing_package_is_named_and_replaced(package, model, monkeypatch):
    need('openvino' if package == 'openvino' else 'onnxruntime')
    monkeypatch.setitem(sys.modules, package, None)  # import says that it is not there
    asked = 'openvino' if package == 'openvino' else 'onnxruntime'
    network = Fallbacks(model, CPU, asked)
    assert network.current.name == 'eager'
    assert network.degraded
    assert f'the package {package} is missing' in network.reason


def test_auto_takes_the_fastest_that_is_there(model, monkeypatch):
    need('onnxruntime')
    network = Fallbacks(model, CPU)
    assert network.current.name == 'onnxruntime'
    assert not network.degraded
    assert 'fastest for cpu' in network.reason
    for package in ('onnxruntime', 'openvino'):
        monkeypatch.setitem(sys.modules, package, None)
    assert Fallbacks(model, CPU).current.name == 'eager'


@pytest.mark.parametrize('backend', ['cudagraph', 'tensorrt'])
def test_what_needs_a_gpu_is_replaced_on_a_cpu(backend, model):
    network = Fallbacks(model, CPU, backend)
    assert network.current.name == 'eager'
    assert f'{backend} needs device cuda' in network.reason


def test_an_unknown_backend_is_refused(model):
    with pytest.raises(BackendError, match="unknown backend 'fast': expected one of auto, eager"):
        FaceNetwork(model, 'cpu', 'fast')


class Failing:
    """A backend that works for a while, as a GPU that another process fills."""

    name, device, details = 'cudagraph', CPU, 'test'

    def __init__(self, calls, error):
        self.calls, self.error = calls, error

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
        lambda m, d, name: Failing(2, error) if name == 'onnxruntime' else real(m, d, name),
    )
    network = Fallbacks(model, CPU, 'onnxruntime')
    said: list[str] = []
    network.warn = said.append
    assert not network.run(crops[:2])['rotation'].any()
    found = network.run(crops[:2])
    assert np.array_equal(found['rotation'], make(model, CPU, 'eager').run(crops[:2])['rotation'])
    assert network.current.name == 'eager'
    (warning,) = said
    assert str(error).splitlines()[0] in warning
    assert 'more' not in warning
    network.run(crops[:1])
    assert len(said) == 1, 'a fall-back is told once'


def test_an_error_of_the_last_resort_is_not_hidden(model):
    network = Fallbacks(model, CPU, 'eager')
    with pytest.raises(Exception, match='size'):
        network.run(np.zeros((1, 40, 41, 3), np.uint8))
    assert network.current.name == 'eager'
