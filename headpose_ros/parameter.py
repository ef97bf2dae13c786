"""What a field of a configuration says about itself: range, unit, source. Needs no ROS.

Options of the layers below ROS are declared with it too, so that a node takes them over as its
parameters instead of repeating them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from typing import Any

#: Key under which a dataclass field keeps what `parameter` was told.
METADATA = 'headpose_ros.parameter'


def parameter(
    default: Any,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Iterable[Any] | None = None,
    unit: str = '',
    read_only: bool = False,
    source: str = '',
) -> Any:
    """Return a dataclass field that is a node parameter.

    Args:
        default: value where none is given; the field's annotation decides the type.
        description: one sentence for people.
        minimum: smallest value (of each item in a list).
        maximum: largest value (of each item in a list).
        choices: the only accepted values (of each item in a list).
        unit: unit of the value, such as 'Hz'.
        read_only: whether the value is fixed once the node runs.
        source: where the default comes from: a standard, a paper, or 'ours'.
    """
    metadata = {
        METADATA: {
            'description': description,
            'minimum': minimum,
            'maximum': maximum,
            'choices': tuple(choices or ()),
            'unit': unit,
            'read_only': read_only,
            'source': source,
        }
    }
    if isinstance(default, (list, tuple)):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)
