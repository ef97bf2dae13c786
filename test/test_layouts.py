"""The layouts for RViz and Foxglove name topics, fields and namespaces that exist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip('rclpy')

from headpose_ros.ros.definitions import message_class
from headpose_ros.ros.markers import _KINDS

CONFIG = Path(__file__).parents[1] / 'config'
TYPES = {'/faces': 'headpose_ros/msg/Faces'}


@pytest.fixture(scope='module')
def foxglove() -> Any:
    return json.loads((CONFIG / 'foxglove_pose.json').read_text(encoding='utf-8'))


def leaves(layout: Any) -> set[str]:
    if isinstance(layout, str):
        return {layout}
    return leaves(layout['first']) | leaves(layout['second'])


def test_every_foxglove_panel_has_its_place(foxglove: Any) -> None:
    assert leaves(foxglove['layout']) == set(foxglove['configById'])


def test_foxglove_plots_fields_that_the_messages_have(foxglove: Any) -> None:
    paths = [p['value'] for c in foxglove['configById'].values() for p in c.get('paths', [])]
    assert len(paths) == 6
    for path in paths:
        topic, *names = [name for name in path.split('.') if not name.startswith('@')]
        kind = TYPES[topic]
        for name in names:
            fields = message_class(kind).get_fields_and_field_types()
            assert name.removesuffix('[0]') in fields, path
            inner = fields[name.removesuffix('[0]')]
            kind = inner.removeprefix('sequence<').rstrip('>').replace('/', '/msg/')
        assert kind == 'float', path


def test_rviz_shows_every_kind_of_marker() -> None:
    displays = yaml.safe_load((CONFIG / 'pose.rviz').read_text(encoding='utf-8'))
    displays = displays['Visualization Manager']['Displays']
    by_name = {display['Name']: display for display in displays}
    assert set(by_name['Faces']['Namespaces']) == set(_KINDS)
    topics = {d['Topic']['Value'] for d in displays if 'Topic' in d}
    assert topics == {'camera/image_raw', 'overlay', 'markers'}
