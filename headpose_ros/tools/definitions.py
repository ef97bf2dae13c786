"""Definitions of the message classes on this machine, as recordings hold them."""

from __future__ import annotations

import importlib
import re
from typing import Any

from headpose_ros.errors import HeadposeError
from headpose_ros.ros.node.share import share_file

_SEPARATOR = '\n' + 80 * '=' + '\n'
#: As ROS allows names of packages and messages.
_NAME = re.compile(r'[a-z][a-z0-9_]{0,99}/msg/[A-Z][A-Za-z0-9]{0,99}')


class DefinitionError(HeadposeError, LookupError):
    """A message type that this machine does not know."""


def type_name(message_class: Any) -> str:
    """Return the full name of a message class, such as `sensor_msgs/msg/Image`."""
    return f'{message_class.__module__.split(".")[0]}/msg/{message_class.__name__}'


def message_class(name: str) -> Any:
    """Return the class of a full name, such as `sensor_msgs/msg/Image`.

    Only packages of message definitions are imported, whatever the name is.

    Raises:
        DefinitionError: It is no name of a message, or none that is installed.
    """
    _definition_text(name)
    package, kind, short = name.split('/')
    try:
        return getattr(importlib.import_module(f'{package}.{kind}'), short)
    except (ImportError, AttributeError) as error:
        raise DefinitionError(f'message type {name} is not compiled for Python') from error


def definition(message: Any) -> str:
    """Return the definition of a message class followed by those of all messages in it."""
    return definition_of(type_name(message))


def definition_of(name: str) -> str:
    """Return the definition of a message by its full name, with those of all messages in it.

    This is the `ros2msg` schema encoding of the MCAP registry: sections after the first begin
    with a separator and `MSG: package/Type`. Nothing is imported: the name may be a bag's.

    Raises:
        DefinitionError: One of these messages is not installed.
    """
    texts = {name: _definition_text(name)}
    waiting = [name]
    while waiting:
        outer = waiting.pop(0)
        for inner in _inner_types(outer, texts[outer]):
            if inner not in texts:
                texts[inner] = _definition_text(inner)
                waiting.append(inner)
    own = texts.pop(name)
    return _SEPARATOR.join([own, *(_section(*item) for item in texts.items())])


def _section(name: str, text: str) -> str:
    package, _, short = name.split('/')
    return f'MSG: {package}/{short}\n{text}'


def _inner_types(name: str, text: str) -> list[str]:
    """Return the full names of the messages that are fields of a definition, in their order."""
    package = name.split('/')[0]
    found = []
    for line in text.splitlines():
        words = line.partition('#')[0].split()
        kind = words[0].partition('[')[0].partition('<=')[0] if words else ''
        if '/' in kind:
            found.append(kind.replace('/', '/msg/'))
        elif kind[:1].isupper():  # of the same package; what is built in is written small
            found.append(f'{package}/msg/{kind}')
    return found


def _definition_text(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise DefinitionError(f'{name[:60]!r} is no message type such as sensor_msgs/msg/Image')
    package, kind, short = name.split('/')
    try:
        return share_file(f'{kind}/{short}.msg', package).read_text(encoding='utf-8')
    except (HeadposeError, OSError) as error:
        raise DefinitionError(f'message type {name} is not installed') from error
