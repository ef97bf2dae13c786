"""The layers of the training workspace: imports point downward only, and ROS stays at the top."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CORE = Path(__file__).parents[1] / 'headpose_training'
#: Modules and folders, the lowest first; those of one line do not import each other.
LAYERS = (
    ('errors', 'memory', 'averaging'),
    ('data',),
    ('checkpoints',),
    ('metrics',),
    ('export', 'labelling', 'systems', 'synthesis'),
    ('fit',),
    ('driving', 'resuming', 'smoke', 'speed'),
    ('recipes', 'studies', 'demo'),
    ('cli',),
)
RANKS = {name: rank for rank, names in enumerate(LAYERS) for name in names}
#: What a machine without ROS lacks, and the rooms of the package that need it; one module of them
#: only finds files, and needs nothing.
OF_ROS = ('rclpy', 'sensor_msgs', 'std_msgs', 'headpose_ros.ros', 'headpose_ros.nodes')
NO_ROS_NEEDED = 'headpose_ros.ros.node.share'
FILES = sorted(CORE.rglob('*.py'))


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def part(file: Path) -> str:
    return file.relative_to(CORE).parts[0].removesuffix('.py')


def test_every_part_has_its_layer() -> None:
    assert {part(file) for file in FILES} - {'__init__'} == set(RANKS)


@pytest.mark.parametrize('name', RANKS)
def test_imports_point_downward(name: str) -> None:
    for file in (file for file in FILES if part(file) == name):
        for module in imports(file):
            _, _, inner = module.partition('headpose_training.')
            other = inner.split('.')[0]
            assert other in ('', name) or RANKS[other] < RANKS[name], f'{file}: {module}'


def test_ros_is_used_by_the_demonstrations_alone() -> None:
    for file in (file for file in FILES if part(file) != 'demo'):
        found = [m for m in imports(file) if m.startswith(OF_ROS) and NO_ROS_NEEDED not in m]
        assert not found, f'{file}: {found}'


def test_the_package_knows_nothing_of_the_workspace() -> None:
    for file in (CORE.parents[1] / 'headpose_ros').rglob('*.py'):
        assert not any(module.startswith('headpose_training') for module in imports(file)), file
