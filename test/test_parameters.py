"""Parameters from a dataclass: checking, YAML, Markdown, and on a real node."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from headpose_ros.errors import HeadposeError
from headpose_ros.parameter import ParameterProblem, Region, parameter, region
from headpose_ros.ros.node.parameter_listing import to_markdown, to_yaml
from headpose_ros.ros.node.parameters import (
    declare,
    follow,
    removed,
    rules,
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
        ('mod', 'fast', ["no parameter 'mod'", 'did you mean mode?']),
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
    assert {line.count('|') for line in lines} == {5}
    assert '| `rate` | float, 0.0 to 100.0 Hz | `30.0` Hz | Frames per second. |' in lines
    assert any('Fixed once the node runs.' in line and '`source`' in line for line in lines)


@dataclass(frozen=True)
class TrackingPart:
    REMOVED: ClassVar[Mapping[str, str]] = {'publish_markers': 'subscribing is enough'}

    retain: float = parameter(2.0, 'How long.', minimum=0.0, unit='s', former='retain')
    most: int = parameter(8, 'How many.', minimum=1, basic=True, former='max_faces')
    where: Region = parameter(  # noqa: RUF009
        (0.0, 0.0, 1.0, 1.0), 'Where.', minimum=0.0, maximum=1.0, former='preferred_region'
    )

    def __post_init__(self) -> None:
        region('where', self.where)


@dataclass(frozen=True)
class OutputPart:
    frame: str = parameter('', 'In which frame.', read_only=True)
    names: tuple[str, ...] = parameter((), 'Names.')


@dataclass(frozen=True)
class Composed:
    lazy: bool = parameter(False, 'Whether to rest.')
    tracking: TrackingPart = field(default_factory=TrackingPart)
    output: OutputPart = OutputPart()
    device: str = parameter('cpu', 'Where it runs.', basic=True)


COMPOSED = {
    'tracking.most': 8,
    'device': 'cpu',
    'lazy': False,
    'tracking.retain': 2.0,
    'tracking.where': (0.0, 0.0, 1.0, 1.0),
    'output.frame': '',
    'output.names': (),
}


def test_parts_give_parameters_with_dots_and_the_basic_ones_come_first() -> None:
    known = rules(Composed)
    assert {rule.name: rule.default for rule in known.values()} == COMPOSED
    assert list(known) == list(COMPOSED)
    retain = known['tracking.retain']
    assert (retain.minimum, retain.unit, retain.former) == (0.0, 's', 'retain')
    assert removed(Composed) == {'publish_markers': 'subscribing is enough'}


def test_the_name_of_the_part_is_not_needed_to_find_the_nearest() -> None:
    with pytest.raises(ParameterProblem, match=r'did you mean tracking\.retain\?'):
        validate(Composed, 'retian', 1.0)
    with pytest.raises(ParameterProblem, match=r'did you mean tracking\.retain\?'):
        validate(Composed, 'traking.retain', 1.0)


def test_names_that_clash_are_a_mistake() -> None:
    @dataclass(frozen=True)
    class Clash:
        retain: bool = parameter(False, 'Whether.')
        tracking: TrackingPart = field(default_factory=TrackingPart)

    with pytest.raises(TypeError, match='retain'):
        rules(Clash)


def test_values_of_parts_are_replaced_and_judged_together() -> None:
    old = Composed()
    new = updated(old, [SimpleNamespace(name='tracking.retain', value=3)])
    assert new.tracking.retain == 3.0 and old.tracking.retain == 2.0
    assert new.tracking.most == 8 and new.output is old.output
    half = updated(old, [SimpleNamespace(name='tracking.where', value=array('d', [0, 0, 1, 0.5]))])
    assert half.tracking.where == (0.0, 0.0, 1.0, 0.5)
    for name, value, words in (
        ('tracking.where', [0.0, 0.0, 1.0], '4 finite numbers'),
        ('tracking.where', [0.0, 0.0, 1.0, 0.0], r'parameter tracking\.where is'),
        ('tracking.where', [0.0, 0.0, 1.0, 2.0], '0.0 to 1.0'),
        ('tracking.retain', -1.0, r'tracking\.retain is -1\.0'),
        ('output.frame', 'base', r'output\.frame is read-only'),
    ):
        with pytest.raises(ParameterProblem, match=words):
            updated(old, [SimpleNamespace(name=name, value=value)])


def test_yaml_and_markdown_of_parts_show_the_basic_ones_first(tmp_path: Any) -> None:
    from rclpy.parameter import parameter_dict_from_yaml_file

    text = to_yaml(Composed)
    path = tmp_path / 'params.yaml'
    path.write_text(text)
    names = [name for name in COMPOSED if name != 'output.names']
    assert list(parameter_dict_from_yaml_file(str(path), True, ['/node'])) == names
    assert text.index('What most people set.') < text.index('device') < text.index('All else.')
    assert '# output.names: []' in text
    rows = to_markdown(Composed).splitlines()[2:]
    assert [row.split('`')[1] for row in rows] == list(COMPOSED)
    assert rows[0] == '| **`tracking.most`** | int, at least 1 | `8` | How many. |'
    assert (
        '| `tracking.where` | list[float], 0.0 to 1.0 | `[0.0, 0.0, 1.0, 1.0]` | Where. |' in rows
    )


@pytest.fixture
def node(ros: int) -> Any:
    """Return a factory of nodes with overrides."""
    from rclpy.parameter import Parameter

    from headpose_ros.ros.node.callbacks import GuardedNode

    nodes = []

    def make(**overrides: Any) -> Any:
        given_values = [Parameter(name, value=value) for name, value in overrides.items()]
        nodes.append(GuardedNode('test_parameters', parameter_overrides=given_values))
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


def test_params_files_with_dots_reach_a_node(ros: int, tmp_path: Any) -> None:
    from headpose_ros.ros.node.callbacks import GuardedNode

    path = tmp_path / 'params.yaml'
    text = to_yaml(Composed).replace('retain: 2.0', 'retain: 5.0').replace("'cpu'", "'gpu'")
    path.write_text(text)
    node = GuardedNode('any', cli_args=['--ros-args', '--params-file', str(path)])
    try:
        config = declare(node, Composed)
    finally:
        node.destroy_node()
    assert (config.tracking.retain, config.device, config.tracking.most) == (5.0, 'gpu', 8)


def test_former_names_count_at_start_and_are_warned_of_once(node: Any, capfd: Any) -> None:
    overrides = {'retain': 3, 'max_faces': 2, 'tracking.most': 4, 'publish_markers': False}
    old = node(**overrides)
    config = declare(old, Composed)
    assert (config.tracking.retain, config.tracking.most) == (3.0, 4)
    assert old.get_parameter('tracking.retain').value == 3.0
    assert not any(map(old.has_parameter, ('retain', 'max_faces', 'publish_markers')))
    log = ''.join(capfd.readouterr())
    assert log.count('parameter retain is called tracking.retain now') == 1
    assert log.count('max_faces and tracking.most are both set: tracking.most counts') == 1
    assert log.count('publish_markers has no effect: subscribing is enough') == 1
    assert log.count('WARN') == 3


def test_bad_values_under_former_names_are_refused_under_the_present_one(node: Any) -> None:
    with pytest.raises(ParameterProblem, match=r'parameter tracking\.retain is -1'):
        declare(node(retain=-1), Composed)


def test_former_names_may_be_set_live(node: Any, capfd: Any) -> None:
    from rcl_interfaces.srv import SetParameters
    from rclpy.parameter import Parameter

    live = node()
    seen: list[Composed] = []
    follow(live, declare(live, Composed), seen.append)
    (service,) = [s for s in live.services if s.service_name.endswith('/set_parameters')]

    def set_one(name: str, value: Any) -> Any:
        """As ros2 param set does."""
        request = SetParameters.Request(
            parameters=[Parameter(name, value=value).to_parameter_msg()]
        )
        return service.callback(request, SetParameters.Response()).results[0]

    assert set_one('retain', 3.0).successful and seen[-1].tracking.retain == 3.0
    assert set_one('retain', 4.0).successful and seen[-1].tracking.retain == 4.0
    assert 'tracking.retain' in set_one('retain', -1.0).reason
    assert live.get_parameter('tracking.retain').value == 4.0
    assert set_one('publish_markers', True).successful and len(seen) == 2
    assert 'did you mean tracking.retain?' in set_one('tracking.retains', 1.0).reason
    both = [Parameter('retain', value=1.0), Parameter('tracking.retain', value=6.0)]
    assert live.set_parameters_atomically(both).successful
    assert seen[-1].tracking.retain == 6.0
    log = ''.join(capfd.readouterr())
    assert log.count('parameter retain is called tracking.retain now') == 1
    assert log.count('publish_markers has no effect') == 1
    assert log.count('both set: tracking.retain counts') == 1


#: Parameters of the pose node in the release before its parts had names.
FORMER_POSE_NAMES = {
    *('model', 'device', 'backend', 'threads', 'detector_model', 'detector_threshold'),
    *('detect_every', 'max_faces', 'prefer', 'preferred_region', 'confirm_hits', 'retain'),
    *('id_prefix', 'smooth', 'rotation_noise', 'rotation_agility', 'position_noise'),
    *('position_agility', 'cameras', 'image_transport', 'rectified', 'image_region'),
    *('quarter_turns', 'max_age', 'image_reliability', 'interpupillary_distance', 'use_depth'),
    *('output_frame', 'publish_tf', 'publish_markers', 'publish_landmarks', 'publish_hri'),
    *('exit_on_stall', 'lazy', 'autostart'),
}

#: Parameters of the driver node in that release.
FORMER_DRIVER_NAMES = {
    *('seat_region', 'smallest_face', 'takeover', 'takeover_seconds', 'absent_seconds'),
    *('forget_seconds', 'turned_away', 'stream_gap', 'still_seconds', 'unknown_grace'),
    *('neutral_seconds', 'neutral_memory', 'zone_margin', 'head_window', 'glance_minimum'),
    *('glance_release', 'glance_limit', 'accumulated_limit', 'accumulated_refill'),
    *('driving_allowance', 'eye_visibility', 'eye_turn', 'eye_memory', 'eye_seconds'),
    *('closed_aspect', 'closed_below', 'open_above', 'blink_below', 'blink_longest'),
    *('closure_minimum', 'microsleep_minimum', 'sleep_minimum', 'perclos_window'),
    *('perclos_evidence', 'perclos_limit', 'perclos_release', 'hidden_seconds', 'yawn_above'),
    *('yawn_below', 'yawn_minimum', 'nod_depth', 'nod_longest', 'nod_closed', 'slump_angle'),
    *('slump_minimum', 'drowsy_window', 'drowsy_yawns', 'drowsy_nods', 'confidence_window'),
    *('zones', 'drive', 'profiles', 'driver', 'calibration_seconds', 'watch_images'),
    *('silence_seconds', 'autostart'),
}


@pytest.mark.parametrize(
    ('file', 'former'),
    [('pose', FORMER_POSE_NAMES), ('driver_monitoring', FORMER_DRIVER_NAMES)],
)
def test_every_parameter_that_a_node_had_is_still_accepted(
    ros: int, file: str, former: set[str]
) -> None:
    from headpose_ros.nodes.parameter_files import CONFIGURATIONS

    _, config = CONFIGURATIONS[file]
    known = rules(config)
    accepted = {*known, *(rule.former for rule in known.values()), *removed(config)}
    assert accepted >= former
    assert 8 <= sum(rule.basic for rule in known.values()) <= 12


def test_defaults_of_the_nodes_are_inside_their_own_ranges() -> None:
    """A default outside of its range could not be written into a params file."""
    from headpose_ros.nodes.parameter_files import CONFIGURATIONS

    for _, config in CONFIGURATIONS.values():
        for rule in rules(config).values():
            assert validate(config, rule.name, rule.default) == rule.default
