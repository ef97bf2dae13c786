"""Load trained weights: safetensors with a card beside them, checked before use."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor, nn

from headpose_ros.errors import HeadposeError
from headpose_ros.foreign_files import FileError, read_bounded
from headpose_ros.models.registry import MODELS, ModelSpec
from headpose_ros.models.safetensors_check import (
    LARGEST_FILE,
    WeightsFileError,
    build_options,
    check_shapes,
    input_size,
    margin,
    read_safetensors,
    shown_path,
    weights_path,
)

#: Where the released weights lie: `<name>.safetensors` and its card `<name>.json`.
FOLDER = Path(__file__).with_name('weights')
_LARGEST_CARD = 2**16  # bytes
#: The metric of the cards by which weights are picked.
POSE_METRIC = 'geodesic error, one constant rotation removed (deg)'


class WeightsError(HeadposeError):
    """Weights are missing, damaged, or of another network."""


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
        network: Maps float32 (B, 3, S, S) to `FaceOutputs`.
        card: Data, licence, command, metrics, sha256; empty for a file without a card.
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
    path = released_file(name_or_path)
    card = _read_card(path)
    if card and card['sha256'] != sha256(path):
        raise WeightsError(
            f'{path} is damaged: its sha256 differs from the one in its card; fetch it again'
        )
    saved = read_weights(path)
    return LoadedModel(saved.spec, assemble(saved.spec, saved.options, saved.state, path), card)


def read_weights(path: Path) -> SavedNetwork:
    """Return what a `.safetensors` file of this package holds, in single precision.

    Raises:
        WeightsError: The file is damaged, or for no registered network.
    """
    try:
        checked = read_safetensors(path)
        spec = _spec(path, checked.metadata)
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
    header = {
        'model': spec.name,
        'options': json.dumps(dict(options)),
        'input_size': str(spec.input_size),
        'margin': repr(spec.margin),
    }
    save_file(half, path, metadata=header)
    path.chmod(0o644)  # safetensors writes files that only their owner may read


def released_file(name_or_path: str) -> Path:
    """Return the file of released weights, or the path itself.

    Raises:
        WeightsError: There is no such file.
    """
    if name_or_path.endswith('.safetensors'):
        return _given_file(name_or_path)
    if name_or_path not in released():
        raise WeightsError(
            f'no weights for model {shown_path(name_or_path)!r}: released are '
            f'{", ".join(released())}; or give the path of a .safetensors file'
        )
    return FOLDER / f'{name_or_path}.safetensors'


def _given_file(text: str) -> Path:
    try:
        path = weights_path(text)
        is_file = path.is_file()
    except (WeightsFileError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise WeightsError(f'no weights at {shown_path(text)}: {reason}') from error
    if not is_file:
        raise WeightsError(f'no weights at {shown_path(path)}: not a regular file')
    return path


def pick(family: str) -> str:
    """Return the name of the released weights with the smallest pose error.

    Args:
        family: `free` for any use, or `research` for non-commercial use.

    Raises:
        WeightsError: None are released, or a card is damaged.
    """
    cards = {name: _read_card(released_file(name)) for name in released()}
    chosen = {name: card for name, card in cards.items() if card['family'] == family}
    errors = {name: card['metrics'][POSE_METRIC] for name, card in chosen.items()}
    if not errors:
        raise WeightsError(f'no weights of the family {family!r} are released')
    return min(errors, key=errors.__getitem__)


def sha256(path: Path) -> str:
    """Return the hexadecimal digest of a file.

    Raises:
        WeightsError: It cannot be read, or is too large for weights.
    """
    try:
        return hashlib.sha256(read_bounded(path, LARGEST_FILE)).hexdigest()
    except FileError as error:
        raise WeightsError(f'cannot read {shown_path(path)}: {error}') from error


@lru_cache(maxsize=1)
def released() -> tuple[str, ...]:
    """Return the names of the weights that ship with this package."""
    return tuple(sorted(path.stem for path in FOLDER.glob('*.safetensors')))


def _read_card(path: Path) -> dict[str, Any]:
    card = path.with_suffix('.json')
    if not card.is_file():
        return {}
    try:
        content = json.loads(read_bounded(card, _LARGEST_CARD))
        if not isinstance(content['sha256'], str):
            raise TypeError('sha256 is not a text')
    except (FileError, ValueError, KeyError, TypeError, RecursionError) as error:
        said = f'the card {shown_path(card)} is not JSON with a sha256'
        raise WeightsError(f'{said}: {str(error)[:100]}') from error
    return content


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


def _spec(path: Path, header: Mapping[str, str]) -> ModelSpec:
    """Return the registry's line, with what the file says otherwise."""
    name = header.get('model', '')
    if name not in MODELS:
        raise WeightsError(
            f'{shown_path(path)} is for the model {name[:60]!r}, expected one of '
            f'{", ".join(MODELS)}; export weights with headpose-train export'
        )
    spec = MODELS[name]
    return replace(
        spec,
        input_size=input_size(header.get('input_size', str(spec.input_size))),
        margin=margin(header.get('margin', repr(spec.margin))),
    )
