"""Every threshold of driver monitoring; each part declares its own."""

from __future__ import annotations

from dataclasses import dataclass, field

from headpose_ros.driver_monitoring.detectors.closures import ClosureOptions
from headpose_ros.driver_monitoring.detectors.glances import GlanceOptions
from headpose_ros.driver_monitoring.detectors.nods import NodOptions
from headpose_ros.driver_monitoring.detectors.recent import DrowsinessOptions
from headpose_ros.driver_monitoring.detectors.slumps import SlumpOptions
from headpose_ros.driver_monitoring.detectors.yawns import YawnOptions
from headpose_ros.driver_monitoring.signals.eyelids.options import LidOptions, PerclosOptions
from headpose_ros.driver_monitoring.signals.head.direction import HeadOptions
from headpose_ros.driver_monitoring.signals.head.neutral import NeutralOptions
from headpose_ros.driver_monitoring.signals.seat import SeatOptions
from headpose_ros.driver_monitoring.thresholds import OURS
from headpose_ros.parameter import parameter


@dataclass(frozen=True)
class StreamOptions:
    """What is made of images and measurements that are missing or do not change."""

    gap: float = parameter(
        0.75,
        'Longest time between two images; after a longer one the events under way are lost.',
        minimum=0.1,
        maximum=10.0,
        unit='s',
        source=OURS,
        former='stream_gap',
    )
    unknown_grace: float = parameter(
        0.4,
        'Time without a measurement that an event survives; after that it is lost.',
        minimum=0.0,
        maximum=5.0,
        unit='s',
        source='ours: about the longest blink, Schiffman, Sensation and Perception (2001)',
        former='unknown_grace',
    )
    still_seconds: float = parameter(
        2.0,
        'A face that is the same to the pixel for this time is a picture that stands still.',
        minimum=0.5,
        maximum=60.0,
        unit='s',
        source='ours: a head that breathes moves by more within a second',
        former='still_seconds',
    )
    confidence_window: float = parameter(
        2.0,
        'Window in which the confidence of the state is measured.',
        minimum=0.1,
        maximum=60.0,
        unit='s',
        source=OURS,
        former='confidence_window',
    )


@dataclass(frozen=True)
class DriverOptions:
    """The thresholds of :class:`headpose_ros.driver_monitoring.monitor.DriverMonitor`.

    Angles in rad, times in s by the stamps of the images, shares 0..1.
    """

    seat: SeatOptions = field(default_factory=SeatOptions)
    stream: StreamOptions = field(default_factory=StreamOptions)
    neutral: NeutralOptions = field(default_factory=NeutralOptions)
    head: HeadOptions = field(default_factory=HeadOptions)
    lids: LidOptions = field(default_factory=LidOptions)
    glances: GlanceOptions = field(default_factory=GlanceOptions)
    closures: ClosureOptions = field(default_factory=ClosureOptions)
    perclos: PerclosOptions = field(default_factory=PerclosOptions)
    yawns: YawnOptions = field(default_factory=YawnOptions)
    nods: NodOptions = field(default_factory=NodOptions)
    slumps: SlumpOptions = field(default_factory=SlumpOptions)
    drowsiness: DrowsinessOptions = field(default_factory=DrowsinessOptions)
