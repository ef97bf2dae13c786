"""Node parameters from one frozen dataclass per node: defaults, ranges, YAML, docs, live updates.

    @dataclass(frozen=True)
    class CameraConfig:
        rate: float = parameter(30.0, 'Frames per second.', minimum=0.0, unit='Hz')

`declare` tells a node about all of them, `follow` keeps the configuration up to date, `to_yaml` and
`to_markdown` write the params file and the table in the documentation. Types are bool, int, float,
str, list[str] and list[float]. Checking, YAML and Markdown need no ROS.
"""

from __future__ import annotations

import math
import sys
import textwrap
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from dataclasses import Field as DataclassField
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from headpose_ros.errors import HeadposeError
from headpose_ros.parameter import METADATA, parameter

if TYPE_CHECKING:
    from rcl_interfaces.msg import ParameterDescriptor
    from rclpy.node import Node

__all__ = [
    'ParameterProblem',
    'Rule',
    'declare',
    'follow',
    'parameter',
    'region',
    'rules',
    'to_markdown',
    'to_yaml',
    'updated',
    'validate',
]

Config = TypeVar('Config')

_INT64 = (-(2**63), 2**63 - 1)
_TYPE_NAMES = {
    bool: 'bool',
    int: 'int',
    float: 'float',
    str: 'str',
    list[str]: 'list[str]',
    list[float]: 'list[float]',
}
_EXPECTED = {
    bool: 'true or false',
    int: 'a whole number',
    float: 'a finite number',
    str: 'a text',
    list[str]: 'a list of texts',
    list[float]: 'a list of finite numbers',
}
_ROS_TYPES = {
    bool: 'BOOL',
    int: 'INTEGER',
    float: 'DOUBLE',
    str: 'STRING',
    list[str]: 'STRING_ARRAY',
    list[float]: 'DOUBLE_ARRAY',
}


class ParameterProblem(HeadposeError, ValueError):  # noqa: N818
    """A parameter value that is refused; the message names parameter, value and what is allowed."""


@dataclass(frozen=True)
class Rule:
    """What is known about one parameter.

    Attributes:
        name: parameter name.
        type: bool, int, float, str, list[str] or list[float].
        default: value where none is given.
        description: one sentence for people.
        minimum: smallest value (of each item in a list), None for no limit.
        maximum: largest value (of each item in a list), None for no limit.
        choices: the only accepted values (of each item in a list); empty for any.
        unit: unit of the value, empty for none.
        read_only: whether the value is fixed once the node runs.
        source: where the default comes from, empty where that needs no saying.
    """

    name: str
    type: Any
    default: Any
    description: str
    minimum: float | None
    maximum: float | None
    choices: tuple[Any, ...]
    unit: str
    read_only: bool
    source: str

    @property
    def limits(self) -> str:
        """Return the allowed values in words, empty when there is no limit."""
        unit = f' {self.unit}' if self.unit else ''
        if self.choices:
            return 'one of ' + ', '.join(map(_plain, self.choices))
        if self.minimum is not None and self.maximum is not None:
            return f'{self.minimum} to {self.maximum}{unit}'
        if self.minimum is not None:
            return f'at least {self.minimum}{unit}'
        return f'at most {self.maximum}{unit}' if self.maximum is not None else ''


def rules(config_class: type[Any]) -> dict[str, Rule]:
    """Return the parameters of a configuration class by name, in the order of declaration.

    Raises:
        TypeError: a field is no `parameter` or its type is not supported.
    """
    hints = get_type_hints(config_class)
    return {item.name: _rule(item, hints[item.name]) for item in fields(config_class)}


def _rule(item: DataclassField[Any], kind: Any) -> Rule:
    """Return the rule that a dataclass field stands for."""
    if METADATA not in item.metadata or kind not in _TYPE_NAMES:
        raise TypeError(f'{item.name}: {kind} is no supported parameter made by parameter()')
    default = item.default if item.default_factory is MISSING else item.default_factory()
    return Rule(item.name, kind, default, **item.metadata[METADATA])


