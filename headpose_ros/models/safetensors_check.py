"""Weights of other people's making, checked before anything is built from them; without PyTorch.

The header of a safetensors file lists what the file holds; it is compared with the file here, byte
by byte, and what it states about the network is bounded. The format: eight bytes with the
length of the header, little-endian; the header, a JSON object; the tensors.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headpose_ros.errors import HeadposeError
from headpose_ros.foreign_files import FileError, read_bounded, user_path

#: Bytes of a file; the largest registered network has 125 million parameters of two bytes.
LARGEST_FILE = 320 * 10**6
_LARGEST_HEADER = 2**20
_MOST_TENSORS, _MOST_DIMENSIONS = 8192, 8
_LONGEST_NAME = 200
_LONGEST_OPTIONS = 1000
_LONGEST_PATH = 300
#: Sides of a crop in px, and of a crop over the face.
_SIZES, _MARGINS = (16, 512), (0.5, 4.0)
#: An option may be as large as its default; counts, which are small, twice as large.
_SMALL = 8
_DTYPES = {'F64': 8, 'F32': 4, 'F16': 2, 'BF16': 2, 'I64': 8, 'I32': 4, 'U8': 1, 'BOOL': 1}
#: Words of a float with the bits of its exponent: all of them set in NaN and infinity.
_EXPONENTS: dict[str, tuple[np.dtype[Any], int]] = {
    'F64': (np.dtype('<u8'), 0x7FF0000000000000),
    'F32': (np.dtype('<u4'), 0x7F800000),
    'F16': (np.dtype('<u2'), 0x7C00),
    'BF16': (np.dtype('<u2'), 0x7F80),
}


class WeightsFileError(HeadposeError, ValueError):
    """Weights that are not used; the message is the reason, without the path."""


@dataclass(frozen=True)
class TensorInfo:
    """What the header states about a tensor.

    Attributes:
        dtype: Such as `F16`.
        shape: Its dimensions.
        begin: Of its bytes, in the file.
        end: Behind them.
    """

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class CheckedWeights:
    """A safetensors file whose header fits its content, and whose numbers are finite.

    Attributes:
        content: The file.
        metadata: What it states about the network.
        tensors: What it holds.
    """

    content: bytes
    metadata: dict[str, str]
    tensors: dict[str, TensorInfo]


def weights_path(text: str) -> Path:
    """Return the path of weights as a user gives it.

    Raises:
        WeightsFileError: It is no path, or too long for one.
    """
    if len(text) > 4096:
        raise WeightsFileError('not a path: longer than 4096 characters')
    try:
        return user_path(text)
    except FileError as error:
        raise WeightsFileError(str(error)) from error


def shown_path(path: str | Path) -> str:
    """Return a path for a message: cut in its middle where it is long."""
    text = str(path)
    if len(text) <= _LONGEST_PATH:
        return text
    return f'{text[: _LONGEST_PATH // 2]}...{text[-_LONGEST_PATH // 2 :]}'


def read_safetensors(path: Path) -> CheckedWeights:
    """Read a file, once, and check it.

    Raises:
        WeightsFileError: It cannot be read, is too large, or is no good safetensors file.
    """
    try:
        content = read_bounded(path, LARGEST_FILE)
    except FileError as error:
        raise WeightsFileError(str(error)) from error
    return check_safetensors(content)


def check_safetensors(content: bytes) -> CheckedWeights:
    """Compare the header of a safetensors file with its content.

    Raises:
        WeightsFileError: They do not fit each other, or a number is NaN or infinite.
    """
    length = int.from_bytes(content[:8], 'little')
    if len(content) < 10 or content[8:9] != b'{':
        raise WeightsFileError('is not a safetensors file')
    if length > _LARGEST_HEADER:
        raise WeightsFileError(f'has a header of {length} bytes: expected at most 1 MB')
    if 8 + length > len(content):
        raise WeightsFileError(f'is cut off after {len(content)} bytes, within its header')
    entries = _json_object(content[8 : 8 + length], 'a header')
    metadata = _metadata(entries.pop('__metadata__', {}))
    if len(entries) > _MOST_TENSORS:
        raise WeightsFileError(f'has {len(entries)} tensors: expected at most {_MOST_TENSORS}')
    tensors = {name: _tensor(name, entry, 8 + length) for name, entry in entries.items()}
    _check_places(tensors, 8 + length, len(content))
    for name, tensor in tensors.items():
        _check_finite(name, tensor, content)
    return CheckedWeights(content, metadata, tensors)


def input_size(text: str) -> int:
    """Return the side of the crop that metadata give, px.

    Raises:
        WeightsFileError: It is no whole number, or out of range.
    """
    size = _number(int, text, 'input_size')
    if not _SIZES[0] <= size <= _SIZES[1]:
        raise WeightsFileError(f'has an input_size of {size} px: expected {_range(_SIZES)}')
    return size


def margin(text: str) -> float:
    """Return the side of the crop over the face's that metadata give.

    Raises:
        WeightsFileError: It is no number, or out of range.
    """
    value = _number(float, text, 'margin')
    if not _MARGINS[0] <= value <= _MARGINS[1]:  # so written that NaN fails
        raise WeightsFileError(f'has a margin of {value:g}: expected {_range(_MARGINS)}')
    return value


def build_options(
    text: str, build: Callable[..., Any], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options that metadata give, each within what a network is made for.

    Args:
        text: A JSON object.
        build: The network's class; the defaults of its arguments are the published sizes.
        defaults: What the registry sets otherwise.

    Raises:
        WeightsFileError: They are no JSON, unknown, of another type, or far too large.
    """
    if len(text) > _LONGEST_OPTIONS:
        raise WeightsFileError(f'has options of {len(text)} characters')
    options = _json_object(text.encode(), 'options')
    known = {
        name: argument.default for name, argument in inspect.signature(build).parameters.items()
    }
    for name, value in options.items():
        if name not in known:
            expected = ', '.join(known) or 'none'
            raise WeightsFileError(f'has the option {_short(name)}: expected {expected}')
        _check_option(name, value, defaults.get(name, known[name]), known[name])
    return options


