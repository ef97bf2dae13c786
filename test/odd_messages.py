"""Messages that are good but for a few fields, which hold what nobody expects there."""

from __future__ import annotations

import copy
import math
from array import array
from collections.abc import Iterator
from typing import Any, NamedTuple

from hypothesis import strategies as st
from rosidl_parser.definition import (
    AbstractNestedType,
    AbstractSequence,
    AbstractString,
    Array,
    BasicType,
    NamespacedType,
)

_BITS = {'int8': 8, 'int16': 16, 'int32': 32, 'int64': 64}
_LARGEST = {'float': 3.4028234e38, 'double': 1.7976931348623157e308}
#: Elements of a list of messages that are walked into.
_WALKED = 2


class Field(NamedTuple):
    """A field of a message or of one inside of it."""

    owner: Any
    name: str
    type: Any


def fields(message: Any) -> Iterator[Field]:
    """Yield every field that holds no message itself, however deep."""
    names = message.get_fields_and_field_types()
    for name, kind in zip(names, message.SLOT_TYPES, strict=True):
        value = getattr(message, name)
        inner = kind.value_type if isinstance(kind, AbstractNestedType) else kind
        if not isinstance(inner, NamespacedType):
            yield Field(message, name, kind)
        elif inner is kind:
            yield from fields(value)
        else:
            for element in value[:_WALKED]:
                yield from fields(element)


def odd_values(kind: Any) -> st.SearchStrategy[Any]:
    """Return values of a field's type that are at the edge of what it may hold."""
    if isinstance(kind, Array):
        return st.lists(odd_values(kind.value_type), min_size=kind.size, max_size=kind.size)
    if isinstance(kind, AbstractSequence):
        return _odd_sequences(kind.value_type)
    if isinstance(kind, AbstractString):
        return st.sampled_from(['', 'a', ' ', '/', '\x00', 'ä\n\u2028', '..', '%s{}', 'x' * 70_000])
    assert isinstance(kind, BasicType)
    if kind.typename in _LARGEST:
        most = _LARGEST[kind.typename]
        odd = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, most, -most, 1e-40]
        return st.sampled_from(odd)
    if kind.typename == 'boolean':
        return st.booleans()
    if kind.typename in ('octet', 'byte'):
        return st.sampled_from([b'\x00', b'\x02', b'\xff'])
    bits = _BITS[kind.typename.removeprefix('u')]
    least, most = (
        (0, 2**bits - 1) if kind.typename[0] == 'u' else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    )
    return st.sampled_from(sorted({least, most, most - 1, 0, 1, max(least, -1)}))


def _odd_sequences(element: Any) -> st.SearchStrategy[Any]:
    if isinstance(element, BasicType) and element.typename == 'uint8':
        return st.binary(max_size=40).map(lambda data: array('B', data))
    return st.lists(odd_values(element), max_size=5)


def spoiled(data: st.DataObject, good: Any, most: int = 3) -> Any:
    """Return a copy of a message with one to `most` of its fields at odd values."""
    message = copy.deepcopy(good)
    there = list(fields(message))
    count = data.draw(st.integers(1, most))
    for field in data.draw(st.lists(st.sampled_from(there), min_size=count, max_size=count)):
        setattr(field.owner, field.name, _odd_value(data, field))
    return message


def _odd_value(data: st.DataObject, field: Field) -> Any:
    """Draw another value for a field; of an array that is there maybe one element alone."""
    now, kind = getattr(field.owner, field.name), field.type
    if isinstance(kind, AbstractNestedType) and len(now) and data.draw(st.booleans()):
        changed = copy.copy(now)
        index = data.draw(st.integers(0, len(now) - 1), label=f'index in {field.name}')
        changed[index] = data.draw(odd_values(kind.value_type), label=field.name)
        return changed
    return data.draw(odd_values(kind), label=field.name)