def validate(config_class: type[Any], name: str, value: Any) -> Any:
    """Return a value in the type of a parameter.

    A whole number is taken for a float and, so that `-p source:=0` works, for a text; so is a
    truth value where `'true'` or `'false'` is a choice.

    Args:
        config_class: configuration class.
        name: parameter name.
        value: what was given, in any type.

    Raises:
        ParameterProblem: no such parameter, wrong type, NaN or infinity, outside the limits.
    """
    known = rules(config_class)
    if name not in known:
        raise ParameterProblem(f'no parameter {name!r}: expected one of {", ".join(known)}')
    rule = known[name]
    converted = _converted(rule, value)
    for item in converted if isinstance(converted, list) else [converted]:
        _check_limits(rule, value, item)
    return converted


def _converted(rule: Rule, value: Any) -> Any:
    """Return a value in the rule's type or raise ParameterProblem."""
    if rule.type in (list[str], list[float]):
        if not isinstance(value, (list, tuple, array)):
            raise _refusal(rule, value, _EXPECTED[rule.type])
        scalar = str if rule.type == list[str] else float
        return [_scalar(rule, value, scalar, item) for item in value]
    return _scalar(rule, value, rule.type, value)


def _scalar(rule: Rule, value: Any, kind: type[Any], item: Any) -> Any:
    """Return one item in the given type or raise ParameterProblem about the whole value."""
    whole = isinstance(item, int) and not isinstance(item, bool)
    if kind is float and (whole or isinstance(item, float)) and math.isfinite(item):
        return float(item)
    if kind is int and whole and _INT64[0] <= item <= _INT64[1]:
        return int(item)
    if kind is str and (whole or isinstance(item, str)):
        return str(item)
    if kind is str and isinstance(item, bool) and str(item).lower() in rule.choices:
        return str(item).lower()
    if kind is bool and isinstance(item, bool):
        return item
    raise _refusal(rule, value, _EXPECTED[rule.type])


def _check_limits(rule: Rule, value: Any, item: Any) -> None:
    """Raise ParameterProblem when an item is outside the rule's limits."""
    too_small = rule.minimum is not None and item < rule.minimum
    too_large = rule.maximum is not None and item > rule.maximum
    if too_small or too_large or (rule.choices and item not in rule.choices):
        raise _refusal(rule, value, rule.limits)


def _refusal(rule: Rule, value: Any, expected: str) -> ParameterProblem:
    """Return the error for a refused value."""
    return ParameterProblem(f'parameter {rule.name} is {_plain(value)}: expected {expected}')


def _plain(value: Any) -> str:
    """Return a value as a person would type it."""
    return repr(list(value)) if isinstance(value, array) else repr(value)


def declare(node: Node, config_class: type[Config]) -> Config:
    """Declare all parameters on a node and return the configuration with its overrides.

    Raises:
        ParameterProblem: an override is of the wrong type or outside the limits.
    """
    values = {name: _declare_one(node, config_class, name) for name in rules(config_class)}
    return config_class(**values)


def _declare_one(node: Node, config_class: type[Any], name: str) -> Any:
    """Declare one parameter and return its value.

    It is declared without type or range at first. rclpy would refuse a bad override with messages
    that differ between distributions, `rate: 30` for a float among them, and would take an empty
    list for bytes.
    """
    from rcl_interfaces.msg import ParameterDescriptor
    from rclpy.parameter import Parameter

    rule = rules(config_class)[name]
    untyped = ParameterDescriptor(dynamic_typing=True)
    given = node.declare_parameter(name, rule.default, untyped).value
    value = validate(config_class, name, given)
    node.set_parameters([Parameter(name, Parameter.Type[_ROS_TYPES[rule.type]], value)])
    node.set_descriptor(name, _descriptor(rule))
    return value


def _descriptor(rule: Rule) -> ParameterDescriptor:
    """Return what ROS tools show and check about a parameter."""
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
    from rclpy.parameter import Parameter

    descriptor = ParameterDescriptor(name=rule.name, read_only=rule.read_only)
    descriptor.type = Parameter.Type[_ROS_TYPES[rule.type]].value
    descriptor.description = rule.description + (f' [{rule.unit}]' if rule.unit else '')
    descriptor.additional_constraints = rule.limits if rule.choices else ''
    if rule.minimum is None and rule.maximum is None:
        return descriptor
    if rule.type is int:
        low, high = _range(rule, *_INT64)
        descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
    elif rule.type is float:
        low, high = _range(rule, -sys.float_info.max, sys.float_info.max)
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=float(low), to_value=float(high))
        ]
    return descriptor