def check_shapes(weights: CheckedWeights, expected: Mapping[str, tuple[int, ...]]) -> None:
    """Compare the tensors of a file with those of a network.

    Raises:
        WeightsFileError: One is missing, unknown, or of another shape.
    """
    for name, shape in expected.items():
        found = weights.tensors.get(name)
        if found is None:
            raise WeightsFileError(f'has no tensor {_short(name)}')
        if found.shape != shape:
            raise WeightsFileError(
                f'has {_short(name)} of shape {list(found.shape)}: expected {list(shape)}'
            )
    if unknown := weights.tensors.keys() - expected.keys():
        raise WeightsFileError(f'has an unknown tensor {_short(min(unknown))}')


def _json_object(text: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(
            text.decode('utf-8'), object_pairs_hook=_without_doubles, parse_constant=_no_constant
        )
    except WeightsFileError as error:
        raise WeightsFileError(f'has {what} with {error}') from error
    except RecursionError as error:
        raise WeightsFileError(f'has {what} nested too deeply') from error
    except ValueError as error:
        raise WeightsFileError(f'has {what} that is not JSON: {str(error)[:100]}') from error
    if not isinstance(value, dict):
        raise WeightsFileError(f'has {what} that is no JSON object')
    return value


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise WeightsFileError('a key that stands there twice')
    return found


def _no_constant(name: str) -> float:
    raise WeightsFileError(f'the number {name}')


def _metadata(entry: Any) -> dict[str, str]:
    texts = isinstance(entry, dict) and all(isinstance(value, str) for value in entry.values())
    if not texts:
        raise WeightsFileError('has metadata that are not texts')
    return entry


def _tensor(name: str, entry: Any, start: int) -> TensorInfo:
    what = f'has a tensor {_short(name)}'
    if len(name) > _LONGEST_NAME:
        raise WeightsFileError(f'{what} with a name of {len(name)} characters')
    if not isinstance(entry, dict) or entry.keys() != {'dtype', 'shape', 'data_offsets'}:
        raise WeightsFileError(f'{what} without exactly dtype, shape and data_offsets')
    dtype, shape, offsets = entry['dtype'], entry['shape'], entry['data_offsets']
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise WeightsFileError(f'{what} of type {_short(dtype)}: expected {", ".join(_DTYPES)}')
    if not _are_counts(shape, _MOST_DIMENSIONS) or not _are_counts(offsets, 2) or len(offsets) != 2:
        raise WeightsFileError(f'{what} whose shape or place is no list of whole numbers')
    size = math.prod(shape) * _DTYPES[dtype]
    if offsets[1] - offsets[0] != size:
        raise WeightsFileError(f'{what} of shape {shape} in {offsets[1] - offsets[0]} bytes')
    return TensorInfo(dtype, tuple(shape), start + offsets[0], start + offsets[1])


def _are_counts(value: Any, most: int) -> bool:
    """Return whether this is a short list of whole numbers that a file can have."""
    return (
        isinstance(value, list)
        and len(value) <= most
        and all(type(number) is int and 0 <= number <= LARGEST_FILE for number in value)
    )


def _check_places(tensors: Mapping[str, TensorInfo], start: int, end: int) -> None:
    """Raise WeightsFileError unless the tensors fill the file, without gaps and overlaps."""
    place = start
    for tensor in sorted(tensors.values(), key=lambda tensor: (tensor.begin, tensor.end)):
        if tensor.begin != place:
            raise WeightsFileError('has tensors that overlap, or bytes that belong to none')
        place = tensor.end
    if place > end:
        raise WeightsFileError(f'is cut off after {end} bytes: expected {place}')
    if place < end:
        raise WeightsFileError(f'goes on behind its last tensor: {end} bytes, expected {place}')


def _check_finite(name: str, tensor: TensorInfo, content: bytes) -> None:
    if tensor.dtype not in _EXPONENTS:
        return
    word, exponent = _EXPONENTS[tensor.dtype]
    words = np.frombuffer(content, word, (tensor.end - tensor.begin) // word.itemsize, tensor.begin)
    if np.any((words & word.type(exponent)) == exponent):
        raise WeightsFileError(f'has NaN or infinity in {_short(name)}')


def _check_option(name: str, value: Any, default: Any, published: Any) -> None:
    """Raise WeightsFileError unless an option is of the type of its default, and no larger."""
    said = f'has the option {name}'
    if isinstance(published, tuple):
        if not isinstance(value, list) or len(value) != len(published):
            raise WeightsFileError(f'{said} of another length than {len(published)}')
        for part, most in zip(value, published, strict=True):
            _check_option(name, part, most, most)
    elif type(value) is not type(published):
        raise WeightsFileError(f'{said} of another type than {published!r}')
    elif isinstance(value, str):
        if len(value) > _LONGEST_NAME:
            raise WeightsFileError(f'{said} of {len(value)} characters')
    elif isinstance(value, int):
        most = published if published > _SMALL else 2 * published
        least = min(1, default)  # without landmarks is a network, too
        if not least <= value <= most:
            raise WeightsFileError(f'{said} of {_short(value)}: expected {least} to {most}')


def _number(kind: Callable[[str], Any], text: str, what: str) -> Any:
    try:
        return kind(text[:_LONGEST_NAME])
    except ValueError as error:
        raise WeightsFileError(f'has an {what} of {_short(text)}: expected a number') from error


def _range(limits: tuple[float, float]) -> str:
    return f'{limits[0]:g} to {limits[1]:g}'


def _short(value: Any) -> str:
    """Return what came from a file, in quotes and bounded."""
    text = value if isinstance(value, str) else type(value).__name__
    if type(value) is int and abs(value) < 10**12:
        text = str(value)
    return repr(text if len(text) <= 60 else f'{text[:60]}...')
