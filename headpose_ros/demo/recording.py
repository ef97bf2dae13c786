"""Record topics into an MCAP file that `ros2 bag` and Foxglove read."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geometry_msgs.msg import PoseStamped
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from headpose_ros.msg import Faces
from headpose_ros.ros import qos
from headpose_ros.ros.share import share_file

_DEPTH = 200
_SEPARATOR = '\n' + 80 * '=' + '\n'


@dataclass(frozen=True)
class Topic:
    """A topic to record: its name, type and the QoS to ask for."""

    name: str
    type: Any
    profile: QoSProfile


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


class Recorder(Node):
    """Writes topics to a file as they come, as serialised bytes.

    Args:
        path: MCAP file to write.
        topics: What to record.
        on_faces: Called with every Faces message.
    """

    def __init__(self, path: Path, topics: list[Topic], on_faces: Callable[[Faces], None]) -> None:
        super().__init__('recorder')
        self._on_faces = on_faces
        self._lock = threading.Lock()
        self._stream = path.open('wb')
        self._writer = Writer(self._stream, compression=CompressionType.ZSTD)
        self._writer.start(profile='ros2', library='headpose_ros')
        self._counts: dict[int, int] = {}
        for topic in topics:
            self._record(topic)

    def close(self) -> None:
        """Write the file's index; without it the file still plays, only seeking is slow."""
        with self._lock:
            self._writer.finish()
            self._stream.close()

    def _record(self, topic: Topic) -> None:
        text = definition(topic.type).encode()
        schema = self._writer.register_schema(type_name(topic.type), 'ros2msg', text)
        name = self.resolve_topic_name(topic.name)
        channel = self._writer.register_channel(name, 'cdr', schema)
        self.create_subscription(
            topic.type,
            topic.name,
            lambda data: self._write(channel, topic, data),
            topic.profile,
            raw=True,
        )

    def _write(self, channel: int, topic: Topic, data: bytes) -> None:
        now = self.get_clock().now().nanoseconds
        with self._lock:
            if self._stream.closed:
                return
            count = self._counts.get(channel, 0)
            self._counts[channel] = count + 1
            self._writer.add_message(channel, now, data, now, count)
        if topic.type is Faces:
            self._on_faces(deserialize_message(data, Faces))


def read_messages(path: Path, *names: str) -> Iterator[tuple[str, Any]]:
    """Yield topic and message of some topics of a recording, in the order of arrival."""
    with path.open('rb') as stream:
        for schema, channel, record in make_reader(stream).iter_messages(topics=names or None):
            assert schema is not None
            yield channel.topic, deserialize_message(record.data, _message_class(schema.name))


def type_name(message_class: Any) -> str:
    """Return the full name of a message class, such as `sensor_msgs/msg/Image`."""
    return f'{message_class.__module__.split(".")[0]}/msg/{message_class.__name__}'


def definition(message_class: Any) -> str:
    """Return a message's definition followed by those of all messages in it.

    This is the `ros2msg` schema encoding of the MCAP registry: sections after the first begin
    with a separator and `MSG: package/Type`.
    """
    own, sections = type_name(message_class), []
    for name in _with_dependencies(own):
        text = _definition_text(name)
        package, _, short = name.split('/')
        sections.append(text if name == own else f'MSG: {package}/{short}\n{text}')
    return _SEPARATOR.join(sections)


def _with_dependencies(name: str) -> list[str]:
    found = [name]
    for known in found:  # grows while we look
        for inner in _message_class(known).get_fields_and_field_types().values():
            inner = inner.removeprefix('sequence<').split('>')[0].split('[')[0].split(',')[0]
            full = inner.replace('/', '/msg/')
            if '/' in inner and full not in found:
                found.append(full)
    return found


def _definition_text(name: str) -> str:
    package, kind, short = name.split('/')
    return share_file(f'{kind}/{short}.msg', package).read_text(encoding='utf-8')


def _message_class(name: str) -> Any:
    package, kind, short = name.split('/')
    return getattr(importlib.import_module(f'{package}.{kind}'), short)
