"""Node parameters from a frozen dataclass per node: declaration, checking, live updates.

    @dataclass(frozen=True)
    class CameraConfig:
        rate: float = parameter(30.0, 'Frames per second.', minimum=0.0, unit='Hz')
        tracking: TrackingOptions = field(default_factory=TrackingOptions)

A field that is itself a frozen dataclass stands for its own parameters, `tracking.retain` for one.
`declare` declares all of them on a node, and `follow` keeps the configuration up to date. Types
are bool, int, float, str, lists and tuples of str and of float, also tuples of a fixed length.
Checking needs no ROS.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from dataclasses import Field as DataclassField
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

from headpose_ros.errors import HeadposeError
from headpose_ros.parameter import METADATA, ParameterProblem, parameter, region
from headpose_ros.ros.node.parameter_names import ParameterNames, unknown

if TYPE_CHECKING:
    from rcl_interfaces.msg import ParameterDescriptor

    from headpose_ros.ros.node.callbacks import GuardedNode

__all__ = [
    'ParameterProblem',
    'Rule',
    'declare',
    'follow',
    'parameter',
    'region',
    'removed',
    'rules',
    'updated',
    'validate',
]

Config = TypeVar('Config')

_INT64 = (-(2**63), 2**63 - 1)
#: What a value of a type, or the items of a list, must be: in words, one and many.
_EXPECTED = {
    bool: ('true or false', ''),
    int: ('a whole number', ''),
    float: ('a finite number', 'finite numbers'),
    str: ('a text', 'texts'),
}
_ROS_TYPES = {bool: 'BOOL', int: 'INTEGER', float: 'DOUBLE', str: 'STRING'}


@dataclass(frozen=True)
class Rule:
    """What is known about one parameter.

    Attributes:
        name: Parameter name, with a dot after the name of each part.
        type: Annotation of the field.
        item: bool, int, float or str: the type of the value or, in a list, of its items.
        length: How many items a value has; None for no list, 0 for any number.
        default: Value where none is given.
        description: One sentence for people.
        minimum: Smallest value (of each item in a list), None for no limit.
        maximum: Largest value (of each item in a list), None for no limit.
        choices: The only accepted values (of each item in a list); empty for any.
        unit: Unit of the value, empty for none.
        read_only: Whether the value is fixed once the node runs.
        source: Where the default comes from, empty where that needs no saying.
        basic: Whether it is one of the few that most people set.
        former: Its name in the previous release, empty for none.
    """

    name: str
    type: Any
    item: type[Any]
    length: int | None
    default: Any
    description: str
    minimum: float | None
    maximum: float | None
    choices: tuple[Any, ...]
    unit: str
    read_only: bool
    source: str
    basic: bool
    former: str

    @property
    def type_name(self) -> str:
        """Return the type as it is written: `float`, or `list[float]` for tuples too."""
        return self.item.__name__ if self.length is None else f'list[{self.item.__name__}]'

    @property
    def expected(self) -> str:
        """Return in words what a value must be, leaving limits aside."""
        one, many = _EXPECTED[self.item]
        if self.length is None:
            return one
        return f'{self.length} {many}' if self.length else f'a list of {many}'

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
    """Return the parameters of a configuration class by name, the basic ones first.

    Raises:
        TypeError: A field is no `parameter`, its type is not supported, or two parameters have a
            name in common.
    """
    listed = _rules(config_class, '')
    names = [name for rule in listed for name in (rule.name, rule.former) if name]
    names += removed(config_class)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise TypeError(f'{config_class.__name__}: more than one parameter is called {twice}')
    # Stable: in the order of declaration otherwise.
    ordered = sorted(listed, key=lambda rule: not rule.basic)
    return {rule.name: rule for rule in ordered}


def removed(config_class: type[Any]) -> dict[str, str]:
    """Return what replaces the parameters that a configuration class had, by their names."""
    found = dict(getattr(config_class, 'REMOVED', {}))
    for part in _parts(config_class).values():
        found |= removed(part)
    return found


def _parts(config_class: type[Any]) -> dict[str, type[Any]]:
    """Return those fields that are dataclasses, by name."""
    hints = get_type_hints(config_class)
    return {
        item.name: hints[item.name]
        for item in fields(config_class)
        if is_dataclass(hints[item.name])
    }


def _rules(config_class: type[Any], prefix: str) -> list[Rule]:
    """Return the rules of a dataclass and its parts in the order of declaration."""
    hints = get_type_hints(config_class)
    found = []
    for item in fields(config_class):
        kind, name = hints[item.name], prefix + item.name
        part = is_dataclass(kind)
        found += _rules(kind, f'{name}.') if part else [_rule(item, kind, name)]
    return found


def _rule(item: DataclassField[Any], kind: Any, name: str) -> Rule:
    """Return the rule that a dataclass field stands for."""
    item_type, length = _items(kind)
    if METADATA not in item.metadata or item_type not in _ROS_TYPES:
        raise TypeError(f'{name}: {kind} is no supported parameter made by parameter()')
    default = item.default if item.default_factory is MISSING else item.default_factory()
    return Rule(name, kind, item_type, length, default, **item.metadata[METADATA])


def _items(kind: Any) -> tuple[Any, int | None]:
    """Return the type of a value's items and their number: None for no list, 0 for any number."""
    origin, items = get_origin(kind), get_args(kind)
    if origin not in (list, tuple):
        return kind, None
    if len({*items} - {Ellipsis}) != 1 or items[0] not in (str, float):
        return None, None
    return items[0], 0 if origin is list or Ellipsis in items else len(items)


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
        raise ParameterProblem(unknown(name, list(known)))
    return _checked(known[name], value)


