"""What is wrong, on `/diagnostics`: one status for the node and one for every camera.

`camera_findings` decides; `headpose doctor` prints the same statuses for a running graph.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ROSClock
from rclpy.clock_type import ClockType
from rclpy.time import Time

from headpose_ros import __version__
from headpose_ros.errors import quoted, shortened
from headpose_ros.ros.input.camera_input import CameraInput
from headpose_ros.ros.input.transforms import frame_name
from headpose_ros.ros.node import qos
from headpose_ros.ros.node.callbacks import Failures, GuardedNode

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
MARK = 'headpose'
"""Key in every status of this package, with its version: others write to /diagnostics, too."""
PERIOD = 1.0
"""Seconds between two messages."""
SILENT_AFTER = 2.0
"""A camera that sent nothing for this many seconds is silent."""
STILL_AFTER = 2.0
"""An image that did not change for this many seconds is frozen."""
_STALE_AFTER = 1.0  # s: an image this old says little about now
_AHEAD = 0.1  # s: clocks of two machines in step differ by less


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, and what helps.

    Attributes:
        level: Of DiagnosticStatus.
        text: What is wrong, then what to do; of level OK what is as it was asked for.
    """

    level: bytes
    text: str


#: Status of a lifecycle node that is not active.
NOT_ACTIVE = Finding(WARN, 'not active: ros2 lifecycle set <node> configure, then activate')
#: Status of a lazy node without subscribers.
RESTING = Finding(OK, 'resting: its results have no subscribers (parameter lazy)')


@dataclass
class Rates:
    """Frames per second in and out since the last call of :meth:`update`."""

    frames: tuple[int, int] = (0, 0)
    at: float = 0.0
    rates: tuple[float, float] = (0.0, 0.0)

    def update(self, frames_in: int, frames_out: int) -> tuple[float, float]:
        """Return the rates, Hz."""
        now = time.monotonic()
        passed = now - self.at
        if self.at and passed > 0:
            self.rates = (
                (frames_in - self.frames[0]) / passed,
                (frames_out - self.frames[1]) / passed,
            )
        self.frames, self.at = (frames_in, frames_out), now
        return self.rates


def camera_findings(camera: CameraInput, now: Time, publishers: int) -> list[Finding]:
    """Return what is wrong with a camera, the worst first.

    Args:
        camera: The camera.
        now: The node's time.
        publishers: How many publishers its image topic has.
    """
    found = _image_findings(camera, now, publishers) + _calibration_findings(camera)
    return sorted(found, key=lambda finding: finding.level, reverse=True)


def _image_findings(camera: CameraInput, now: Time, publishers: int) -> list[Finding]:
    topic, silence = camera.image_topic, camera.seconds_since_image()
    found = []
    if camera.unmet_policy:
        found.append(
            Finding(
                WARN,
                f'{topic}: a publisher is incompatible, QoS policy {camera.unmet_policy}: set '
                'input.reliability to best_effort, or change the camera',
            )
        )
    if silence > SILENT_AFTER:
        since = 'no images yet' if camera.header is None else f'no images for {silence:.0f} s'
        found.append(Finding(ERROR, f'{since} on {topic}: {_why_silent(camera, publishers)}'))
    elif camera.header is None:
        found.append(Finding(WARN, f'waiting for the first image on {topic}'))
    else:
        found += _stamp_findings(camera, now) + _still_findings(camera)
    if camera.frame_problem:
        found.append(Finding(WARN, f'{topic}: {camera.frame_problem}'))
    return found


def _why_silent(camera: CameraInput, publishers: int) -> str:
    if publishers:
        return f'{publishers} publisher(s), no message; is the camera running, its QoS compatible?'
    return (
        f'it has no publisher; start the camera, or remap: -r {camera.image_name}:=<its topic> '
        '(image_topic:=<its topic> in the launch files)'
    )


def _stamp_findings(camera: CameraInput, now: Time) -> list[Finding]:
    age = (now - Time.from_msg(camera.header.stamp, clock_type=now.clock_type)).nanoseconds * 1e-9
    if age > _STALE_AFTER:
        return [
            Finding(
                WARN,
                f'{camera.image_topic} is stale: images are {age:.1f} s old; with a recording or '
                'a simulator set use_sim_time and publish /clock',
            )
        ]
    if age < -_AHEAD:
        return [
            Finding(
                WARN,
                f'{camera.image_topic}: images are stamped {-age:.1f} s in the future: synchronise '
                'the clocks of the machines, or set use_sim_time as for the camera',
            )
        ]
    return []


