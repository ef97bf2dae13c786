"""Record topics into an MCAP file that `ros2 bag` and Foxglove read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from headpose_ros.files import OutputError
from headpose_ros.msg import DriverEvent, DriverState, Faces
from headpose_ros.ros.node import qos
from headpose_ros.ros.node.callbacks import GuardedNode
from headpose_ros.ros.node.diagnostics import Diagnostics
from headpose_ros.tools.definitions import definition, message_class, type_name

_DEPTH = 200


@dataclass(frozen=True)
class Topic:
    """A topic to record: its name, type and the QoS to ask for."""

    name: str
    type: Any
    profile: QoSProfile


def drive_topics() -> list[Topic]:
    """Return the topics of a monitored driver, images compressed."""
    results = qos.reliable(_DEPTH)
    return [
        Topic('camera/image_raw/compressed', CompressedImage, results),
        Topic('camera/camera_info', CameraInfo, results),
        Topic('faces', Faces, results),
        Topic('markers', MarkerArray, results),
        Topic('driver_markers', MarkerArray, results),
        Topic('/tf', TFMessage, results),
        Topic('driver_state', DriverState, results),
        Topic('driver_events', DriverEvent, results),
        Topic('/diagnostics', DiagnosticArray, results),
    ]


def demo_topics() -> list[Topic]:
    """Return every topic of camera and pose node."""
    camera, results = qos.sensor_data(_DEPTH), qos.reliable(_DEPTH)
    return [
        Topic('camera/image_raw', Image, camera),
        Topic('camera/camera_info', CameraInfo, camera),
        Topic('faces', Faces, results),
        Topic('head_pose', PoseStamped, results),
        Topic('markers', MarkerArray, results),
        Topic('/tf', TFMessage, results),
    ]


class Recorder(GuardedNode):
    """Writes topics to a file as they come, as serialised bytes.

    Args:
        path: MCAP file to write.
        topics: What to record.
        on_faces: Called with every Faces message, if given.

    Raises:
        OutputError: The file cannot be written.
    """

    def __init__(
        self, path: Path, topics: list[Topic], on_faces: Callable[[Faces], None] | None = None
    ) -> None:
        super().__init__('recorder')
        self._on_faces = on_faces
        self._lock = threading.Lock()
        self._path = path
        self._problem = ''
        try:
            self._stream = path.open('wb')
        except OSError as error:
            raise OutputError(f'cannot write {path}: {error.strerror}') from error
        self._writer = Writer(self._stream, compression=CompressionType.ZSTD)
        self._writer.start(profile='ros2', library='headpose_ros')
        self._counts: dict[int, int] = {}
        self._diagnostics = Diagnostics(self)
        for topic in topics:
            self._record(topic)

    @property
    def recorded(self) -> int:
        """How many messages were written so far."""
        with self._lock:
            return sum(self._counts.values())

    def close(self) -> None:
        """Write the file's index; without it the file still plays, only seeking is slow."""
        with self._lock, suppress(OSError):
            if not self._problem:
                self._writer.finish()
            self._stream.close()

    def check(self) -> None:
        """Raise OutputError if a message could not be written; nothing was recorded after it."""
        if self._problem:
            raise OutputError(f'cannot write {self._path}: {self._problem}')

    def _record(self, topic: Topic) -> None:
        text = definition(topic.type).encode()
        schema = self._writer.register_schema(type_name(topic.type), 'ros2msg', text)
        name = self.resolve_topic_name(topic.name)
        channel = self._writer.register_channel(name, 'cdr', schema)
        self.create_subscription(
            topic.type,
            topic.name,
            partial(self._write, channel, topic),
            topic.profile,
            raw=True,
        )

    def _write(self, channel: int, topic: Topic, data: bytes) -> None:
        now = self.get_clock().now().nanoseconds
        with self._lock:
            if self._stream.closed or self._problem:
                return
            count = self._counts.get(channel, 0)
            self._counts[channel] = count + 1
            try:
                self._writer.add_message(channel, now, data, now, count)
            except OSError as error:
                self._problem = error.strerror or str(error)
        if topic.type is Faces and self._on_faces is not None:
            self._on_faces(deserialize_message(data, Faces))


def read_messages(path: Path, *names: str) -> Iterator[tuple[str, Any]]:
    """Yield topic and message of some topics of a recording, in the order of arrival."""
    with path.open('rb') as stream:
        for schema, channel, record in make_reader(stream).iter_messages(topics=names or None):
            assert schema is not None
            yield channel.topic, deserialize_message(record.data, message_class(schema.name))
