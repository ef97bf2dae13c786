"""Operations and bytes of the networks against what this machine reaches, and what comes next."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from rows import mnn_lite, random_model, video
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from headpose_ros.geometry.crop import CropWindow
from headpose_ros.models.registry import MODELS
from headpose_ros.models.weights import LoadedModel
from headpose_ros.perception.backends.choose import Fallbacks
from headpose_ros.perception.crop import cut
from headpose_ros.perception.device import CPU
from headpose_ros.perception.threads import limit_cpu_threads

_ROUNDS, _CALLS = 7, 3
_BIG = 1024  # side of the matrices; 4 MiB each
_COPY = 32 * 2**20  # float32 numbers: far beyond the caches


def ceilings_and_models() -> dict[str, Any]:
    """Measure ceilings and networks in turn, on one thread."""
    limit_cpu_threads(1)
    torch.set_num_threads(1)
    a, source = torch.rand(_BIG, _BIG), torch.rand(_COPY)
    target = torch.empty_like(source)
    models = {'mnn_lite': mnn_lite(), 'mnn_encoder': random_model('mnn_encoder')}
    runners = {name: Fallbacks(model, CPU) for name, model in models.items()}
    calls: dict[str, Callable[[], Any]] = {'product': lambda: a @ a}
    calls['copy'] = lambda: target.copy_(source)
    for name, model in models.items():
        size = model.spec.input_size
        crops = np.full((1, size, size, 3), 128, np.uint8)
        calls[name] = lambda r=runners[name], c=crops: r.run(c)
    seconds = _in_turn(calls)
    arithmetic = 2 * _BIG**3 / seconds['product']
    memory = 2 * source.nbytes / seconds['copy']
    rows = {name: _row(models[name], seconds[name], arithmetic, memory) for name in models}
    return {
        'arithmetic': arithmetic,
        'memory': memory,
        'models': rows,
        'counts': counts(),
        'profile': next_costs(models['mnn_lite']),
    }


def counts() -> dict[str, dict[str, float]]:
    """Return parameters and operations on one crop of every registered network."""
    found = {}
    for name, spec in MODELS.items():
        with torch.device('meta'):
            network = spec.build().eval()
        crop = torch.zeros(1, 3, spec.input_size, spec.input_size, device='meta')
        network = network.to('meta')
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(crop)
        found[name] = {
            'operations': counter.get_total_flops(),
            'parameters': sum(p.numel() for p in network.parameters()),
        }
    return found


def _row(model: LoadedModel, seconds: float, arithmetic: float, memory: float) -> dict[str, float]:
    size = model.spec.input_size
    crop = torch.zeros(1, 3, size, size)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model.network(crop)
    operations, moved = counter.get_total_flops(), _bytes(model.network, crop)
    bound = max(operations / arithmetic, moved / memory)
    return {
        'operations': operations,
        'bytes': moved,
        'milliseconds': 1e3 * seconds,
        'of_arithmetic': operations / seconds / arithmetic,
        'of_memory': moved / seconds / memory,
        'of_bound': bound / seconds,
    }


def _bytes(network: torch.nn.Module, crop: torch.Tensor) -> int:
    """Count weights once, and what every convolution and product reads and writes once."""
    total = sum(p.nbytes for p in network.parameters())

    def note(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        total += inputs[0].nbytes + output.nbytes

    kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d, torch.nn.Linear)
    hooks = [m.register_forward_hook(note) for m in network.modules() if isinstance(m, kinds)]
    with torch.inference_mode():
        network(crop)
    for hook in hooks:
        hook.remove()
    return total


def _in_turn(calls: dict[str, Callable[[], Any]]) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in calls}
    for index in range(_ROUNDS + 1):
        for name, call in calls.items():
            for _ in range(_CALLS):
                start = time.perf_counter()
                call()
                if index:
                    times[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) for name, values in times.items()}


def next_costs(model: LoadedModel) -> dict[str, Any]:
    """Return the shares of crop, network and read-out, and PyTorch's three dearest operations."""
    from headpose_ros.perception.infer import FaceNetwork

    network = FaceNetwork(model, 'cpu')
    frame, window = next(video()), CropWindow(320.0, 240.0, 150.0, 0.1)
    crops = cut(frame, window, model.spec.input_size)[None]
    stages = _in_turn(
        {
            'crop to result': lambda: network.estimate(frame, [window]),
            'crop': lambda: cut(frame, window, model.spec.input_size),
            'network': lambda: network.backends.run(crops),
        }
    )
    rest = stages['crop to result'] - stages['crop'] - stages['network']
    pixels = torch.zeros(1, 3, model.spec.input_size, model.spec.input_size)
    with torch.inference_mode(), profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(5):
            model.network(pixels)
    events = sorted(profiler.key_averages(), key=lambda e: -e.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    return {
        'stages_ms': {**{k: 1e3 * v for k, v in stages.items()}, 'read-out': 1e3 * max(rest, 0.0)},
        'operations': {e.key: e.self_cpu_time_total / total for e in events[:3]},
    }
