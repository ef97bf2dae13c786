"""Lists of a node's parameters: params file and the table in the documentation. Needs no ROS."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from headpose_ros.ros.node.parameters import Rule, rules

_BASIC = 'What most people set.'
_OTHERS = 'All else.'


def to_yaml(config_class: type[Any], node_name: str = '/**') -> str:
    """Return a commented params file with the defaults, the basic parameters first.

    Args:
        config_class: Configuration class.
        node_name: Node that the values are for; '/**' for any.
    """
    lines = [f'{node_name}:', '  ros__parameters:']
    for title, listed in _groups(config_class):
        lines += [f'    # {title}', ''] if title else []
        for rule in listed:
            lines += _yaml_lines(rule)
        lines += ['']
    return '\n'.join(lines).rstrip() + '\n'


def _groups(config_class: type[Any]) -> Iterator[tuple[str, list[Rule]]]:
    """Return the basic parameters and the others with a title each; none where all are alike."""
    known = list(rules(config_class).values())
    basic = [rule for rule in known if rule.basic]
    others = [rule for rule in known if not rule.basic]
    if not basic or not others:
        yield '', known
        return
    yield _BASIC, basic
    yield _OTHERS, others


def _yaml_lines(rule: Rule) -> Iterable[str]:
    """Return the lines of one parameter; its name in full, as `-p` and ros2 param take it."""
    yield from (f'    # {line}' for line in textwrap.wrap(_comment(rule), 94))
    # ROS cannot tell the type of an empty list, so it must not stand in the file.
    empty = rule.length is not None and not rule.default
    yield f'    {"# " if empty else ""}{rule.name}: {_yaml_value(rule.default)}'


def _comment(rule: Rule) -> str:
    """Return what the params file states above a parameter."""
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
    if isinstance(value, (list, tuple)):
        return '[' + ', '.join(map(_yaml_value, value)) + ']'
    text = repr(value)
    # YAML reads 1e-05 as a text: a float needs its point.
    return text.replace('e', '.0e') if 'e' in text and '.' not in text else text


def to_markdown(config_class: type[Any]) -> str:
    """Return a table of the parameters for the documentation, the basic ones first and bold."""
    lines = ['| parameter | type and range | default | description |', '| --- ' * 4 + '|']
    for rule in rules(config_class).values():
        name = f'`{rule.name}`'
        cells = (
            f'**{name}**' if rule.basic else name,
            ', '.join(filter(None, (rule.type_name, rule.limits))),
            f'`{_yaml_value(rule.default)}`' + (f' {rule.unit}' if rule.unit else ''),
            rule.description
            + (' Fixed once the node runs.' if rule.read_only else '')
            + (f' Source: {rule.source}.' if rule.source else ''),
        )
        lines.append('| ' + ' | '.join(map(_cell, cells)) + ' |')
    return '\n'.join(lines) + '\n'


def _cell(text: str) -> str:
    """Return a text as Markdown takes it in a table: `<id>` is no tag."""
    return text.replace('|', '\\|').replace('<', '&lt;')