def _checked(rule: Rule, value: Any) -> Any:
    """Return a value in the rule's type, inside its limits, or raise ParameterProblem."""
    converted = _converted(rule, value)
    for item in [converted] if rule.length is None else converted:
        _check_limits(rule, value, item)
    return converted


def _converted(rule: Rule, value: Any) -> Any:
    """Return a value in the rule's type or raise ParameterProblem."""
    if rule.length is None:
        return _scalar(rule, value, value)
    if not isinstance(value, (list, tuple, array)) or rule.length not in (0, len(value)):
        raise _refusal(rule, value, rule.expected)
    items = [_scalar(rule, value, item) for item in value]
    return tuple(items) if get_origin(rule.type) is tuple else items


def _scalar(rule: Rule, value: Any, item: Any) -> Any:
    """Return one item in the rule's type or raise ParameterProblem about the whole value."""
    kind = rule.item
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
    raise _refusal(rule, value, rule.expected)


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


def declare(node: GuardedNode, config_class: type[Config]) -> Config:
    """Declare all parameters on a node and return the configuration with its overrides.

    Overrides by former names are accepted, and so are they from now on when parameters are set.

    Raises:
        ParameterProblem: An override is of the wrong type or outside the limits.
    """
    known = rules(config_class)
    present = {rule.former: rule.name for rule in known.values() if rule.former}
    names = ParameterNames(present, removed(config_class), node.get_logger().warning)
    node.parameter_names = names
    for name in names.removed:
        if _override(node, name) is not None:
            names.now(name, ())
    return _with(config_class(), {rule.name: _declare_one(node, rule) for rule in known.values()})


def _declare_one(node: GuardedNode, rule: Rule) -> Any:
    """Declare one parameter and return its value.

    It is declared without type or range at first. rclpy would refuse a bad override with messages
    that differ between distributions, `rate: 30` for a float among them, and would take an empty
    list for bytes.
    """
    from rclpy.parameter import Parameter

    given = _declared(node, rule.name)
    former = _override(node, rule.former) if rule.former else None
    if former is not None:
        node.parameter_names.now(rule.former, () if given is None else (rule.name,))
        given = former if given is None else given
    value = _checked(rule, rule.default if given is None else given)
    plain = value if rule.length is None else list(value)
    node.set_parameters([Parameter(rule.name, _ros_type(rule), plain)])
    node.set_descriptor(rule.name, _descriptor(rule))
    return value


def _declared(node: GuardedNode, name: str) -> Any:
    """Declare a parameter of any type and return its override, None without one."""
    from rcl_interfaces.msg import ParameterDescriptor

    return node.declare_parameter(name, None, ParameterDescriptor(dynamic_typing=True)).value


def _override(node: GuardedNode, name: str) -> Any:
    """Return what was given under a name that no parameter has; None without an override."""
    value = _declared(node, name)
    node.undeclare_parameter(name)
    return value


def _ros_type(rule: Rule) -> Any:
    from rclpy.parameter import Parameter

    array_of = '' if rule.length is None else '_ARRAY'
    return Parameter.Type[_ROS_TYPES[rule.item] + array_of]


def _descriptor(rule: Rule) -> ParameterDescriptor:
    """Return what ROS tools show and check about a parameter."""
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

    descriptor = ParameterDescriptor(name=rule.name, read_only=rule.read_only)
    descriptor.type = _ros_type(rule).value
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
        config: The present configuration.
        parameters: Objects with `name` and `value`; names of others (use_sim_time, ...) are left.

    Raises:
        ParameterProblem: A value is refused or its parameter is read-only.
    """
    known = rules(type(config))
    changes = {}
    for item in parameters:
        if item.name not in known:
            continue
        value = _checked(known[item.name], item.value)
        if known[item.name].read_only and value != attrgetter(item.name)(config):
            raise ParameterProblem(f'parameter {item.name} is read-only once the node runs')
        changes[item.name] = value
    return _with(config, changes) if changes else config


def _with(config: Config, changes: Mapping[str, Any], prefix: str = '') -> Config:
    """Return a configuration with other values, given by the names of their parameters.

    Raises:
        ParameterProblem: Values do not fit together.
    """
    own: dict[str, Any] = {}
    inner: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        part, _, rest = name.partition('.')
        if rest:
            inner.setdefault(part, {})[rest] = value
        else:
            own[part] = value
    for part, values in inner.items():
        own[part] = _with(getattr(config, part), values, f'{prefix}{part}.')
    try:
        return replace(config, **own)  # type: ignore[type-var]
    except ParameterProblem as problem:
        if not prefix:
            raise
        # The part knows no more than the name of its field.
        text = str(problem).removeprefix('parameter ')
        raise ParameterProblem(f'parameter {prefix}{text}') from problem


def follow(node: GuardedNode, config: Config, apply: Callable[[Config], None]) -> None:
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
