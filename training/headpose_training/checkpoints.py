"""Checkpoints of runs: what network they are for, read as tensors only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from headpose_ros.models.registry import MODELS, ModelSpec
from headpose_ros.models.weights import (
    LoadedModel,
    SavedNetwork,
    assemble,
    load_model,
    read_weights,
)
from torch import Tensor, nn

from headpose_training.errors import TrainingError

#: The checkpoint in a run's folder: the newest one, to resume from and to judge.
CHECKPOINT = 'newest.ckpt'
#: Key of a checkpoint that says what its network is.
CHECKPOINT_KEY = 'headpose'
_PREFIX = 'network.'


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
    """Return the averaged network of a checkpoint of `headpose-train fit`.

    The file is read without unpickling code.

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


def read_saved(path: Path) -> SavedNetwork:
    """Return the network of exported weights (.safetensors), or of a checkpoint.

    Raises:
        TrainingError: The checkpoint is none, or is of an unknown model.
        WeightsError: The exported weights are damaged.
    """
    return read_weights(path) if path.suffix == '.safetensors' else read_checkpoint(path)


def mean_of(paths: Sequence[Path]) -> SavedNetwork:
    """Return the mean of weights of one lineage: runs that began with one another's weights.

    It is better than each where they lie in one basin of the loss (Izmailov et al., UAI 2018;
    Wortsman et al., ICML 2022); networks that were trained apart have no useful mean.

    Raises:
        TrainingError: A file is no checkpoint, or they are of different networks.
        WeightsError: Exported weights are damaged.
    """
    first, *others = saved = [read_saved(path) for path in paths]
    for path, other in zip(paths[1:], others, strict=True):
        same = (other.spec, other.options) == (first.spec, first.options)
        if not same or _shapes(other) != _shapes(first):
            raise TrainingError(
                f'{path} is of {other.spec.name} with options {other.options}, {paths[0]} of '
                f'{first.spec.name} with {first.options}: only weights of one network have a mean, '
                'written by one version'
            )
    return replace(
        first, state={name: _mean([s.state[name] for s in saved]) for name in first.state}
    )


def _shapes(saved: SavedNetwork) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in saved.state.items()}


def _mean(values: Sequence[Tensor]) -> Tensor:
    """Return the mean of tensors; of counts the first."""
    if not values[0].is_floating_point():
        return values[0]
    return torch.stack([value.float() for value in values]).mean(dim=0)


def start_from(network: nn.Module, spec: ModelSpec, path: Path) -> None:
    """Take over what a file has of a network; heads that it lacks stay as they are.

    Args:
        network: The network to fill.
        spec: Its line of the registry.
        path: Checkpoint of `headpose-train fit`, or exported weights.

    Raises:
        TrainingError: The file is neither, or is of another network.
        WeightsError: The exported weights are damaged.
    """
    saved = read_saved(path)
    fresh = network.state_dict()
    fits = saved.spec.name == spec.name and all(
        name in fresh and fresh[name].shape == value.shape for name, value in saved.state.items()
    )
    if not fits:
        raise TrainingError(
            f'{path} is of {saved.spec.name} with options {saved.options}: a run of {spec.name} '
            'can start only from the same network with the same options'
        )
    network.load_state_dict(saved.state, strict=False)


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