def _still_findings(camera: CameraInput) -> list[Finding]:
    if camera.still.seconds < STILL_AFTER:
        return []
    return [
        Finding(
            WARN,
            f'{camera.image_topic}: the image has not changed for {camera.still.seconds:.0f} s: '
            'restart the camera; expected where the source is a single image file',
        )
    ]


def _calibration_findings(camera: CameraInput) -> list[Finding]:
    info, found = camera.info, []
    if camera.info_problem and camera.header is not None:
        found.append(
            Finding(
                WARN,
                f'{camera.info_topic}: {camera.info_problem}: poses are rotations only; calibrate '
                'the camera and publish camera_info with the images',
            )
        )
    if info is None or camera.header is None:
        return found
    frames = camera.header.frame_id, info.header.frame_id
    if frame_name(frames[0]) != frame_name(frames[1]):
        found.append(
            Finding(
                WARN,
                f'frames differ: images are in {quoted(frames[0])}, camera_info in '
                f'{quoted(frames[1])}: is it the same camera?',
            )
        )
    return found


def clock_findings(node: GuardedNode) -> list[Finding]:
    """Return what is wrong with simulated time: without /clock, time does not advance."""
    clock = node.get_clock()
    publishers = node.count_publishers('/clock')
    simulated = isinstance(clock, ROSClock) and clock.ros_time_is_active
    if not simulated or (publishers and clock.now().nanoseconds):
        return []
    state = 'has no message yet' if publishers else 'has no publisher'
    return [
        Finding(
            WARN,
            f'use_sim_time is true and /clock {state}: start the simulator, or ros2 bag play with '
            '--clock, or set use_sim_time to false',
        )
    ]


def status(name: str, findings: list[Finding], values: dict[str, Any], hardware: str) -> Any:
    """Return a diagnostic_msgs/DiagnosticStatus."""
    return DiagnosticStatus(
        level=max((finding.level for finding in findings), default=OK),
        name=name,
        message='; '.join(finding.text for finding in findings) or 'OK',
        hardware_id=shortened(hardware),
        values=[
            KeyValue(key=key, value=str(value))
            for key, value in ({MARK: __version__} | values).items()
        ],
    )


def _add(status: Any, finding: Finding) -> None:
    """Add a finding to a status."""
    status.message = '; '.join(
        [finding.text] if status.level == OK else [status.message, finding.text]
    )
    status.level = max(status.level, finding.level)


def camera_values(camera: CameraInput, rates: Rates) -> dict[str, Any]:
    """Return counts, rates and times of a camera as keys and values."""
    summary = camera.statistics.summary()
    rate_in, rate_out = rates.update(summary['frames_in'], summary['frames_out'])
    values: dict[str, Any] = {
        'topic': camera.image_topic,
        'remapped from': camera.image_name,
        'calibration': 'P, for rectified images' if camera.rectified else 'K and D',
        'rate in (Hz)': f'{rate_in:.1f}',
        'rate out (Hz)': f'{rate_out:.1f}',
    }
    values |= {key: value for key, value in summary.items() if key != 'milliseconds'}
    for stage, figures in summary['milliseconds'].items():
        values |= {f'{stage} {which} (ms)': figure for which, figure in figures.items()}
    return values


def failure_status(node: str, failures: Failures) -> Any:
    """Return the status of what failed in a node: a warning for a while, counts for ever."""
    found = [Finding(WARN, f'{failure.place}: {failure.text}') for failure in failures.recent()]
    return status(f'{node}: failures', found, failures.counts(), '')


class Diagnostics:
    """Publishes statuses once a second of real time, whatever the node's clock does.

    Their names begin with the node's namespace, so that nobody takes two nodes for one.

    Args:
        node: The node; what fails in it has a status of its own.
        collect: Makes its other statuses.
    """

    def __init__(self, node: GuardedNode, collect: Callable[[], list[Any]] = list) -> None:
        self._node = node
        self._collect = collect
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', qos.reliable())
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(PERIOD, self._tick, clock=steady)

    def destroy(self) -> None:
        """Stop."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)

    def _tick(self) -> None:
        statuses: list[Any] = []
        # Whatever is wrong with them, what failed is published.
        with self._node.barrier('/diagnostics'):
            statuses = self._collect()
        statuses.append(failure_status(self._node.get_name(), self._node.failures))
        for finding in clock_findings(self._node):
            _add(statuses[0], finding)
        for one in statuses:
            one.name = f'{self._node.get_namespace()}/{one.name}'.lstrip('/')
        message = DiagnosticArray(status=statuses)
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)
