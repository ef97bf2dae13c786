"""What the head can point at: zones as solid angles in the driver's neutral frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from headpose_ros.errors import HeadposeError

#: What looking there means: the road; something that driving needs (mirrors, instruments); else.
ROLES = ('road', 'driving', 'other')
DRIVES = ('left_hand', 'right_hand')
#: The name of directions that no zone holds.
ELSEWHERE = 'elsewhere'
#: The narrowest box that calibration may leave, rad: below the noise of a pose it holds nothing.
_NARROWEST = float(np.radians(3.0))
#: The longest name of a zone, characters.
LONGEST_NAME = 64


class ZoneError(HeadposeError, ValueError):
    """A zones file, or a calibration, that cannot be used; the message has the line."""


@dataclass(frozen=True)
class Box:
    """A solid angle between two azimuths and two elevations, rad.

    Azimuth grows to the driver's left, elevation upwards; both are 0 in the neutral pose.

    Attributes:
        azimuth: Least and greatest.
        elevation: Least and greatest.
        line: Of the file, from 1; 0 for none.
    """

    azimuth: tuple[float, float]
    elevation: tuple[float, float]
    line: int = 0

    def holds(self, azimuth: float, elevation: float, margin: float = 0.0) -> bool:
        """Return whether a direction lies inside, or no farther outside than `margin` rad."""
        (left, right), (low, high) = self.azimuth, self.elevation
        return (
            left - margin <= azimuth <= right + margin
            and low - margin <= elevation <= high + margin
        )

    def overlap(self, other: Box) -> tuple[float, float]:
        """Return the common extent in azimuth and elevation, rad; not both > 0 when apart."""
        return _common(self.azimuth, other.azimuth), _common(self.elevation, other.elevation)

    @property
    def solid_angle(self) -> float:
        """How large it is, sr."""
        low, high = np.sin(self.elevation)
        return float((self.azimuth[1] - self.azimuth[0]) * (high - low))

    @property
    def center(self) -> tuple[float, float]:
        """Its middle in azimuth and elevation, rad."""
        return sum(self.azimuth) / 2, sum(self.elevation) / 2

    def mirrored(self) -> Box:
        """Return its mirror image, left for right."""
        return replace(self, azimuth=(-self.azimuth[1], -self.azimuth[0]))


@dataclass(frozen=True)
class Zone:
    """Something to look at.

    Attributes:
        name: Such as `left_mirror`.
        role: One of `ROLES`.
        boxes: The solid angles that it fills.
    """

    name: str
    role: str
    boxes: tuple[Box, ...]

    def holds(self, azimuth: float, elevation: float, margin: float = 0.0) -> bool:
        """Return whether a direction in rad lies inside, or nearly."""
        return any(box.holds(azimuth, elevation, margin) for box in self.boxes)


@dataclass(frozen=True)
class Zones:
    """All zones of a vehicle; none overlaps another, exactly one is the road.

    Attributes:
        drive: One of `DRIVES`: on which side the driver sits.
        zones: The zones.
    """

    drive: str
    zones: tuple[Zone, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names in the order of the file."""
        return tuple(zone.name for zone in self.zones)

    def __getitem__(self, name: str) -> Zone:
        """Return a zone by its name."""
        for zone in self.zones:
            if zone.name == name:
                return zone
        known = ', '.join(self.names)
        raise ZoneError(f'no zone {name[:LONGEST_NAME]!r}: expected one of {known}')

    def role(self, name: str) -> str:
        """Return what looking at a zone, or `ELSEWHERE`, means."""
        return 'other' if name == ELSEWHERE else self[name].role

    def find(self, azimuth: float, elevation: float, last: str = '', margin: float = 0.0) -> str:
        """Return the name of the zone that a direction in rad lies in, or `ELSEWHERE`.

        Args:
            azimuth: To the driver's left.
            elevation: Upwards.
            last: The zone before, which is left only by more than the margin.
            margin: In rad.
        """
        if last in self.names and self[last].holds(azimuth, elevation, margin):
            return last
        for zone in self.zones:
            if zone.holds(azimuth, elevation):
                return zone.name
        return ELSEWHERE

    def for_drive(self, drive: str) -> Zones:
        """Return the zones of a vehicle whose driver sits on the given side.

        The other side is the mirror image: the left mirror of one is the right mirror of the other.
        """
        if drive == self.drive:
            return self
        zones = (
            Zone(_swapped(z.name), z.role, tuple(box.mirrored() for box in z.boxes))
            for z in self.zones
        )
        return Zones(drive, tuple(zones))

    def to_calibrate(self, name: str) -> Zone:
        """Return a zone that can be calibrated.

        Raises:
            ZoneError: There is no such zone, or it is the road, which follows the neutral pose.
        """
        zone = self[name]
        if zone.role == 'road':
            raise ZoneError(f'zone {name!r} is the road: it follows the neutral pose, reset that')
        return zone

    def calibrated(self, name: str, azimuth: float, elevation: float) -> Zones:
        """Return the zones after the driver was seen to look at one in a direction, rad.

        The box nearest to the direction is centred on it and keeps its size; where it now overlaps
        another, both give way by half.

        Raises:
            ZoneError: It is the road, which follows the neutral pose, or too near to another zone.
        """
        zone = self.to_calibrate(name)
        nearest = min(zone.boxes, key=lambda box: _away(box, azimuth, elevation))
        moved = _centred(nearest, azimuth, elevation)
        boxes = {z.name: list(z.boxes) for z in self.zones}
        boxes[name] = [moved if box is nearest else box for box in zone.boxes]
        index = zone.boxes.index(nearest)
        for other, position in [(n, i) for n in boxes for i in range(len(boxes[n]))]:
            if (other, position) != (name, index):
                pair = _separated(boxes[name][index], boxes[other][position])
                boxes[name][index], boxes[other][position] = pair
                _check_width(name, other, pair)
        after = replace(
            self, zones=tuple(replace(z, boxes=tuple(boxes[z.name])) for z in self.zones)
        )
        if after.find(azimuth, elevation) != name:
            raise ZoneError(f'zone {name!r} would lie inside another one: look right at it')
        if after.role(after.find(0.0, 0.0)) != 'road':
            raise ZoneError(f'zone {name!r} would cover the neutral direction: look right at it')
        return after


