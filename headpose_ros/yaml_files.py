"""YAML of other people's making: one reader for calibrations, zones and profiles.

It reads the core schema of YAML 1.2, as yaml-cpp does, and of that only what settings are written
in. Left out is what can cost more than the text is long (anchors, aliases, merge keys), and what
hides a mistake (a key that stands there twice).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from headpose_ros.errors import HeadposeError
from headpose_ros.foreign_files import FileError, read_bounded

#: Bytes of a file. A calibration has a thousand; PyYAML reads fifty thousand in a second.
_LARGEST = 64 * 1024
_DEEPEST = 16
_OPENCV_MATRIX = 'tag:yaml.org,2002:opencv-matrix'
#: OpenCV's FileStorage begins with a directive that YAML does not know.
_OPENCV_HEADER = re.compile(r'\A%YAML:1\.\d[^\n]*\n')


class YamlError(HeadposeError, ValueError):
    """A text that is not read; the message has the reason.

    Attributes:
        line: Where, from 1.
    """

    def __init__(self, reason: str, line: int = 1) -> None:
        super().__init__(reason)
        self.line = line


def read_text(path: Path, follow: bool = True) -> str:
    """Return a text file, with or without a byte order mark.

    Args:
        path: The file.
        follow: Whether the path may be a link.

    Raises:
        FileError: It cannot be read, is no text, or is far too large for settings.
    """
    try:
        return read_bounded(path, _LARGEST, follow).decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise FileError('not a text file') from error


def parse(text: str) -> Any:
    """Return the content of a text: mappings, lists, strings, numbers, booleans, None.

    Raises:
        YamlError: It is no YAML, or of a kind that is not read.
    """
    return _read(text, _Loader.get_single_data)


def compose(text: str) -> yaml.Node | None:
    """Return the nodes of a text, which know their lines; None for an empty one.

    Raises:
        YamlError: It is no YAML, or of a kind that is not read.
    """
    return _read(text, _Loader.get_single_node)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, with numbers as YAML 1.2 has them and without aliases."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - filled in below, for this class
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise YamlError('anchors and aliases are not read here', event.start_mark.line + 1)
        if self.depth >= _DEEPEST:
            raise YamlError(f'more than {_DEEPEST} levels deep', event.start_mark.line + 1)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        found: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise YamlError('a key is a list or a mapping', key.start_mark.line + 1)
            if key.value in found:
                raise YamlError(f'{key.value[:60]!r} stands there twice', key.start_mark.line + 1)
            found.add(key.value)
        return node


def _resolve(tag: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(f'tag:yaml.org,2002:{tag}', re.compile(pattern), list(first))


_resolve('null', r'^(?:~|null|Null|NULL|)$', '~nN')
_Loader.yaml_implicit_resolvers[''] = _Loader.yaml_implicit_resolvers['~']  # an empty value
_resolve('bool', r'^(?:true|True|TRUE|false|False|FALSE)$', 'tTfF')
_resolve('int', r'^[-+]?[0-9]+$', '-+0123456789')
_resolve(
    'float',
    r'^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?'
    r'|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$',
    '-+.0123456789',
)


def _construct_int(loader: _Loader, node: yaml.ScalarNode) -> int:
    # Not PyYAML's, which takes 010 for eight.
    return int(loader.construct_scalar(node))


def _construct_matrix(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor('tag:yaml.org,2002:int', _construct_int)
_Loader.add_constructor(_OPENCV_MATRIX, _construct_matrix)


def _read(text: str, get: Any) -> Any:
    if len(text) > _LARGEST:
        raise YamlError(f'longer than {_LARGEST} characters')
    loader = None
    try:
        loader = _Loader(_OPENCV_HEADER.sub('', text))
        return get(loader)
    except yaml.YAMLError as error:
        mark = getattr(error, 'problem_mark', None)
        reason = getattr(error, 'problem', None) or str(error)
        raise YamlError(reason, 1 if mark is None else mark.line + 1) from error
    except (ValueError, OverflowError) as error:  # a number of thousands of digits
        if isinstance(error, YamlError):
            raise
        raise YamlError(str(error)) from error
    finally:
        if loader is not None:
            loader.dispose()
