"""Why is nothing published? Examines a running graph and reports what to do.

The graph is examined first, then the diagnostics of the nodes. docs/troubleshooting.md lists every
message.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.srv import GetState
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import ReliabilityPolicy
from tf2_msgs.msg import TFMessage

from headpose_ros.ros.node import qos
from headpose_ros.ros.node.callbacks import GuardedNode
from headpose_ros.ros.node.diagnostics import MARK
from headpose_ros.ros.node.shared_memory import abandoned_segments

_FACES = 'headpose_ros/msg/Faces'
_IMAGES = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage')
_OK, _WARN, _ERROR = 'ok', 'warn', 'error'
_LEVELS = {DiagnosticStatus.OK: _OK, DiagnosticStatus.WARN: _WARN}
_NAME = 'headpose_doctor'
#: Bytes of abandoned shared memory that deserve a line.
_MUCH_MEMORY = 500_000_000


@dataclass(frozen=True)
class Line:
    """One line of the report.

    Attributes:
        level: 'ok', 'warn' or 'error'.
        text: What was found, and what to do where it is wrong.
    """

    level: str
    text: str


@dataclass
class Report:
    """What was found.

    Attributes:
        lines: In the order in which they were examined.
        values: Keys and values of every status on /diagnostics, by name.
    """

    lines: list[Line] = field(default_factory=list)
    values: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, level: str, text: str) -> None:
        """Add a line."""
        self.lines.append(Line(level, text))

    @property
    def healthy(self) -> bool:
        """Whether no line is a warning or an error."""
        return all(line.level == _OK for line in self.lines)


def examine(seconds: float = 3.0) -> Report:
    """Examine the graph and its diagnostics for a while. rclpy must be initialised.

    Args:
        seconds: How long to collect messages.
    """
    doctor = _Doctor(seconds)
    try:
        return doctor.examine()
    finally:
        doctor.close()


class _Doctor:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.report = Report()
        self.node = GuardedNode(_NAME)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.statuses: dict[str, Any] = {}
        self.frames: set[tuple[str, str]] = set()
        self.node.create_subscription(
            DiagnosticArray, '/diagnostics', self._diagnosed, qos.sensor_data(10)
        )
        self.node.create_subscription(TFMessage, '/tf', self._moved, qos.sensor_data(100))

    def close(self) -> None:
        self.node.destroy_node()
        self.executor.shutdown()

    def examine(self) -> Report:
        self.until(lambda: False, self.seconds)
        self._examine_names()
        poses = self._pose_nodes()
        if not poses:
            self.report.add(
                _ERROR,
                'no pose node is running: ros2 launch headpose_ros pose.launch.py, or headpose '
                'run; if it runs elsewhere, compare ROS_DOMAIN_ID and '
                'ROS_AUTOMATIC_DISCOVERY_RANGE',
            )
        for name, namespace in poses:
            self._examine_node(name, namespace)
        self._examine_diagnostics()
        self._examine_frames(bool(poses))
        self._examine_memory(abandoned_segments())
        return self.report

    def _examine_memory(self, abandoned: list[Path]) -> None:
        size = sum(file.stat().st_size for file in abandoned)
        if size > _MUCH_MEMORY:
            self.report.add(
                _WARN,
                f'{len(abandoned)} segments of killed processes hold {size / 1e9:.1f} GB of shared '
                'memory: fastdds shm clean, or delete them from /dev/shm',
            )

    def until(self, predicate: Callable[[], bool], timeout: float) -> bool:
        end = time.monotonic() + timeout
        while not predicate() and time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.05)
        return predicate()

    def _diagnosed(self, message: Any) -> None:
        self.statuses |= {status.name: status for status in message.status}

    def _moved(self, message: Any) -> None:
        self.frames |= {(t.header.frame_id, t.child_frame_id) for t in message.transforms}

    def _examine_names(self) -> None:
        """Report names that several nodes have."""
        counts = Counter(
            f'{namespace.rstrip("/")}/{name}'
            for name, namespace in self.node.get_node_names_and_namespaces()
            if name != _NAME
        )
        for name, count in sorted(counts.items()):
            if count > 1:
                self.report.add(
                    _ERROR,
                    f'{count} nodes have the name {name}: parameters, services and ids of faces '
                    'mix; stop one, or start it in another namespace (namespace:=... in a launch '
                    'file)',
                )

    def _pose_nodes(self) -> list[tuple[str, str]]:
        """Return names and namespaces of the nodes with a /parameters of a pose node."""
        return [
            (name, namespace)
            for name, namespace in dict.fromkeys(self.node.get_node_names_and_namespaces())
            if name != _NAME and self._is_pose_node(name, namespace)
        ]

    def _is_pose_node(self, name: str, namespace: str) -> bool:
        try:
            published = self.node.get_publisher_names_and_types_by_node(name, namespace)
        except RuntimeError:  # gone meanwhile
            return False
        if any(_FACES in types for _, types in published):
            return True
        return name == 'pose'  # not configured yet: it publishes no faces

    def _examine_node(self, name: str, namespace: str) -> None:
        full = f'{namespace.rstrip("/")}/{name}'
        state = self._state(full)
        if state == 'active':
            self.report.add(_OK, f'{full} is active')
        elif state:
            steps = 'configure and activate' if state == 'unconfigured' else 'activate'
            self.report.add(
                _ERROR,
                f'{full} is {state}: ros2 lifecycle set {full} ... ({steps}); its log has the '
                'reason',
            )
        else:
            self.report.add(
                _ERROR, f'{full} does not respond: it hangs or still starts; see its log'
            )
        try:
            subscribed = self.node.get_subscriber_names_and_types_by_node(name, namespace)
        except RuntimeError:
            return
        for topic, types in subscribed:
            if set(types) & set(_IMAGES):
                self._examine_topic(topic, full)

    def _state(self, node: str) -> str:
        """Return the label of a lifecycle state; empty where the node does not respond."""
        client: Any = self.node.create_client(GetState, f'{node}/get_state')
        try:
            if not self.until(client.service_is_ready, 2.0):
                return ''
            future = client.call_async(GetState.Request())
            if not self.until(future.done, 5.0):
                return ''
            return str(future.result().current_state.label)
        finally:
            self.node.destroy_client(client)

    def _examine_topic(self, topic: str, node: str) -> None:
        """Compare the QoS offered and requested on an image topic."""
        offers = self.node.get_publishers_info_by_topic(topic)
        if not offers:
            self.report.add(_ERROR, f'{topic} has no publisher; {node} subscribes to it')
            self._suggest(topic)
            return
        self.report.add(_OK, f'{topic} has {len(offers)} publisher(s)')
        asked = [
            wish
            for wish in self.node.get_subscriptions_info_by_topic(topic)
            if f'{wish.node_namespace.rstrip("/")}/{wish.node_name}' == node
        ]
        for offer in offers:
            if any(_falls_short(offer.qos_profile, wish.qos_profile) for wish in asked):
                self.report.add(
                    _ERROR,
                    f'QoS mismatch on {topic}: {offer.node_name} offers best_effort, {node} '
                    'requests reliable: set input.reliability to best_effort',
                )

    def _suggest(self, topic: str) -> None:
        """Report the image topics that have publishers."""
        there = [
            name
            for name, types in self.node.get_topic_names_and_types()
            if set(types) & set(_IMAGES) and self.node.count_publishers(name)
        ]
        if not there:
            self.report.add(_ERROR, 'no node publishes images: start a camera')
            return
        self.report.add(
            _WARN,
            f'images are published on {", ".join(sorted(there))}: remap, for example --ros-args -r '
            f'{self._name_of(topic)}:={sorted(there)[0]}, or set the parameters cameras and '
            'input.transport',
        )

    def _name_of(self, topic: str) -> str:
        """Return the name of an image topic before remapping."""
        for status in self.statuses.values():
            values = {item.key: item.value for item in status.values}
            if values.get('topic') == topic:
                return values.get('remapped from', topic)
        return topic

    def _examine_diagnostics(self) -> None:
        mine = {name: s for name, s in self.statuses.items() if MARK in _keys(s)}
        for name, status in sorted(mine.items()):
            level = _LEVELS.get(status.level, _ERROR)
            self.report.add(level, f'{name}: {status.message}')
            self.report.values[name] = {item.key: item.value for item in status.values}

    def _examine_frames(self, running: bool) -> None:
        faces = sorted(child for _, child in self.frames if child.startswith('face_'))
        parents = {parent for parent, child in self.frames if child.startswith('face_')}
        if faces:
            self.report.add(_OK, f'TF: {", ".join(faces)} below {", ".join(sorted(parents))}')
        elif running:
            self.report.add(
                _WARN,
                'no face frame on /tf: no face in sight, images without frame_id, or output.tf '
                'is false',
            )


def _keys(status: Any) -> set[str]:
    return {item.key for item in status.values}


def _falls_short(offer: Any, wish: Any) -> bool:
    return bool(
        offer.reliability == ReliabilityPolicy.BEST_EFFORT
        and wish.reliability == ReliabilityPolicy.RELIABLE
    )
