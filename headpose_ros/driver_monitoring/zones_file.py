"""Zones from a YAML file; docs/nodes/driver.md has its form. Errors name file and line."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from headpose_ros.driver_monitoring.zones import (
    DRIVES,
    ELSEWHERE,
    LONGEST_NAME,
    ROLES,
    Box,
    Zone,
    ZoneError,
    Zones,
)
from headpose_ros.foreign_files import FileError, user_path
from headpose_ros.yaml_files import YamlError, compose, read_text

#: Each is compared with each.
_MOST_BOXES = 256
_LONGEST_ERROR = 200  # characters


def read_zones(path: str | Path, drive: str = '') -> Zones:
    """Read a zones file.

    Args:
        path: The file; docs/nodes/driver.md has its form.
        drive: One of `DRIVES`, empty for that of the file.

    Raises:
        ZoneError: It cannot be read or used; the message names file and line.
    """
    try:
        text = read_text(user_path(path))
    except FileError as error:
        raise ZoneError(f'cannot read the zones file {path}: {error}') from error
    zones = parse_zones(text, str(path))
    return zones.for_drive(drive or zones.drive)


def parse_zones(text: str, name: str = 'zones') -> Zones:
    """Return the zones of a file's text.

    Raises:
        ZoneError: It cannot be used; the message has `name` and the line.
    """
    reader = _Reader(name)
    try:
        root = compose(text)
    except YamlError as error:
        raise ZoneError(f'{name}:{error.line}: no YAML: {error}') from error
    return reader.zones(root)


def to_yaml(zones: Zones) -> str:
    """Return the text of a zones file."""
    content = {
        zone.name: {
            'role': zone.role,
            'boxes': [
                {
                    'azimuth_deg': np.degrees(box.azimuth).round(2).tolist(),
                    'elevation_deg': np.degrees(box.elevation).round(2).tolist(),
                }
                for box in zone.boxes
            ],
        }
        for zone in zones.zones
    }
    return yaml.safe_dump({'drive': zones.drive, 'zones': content}, sort_keys=False)


class _Reader:
    """Turns YAML nodes, which know their lines, into zones."""

    def __init__(self, name: str) -> None:
        self._name = name

    def zones(self, root: yaml.Node | None) -> Zones:
        if root is None:
            raise ZoneError(f'{self._name}:1: the file is empty: expected drive and zones')
        top = self._mapping(root, 'the file', ('drive', 'zones'))
        drive = self._choice(top['drive'], 'drive', DRIVES)
        zones = tuple(
            self._zone(name, node)
            for name, node in self._mapping(top['zones'], 'zones').items()
            if node is not None
        )
        self._check_road(zones, top['zones'])
        self._check_overlap(zones)
        return Zones(drive, zones)

    def _zone(self, name: str, node: yaml.Node) -> Zone:
        if not name or name == ELSEWHERE or len(name) > LONGEST_NAME:
            raise self._error(node, f'a zone cannot be named {name[:LONGEST_NAME]!r}')
        content = self._mapping(node, f'zone {name!r}', ('role', 'boxes'))
        role = self._choice(content['role'], f'role of zone {name!r}', ROLES)
        boxes = content['boxes']
        if not isinstance(boxes, yaml.SequenceNode) or not boxes.value:
            raise self._error(boxes, f'boxes of zone {name!r}: expected a list of at least one')
        return Zone(name, role, tuple(self._box(name, box) for box in boxes.value))

    def _box(self, zone: str, node: yaml.Node) -> Box:
        content = self._mapping(node, f'a box of zone {zone!r}', ('azimuth_deg', 'elevation_deg'))
        azimuth = self._range(content['azimuth_deg'], f'azimuth_deg of zone {zone!r}', 180.0)
        elevation = self._range(content['elevation_deg'], f'elevation_deg of zone {zone!r}', 90.0)
        return Box(azimuth, elevation, node.start_mark.line + 1)

    def _range(self, node: yaml.Node, what: str, most: float) -> tuple[float, float]:
        expected = f'{what}: expected two rising numbers from {-most:g} to {most:g}'
        if not isinstance(node, yaml.SequenceNode) or len(node.value) != 2:
            raise self._error(node, expected)
        try:
            low, high = (float(item.value) for item in node.value)
        except (TypeError, ValueError):
            raise self._error(node, expected) from None
        # Written so that NaN fails too.
        if not -most <= low < high <= most:
            raise self._error(node, f'{expected}, got [{low:g}, {high:g}]')
        return float(np.radians(low)), float(np.radians(high))

    def _mapping(
        self, node: yaml.Node, what: str, keys: Sequence[str] = ()
    ) -> dict[str, yaml.Node]:
        """Return the nodes of a mapping by key, each of `keys` and no other where there are any."""
        if not isinstance(node, yaml.MappingNode):
            raise self._error(node, f'{what}: expected {", ".join(keys) or "names with contents"}')
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = str(key.value)
            if keys and name not in keys:
                raise self._error(key, f'{what}: unknown {name!r}: expected {", ".join(keys)}')
            found[name] = value
        if missing := [key for key in keys if key not in found]:
            raise self._error(node, f'{what}: {missing[0]} is missing')
        return found

    def _choice(self, node: yaml.Node, what: str, choices: Sequence[str]) -> str:
        if node.value not in choices:
            raise self._error(node, f'{what}: expected {" or ".join(choices)}')
        return str(node.value)

    def _check_road(self, zones: Sequence[Zone], node: yaml.Node) -> None:
        roads = [zone for zone in zones if zone.role == 'road']
        if len(roads) != 1:
            raise self._error(node, f'expected one zone with role road, got {len(roads)}')
        if not roads[0].holds(0.0, 0.0):
            raise ZoneError(
                f'{self._name}:{roads[0].boxes[0].line}: the road must hold the neutral direction, '
                'azimuth 0 and elevation 0'
            )

    def _check_overlap(self, zones: Sequence[Zone]) -> None:
        boxes = [(zone.name, box) for zone in zones for box in zone.boxes]
        if len(boxes) > _MOST_BOXES:
            raise ZoneError(f'{self._name}:1: {len(boxes)} boxes: expected at most {_MOST_BOXES}')
        for (first, a), (second, b) in combinations(boxes, 2):
            if min(a.overlap(b)) > 1e-9:
                across, up = np.degrees(a.overlap(b))
                raise ZoneError(
                    f'{self._name}:{b.line}: zone {second!r} overlaps {first!r} (line {a.line}) '
                    f'by {across:.1f} x {up:.1f} degrees: no direction may belong to two zones'
                )

    def _error(self, node: Any, problem: str) -> ZoneError:
        return ZoneError(f'{self._name}:{node.start_mark.line + 1}: {problem[:_LONGEST_ERROR]}')