def _range(rule: Rule, lowest: float, highest: float) -> tuple[float, float]:
    """Return both limits, with the widest that the type has where a rule has none."""
    low = lowest if rule.minimum is None else rule.minimum
    return low, highest if rule.maximum is None else rule.maximum


def updated(config: Config, parameters: Iterable[Any]) -> Config:
    """Return a configuration with the values of rclpy parameters.

    Args:
        config: the present configuration.
        parameters: objects with `name` and `value`; names of others (use_sim_time, ...) are left.

    Raises:
        ParameterProblem: a value is refused or its parameter is read-only.
    """
    known = rules(type(config))
    changes = {}
    for item in parameters:
        if item.name not in known:
            continue
        value = validate(type(config), item.name, item.value)
        if known[item.name].read_only and value != getattr(config, item.name):
            raise ParameterProblem(f'parameter {item.name} is read-only once the node runs')
        changes[item.name] = value
    return replace(config, **changes) if changes else config  # type: ignore[type-var]


def region(name: str, values: Sequence[float]) -> tuple[float, float, float, float]:
    """Return the x, y, width and height that a parameter names as shares of an image's sides.

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


def follow(node: Node, config: Config, apply: Callable[[Config], None]) -> None:
    """Call `apply` with the new configuration whenever parameters of a node are set.

    A refused value, by the rules or by a HeadposeError from `apply`, stays unset and the caller
    gets the reason.
    """
    from rcl_interfaces.msg import SetParametersResult

    current = config

    def on_set(parameters: list[Any]) -> SetParametersResult:
        nonlocal current
        try:
            new = updated(current, parameters)
            if new is not current:
                apply(new)
        except HeadposeError as problem:
            return SetParametersResult(successful=False, reason=str(problem))
        current = new
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(on_set)


def to_yaml(config_class: type[Any], node_name: str = '/**') -> str:
    """Return a commented params file with the defaults.

    Args:
        config_class: configuration class.
        node_name: node that the values are for; '/**' for any.
    """
    lines = [f'{node_name}:', '  ros__parameters:']
    for rule in rules(config_class).values():
        lines += [f'    # {line}' for line in textwrap.wrap(_comment(rule), 94)]
        # ROS cannot tell the type of an empty list, so it must not stand in the file.
        mark = '# ' if rule.default == [] else ''
        lines.append(f'    {mark}{rule.name}: {_yaml_value(rule.default)}')
    return '\n'.join(lines) + '\n'


def _comment(rule: Rule) -> str:
    """Return what the params file says above a parameter."""
    parts = [rule.description]
    if rule.limits:
        parts.append(f'Allowed: {rule.limits}.')
    elif rule.unit:
        parts.append(f'Unit: {rule.unit}.')
    if rule.read_only:
        parts.append('Fixed once the node runs.')
    if rule.source:
        parts.append(f'Source: {rule.source}.')
    return ' '.join(parts)


def _yaml_value(value: Any) -> str:
    """Return a value as YAML whose type neither PyYAML nor rcl can mistake."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, list):
        return '[' + ', '.join(map(_yaml_value, value)) + ']'
    text = repr(value)
    # YAML reads 1e-05 as a text: a float needs its point.
    return text.replace('e', '.0e') if 'e' in text and '.' not in text else text


def to_markdown(config_class: type[Any]) -> str:
    """Return a table of the parameters for the documentation."""
    lines = ['| parameter | type | default | allowed | description |', '| --- ' * 5 + '|']
    for rule in rules(config_class).values():
        cells = (
            f'`{rule.name}`',
            _TYPE_NAMES[rule.type],
            f'`{_yaml_value(rule.default)}`',
            rule.limits or rule.unit,
            rule.description
            + (' Read-only.' if rule.read_only else '')
            + (f' Source: {rule.source}.' if rule.source else ''),
        )
        lines.append('| ' + ' | '.join(cell.replace('|', '\\|') for cell in cells) + ' |')
    return '\n'.join(lines) + '\n'
