"""ONNX files of other people's making, looked through before a runtime gets them; without onnx.

What a file would have the runtime do is seen only by running it, see `perception.foreign_onnx`.
Here is refused what a network needs not and what a run on one image does not show: tensors in other
files, loops, and operators of other makers. The format is protobuf, `onnx.proto3`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from headpose_ros.errors import quoted
from headpose_ros.models.safetensors_check import WeightsFileError

#: Fields that are visited; `mnn_lite` has 7,000.
_MOST_FIELDS = 500_000
#: Messages within messages; a graph in a branch of a graph is three of them.
_DEEPEST = 20
_LOOPS = ('Loop', 'Scan')
_DOMAINS = ('', 'ai.onnx')
#: ONNX Runtime's own format, which it takes for ONNX by these bytes.
_ORT_FORMAT = slice(4, 8), b'ORTM'

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}


@dataclass(frozen=True)
class _Message:
    """What is looked at in a kind of message, by the numbers of its fields.

    Attributes:
        inner: Messages in it.
        texts: Texts in it, with what they are.
        external: Fields that only a tensor in another file has.
    """

    inner: dict[int, str] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)
    external: tuple[int, ...] = ()


_MESSAGES = {
    'model': _Message({7: 'graph', 20: 'training', 25: 'function'}),
    'training': _Message({1: 'graph', 2: 'graph'}),
    'function': _Message({7: 'node', 11: 'attribute'}),
    'graph': _Message({1: 'node', 5: 'tensor', 15: 'sparse tensor'}),
    'node': _Message({5: 'attribute'}, {4: 'operator', 7: 'domain'}),
    'attribute': _Message(
        {
            5: 'tensor',
            6: 'graph',
            10: 'tensor',
            11: 'graph',
            22: 'sparse tensor',
            23: 'sparse tensor',
        }
    ),
    'sparse tensor': _Message({1: 'tensor', 2: 'tensor'}),
    'tensor': _Message(external=(13, 14)),
}


def check_onnx(content: bytes) -> None:
    """Look through an ONNX file.

    Raises:
        WeightsFileError: It is no such file, or holds what no network of this package needs.
    """
    place, mark = _ORT_FORMAT
    if content[place] == mark:
        raise WeightsFileError("is in ONNX Runtime's own format: expected ONNX")
    waiting = [('model', memoryview(content), 0)]
    visited = 0
    while waiting:
        kind, data, depth = waiting.pop()
        if depth > _DEEPEST:
            raise WeightsFileError('has graphs nested too deeply')
        message = _MESSAGES[kind]
        for number, value in _fields(data):
            visited += 1
            if visited > _MOST_FIELDS:
                raise WeightsFileError(f'has more than {_MOST_FIELDS} fields')
            if number in message.external and value != 0:
                raise WeightsFileError('has tensors in other files: expected all in one')
            if isinstance(value, int):
                continue
            if number in message.inner:
                waiting.append((message.inner[number], value, depth + 1))
            elif number in message.texts:
                _check_text(message.texts[number], bytes(value[:200]).decode(errors='replace'))


def _check_text(what: str, text: str) -> None:
    if what == 'operator' and text in _LOOPS:
        raise WeightsFileError(f'has a {text}, which may never end: expected none')
    if what == 'domain' and text not in _DOMAINS:
        raise WeightsFileError(f"has operators of {quoted(text)}: expected ONNX's own")


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield numbers and values of a message's fields; those of a fixed size as 1.

    Raises:
        WeightsFileError: This is no protobuf.
    """
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, place = _varint(data, place)
            yield number, value
            continue
        size = _FIXED.get(wire, 0)
        if wire == _BYTES:
            size, place = _varint(data, place)
        elif not size:
            raise WeightsFileError('is not an ONNX file')
        if number == 0 or size > len(data) - place:
            raise WeightsFileError('is not an ONNX file, or is cut off')
        yield number, data[place : place + size] if wire == _BYTES else 1
        place += size


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    """Return a number of at most 64 bits, and the place behind it."""
    value = 0
    for index, byte in enumerate(data[place : place + 10]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value & (2**64 - 1), place + index + 1
    raise WeightsFileError('is not an ONNX file, or is cut off')
