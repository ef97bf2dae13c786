"""The layouts for RViz and Foxglove name topics, fields and namespaces that exist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip('rclpy')

from headpose_ros.ros.output.driver_markers import NAMESPACES
from headpose_ros.ros.output.markers import _KINDS
from headpose_ros.tools.definitions import message_class

CONFIG = Path(__file__).parents[1] / 'config'
TYPES = {'/faces': 'headpose_ros/msg/Faces', '/driver_state': 'headpose_ros/msg/DriverState'}
LAYOUTS = {'foxglove_pose.json': 6, 'foxglove_driver.json': 12}


@pytest.fixture(params=LAYOUTS)
def foxglove(request: Any) -> Any:
    text = (CONFIG / request.param).read_text(encoding='utf-8')
    return json.loads(text) | {'plotted': LAYOUTS[request.param]}


def leaves(layout: Any) -> set[str]:
    if isinstance(layout, str):
        return {layout}
    return leaves(layout['first']) | leaves(layout['second'])


def test_every_foxglove_panel_has_its_place(foxglove: Any) -> None:
    assert leaves(foxglove['layout']) == set(foxglove['configById'])


def test_foxglove_plots_fields_that_the_messages_have(foxglove: Any) -> None:
    paths = [p['value'] for c in foxglove['configById'].values() for p in c.get('paths', [])]
    assert len(paths) == foxglove['plotted']
    for path in paths:
        topic, *names = [name for name in path.split('.') if not name.startswith('@')]
        kind = TYPES[topic]
        for name in names:
            fields = message_class(kind).get_fields_and_field_types()
            assert name.removesuffix('[0]') in fields, path
            inner = fields[name.removesuffix('[0]')]
            kind = inner.removeprefix('sequence<').rstrip('>').replace('/', '/msg/')
        assert kind in ('float', 'uint8', 'string'), path


def displays_of(name: str) -> dict[str, Any]:
    displays = yaml.safe_load((CONFIG / name).read_text(encoding='utf-8'))
    return {d['Name']: d for d in displays['Visualization Manager']['Displays']}


def test_rviz_shows_every_kind_of_marker() -> None:
    displays = displays_of('pose.rviz')
    assert set(displays['Faces']['Namespaces']) == set(_KINDS)
    topics = {d['Topic']['Value'] for d in displays.values() if 'Topic' in d}
    assert topics == {'camera/image_raw', 'overlay', 'markers'}


def test_rviz_for_drivers_adds_the_driver_to_the_faces() -> None:
    faces, driver = displays_of('pose.rviz'), displays_of('driver.rviz')
    assert set(driver) == {*faces, 'Driver'}
    assert driver['Driver']['Topic']['Value'] == 'driver_markers'
    assert set(driver['Driver']['Namespaces']) == set(NAMESPACES)
    assert set(driver['Faces']['Namespaces']) == set(_KINDS)
