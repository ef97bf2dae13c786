"""Checkpoints of runs: what network they are for, read as tensors only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from headpose_ros.models.registry import MODELS, ModelSpec
from headpose_ros.models.weights import LoadedModel, assemble, load_model
from torch import Tensor

from headpose_training.errors import TrainingError

#: The checkpoint in a run's folder: the newest one, to resume from and to judge.
CHECKPOINT = 'newest.ckpt'
#: Key of a checkpoint that says what its network is.
CHECKPOINT_KEY = 'headpose'
_PREFIX = 'network.'


@dataclass(frozen=True)
class SavedNetwork:
    """A network as a run saved it, averaged weights.

    Attributes:
        spec: How it is fed.
        state: State dict of the network.
        options: What it was built with, beyond the registry's defaults.
    """

    spec: ModelSpec
    state: dict[str, Tensor]
    options: dict[str, Any]


def load_weights(name_or_path: str) -> LoadedModel:
    """Return a network ready to run: released, from a .safetensors, or from a run's checkpoint.

    Args:
        name_or_path: Registered name, or a path that ends in .safetensors or .ckpt.

    Raises:
        TrainingError: The checkpoint is damaged or of another version.
        WeightsError: The weights are missing, damaged, or of another network.
    """
    if not name_or_path.endswith('.ckpt'):
        return load_model(name_or_path)
    path = Path(name_or_path)
    saved = read_checkpoint(path)
    network = assemble(saved.spec, saved.options, saved.state, path)
    return LoadedModel(saved.spec, network, {})


def label_of(name_or_path: str) -> str:
    """Return a short name of weights for tables: a run's folder, a file's stem, or the model."""
    path = Path(name_or_path)
    return path.resolve().parent.name if path.suffix == '.ckpt' else path.stem


def read_checkpoint(path: Path) -> SavedNetwork:
    """Return the network of a checkpoint of `headpose-train fit`, without unpickling code.

    Raises:
        TrainingError: The file is no such checkpoint, or is of an unknown model.
    """
    content = _load(path)
    about = content.get(CHECKPOINT_KEY)
    if not isinstance(about, Mapping) or 'state_dict' not in content:
        raise TrainingError(f'{path} is not a checkpoint of headpose-train fit of this version')
    if about['model'] not in MODELS:
        raise TrainingError(
            f'{path} is of the model {about["model"]!r} of version {about.get("version")}: this '
            f'version has {", ".join(MODELS)}'
        )
    state = {
        name[len(_PREFIX) :]: value
        for name, value in content['state_dict'].items()
        if name.startswith(_PREFIX)
    }
    line = MODELS[about['model']]
    spec = replace(line, input_size=about['input_size'], margin=about['margin'])
    return SavedNetwork(spec, state, dict(about['options']))


def read_tensors(path: Path | str) -> dict[str, Tensor]:
    """Return a state dict, read without unpickling code.

    Raises:
        TrainingError: The file is no state dict.
    """
    content = _load(Path(path))
    if not all(isinstance(value, Tensor) for value in content.values()):
        raise TrainingError(f'{path} is not a state dict: expected names and tensors only')
    return content


def _load(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # torch.load raises whatever its parts raise
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TrainingError(f'{path} is not a checkpoint that torch reads: {first}') from error
    if not isinstance(content, dict):
        raise TrainingError(f'{path} holds a {type(content).__name__}, expected a dictionary')
    return content
