"""Load trained weights into PyTorch: safetensors, checked before use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor, nn

from headpose_ros.models.registry import ModelSpec, WeightsError, describe, spec_of
from headpose_ros.models.released import find_weights
from headpose_ros.models.safetensors_check import (
    WeightsFileError,
    build_options,
    check_shapes,
    read_safetensors,
    shown_path,
)


@dataclass(frozen=True)
class SavedNetwork:
    """A network as a file holds it.

    Attributes:
        spec: How it is fed.
        state: State dict of the network.
        options: What it was built with, beyond the registry's defaults.
    """

    spec: ModelSpec
    state: dict[str, Tensor]
    options: dict[str, Any]


@dataclass(frozen=True)
class LoadedModel:
    """A trained network in evaluation mode.

    Attributes:
        spec: How to feed it.
        network: Maps float32 (B, 3, S, S) to `NetworkOutputs`.
        card: As in `released.WeightsFile`.
    """

    spec: ModelSpec
    network: nn.Module
    card: dict[str, Any]


def load_model(name_or_path: str) -> LoadedModel:
    """Build a registered network and load its weights, on the CPU.

    Args:
        name_or_path: `mnn_lite_free`, ..., or the path of a `.safetensors` file.

    Raises:
        WeightsError: The weights are missing, damaged, or of another network.
    """
    found = find_weights(name_or_path)
    saved = read_weights(found.path)
    network = assemble(saved.spec, saved.options, saved.state, found.path)
    return LoadedModel(saved.spec, network, found.card)


def read_weights(path: Path) -> SavedNetwork:
    """Return what a `.safetensors` file of this package holds, in single precision.

    Raises:
        WeightsError: The file is damaged, or for no registered network.
    """
    try:
        checked = read_safetensors(path)
        spec = spec_of(checked.metadata, shown_path(path))
        text = checked.metadata.get('options', '{}')
        options = build_options(text, spec.network_class, spec.defaults)
        check_shapes(checked, _shapes(spec, options))
        return SavedNetwork(spec, _tensors(checked.content), options)
    except WeightsFileError as error:
        raise WeightsError(f'{shown_path(path)} {error}') from error


def assemble(
    spec: ModelSpec, options: Mapping[str, Any], state: Mapping[str, Tensor], source: Path
) -> nn.Module:
    """Build a network and fill it, in evaluation mode.

    Args:
        spec: Its line of the registry.
        options: What it was built with, beyond the line's defaults.
        state: State dict.
        source: Where the tensors come from, for the error.

    Raises:
        WeightsError: Options or tensors are not this network's.
    """
    try:
        network = spec.build(**options)
        network.load_state_dict(dict(state))
    except (RuntimeError, ValueError, TypeError) as error:
        raise WeightsError(
            f'{source} does not fit the network {spec.name}: expected weights exported by this '
            f'version of headpose_ros'
        ) from error
    return network.eval().requires_grad_(False)


def save_weights(
    path: Path, spec: ModelSpec, state: Mapping[str, Tensor], options: Mapping[str, Any]
) -> None:
    """Write weights that :func:`load_model` reads; floats in half precision.

    Args:
        path: File to write, `.safetensors`.
        spec: How the network is fed: input size and margin are written too.
        state: The network's state dict.
        options: What it was built with, beyond the registry's defaults.
    """
    half = {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in state.items()}
    save_file(half, path, metadata=describe(spec, options))
    path.chmod(0o644)  # safetensors writes files that only their owner may read


def _shapes(spec: ModelSpec, options: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a network's tensors, without memory for them.

    Raises:
        WeightsFileError: The options are not this network's.
    """
    try:
        with torch.device('meta'):
            state = spec.build(**options).state_dict()
    except (RuntimeError, ValueError, TypeError, LookupError, ArithmeticError) as error:
        text = str(error)[:200]
        raise WeightsFileError(f'has options that make no {spec.name}: {text}') from error
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def _tensors(content: bytes) -> dict[str, Tensor]:
    """Return the tensors of a checked file: half precision on disk, single in use."""
    try:
        state = load(content)
    except (SafetensorError, ValueError, RuntimeError) as error:
        raise WeightsFileError(f'is not a safetensors file: {error}') from error
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
