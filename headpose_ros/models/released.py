"""Weights on disk: the released ones by name, others by path, with their cards and checksums.

Nothing is loaded here, and PyTorch is not imported: `weights` reads the tensors of `.safetensors`,
`perception.backends` runs the `.onnx` beside them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from headpose_ros.foreign_files import FileError, read_bounded
from headpose_ros.models.registry import WeightsError, spec_of
from headpose_ros.models.safetensors_check import (
    LARGEST_FILE,
    WeightsFileError,
    read_safetensors,
    shown_path,
    weights_path,
)

#: Where the released weights lie: `<name>.safetensors`, `<name>.onnx` and the card `<name>.json`.
FOLDER = Path(__file__).with_name('weights')
_LARGEST_CARD = 2**16  # bytes
#: The metric of the cards by which weights are picked.
POSE_METRIC = 'geodesic error, one constant rotation removed (deg)'


@dataclass(frozen=True)
class WeightsFile:
    """Weights on disk, as their card describes them.

    Attributes:
        path: The `.safetensors` file.
        sha256: Its digest.
        onnx: The same network for ONNX Runtime, beside it; None where there is none.
        card: Data, licence, command, metrics, digests; empty for a file without a card.
    """

    path: Path
    sha256: str
    onnx: Path | None
    card: dict[str, Any]

    @property
    def released(self) -> bool:
        """Return whether the weights came with this package."""
        return self.path.parent == FOLDER


def find_weights(name_or_path: str) -> WeightsFile:
    """Find weights and compare them with their card.

    Args:
        name_or_path: `mnn_lite_free`, ..., or the path of a `.safetensors` file.

    Raises:
        WeightsError: The weights are missing or damaged.
    """
    path = released_file(name_or_path)
    card = read_card(path)
    digest = sha256(path)
    if card:
        _check(path, digest, card['sha256'])
    onnx = path.with_suffix('.onnx')
    if not onnx.is_file():
        return WeightsFile(path, digest, None, card)
    if 'onnx' in card:
        _check(onnx, sha256(onnx), card['onnx']['sha256'])
    return WeightsFile(path, digest, onnx, card)


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


def read_card(path: Path) -> dict[str, Any]:
    """Return the card beside weights; empty where there is none.

    Raises:
        WeightsError: The card is damaged.
    """
    card = path.with_suffix('.json')
    if not card.is_file():
        return {}
    try:
        content = json.loads(read_bounded(card, _LARGEST_CARD))
        digests = [content['sha256'], content.get('onnx', {'sha256': ''})['sha256']]
        if not all(isinstance(digest, str) for digest in digests):
            raise TypeError('sha256 is not a text')
    except (FileError, ValueError, KeyError, TypeError, RecursionError) as error:
        said = f'the card {shown_path(card)} is not JSON with a sha256'
        raise WeightsError(f'{said}: {str(error)[:100]}') from error
    return content


def pick(family: str) -> str:
    """Return the name of the released weights with the smallest pose error.

    Args:
        family: `free` for any use, or `research` for non-commercial use.

    Raises:
        WeightsError: None are released, or a card is damaged.
    """
    cards = {name: read_card(released_file(name)) for name in released()}
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
    return hashlib.sha256(read_weights_file(path)).hexdigest()


def read_weights_file(path: Path) -> bytes:
    """Return the content of weights in either form.

    Raises:
        WeightsError: It cannot be read, or is too large for weights.
    """
    try:
        return read_bounded(path, LARGEST_FILE)
    except FileError as error:
        raise WeightsError(f'cannot read {shown_path(path)}: {error}') from error


def check_weights(path: Path) -> None:
    """Compare a `.safetensors` file with itself and with the registry.

    Raises:
        WeightsError: It is damaged, or for no registered network.
    """
    try:
        checked = read_safetensors(path)
    except WeightsFileError as error:
        raise WeightsError(f'{shown_path(path)} {error}') from error
    spec_of(checked.metadata, shown_path(path))


@lru_cache(maxsize=1)
def released() -> tuple[str, ...]:
    """Return the names of the weights that ship with this package."""
    return tuple(sorted(path.stem for path in FOLDER.glob('*.safetensors')))


def _check(path: Path, digest: str, expected: str) -> None:
    if digest != expected:
        raise WeightsError(
            f'{path} is damaged: its sha256 differs from the one in its card; fetch it again'
        )
