"""Messages that are good but for a few fields, which hold what nobody expects there."""

from __future__ import annotations

import copy
import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from rosidl_parser.definition import (
    AbstractNestedType,
    AbstractString,
    Array,
    BasicType,
    NamespacedType,
)

_BITS = {'int8': 8, 'int16': 16, 'int32': 32, 'int64': 64}
_LARGEST = {'float': 3.4028234e38, 'double': 1.7976931348623157e308}
_TEXTS = ['', 'a', ' ', '/', '\x00', 'ä\n\u2028', '..', '%s{}', 'x' * 70_000]
#: Elements of a list of messages that are walked into.
_WALKED = 2

Pick = Callable[[Sequence[Any]], Any]


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


def odd_values(kind: Any) -> list[Any]:
    """Return values of a field's type that are at the edge of what it may hold."""
    if isinstance(kind, Array):
        return [[value] * kind.size for value in odd_values(kind.value_type)]
    if isinstance(kind, AbstractNestedType):
        return _odd_sequences(kind.value_type)
    if isinstance(kind, AbstractString):
        return _TEXTS
    assert isinstance(kind, BasicType)
    if kind.typename in _LARGEST:
        most = _LARGEST[kind.typename]
        return [math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, most, -most, 1e-40]
    if kind.typename == 'boolean':
        return [False, True]
    if kind.typename in ('octet', 'byte'):
        return [b'\x00', b'\x02', b'\xff']
    is_unsigned, bits = kind.typename[0] == 'u', _BITS[kind.typename.removeprefix('u')]
    least = 0 if is_unsigned else -(2 ** (bits - 1))
    most = least + 2**bits - 1
    return sorted({least, most, most - 1, 0, 1, max(least, -1)})


def _odd_sequences(element: Any) -> list[Any]:
    if isinstance(element, BasicType) and element.typename == 'uint8':
        return [array('B', data) for data in (b'', b'\x00', b'\xff' * 40)]
    return [[value] * length for value in odd_values(element) for length in (0, 1, 5)]


def spoiled(message: Any, pick: Pick, most: int = 3) -> Any:
    """Return a copy of a message with one to `most` of its fields at odd values.

    Args:
        message: A message of any type, with at least one field.
        pick: Chooses one of several, such as random.choice.
        most: How many fields at most.
    """
    bad = copy.deepcopy(message)
    there = list(fields(bad))
    for _ in range(pick(range(1, most + 1))):
        field = pick(there)
        setattr(field.owner, field.name, _odd_value(field, pick))
    return bad


def _odd_value(field: Field, pick: Pick) -> Any:
    """Return another value for a field; of an array that is there maybe one element alone."""
    now, kind = getattr(field.owner, field.name), field.type
    if isinstance(kind, AbstractNestedType) and len(now) and pick((True, False)):
        changed = copy.copy(now)
        changed[pick(range(len(now)))] = pick(odd_values(kind.value_type))
        return changed
    return pick(odd_values(kind))
