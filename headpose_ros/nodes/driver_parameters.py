"""Parameters of the driver node: its own, and the thresholds of driver monitoring."""

from __future__ import annotations

from dataclasses import dataclass

from headpose_ros.driver_monitoring.options import DriverOptions
from headpose_ros.driver_monitoring.zones import DRIVES
from headpose_ros.parameter import parameter
from headpose_ros.ros.node.lifecycle import AutostartOptions

#: Bounds of the time in which a zone is calibrated, s.
SHORTEST_LOOK, LONGEST_LOOK = 0.5, 60.0


@dataclass(frozen=True)
class DriverConfig(DriverOptions, AutostartOptions):
    """Parameters of the driver node, beside the thresholds."""

    zones: str = parameter(
        '',
        'Zones file; empty for config/zones.yaml of the package.',
        read_only=True,
        basic=True,
    )
    drive: str = parameter(
        'left_hand',
        'On which side the driver sits.',
        choices=DRIVES,
        read_only=True,
        basic=True,
    )
    profiles: str = parameter(
        '',
        'Folder for profiles of drivers; empty: nothing is stored.',
        read_only=True,
        basic=True,
    )
    driver: str = parameter(
        '',
        'Name of a stored driver to start with; empty: start without a profile.',
        read_only=True,
        basic=True,
    )
    calibration_seconds: float = parameter(
        3.0,
        'How long the driver looks at a zone to calibrate it.',
        minimum=SHORTEST_LOOK,
        maximum=LONGEST_LOOK,
        unit='s',
        source='ours',
    )
    watch_images: bool = parameter(
        True,
        'Also subscribe to the camera images, to distinguish a covered camera from an empty seat, '
        'and to detect a frozen picture.',
        read_only=True,
    )
    silence_seconds: float = parameter(
        2.0,
        'After this time without messages, by a steady clock, the events under way are lost.',
        minimum=0.2,
        maximum=60.0,
        unit='s',
        source='ours',
    )
