"""Definitions of messages by name: whatever a bag calls its types, no code of its choice runs."""

from __future__ import annotations

import sys

import pytest

pytest.importorskip('rclpy')

from geometry_msgs.msg import PoseWithCovarianceStamped
from tf2_msgs.msg import TFMessage

from headpose_ros.msg import DriverState, Faces
from headpose_ros.tools.definitions import (
    DefinitionError,
    definition,
    definition_of,
    message_class,
    type_name,
)


@pytest.mark.parametrize('kind', [Faces, DriverState, TFMessage, PoseWithCovarianceStamped])
def test_all_messages_within_are_defined_once(kind):
    sections = definition(kind).split('\n' + 80 * '=' + '\n')
    heads = [section.splitlines()[0] for section in sections[1:]]
    assert all(head.startswith('MSG: ') for head in heads)
    assert len(set(heads)) == len(heads)
    assert set(heads) == {f'MSG: {name}' for name in _inside(kind)}
    assert message_class(type_name(kind)) is kind


def _inside(kind):
    found = set()
    for text in kind.get_fields_and_field_types().values():
        inner = text.removeprefix('sequence<').split('>')[0].split('[')[0].split(',')[0]
        if '/' in inner:
            found |= {inner, *_inside(message_class(inner.replace('/', '/msg/')))}
    return found


@pytest.mark.parametrize(
    'name',
    [
        *['evil/msg/Boom', 'evil.inner/msg/Boom', 'os/path/join', 'os/msg/system', '', '/', 'a/b'],
        *['../../etc/msg/Passwd', 'std_msgs/srv/String', 'std_msgs/msg/String\n', 'x/' * 5000],
        *['std_msgs/msg/../String', 'std_msgs/msg/No', 'Std_msgs/msg/String', 'a\0b/msg/C'],
    ],
)
def test_nothing_that_a_bag_names_is_imported(name, tmp_path, monkeypatch):
    for folder in ('evil', 'evil/msg', 'evil/inner', 'evil/inner/msg'):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / '__init__.py').write_text('raise SystemExit("imported")')
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    for find in (message_class, definition_of):
        with pytest.raises(DefinitionError) as caught:
            find(name)
        assert len(str(caught.value)) < 200
    assert not {m for m in set(sys.modules) - before if m.startswith(('evil', 'os', 'std_msgs.s'))}
