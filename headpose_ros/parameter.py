"""What an option states about itself: default, range, unit, former name. Needs no ROS.

Every part declares its options once, in a frozen dataclass beside it. A node's configuration is a
frozen dataclass of its own options and of those of its parts:

    @dataclass(frozen=True)
    class TrackingOptions:
        retain: float = parameter(2.0, 'How long.', minimum=0.0, unit='s', former='retain')

    @dataclass(frozen=True)
    class PoseConfig:
        lazy: bool = parameter(False, 'Whether to rest.')
        tracking: TrackingOptions = field(default_factory=TrackingOptions)

Its parameters are `lazy` and `tracking.retain`; `ros.node.parameters` makes them. A part whose
options do not fit together refuses them in `__post_init__`, by a ParameterProblem that begins with
`parameter NAME`, NAME being that of the field.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import field
from typing import Any

from headpose_ros.errors import HeadposeError

#: Key under which a dataclass field keeps what `parameter` was given.
METADATA = 'headpose_ros.parameter'

#: x, y, width and height of a part of an image, as shares of the image's width and height.
Region = tuple[float, float, float, float]


class ParameterProblem(HeadposeError, ValueError):  # noqa: N818
    """A parameter value that is refused; the message names parameter, value and what is allowed."""


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
    basic: bool = False,
    former: str = '',
) -> Any:
    """Return a dataclass field that is a node parameter.

    Args:
        default: Value where none is given; the field's annotation decides the type.
        description: One sentence for people.
        minimum: Smallest value (of each item in a list).
        maximum: Largest value (of each item in a list).
        choices: The only accepted values (of each item in a list).
        unit: Unit of the value, such as 'Hz'.
        read_only: Whether the value is fixed once the node runs.
        source: Where the default comes from: a standard, a paper, or 'ours'.
        basic: Whether it is one of the few that most people set, which every list shows first.
        former: Full name of the parameter in the previous release, which is still accepted with
            a warning; empty for none.
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
            'basic': basic,
            'former': former,
        }
    }
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def region(name: str, values: Sequence[float]) -> Region:
    """Return the x, y, width and height that an option holds as shares of an image's sides.

    Raises:
        ParameterProblem: They are not four, or the region is empty.
    """
    if len(values) != 4 or values[2] <= 0 or values[3] <= 0:
        raise ParameterProblem(
            f'parameter {name} is {list(values)}: expected x, y, width, height, the last two '
            'above 0'
        )
    x, y, width, height = values
    return x, y, width, height
