"""`headpose bag`: copy a ROS 2 bag and add what the pose node would have published, without it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
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
from rosbags.rosbag2 import StoragePlugin
from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from headpose_ros.errors import HeadposeError
from headpose_ros.files import check_new
from headpose_ros.geometry.camera import CameraModel
from headpose_ros.msg import Faces
from headpose_ros.perception.analyze import Analyzer
from headpose_ros.ros.input.camera_info import (
    CameraInfoError,
    CameraInfos,
    camera_model,
    is_rectified,
)
from headpose_ros.ros.input.pictures import pixels_of
from headpose_ros.ros.node.stamps import seconds
from headpose_ros.ros.output.markers import FaceMarkers
from headpose_ros.ros.output.messages import faces_message, located, main_face_message
from headpose_ros.ros.output.tf import face_frames, frame_problem
from headpose_ros.tools.bag_writer import BagError, BagWriter, remove_bag
from headpose_ros.tools.definitions import definition, definition_of, type_name
from headpose_ros.tools.interruption import interruptible
from headpose_ros.tools.recording import Recording
from headpose_ros.tools.video import progress_bar

_IMAGE_TYPES = {type_name(Image): Image, type_name(CompressedImage): CompressedImage}
_TF = '/tf'
_OURS = {'faces': Faces, 'head_pose': PoseStamped, 'markers': MarkerArray}
#: What the search for a type and its parsing raise; the name may be any text.
_UNKNOWN_TYPE = (HeadposeError, ImportError, AttributeError, LookupError, ValueError, TypesysError)
#: What a summary remarks; more is as a rule the same with other numbers.
_MOST_REMARKS = 8
_ZERO = QosTime(0, 0)
#: The profile of `ros.node.qos.reliable`, in the terms of a bag.
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


@dataclass(frozen=True)
class BagOptions:
    """What to read and write.

    Attributes:
        source: Bag: a folder with metadata.yaml, or a single .mcap or .db3 file.
        out: Folder to write; in the storage of the source.
        image: Topic of the images; empty: the only one.
        camera_info: Topic of the calibration; empty: the one beside the images.
        namespace: Put before the names of our topics.
        overwrite: Whether a bag of that name is replaced.
        rectified: Whether the images are rectified, one of camera_info.RECTIFIED.
    """

    source: Path
    out: Path
    image: str = ''
    camera_info: str = ''
    namespace: str = ''
    overwrite: bool = False
    rectified: str = 'auto'


@dataclass
class BagSummary:
    """What was written.

    Attributes:
        images: Images analysed.
        faces: Faces found, over all images.
        left_out_faces: Images with more faces than `max_faces`.
        refused: Images that could not be used.
        problem: What was wrong with the first of them.
        remarks: What is wrong with calibrations and frames, each once.
        left_out: Topics that are not copied, as no definition of their type can be read, neither
            in the bag nor on this machine.
        recorded: Seconds that the bag lasts.
        seconds: How long it took.
        interrupted: Whether a signal ended it; the copy then holds the beginning.
    """

    images: int = 0
    faces: int = 0
    left_out_faces: int = 0
    refused: int = 0
    problem: str = ''
    remarks: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    recorded: float = 0.0
    seconds: float = 0.0
    interrupted: bool = False


def annotate_bag(analyzer: Analyzer, options: BagOptions) -> BagSummary:
    """Copy a bag and add `faces`, `head_pose`, `markers` and the face frames on `/tf`.

    Each of our messages follows its image, under the image's time in the bag, so the same bag and
    network give the same copy. Every image is analysed, however long it takes.

    A signal, damage or a full disk that ends it early leaves a readable copy of the beginning.

    Raises:
        RecordingError: The bag cannot be read, or not to its end.
        BagError: The bag has no usable image, or the copy cannot be written.
    """
    start = time.monotonic()
    check_new(options.out, options.overwrite)
    with Recording(options.source) as reader:
        plan = _plan(reader, options)
        summary = _write(analyzer, reader, plan, options)
    summary.seconds = time.monotonic() - start
    return summary


@dataclass(frozen=True)
class _Plan:
    """Which topics are used, and what is known before the first image."""

    image: Connection
    camera_info: Connection | None
    first_info: CameraInfo | None
    prefix: str
    rectified: bool


def _plan(reader: Recording, options: BagOptions) -> _Plan:
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
            f'{options.source} already has {", ".join(sorted(taken))}: choose a --namespace'
        )
    info = infos[0] if infos else None
    # The first calibration may follow the first image, which was taken by the same camera.
    first = next(reader.messages(connections=[info]), None) if info else None
    rectified = is_rectified(options.rectified, image.topic)
    return _Plan(image, info, _camera_info(first[2]) if first else None, prefix, rectified)


def _image_connection(reader: Recording, options: BagOptions) -> Connection:
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


def _write(analyzer: Analyzer, reader: Recording, plan: _Plan, options: BagOptions) -> BagSummary:
    """Write the copy; one without a single image is removed."""
    summary = BagSummary(recorded=reader.seconds)
    with ExitStack() as stack:
        progress = stack.enter_context(progress_bar('messages'))
        task = progress.add_task(options.source.name, total=reader.message_count)
        interruption = stack.enter_context(interruptible())
        if options.overwrite:
            remove_bag(options.out)
        writer = BagWriter(options.out, _storage(options.source))
        try:
            copy = _Copy(writer, reader, plan, summary)
            for connection, stamp, data in progress.track(reader.messages(), task_id=task):
                if interruption.asked:
                    summary.interrupted = True
                    break
                copy.message(connection, stamp, data)
                if connection.topic == plan.image.topic:
                    for topic, answer in copy.answers(analyzer, data):
                        copy.ours(topic, stamp, answer)
            if not summary.images and not summary.interrupted:
                raise BagError(
                    f'no image of {options.source} on {plan.image.topic} can be used: '
                    f'{summary.problem}'
                )
        finally:
            writer.close()
            if not summary.images and not summary.interrupted:
                shutil.rmtree(options.out, ignore_errors=True)
    return summary


def _storage(source: Path) -> StoragePlugin:
    files = list(source.iterdir()) if source.is_dir() else [source]
    is_mcap = any('.mcap' in file.suffixes for file in files)
    return StoragePlugin.MCAP if is_mcap else StoragePlugin.SQLITE3


class _Copy:
    """The bag that is written: what was there, and our topics."""

    def __init__(
        self, writer: BagWriter, reader: Recording, plan: _Plan, summary: BagSummary
    ) -> None:
        self._writer, self._plan, self._summary = writer, plan, summary
        self._infos = CameraInfos()
        self._add_info(plan.first_info)
        self._markers = FaceMarkers()
        # Of ours alone: a bag may hold another or a broken definition of a type that we use.
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
            self._add_info(_camera_info(data))
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
            size = (pixels.shape[1], pixels.shape[0])
            camera = self._camera(image.header, size)
            faces = analyzer.track(pixels, seconds(image.header.stamp), camera)
        except (HeadposeError, RuntimeError) as error:  # rclpy refuses cut messages with the latter
            self._summary.refused += 1
            self._summary.problem = self._summary.problem or ' '.join(str(error).split())
            return
        self._summary.images += 1
        self._summary.faces += len(faces)
        self._summary.left_out_faces += analyzer.left_out('') > 0
        placed, header = [located(face, camera) for face in faces], image.header
        self._remark(frame_problem(header.frame_id))
        yield 'faces', faces_message(header, size, placed)
        main = main_face_message(header, placed)
        if main is not None:
            yield 'head_pose', main
        frames = face_frames(header, placed)
        if frames.transforms:
            yield 'tf', frames
        yield 'markers', self._markers.message(header, placed)

    def _add_info(self, info: CameraInfo | None) -> None:
        if info is not None:
            self._infos.add(info)

    def _camera(self, header: Any, size: tuple[int, int]) -> CameraModel | None:
        """Return the camera that took an image; None where its calibration cannot be used."""
        info = self._infos.of(header)
        try:
            return None if info is None else camera_model(info, size, self._plan.rectified)
        except CameraInfoError as error:
            self._remark(f'{error}: poses are rotations only')
            return None

    def _remark(self, text: str) -> None:
        remarks = self._summary.remarks
        if text and text not in remarks and len(remarks) < _MOST_REMARKS:
            remarks.append(text)

    def _add_copied(self, connection: Connection) -> None:
        ext: Any = connection.ext
        text, digest = connection.msgdef.data, connection.digest
        if not (text and digest):
            # Bags before Iron hold no definitions, MCAP files no hashes.
            try:
                text, digest = _described(connection.msgtype, text)
            except _UNKNOWN_TYPE:
                if connection.topic not in self._summary.left_out:
                    self._summary.left_out.append(connection.topic)
                return
        self._copied[connection.id] = self._writer.add(
            connection.topic,
            connection.msgtype,
            text,
            digest,
            ext.offered_qos_profiles,
            ext.serialization_format,
        )

    def _add(self, topic: str, kind: Any) -> Connection:
        name = type_name(kind)
        self._register(name, definition(kind))
        text, digest = _described(name, definition(kind))
        return self._writer.add(topic, name, text, digest, [_RELIABLE])

    def _register(self, name: str, text: str) -> None:
        self._types.register(get_types_from_msg(text, name))


def _described(name: str, text: str) -> tuple[str, str]:
    """Return definition and hash of a type; without a text as this machine has it."""
    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg(text or definition_of(name), name))
    return store.generate_msgdef(name, ros_version=2)[0], store.hash_rihs01(name)


def _camera_info(data: bytes) -> CameraInfo | None:
    """Return a serialised camera_info; None where it is damaged."""
    try:
        return deserialize_message(data, CameraInfo)
    except RuntimeError:
        return None