def _common(a: tuple[float, float], b: tuple[float, float]) -> float:
    return min(a[1], b[1]) - max(a[0], b[0])


def _swapped(name: str) -> str:
    """Return the name of the mirror image: left_mirror for right_mirror and so on."""
    left, right = name.startswith('left_'), name.startswith('right_')
    return ('right_' + name[5:]) if left else ('left_' + name[6:]) if right else name


def _away(box: Box, azimuth: float, elevation: float) -> float:
    x, y = box.center
    return float(np.hypot(azimuth - x, elevation - y))


def _centred(box: Box, azimuth: float, elevation: float) -> Box:
    x, y = box.center
    return replace(
        box,
        azimuth=(box.azimuth[0] + azimuth - x, box.azimuth[1] + azimuth - x),
        elevation=(box.elevation[0] + elevation - y, box.elevation[1] + elevation - y),
    )


def _separated(first: Box, second: Box) -> tuple[Box, Box]:
    """Return two boxes that no longer overlap: each gives way by half, where it costs less."""
    across, up = first.overlap(second)
    if min(across, up) <= 0:
        return first, second
    if across < up:
        a, b = _cut(first.azimuth, second.azimuth)
        return replace(first, azimuth=a), replace(second, azimuth=b)
    a, b = _cut(first.elevation, second.elevation)
    return replace(first, elevation=a), replace(second, elevation=b)


def _cut(
    a: tuple[float, float], b: tuple[float, float]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return two overlapping extents, cut in the middle of what they share."""
    middle = (max(a[0], b[0]) + min(a[1], b[1])) / 2
    if sum(a) > sum(b):
        return (middle, a[1]), (b[0], middle)
    return (a[0], middle), (middle, b[1])


def _check_width(name: str, other: str, boxes: tuple[Box, Box]) -> None:
    extents = [np.ptp(extent) for box in boxes for extent in (box.azimuth, box.elevation)]
    if min(extents) < _NARROWEST:
        raise ZoneError(f'zone {name!r} was looked for too near to {other!r}: look right at it')
