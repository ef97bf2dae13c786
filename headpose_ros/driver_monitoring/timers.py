"""Which values on their way to a limit people are shown, and their limits."""

from __future__ import annotations

from dataclasses import dataclass

from headpose_ros.driver_monitoring.options import DriverOptions


@dataclass(frozen=True)
class Timer:
    """A value on its way to a limit.

    Attributes:
        label: For people.
        signal: Field of headpose_ros/DriverState.
        limit: At which something happens.
        unit: Behind the number.
        scale: The number shown for 1.
    """

    label: str
    signal: str
    limit: float
    unit: str = 's'
    scale: int = 1


def timers(options: DriverOptions) -> tuple[Timer, ...]:
    """Return what is shown with a bar."""
    return (
        Timer('glance off the road', 'off_road', options.glances.limit),
        Timer('off the road in all', 'off_road_accumulated', options.glances.accumulated_limit),
        Timer('eyes closed', 'closure', options.closures.microsleep),
        Timer('PERCLOS', 'perclos', options.perclos.limit, '%', 100),
    )
