"""Definitions of the message classes on this machine, as recordings hold them."""

from __future__ import annotations

import importlib
from typing import Any

from headpose_ros.ros.share import share_file

_SEPARATOR = '\n' + 80 * '=' + '\n'


def type_name(message_class: Any) -> str:
    """Return the full name of a message class, such as `sensor_msgs/msg/Image`."""
    return f'{message_class.__module__.split(".")[0]}/msg/{message_class.__name__}'


def message_class(name: str) -> Any:
    """Return the class of a full name, such as `sensor_msgs/msg/Image`.

    Raises:
        ImportError: The package is not installed.
        AttributeError: It has no such message.
    """
    package, kind, short = name.split('/')
    return getattr(importlib.import_module(f'{package}.{kind}'), short)


def definition(message: Any) -> str:
    """Return the definition of a message class followed by those of all messages in it.

    This is the `ros2msg` schema encoding of the MCAP registry: sections after the first begin
    with a separator and `MSG: package/Type`.
    """
    own, sections = type_name(message), []
    for name in _with_dependencies(own):
        text = _definition_text(name)
        package, _, short = name.split('/')
        sections.append(text if name == own else f'MSG: {package}/{short}\n{text}')
    return _SEPARATOR.join(sections)


def _with_dependencies(name: str) -> list[str]:
    found = [name]
    for known in found:  # grows while we look
        for inner in message_class(known).get_fields_and_field_types().values():
            inner = inner.removeprefix('sequence<').split('>')[0].split('[')[0].split(',')[0]
            full = inner.replace('/', '/msg/')
            if '/' in inner and full not in found:
                found.append(full)
    return found


def _definition_text(name: str) -> str:
    package, kind, short = name.split('/')
    return share_file(f'{kind}/{short}.msg', package).read_text(encoding='utf-8')
