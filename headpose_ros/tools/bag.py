"""`headpose bag`: copy a ROS 2 bag and add what the pose node would have published, without it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geometry_msgs.msg import PoseStamped
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import Reader, ReaderError, StoragePlugin, Writer, WriterError
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from headpose_ros.errors import HeadposeError
from headpose_ros.geometry.camera import CameraModel
from headpose_ros.msg import Faces
from headpose_ros.perception.analyze import Analyzer
from headpose_ros.ros.camera_info import CameraInfoError, camera_model
from headpose_ros.ros.definitions import definition, message_class, type_name
from headpose_ros.ros.markers import FaceMarkers
from headpose_ros.ros.messages import faces_message, located, main_face_message
from headpose_ros.ros.pictures import pixels_of
from headpose_ros.ros.stamps import seconds
from headpose_ros.ros.tf import face_frames
from headpose_ros.tools.interruption import interruptible
from headpose_ros.tools.video import progress_bar

_IMAGE_TYPES = {type_name(Image): Image, type_name(CompressedImage): CompressedImage}
_TF = '/tf'
_OURS = {'faces': Faces, 'head_pose': PoseStamped, 'markers': MarkerArray}
_ZERO = QosTime(0, 0)
#: What `ros.qos.reliable` says, in the terms of a bag.
_RELIABLE = Qos(
    QosHistory.KEEP_LAST,
    10,
    QosReliability.RELIABLE,
    QosDurability.VOLATILE,
    _ZERO,
    _ZERO,
    QosLiveliness.AUTOMATIC,
    _ZERO,
    False,
)


class BagError(HeadposeError):
    """A bag that cannot be read or written, or has no images; the message says which and why."""


@dataclass(frozen=True)
class BagOptions:
    """What to read and write.

    Attributes:
        source: Bag: a folder with metadata.yaml, or a single .mcap or .db3 file.
        out: Folder to write; in the storage of the source.
        image: Topic of the images; empty: the only one.
        camera_info: Topic of the calibration; empty: the one beside the images.
        namespace: Put before the names of our topics.
    """

    source: Path
    out: Path
    image: str = ''
    camera_info: str = ''
    namespace: str = ''


@dataclass
class BagSummary:
    """What was written.

    Attributes:
        images: Images analysed.
        faces: Faces found, over all images.
        refused: Images that could not be used.
        problem: What was wrong with the first of them.
        left_out: Topics whose message definition is neither in the bag nor on this machine.
        recorded: Seconds that the bag lasts.
        seconds: How long it took.
        interrupted: Whether a signal ended it; the copy then holds the beginning.
    """

    images: int = 0
    faces: int = 0
    refused: int = 0
    problem: str = ''
    left_out: list[str] = field(default_factory=list)
    recorded: float = 0.0
    seconds: float = 0.0
    interrupted: bool = False


def annotate_bag(analyzer: Analyzer, options: BagOptions) -> BagSummary:
    """Copy a bag and add `faces`, `head_pose`, `markers` and the face frames on `/tf`.

    Each of our messages follows its image, under the image's time in the bag, so the same bag and
    network give the same copy. Every image is analysed, however long it takes.

    Raises:
        BagError: The bag cannot be read, has no usable image, or the copy cannot be written.
    """
    start = time.monotonic()
    try:
        with Reader(options.source) as reader:
            plan = _plan(reader, options)
            summary = _write(analyzer, reader, plan, options)
    except (ReaderError, WriterError, OSError) as error:
        raise BagError(f'cannot process {options.source}: {error}') from error
    summary.seconds = time.monotonic() - start
    return summary


@dataclass(frozen=True)
class _Plan:
    """Which topics are used, and what is known before the first image."""

    image: Connection
    camera_info: Connection | None
    camera: CameraModel | None
    prefix: str


def _plan(reader: Reader, options: BagOptions) -> _Plan:
    image = _image_connection(reader, options)
    topic = options.camera_info or f'{image.topic.removesuffix("/compressed").rpartition("/")[0]}'
    wanted = topic if options.camera_info else f'{topic}/camera_info'
    infos = [
        c for c in reader.connections if c.topic == wanted and c.msgtype.endswith('CameraInfo')
    ]
    if options.camera_info and not infos:
        raise BagError(f'{options.source} has no sensor_msgs/msg/CameraInfo on {wanted}')
    prefix = f'/{options.namespace.strip("/")}/' if options.namespace.strip('/') else '/'
    taken = {c.topic for c in reader.connections} & {prefix + name for name in _OURS}
    if taken:
        raise BagError(
            f'{options.source} already has {", ".join(sorted(taken))}: choose --namespace for ours'
        )
    info = infos[0] if infos else None
    # The first calibration may follow the first image, which was taken by the same camera.
    first = next(reader.messages(connections=[info]), None) if info else None
    return _Plan(image, info, _camera(first[2]) if first else None, prefix)


def _image_connection(reader: Reader, options: BagOptions) -> Connection:
    images = [c for c in reader.connections if c.msgtype in _IMAGE_TYPES and c.msgcount]
    names = sorted({c.topic for c in images})
    if not images:
        raise BagError(
            f'{options.source} has no images: expected a topic of sensor_msgs/msg/Image or '
            'sensor_msgs/msg/CompressedImage with messages'
        )
    if not options.image and len(names) > 1:
        raise BagError(
            f'{options.source} has images on {", ".join(names)}: choose one with --image'
        )
    found = [c for c in images if c.topic == (options.image or names[0])]
    if not found:
        raise BagError(
            f'{options.source} has no images on {options.image}: expected {" or ".join(names)}'
        )
    return found[0]


def _write(analyzer: Analyzer, reader: Reader, plan: _Plan, options: BagOptions) -> BagSummary:
    """Write the copy; a failure leaves none."""
    storage = _storage(options.source)
    writer = Writer(options.out, version=8, storage_plugin=storage)
    summary = BagSummary(recorded=reader.duration * 1e-9)
    with ExitStack() as stack:
        progress = stack.enter_context(progress_bar('messages'))
        task = progress.add_task(options.source.name, total=reader.message_count)
        stack.enter_context(interruptible())
        writer.open()
        try:
            copy = _Copy(writer, reader, plan, summary)
            try:
                for connection, stamp, data in progress.track(reader.messages(), task_id=task):
                    copy.message(connection, stamp, data)
                    if connection.topic == plan.image.topic:
                        for topic, answer in copy.answers(analyzer, data):
                            copy.ours(topic, stamp, answer)
            except KeyboardInterrupt:
                summary.interrupted = True
            if not summary.images and not summary.interrupted:
                raise BagError(
                    f'no image of {options.source} on {plan.image.topic} can be used: '
                    f'{summary.problem}'
                )
            writer.close()
        except BaseException:
            writer.abort()
            shutil.rmtree(options.out, ignore_errors=True)
            raise
    return summary


def _storage(source: Path) -> StoragePlugin:
    files = list(source.iterdir()) if source.is_dir() else [source]
    is_mcap = any('.mcap' in file.suffixes for file in files)
    return StoragePlugin.MCAP if is_mcap else StoragePlugin.SQLITE3


class _Copy:
    """The bag that is written: what was there, and our topics."""

    def __init__(self, writer: Writer, reader: Reader, plan: _Plan, summary: BagSummary) -> None:
        self._writer, self._plan, self._summary = writer, plan, summary
        self._camera = plan.camera
        self._markers = FaceMarkers()
        self._types = get_typestore(Stores.EMPTY)
        self._copied: dict[int, Connection] = {}
        for connection in reader.connections:
            self._add_copied(connection)
        self._ours = {name: self._add(plan.prefix + name, kind) for name, kind in _OURS.items()}
        self._register(type_name(TFMessage), definition(TFMessage))
        existing = [c for c in self._copied.values() if c.topic == _TF]
        self._ours['tf'] = existing[0] if existing else self._add(_TF, TFMessage)

    def message(self, connection: Connection, stamp: int, data: bytes) -> None:
        """Copy a message; a calibration holds for the images after it."""
        info = self._plan.camera_info
        if info is not None and connection.topic == info.topic:
            self._camera = _camera(data)
        if connection.id in self._copied:
            self._writer.write(self._copied[connection.id], stamp, data)

    def ours(self, name: str, stamp: int, message: Any) -> None:
        """Write one of our messages."""
        connection = self._ours[name]
        # The middleware leaves what it finds in memory between the fields; written once more the
        # gaps are zero, and equal messages are equal bytes.
        again = self._types.deserialize_cdr(serialize_message(message), connection.msgtype)
        data = self._types.serialize_cdr(again, connection.msgtype)
        self._writer.write(connection, stamp, data)

    def answers(self, analyzer: Analyzer, data: bytes) -> Iterator[tuple[str, Any]]:
        """Yield the names of our topics and what the pose node publishes for an image."""
        try:
            image = deserialize_message(data, _IMAGE_TYPES[self._plan.image.msgtype])
            pixels = pixels_of(image)
            stamp = seconds(image.header.stamp)
            faces = analyzer.track(pixels, stamp, self._camera)
        except (HeadposeError, RuntimeError) as error:  # rclpy refuses cut messages with the latter
            self._summary.refused += 1
            self._summary.problem = self._summary.problem or ' '.join(str(error).split())
            return
        self._summary.images += 1
        self._summary.faces += len(faces)
        placed, header = [located(face, self._camera) for face in faces], image.header
        yield 'faces', faces_message(header, (pixels.shape[1], pixels.shape[0]), placed)
        main = main_face_message(header, placed)
        if main is not None:
            yield 'head_pose', main
            yield 'tf', face_frames(header, placed)
        yield 'markers', self._markers.message(header, placed)

    def _add_copied(self, connection: Connection) -> None:
        ext: Any = connection.ext
        profiles: Sequence[Qos] = ext.offered_qos_profiles
        text, digest = connection.msgdef.data, connection.digest
        if not (text and digest):
            # Bags before Iron hold no definitions.
            try:
                self._register(connection.msgtype, text)
            except (HeadposeError, ImportError, AttributeError, KeyError):
                self._summary.left_out.append(connection.topic)
                return
            text, digest = self._definition(connection.msgtype)
        self._copied[connection.id] = self._writer.add_connection(
            connection.topic,
            connection.msgtype,
            msgdef=text,
            rihs01=digest,
            serialization_format=ext.serialization_format,
            offered_qos_profiles=profiles,
        )

    def _add(self, topic: str, kind: Any) -> Connection:
        name = type_name(kind)
        self._register(name, definition(kind))
        text, digest = self._definition(name)
        return self._writer.add_connection(
            topic, name, msgdef=text, rihs01=digest, offered_qos_profiles=[_RELIABLE]
        )

    def _register(self, name: str, text: str) -> None:
        known = text or definition(message_class(name))
        self._types.register(get_types_from_msg(known, name))

    def _definition(self, name: str) -> tuple[str, str]:
        return self._types.generate_msgdef(name, ros_version=2)[0], self._types.hash_rihs01(name)


def _camera(data: bytes) -> CameraModel | None:
    """Return the camera of a serialised camera_info; None where it cannot be used."""
    try:
        return camera_model(deserialize_message(data, CameraInfo))
    except (CameraInfoError, RuntimeError):
        return None
