"""From a Lightning checkpoint to released weights: safetensors and a card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from headpose_ros.models.registry import MODELS
from headpose_ros.models.weights import sha256
from safetensors.torch import save_file
from torch import Tensor

from headpose_training.errors import TrainingError

_PREFIX = 'network.'


def export(checkpoint: Path, model: str, out: Path, description: Path) -> None:
    """Write `<out>.safetensors` and `<out>.json`.

    Args:
        checkpoint: A checkpoint of `headpose-train fit`; the averaged weights are taken.
        model: Registered name of the network.
        out: File to write, without suffix.
        description: JSON object with what a card must say: data, license, command.
    """
    card = _read_description(description)
    state = read_checkpoint(checkpoint)
    _check_fits(model, state, checkpoint)
    file = out.with_suffix('.safetensors')
    file.parent.mkdir(parents=True, exist_ok=True)
    half = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    save_file(half, file, metadata={'model': model})
    file.chmod(0o644)  # safetensors writes files that only their owner may read
    card |= {'model': model, 'bytes': file.stat().st_size, 'sha256': sha256(file)}
    out.with_suffix('.json').write_text(json.dumps(card, indent=2) + '\n', encoding='utf-8')
    print(f'{file}: {card["bytes"] / 1e6:.2f} MB, sha256 {card["sha256"]}')


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Return the network's tensors of a checkpoint, read without unpickling code.

    Raises:
        TrainingError: The file is no checkpoint of this workspace.
    """
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
        tensors: Mapping[str, Tensor] = content['state_dict']
    except Exception as error:  # torch.load raises whatever its parts raise
        raise TrainingError(f'{path} is not a checkpoint of headpose-train fit: {error}') from error
    return {
        name[len(_PREFIX) :]: value.contiguous()
        for name, value in tensors.items()
        if name.startswith(_PREFIX)
    }


def _check_fits(model: str, state: dict[str, Tensor], checkpoint: Path) -> None:
    if model not in MODELS:
        raise TrainingError(f'unknown model {model!r}: expected one of {", ".join(MODELS)}')
    try:
        MODELS[model].build().load_state_dict(state)
    except RuntimeError as error:
        raise TrainingError(f'{checkpoint} does not fit the network {model}: {error}') from error


def _read_description(path: Path) -> dict[str, Any]:
    try:
        card = json.loads(path.read_text(encoding='utf-8'))
        missing = {'data', 'license', 'command'} - card.keys()
    except (OSError, ValueError, AttributeError) as error:
        raise TrainingError(f'{path} is not a JSON object: {error}') from error
    if missing:
        raise TrainingError(f'{path} lacks {sorted(missing)}, which every card must say')
    return card
