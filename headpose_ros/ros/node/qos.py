"""The QoS profiles of headpose_ros, each with one reason to exist."""

from __future__ import annotations

from dataclasses import dataclass

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from headpose_ros.errors import HeadposeError
from headpose_ros.parameter import parameter

RELIABILITIES = ('best_effort', 'reliable')
"""Values of a reliability parameter, accepted by `from_name`."""


@dataclass(frozen=True)
class ReliabilityOptions:
    """How images are subscribed to."""

    reliability: str = parameter(
        'best_effort',
        'Reliability requested from the camera; best_effort connects to every camera.',
        choices=RELIABILITIES,
        read_only=True,
        former='image_reliability',
    )


def sensor_data(depth: int = 1) -> QoSProfile:
    """Return the profile of camera input: the newest message counts, a lost one is not repeated."""
    return _profile(ReliabilityPolicy.BEST_EFFORT, depth)


def reliable(depth: int = 10) -> QoSProfile:
    """Return the profile of results: every message arrives, up to `depth` wait for a reader."""
    return _profile(ReliabilityPolicy.RELIABLE, depth)


def latched(depth: int = 1) -> QoSProfile:
    """Return the profile of facts that last: late subscribers get the last `depth` messages."""
    profile = reliable(depth)
    profile.durability = DurabilityPolicy.TRANSIENT_LOCAL
    return profile


def from_name(name: str, depth: int = 1) -> QoSProfile:
    """Return the profile for a reliability parameter.

    Raises:
        HeadposeError: the name is not one of RELIABILITIES.
    """
    if name not in RELIABILITIES:
        raise HeadposeError(f'unknown reliability {name!r}: expected {" or ".join(RELIABILITIES)}')
    return reliable(depth) if name == 'reliable' else sensor_data(depth)


def _profile(reliability: ReliabilityPolicy, depth: int) -> QoSProfile:
    """Return a keep-last profile without history for late subscribers."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=reliability,
        durability=DurabilityPolicy.VOLATILE,
    )
