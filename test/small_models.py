"""Every registered network, small enough for a test, with random weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from headpose_ros.models import weights
from headpose_ros.models.registry import MODELS

#: Options and input size by model; together they cover every option.
SMALL: dict[str, tuple[dict[str, Any], int]] = {
    'ccr': ({'width': 16, 'blocks': 3}, 128),
    'hopenet': ({'backbone': 'resnet18'}, 64),
    'mnn': ({'width': 4, 'input_size': 32}, 32),
    'mnn_encoder': ({'width': 4, 'input_size': 32}, 32),
    'mnn_direct': (
        {
            'input_size': 64,
            'stem': 8,
            'widths': [8, 16, 16, 16],
            'depths': [1, 1, 2, 1],
            'expansions': [1, 2, 2, 2],
            'deep': 32,
        },
        64,
    ),
    'mnn_lite': ({}, 128),
    'parts3d': (
        {'trunk': 'resnet18', 'width': 16, 'depth_layers': [1, 1, 1, 1], 'depth_width': 4},
        64,
    ),
    'ranking': ({'backbone': 'resnet18', 'embedding': 8}, 64),
}
#: Layers whose outputs are landmark maps.
_MAPS = ('maps', 'maps.4', 'maps.1')


def write_small(name: str, folder: Path) -> Path:
    """Write random weights of a network that is sure of its landmarks, and that it sees a face."""
    torch.manual_seed(0)
    options, size = SMALL[name]
    spec = replace(MODELS[name], input_size=size)
    network = spec.build(**options)
    for path, module in network.named_modules():
        if path.endswith(_MAPS) and isinstance(module, torch.nn.Conv2d):
            with torch.no_grad():
                module.weight.abs_().mul_(5e4)  # CCR reads positive maps only
    for path, parameter in network.named_parameters():
        if path.endswith('log_power'):  # CCR reads maps whatever their scale
            torch.nn.init.constant_(parameter, 5.0)
        if path == 'face.2.bias':
            torch.nn.init.constant_(parameter, 5.0)
        if path == 'trust.2.bias':  # small expected errors
            torch.nn.init.constant_(parameter, -2.0)
    file = folder / f'{name}.safetensors'
    weights.save_weights(file, spec, network.state_dict(), options)
    return file
