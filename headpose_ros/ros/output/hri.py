"""Faces as ROS4HRI (REP 155) has them, by the messages of the package hri_msgs."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from headpose_ros.errors import HeadposeError
from headpose_ros.geometry.landmarks import COUNT, GROUPS
from headpose_ros.parameter import parameter
from headpose_ros.perception.faces import Face
from headpose_ros.ros.input.images import encode_bgr
from headpose_ros.ros.node import qos
from headpose_ros.ros.output.messages import roi_message

if TYPE_CHECKING:
    from headpose_ros.ros.output.hri_persons import HriPersons

_ROOT = '/humans/faces'
_FACE_TOPIC = re.compile(rf'{_ROOT}/([^/]+)/')
#: Faces of a camera that sent nothing for this time, s, are no longer tracked.
_SILENT_AFTER = 1.0
#: How often silent cameras are looked for, s.
_LOOK_FOR_SILENCE = 0.25
#: Where the middles of both eyes are in an aligned picture: their height as a share of its height,
#: and half their distance as a share of its shorter side. Brows and chin are inside then.
_EYE_LEVEL, _EYE_OFFSET = 0.4, 0.15
#: Eyes nearer to each other than this share of the longer side of the landmarks' box are those of
#: a head turned by about 60 degrees or more: there is no picture with both at their places.
_NARROWEST_EYES = 0.24
#: Pictures are computed at most this much larger before they are shrunk.
_MOST_OVERSAMPLING = 8
#: FacialLandmarks of hri_msgs: the points of iBUG-68 under their own numbers, then both pupils.
_PUPILS = ('right_eye', 'left_eye')

Size = tuple[int, int]


@dataclass(frozen=True)
class HriOptions:
    """What `output.hri` publishes; REP 155 names its parameters without a node."""

    width: int = parameter(
        128,
        'Width of the pictures of faces on cropped and aligned.',
        minimum=16,
        maximum=1024,
        unit='px',
        source='REP 155',
    )
    height: int = parameter(
        128,
        'Height of the pictures of faces on cropped and aligned.',
        minimum=16,
        maximum=1024,
        unit='px',
        source='REP 155',
    )

    persons: bool = parameter(
        False,
        'Publish an anonymous person for every face, candidate matches, engagement and who attends '
        'to the robot. Leave it off where another node manages persons.',
        read_only=True,
    )

    @property
    def picture(self) -> Size:
        """Width and height of pictures of faces, px."""
        return self.width, self.height


class HriFaces:
    """Publishes `/humans/faces/tracked`, and for every face its region, landmarks and pictures.

    REP 155 has one list of all faces: it holds those of all cameras of the node, and those that
    other nodes have topics for, so that nodes which share it agree. The faces of a camera that
    falls silent leave it.

    Args:
        node: The node that publishes.
        options: What is published; may be replaced at any time.
        persons: Publishes the persons of the faces; None for none.

    Attributes:
        tracked: Publisher of the ids.

    Raises:
        HeadposeError: hri_msgs is not installed.
    """

    def __init__(
        self,
        node: Node,
        options: HriOptions | None = None,
        persons: HriPersons | None = None,
    ) -> None:
        self.options = options or HriOptions()
        self.persons = persons
        self._node, self._types = node, hri_msgs()
        self.tracked = node.create_publisher(
            self._types.IdsList, f'{_ROOT}/tracked', qos.reliable()
        )
        self._faces: dict[str, dict[str, Any]] = {}
        self._cameras: dict[str, tuple[set[str], float]] = {}
        self._header: Any = Header()
        # Images are published by a worker, silence is noticed by the executor.
        self._lock = threading.Lock()
        # On a steady clock: simulated time may stand still.
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(_LOOK_FOR_SILENCE, self._drop_silent, clock=clock)

    def publish(
        self,
        camera: str,
        header: Any,
        size: Size,
        faces: Sequence[Face],
        image: NDArray[np.uint8] | None,
    ) -> None:
        """Publish the faces of one image.

        Args:
            camera: Which of the node's cameras took it.
            header: The image's.
            size: Its width and height, px.
            faces: The faces.
            image: uint8 (H, W, 3) BGR, for `cropped`; None for no such images.
        """
        with self._lock:
            self._header = header
            self._cameras[camera] = ({face.id for face in faces}, time.monotonic())
            self._follow(self._seen())
            self._publish_list()
            for face in faces:
                self._publish_face(header, size, face, image)
            if self.persons is not None:
                self.persons.publish(camera, header, faces)

    def clear(self) -> None:
        """Publish that no face of the node is tracked, for example when it is deactivated."""
        with self._lock:
            self._cameras = {}
            self._follow(set())
            self._publish_list()
            if self.persons is not None:
                self.persons.forget(self._header)

    def _drop_silent(self) -> None:
        """Drop the faces of cameras that are silent, and publish the list that is left."""
        with self._lock:
            seen = self._seen()
            if seen != self._faces.keys():
                self._follow(seen)
                self._publish_list()
            since = time.monotonic() - _SILENT_AFTER
            silent = [name for name, (_, at) in self._cameras.items() if at < since]
            if self.persons is not None and silent:
                self.persons.forget(self._header, silent)
            for name in silent:
                del self._cameras[name]

    def _publish_list(self) -> None:
        publish_if_subscribed(
            self.tracked, lambda: ids_message(self._types, self._header, self._everyone())
        )

    def _seen(self) -> set[str]:
        """Return the faces in the newest images of all cameras that are not silent."""
        since = time.monotonic() - _SILENT_AFTER
        return {name for names, at in self._cameras.values() if at >= since for name in names}

    def _everyone(self) -> set[str]:
        """Return our faces, and those that other nodes have topics for."""
        topics = [topic for topic, _ in self._node.get_topic_names_and_types()]
        found = {topic: match[1] for topic in topics if (match := _FACE_TOPIC.match(topic))}
        # A topic is known, too, where somebody only subscribes to it.
        others = {
            name
            for topic, name in found.items()
            if name not in self._faces and self._node.count_publishers(topic)
        }
        return {*self._faces, *others}

    def _publish_face(
        self, header: Any, size: Size, face: Face, image: NDArray[np.uint8] | None
    ) -> None:
        publishers, types = self._faces[face.id], self._types
        publish_if_subscribed(publishers['roi'], lambda: region_message(types, header, size, face))
        publish_if_subscribed(
            publishers['landmarks'], lambda: landmarks_message(types, header, size, face)
        )
        picture = self.options.picture
        publish_if_subscribed(
            publishers['cropped'], lambda: cropped_message(header, face, image, picture)
        )
        publish_if_subscribed(
            publishers['aligned'], lambda: aligned_message(header, face, image, picture)
        )

    def destroy(self) -> None:
        """Publish that no face is tracked, and withdraw all publishers."""
        self._node.destroy_timer(self._timer)
        self.clear()
        if self.persons is not None:
            self.persons.destroy()
        self._node.destroy_publisher(self.tracked)

    @property
    def has_audience(self) -> bool:
        """Whether somebody subscribes to the faces or the persons."""
        people = self.persons is not None and self.persons.has_audience
        return bool(self.tracked.get_subscription_count()) or people

    def _follow(self, names: set[str]) -> None:
        """Have publishers for these faces and no others."""
        for name in self._faces.keys() - names:
            for publisher in self._faces.pop(name).values():
                self._node.destroy_publisher(publisher)
        for name in names - self._faces.keys():
            self._faces[name] = self._create(name)

    def _create(self, name: str) -> dict[str, Any]:
        kinds = {
            'roi': self._types.NormalizedRegionOfInterest2D,
            'landmarks': self._types.FacialLandmarks,
            'cropped': Image,
            'aligned': Image,
        }
        return {
            topic: self._node.create_publisher(kind, f'{_ROOT}/{name}/{topic}', qos.reliable())
            for topic, kind in kinds.items()
        }


def publish_if_subscribed(publisher: Any, make: Callable[[], Any]) -> None:
    """Make and publish a message, unless nothing subscribes or there is none to make."""
    if publisher.get_subscription_count() and (message := make()) is not None:
        publisher.publish(message)


def ids_message(types: Any, header: Any, names: Iterable[str]) -> Any:
    """Return the hri_msgs/IdsList of faces, the same for the same faces."""
    return types.IdsList(header=header, ids=sorted(names))


def region_message(types: Any, header: Any, size: Size, face: Face) -> Any:
    """Return the hri_msgs/NormalizedRegionOfInterest2D of a face, clipped to the image."""
    low, high = face.box[:2] / size, (face.box[:2] + face.box[2:]) / size
    (xmin, ymin), (xmax, ymax) = low.clip(0, 1).tolist(), high.clip(0, 1).tolist()
    return types.NormalizedRegionOfInterest2D(
        header=header, xmin=xmin, ymin=ymin, xmax=xmax, ymax=ymax, c=float(face.confidence)
    )


def landmarks_message(types: Any, header: Any, size: Size, face: Face) -> Any | None:
    """Return the hri_msgs/FacialLandmarks of a face; None from a network without landmarks.

    Points outside of the image are put on its border with confidence 0, since the message allows
    none out there. The pupils are the middles of the eyes' landmarks with confidence 0: nothing
    looks for pupils.
    """
    if len(face.landmarks) != COUNT:
        return None
    pupils = [face.landmarks[list(GROUPS[eye])].mean(axis=0) for eye in _PUPILS]
    points = np.vstack([face.landmarks, *pupils]) / size
    confidence = np.concatenate([face.landmark_confidence, np.zeros(len(pupils))])
    inside = ((points >= 0) & (points <= 1)).all(axis=1)
    rows = zip(points.clip(0, 1).tolist(), (confidence * inside).tolist(), strict=True)
    return types.FacialLandmarks(
        header=header,
        landmarks=[types.NormalizedPointOfInterest2D(x=x, y=y, c=c) for (x, y), c in rows],
        width=size[0],
        height=size[1],
    )


def cropped_message(
    header: Any, face: Face, image: NDArray[np.uint8] | None, size: Size
) -> Image | None:
    """Return the picture of a face: its box, scaled to fit, centred, with zeros around it.

    Parts of the box that lie outside of the image are zeros too.

    Args:
        header: The image's.
        face: The face.
        image: uint8 (H, W, 3) BGR; None for no picture.
        size: Width and height of the picture, px.

    Returns:
        None where the face lies outside of the image.
    """
    if image is None:
        return None
    roi = roi_message(face.box, (image.shape[1], image.shape[0]))
    if not roi.width or not roi.height:
        return None
    x, y = roi.x_offset, roi.y_offset
    part = image[y : y + roi.height, x : x + roi.width]
    box = face.box
    scale = float((np.array(size) / box[2:].clip(1.0)).min())
    shape = np.rint(scale * np.array([roi.width, roi.height])).astype(int).clip(1, size)
    corner = np.rint(scale * (np.array([x, y]) - box[:2] - box[2:] / 2) + np.array(size) / 2)
    left, top = corner.astype(int).clip(0, np.array(size) - shape).tolist()
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    shrunk = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    width, height = shape.tolist()
    picture[top : top + height, left : left + width] = cv2.resize(
        part, (width, height), interpolation=shrunk
    )
    return encode_bgr(picture, header)


def aligned_message(
    header: Any, face: Face, image: NDArray[np.uint8] | None, size: Size
) -> Image | None:
    """Return the picture of a face with the middles of its eyes level and at fixed places.

    The person's right eye is at (w / 2 - 0.15 s, 0.4 h), the left one at (w / 2 + 0.15 s, 0.4 h),
    s being the shorter side. What lies outside of the image is zeros.

    Args:
        header: The image's.
        face: The face.
        image: uint8 (H, W, 3) BGR; None for no picture.
        size: Width w and height h of the picture, px.

    Returns:
        None without landmarks, and where the head is turned by about 60 degrees or more.
    """
    if image is None or (matrix := to_aligned(face, size)) is None:
        return None
    factor = float(np.clip(1.0 / np.linalg.norm(matrix[:, 0]), 1.0, _MOST_OVERSAMPLING))
    large = (round(size[0] * factor), round(size[1] * factor))
    scale = np.array(large) / size
    # Pixel centres are at integers in both rasters.
    matrix = matrix * scale[:, None]
    matrix[:, 2] += (scale - 1) / 2
    picture = cv2.warpAffine(image, matrix, large, flags=cv2.INTER_LINEAR)
    if large != size:
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return encode_bgr(np.asarray(picture, np.uint8), header)


def to_aligned(face: Face, size: Size) -> NDArray[np.float64] | None:
    """Return the (2, 3) similarity from px of the image to px of the aligned picture, or None."""
    if len(face.landmarks) != COUNT:
        return None
    right, left = (face.landmarks[list(GROUPS[eye])].mean(axis=0) for eye in _PUPILS)
    between = left - right
    if np.linalg.norm(between) < _NARROWEST_EYES * np.ptp(face.landmarks, axis=0).max():
        return None
    # As complex numbers a similarity is one product: z -> turn * z + offset.
    turn = complex(2 * _EYE_OFFSET * min(size)) / complex(*between)
    place = complex(size[0] / 2 - _EYE_OFFSET * min(size), _EYE_LEVEL * size[1])
    offset = place - turn * complex(*right)
    return np.array([[turn.real, -turn.imag, offset.real], [turn.imag, turn.real, offset.imag]])


def hri_msgs() -> Any:
    """Return the module with the messages of hri_msgs.

    Raises:
        HeadposeError: hri_msgs is not installed.
    """
    try:
        from hri_msgs import msg
    except ImportError:
        raise HeadposeError(
            'output.hri needs the package hri_msgs, which is not installed: install '
            'ros-$ROS_DISTRO-hri-msgs or set output.hri to false'
        ) from None
    return msg
