"""The images of a recording, topic by topic, each with its stamp. Bags too need no ROS."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headpose_ros.batch.inputs import BAG, FILM, Recording
from headpose_ros.errors import HeadposeError
from headpose_ros.extras import needed_by
from headpose_ros.geometry.camera import CameraModel
from headpose_ros.ros.input.camera_info import (
    CameraInfoError,
    CameraInfos,
    camera_model,
    is_rectified,
)
from headpose_ros.ros.input.compressed import decode_compressed
from headpose_ros.ros.input.images import decode
from headpose_ros.sources.open import open_source
from headpose_ros.sources.pictures import read_image
from headpose_ros.sources.source import SourceError

_IMAGE, _COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
_CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'


@dataclass(frozen=True)
class Image:
    """One image of a recording.

    Attributes:
        topic: Of the images of a bag; name of a picture; empty for a film.
        pixels: uint8 (H, W, 3) BGR.
        stamp: s; NaN for a picture.
        offset: Seconds from the start of the recording; NaN for a picture.
        camera: The calibrated camera, or None.
    """

    topic: str
    pixels: NDArray[np.uint8]
    stamp: float = math.nan
    offset: float = math.nan
    camera: CameraModel | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, px."""
        return self.pixels.shape[1], self.pixels.shape[0]


@dataclass
class Skipped:
    """Images that were left out.

    Attributes:
        count: How many.
        problem: What was wrong with the first.
    """

    count: int = 0
    problem: str = field(default='')

    def note(self, problem: object) -> None:
        """Count one more."""
        self.count += 1
        self.problem = self.problem or ' '.join(str(problem).split())[:300]


@dataclass(frozen=True)
class Span:
    """A part of a film, in seconds from its first frame.

    Attributes:
        read_from: Where decoding begins: at a key frame, before `begin` so that tracks are settled.
        begin: The first frame that belongs to the part.
        end: The first frame after it; infinite for the last part.
    """

    read_from: float = 0.0
    begin: float = 0.0
    end: float = math.inf


def images(
    recording: Recording,
    path: Path,
    topics: tuple[str, ...],
    skipped: Skipped,
    span: Span | None = None,
) -> Iterator[Image]:
    """Yield the images of a recording: a topic after the other, each in the order of the recording.

    Args:
        recording: What is read.
        path: Where it lies on this machine.
        topics: Of bags; empty: all that have images.
        skipped: Counts what is left out.
        span: Part of a film; None: all of it.

    Raises:
        HeadposeError: The recording cannot be read, or not to its end.
    """
    if recording.kind == BAG:
        return _of_bag(path, topics, skipped)
    if recording.kind == FILM:
        return _of_film(path, skipped, span or Span())
    return _of_pictures(path, recording.files, skipped)


def _of_film(path: Path, skipped: Skipped, span: Span) -> Iterator[Image]:
    from headpose_ros.sources.video import VideoSource

    source = open_source(path)
    if not isinstance(source, VideoSource):
        raise SourceError(f'{path} is no film')
    with source:
        if span.read_from > 0.0:
            source.seek(span.read_from)
        before = 0
        for time, frame in source.timed():
            if time >= span.end:
                break
            if time < span.begin:
                before = source.skipped
            yield Image('', frame, time, time)
        for _ in range(source.skipped - before):
            skipped.note('a damaged frame')


def _of_pictures(path: Path, names: tuple[str, ...], skipped: Skipped) -> Iterator[Image]:
    for name in names:
        try:
            pixels = read_image(path / name)
        except SourceError as error:
            skipped.note(error)
            continue
        yield Image(name, pixels)


def _of_bag(path: Path, topics: tuple[str, ...], skipped: Skipped) -> Iterator[Image]:
    with needed_by('reading bags'):
        from headpose_ros.tools.recording import Recording as Bag
    with Bag(path) as bag:
        for connection in _image_connections(bag, topics):
            yield from _of_topic(bag, connection, skipped)


def _image_connections(bag: Any, topics: tuple[str, ...]) -> list[Any]:
    """Return the connections with images; of a camera that was recorded twice the raw one."""
    found = {
        c.topic: c
        for c in bag.connections
        if c.msgtype in (_IMAGE, _COMPRESSED) and c.msgcount and (not topics or c.topic in topics)
    }
    if not found:
        wanted = ' or '.join(topics) or f'a topic of {_IMAGE} or {_COMPRESSED} with messages'
        raise HeadposeError(f'the bag has no images: expected {wanted}')
    kept = [
        topic for topic in found if topic.removesuffix('/compressed') not in found.keys() - {topic}
    ]
    return [found[topic] for topic in sorted(kept)]


def _of_topic(bag: Any, connection: Any, skipped: Skipped) -> Iterator[Image]:
    """Yield the images of a topic, with the calibration beside it."""
    base = connection.topic.removesuffix('/compressed').rpartition('/')[0]
    infos = [
        c for c in bag.connections if c.topic == f'{base}/camera_info' and c.msgtype == _CAMERA_INFO
    ]
    camera = _Camera(is_rectified('auto', connection.topic))
    # The first calibration may follow the first image, which was taken by the same camera.
    for _, _, data in bag.messages(infos) if infos else ():
        camera.add(data)
        break
    for one, logged, data in bag.messages([connection, *infos]):
        if one.topic != connection.topic:
            camera.add(data)
            continue
        try:
            yield _image(connection, data, 1e-9 * (logged - bag.start), camera)
        except HeadposeError as error:
            skipped.note(error)


def _image(connection: Any, data: bytes, offset: float, camera: _Camera) -> Image:
    message = _message(data, connection.msgtype)
    pixels = decode_compressed(message) if connection.msgtype == _COMPRESSED else decode(message)
    stamp = message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec
    size = (pixels.shape[1], pixels.shape[0])
    return Image(connection.topic, pixels, stamp, offset, camera.of(message.header, size))


class _Camera:
    """The calibrations of one camera, as a bag has them."""

    def __init__(self, rectified: bool) -> None:
        self._rectified = rectified
        self._infos = CameraInfos()

    def add(self, data: bytes) -> None:
        """Take in a serialised camera_info; a damaged one changes nothing."""
        try:
            self._infos.add(_message(data, _CAMERA_INFO))
        except HeadposeError:
            return

    def of(self, header: Any, size: tuple[int, int]) -> CameraModel | None:
        """Return the camera that took an image; None where its calibration cannot be used."""
        info = self._infos.of(header)
        try:
            return None if info is None else camera_model(info, size, self._rectified)
        except CameraInfoError:
            return None


def _message(data: bytes, kind: str) -> Any:
    """Return a message of a standard type.

    By rosbags and not by rclpy, which starts Python anew when it is imported from PyPI: a worker
    of a cluster would be lost.
    """
    try:
        return _types().deserialize_cdr(data, kind)
    except Exception as error:  # the parser takes the bytes as they come
        raise HeadposeError(f'a damaged {kind}: {error or type(error).__name__}') from error


@lru_cache(maxsize=1)
def _types() -> Any:
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS2_HUMBLE)
