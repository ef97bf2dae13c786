"""Parameters from a dataclass: checking, YAML, Markdown, and on a real node."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from headpose_ros.errors import HeadposeError
from headpose_ros.ros.node.parameters import (
    ParameterProblem,
    declare,
    follow,
    parameter,
    rules,
    to_markdown,
    to_yaml,
    updated,
    validate,
)


@dataclass(frozen=True)
class Config:
    rate: float = parameter(30.0, 'Frames per second.', minimum=0.0, maximum=100.0, unit='Hz')
    tiny: float = parameter(1e-05, 'A small number.')
    count: int = parameter(3, 'How many.', minimum=1)
    enabled: bool = parameter(True, 'Whether it works.')
    mode: str = parameter('fast', 'How it works.', choices=('fast', 'good'))
    source: str = parameter("it's", 'Where from.', read_only=True)
    topics: list[str] = parameter([], 'Topics to read.')  # noqa: RUF009
    gains: list[float] = parameter([0.5, 2.0], 'Gains.', minimum=0.0, maximum=9.0)  # noqa: RUF009


DEFAULTS = {
    'rate': 30.0,
    'tiny': 1e-05,
    'count': 3,
    'enabled': True,
    'mode': 'fast',
    'source': "it's",
    'topics': [],
    'gains': [0.5, 2.0],
}


@pytest.mark.parametrize(
    ('name', 'given_value', 'expected'),
    [
        ('rate', 15, 15.0),
        ('rate', 0.0, 0.0),
        ('rate', 100.0, 100.0),
        ('count', 2**40, 2**40),
        ('enabled', False, False),
        ('mode', 'good', 'good'),
        ('source', 0, '0'),
        ('topics', ('a', 'b'), ['a', 'b']),
        ('gains', array('d', [1.0, 2.0]), [1.0, 2.0]),
        ('gains', [1, 2], [1.0, 2.0]),
        ('gains', [], []),
    ],
)
def test_good_values_get_the_declared_type(name: str, given_value: Any, expected: Any) -> None:
    value = validate(Config, name, given_value)
    assert value == expected and type(value) is type(expected)


@pytest.mark.parametrize(
    ('name', 'value', 'words'),
    [
        ('rate', -0.1, ['rate', '-0.1', '0.0 to 100.0 Hz']),
        ('rate', 101, ['rate', '101', '0.0 to 100.0 Hz']),
        ('rate', math.nan, ['rate', 'nan', 'finite']),
        ('rate', math.inf, ['rate', 'inf', 'finite']),
        ('rate', '30', ['rate', "'30'", 'number']),
        ('rate', True, ['rate', 'True', 'number']),
        ('rate', None, ['rate', 'None', 'number']),
        ('count', 0, ['count', '0', 'at least 1']),
        ('count', 1.0, ['count', '1.0', 'whole number']),
        ('count', 2**63, ['count', 'whole number']),
        ('enabled', 1, ['enabled', '1', 'true or false']),
        ('mode', 'slow', ['mode', "'slow'", "one of 'fast', 'good'"]),
        ('source', True, ['source', 'True', 'text']),
        ('source', 0.5, ['source', '0.5', 'text']),
        ('topics', 'a', ['topics', "'a'", 'list of texts']),
        ('gains', [1.0, math.nan], ['gains', 'nan', 'finite numbers']),
        ('gains', array('d', [1.0, 9.5]), ['gains', '[1.0, 9.5]', '0.0 to 9.0']),
        ('speed', 1.0, ["no parameter 'speed'", 'rate, tiny']),
    ],
)
def test_bad_values_are_refused_in_words(name: str, value: Any, words: list[str]) -> None:
    with pytest.raises(ParameterProblem) as error:
        validate(Config, name, value)
    assert all(word in str(error.value) for word in words), str(error.value)
    assert isinstance(error.value, HeadposeError) and isinstance(error.value, ValueError)


@given(st.one_of(st.floats(), st.integers(), st.text(), st.booleans(), st.none(), st.binary()))
def test_whatever_passes_is_in_range(value: Any) -> None:
    try:
        rate = validate(Config, 'rate', value)
    except ParameterProblem:
        return
    assert type(rate) is float and 0.0 <= rate <= 100.0


def test_true_without_quotes_is_a_choice_of_that_name() -> None:
    @dataclass(frozen=True)
    class Three:
        rectified: str = parameter('auto', 'Whether.', choices=('auto', 'true', 'false'))

    assert validate(Three, 'rectified', True) == 'true'
    assert validate(Three, 'rectified', False) == 'false'
    with pytest.raises(ParameterProblem, match="one of 'auto', 'true', 'false'"):
        validate(Three, 'rectified', 'yes')


def test_fields_that_are_no_parameters_are_a_mistake() -> None:
    @dataclass(frozen=True)
    class Plain:
        rate: float = 1.0

    @dataclass(frozen=True)
    class Odd:
        pair: tuple[int, int] = field(default=(1, 2))

    for config_class in (Plain, Odd):
        with pytest.raises(TypeError, match='parameter'):
            rules(config_class)


def test_list_defaults_are_not_shared() -> None:
    first = Config()
    first.gains.append(7.0)
    assert Config().gains == [0.5, 2.0]


def test_updated_returns_a_new_configuration() -> None:
    old = Config()
    changes = [
        SimpleNamespace(name='rate', value=10),
        SimpleNamespace(name='use_sim_time', value=True),
    ]
    new = updated(old, changes)
    assert (new.rate, old.rate, new.mode) == (10.0, 30.0, 'fast')
    assert updated(old, changes[1:]) is old


def test_updated_refuses_read_only_and_bad_values() -> None:
    with pytest.raises(ParameterProblem, match='source is read-only'):
        updated(Config(), [SimpleNamespace(name='source', value='b')])
    with pytest.raises(ParameterProblem, match='rate is nan'):
        updated(Config(), [SimpleNamespace(name='rate', value=math.nan)])


def test_yaml_has_every_default_in_its_type() -> None:
    text = to_yaml(Config, 'camera')
    values = yaml.safe_load(text)['camera']['ros__parameters']
    expected = {name: value for name, value in DEFAULTS.items() if name != 'topics'}
    assert values == expected
    assert all(type(values[name]) is type(expected[name]) for name in expected)
    assert '# topics: []' in text  # ROS cannot type an empty list
    assert '# Frames per second. Allowed: 0.0 to 100.0 Hz.' in text
    assert 'Fixed once the node runs.' in text
    assert max(map(len, text.splitlines())) <= 100


def test_markdown_is_a_table_of_all_parameters() -> None:
    lines = to_markdown(Config).splitlines()
    assert len(lines) == 2 + len(DEFAULTS)
    assert {line.count('|') for line in lines} == {6}
    assert '| `rate` | float | `30.0` | 0.0 to 100.0 Hz | Frames per second. |' in lines
    assert any('Read-only.' in line and '`source`' in line for line in lines)


@pytest.fixture
def node(ros: int) -> Any:
    """Return a factory of nodes with overrides."""
    from rclpy.node import Node
    from rclpy.parameter import Parameter

    nodes = []

    def make(**overrides: Any) -> Any:
        given_values = [Parameter(name, value=value) for name, value in overrides.items()]
        nodes.append(Node('test_parameters', parameter_overrides=given_values))
        return nodes[-1]

    yield make
    for item in nodes:
        item.destroy_node()


def test_declare_gives_the_defaults(node: Any) -> None:
    config = declare(node(), Config)
    assert vars(config) == DEFAULTS


def test_declare_takes_overrides(node: Any) -> None:
    overridden = node(rate=15, source=0, topics=['a'], gains=[1.0])
    config = declare(overridden, Config)
    assert (config.rate, config.source, config.topics, config.gains) == (15.0, '0', ['a'], [1.0])
    assert type(overridden.get_parameter('rate').value) is float


@pytest.mark.parametrize(
    ('name', 'value'), [('rate', math.nan), ('rate', 'x'), ('count', 0), ('mode', 'slow')]
)
def test_declare_refuses_bad_overrides(node: Any, name: str, value: Any) -> None:
    with pytest.raises(ParameterProblem, match=f'parameter {name} is '):
        declare(node(**{name: value}), Config)


def test_declare_describes_the_parameters(node: Any) -> None:
    from rcl_interfaces.msg import ParameterType

    described = node()
    declare(described, Config)
    rate = described.describe_parameter('rate')
    assert (rate.type, rate.description) == (
        ParameterType.PARAMETER_DOUBLE,
        'Frames per second. [Hz]',
    )
    assert rate.floating_point_range[0].to_value == 100.0
    assert described.describe_parameter('count').integer_range[0].from_value == 1
    assert described.describe_parameter('mode').additional_constraints == "one of 'fast', 'good'"
    assert described.describe_parameter('source').read_only
    topics = described.describe_parameter('topics')
    assert topics.type == ParameterType.PARAMETER_STRING_ARRAY


def test_follow_applies_good_values_and_refuses_bad_ones(node: Any) -> None:
    from rclpy.parameter import Parameter

    live = node()
    seen: list[Config] = []

    def apply(config: Config) -> None:
        if config.count == 13:
            raise ParameterProblem('13 is unlucky')
        seen.append(config)

    follow(live, declare(live, Config), apply)

    def set_one(name: str, value: Any) -> Any:
        return live.set_parameters([Parameter(name, value=value)])[0]

    assert set_one('rate', 12.0).successful and seen[-1].rate == 12.0
    assert set_one('count', 4).successful and (seen[-1].rate, seen[-1].count) == (12.0, 4)
    assert not set_one('rate', 1000.0).successful
    assert 'nan' in set_one('rate', math.nan).reason
    assert "'fast', 'good'" in set_one('mode', 'slow').reason
    assert set_one('count', 13).reason == '13 is unlucky'
    assert not set_one('source', 'b').successful
    assert not set_one('enabled', 'yes').successful
    assert len(seen) == 2 and live.get_parameter('count').value == 4
