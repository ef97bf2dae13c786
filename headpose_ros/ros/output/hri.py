"""Faces as ROS4HRI (REP 155) has them, by the messages of the package hri_msgs."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import Image

from headpose_ros.errors import HeadposeError
from headpose_ros.geometry.landmarks import COUNT, GROUPS
from headpose_ros.perception.faces import Face
from headpose_ros.ros.input.images import encode_bgr
from headpose_ros.ros.node import qos
from headpose_ros.ros.output.messages import roi_message

_ROOT = '/humans/faces'
_FACE_TOPIC = re.compile(rf'{_ROOT}/([^/]+)/')
#: Faces of a camera that sent nothing for this time, s, are no longer tracked.
_SILENT_AFTER = 1.0
#: FacialLandmarks of hri_msgs: the points of iBUG-68 under their own numbers, then both pupils.
_PUPILS = ('right_eye', 'left_eye')

Size = tuple[int, int]


class HriFaces:
    """Publishes `/humans/faces/tracked` and, for every face, `roi`, `landmarks` and `cropped`.

    REP 155 has one list of all faces: it holds those of all cameras of the node, and those that
    other nodes have topics for, so that nodes which share it agree.

    Args:
        node: The node that publishes.

    Attributes:
        tracked: Publisher of the ids.

    Raises:
        HeadposeError: hri_msgs is not installed.
    """

    def __init__(self, node: Node) -> None:
        self._node, self._types = node, _hri_msgs()
        self.tracked = node.create_publisher(
            self._types.IdsList, f'{_ROOT}/tracked', qos.reliable()
        )
        self._faces: dict[str, dict[str, Any]] = {}
        self._cameras: dict[str, tuple[set[str], float]] = {}

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
        self._cameras[camera] = ({face.id for face in faces}, time.monotonic())
        self._follow(self._seen())
        publish_if_subscribed(
            self.tracked, lambda: ids_message(self._types, header, self._everyone())
        )
        for face in faces:
            self._publish_face(header, size, face, image)

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
        publish_if_subscribed(publishers['cropped'], lambda: cropped_message(header, face, image))

    def destroy(self) -> None:
        """Withdraw all publishers."""
        self._follow(set())
        self._node.destroy_publisher(self.tracked)

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


def cropped_message(header: Any, face: Face, image: NDArray[np.uint8] | None) -> Image | None:
    """Return the picture of a face; None where it lies outside of the image."""
    if image is None:
        return None
    roi = roi_message(face.box, (image.shape[1], image.shape[0]))
    if not roi.width or not roi.height:
        return None
    x, y = roi.x_offset, roi.y_offset
    return encode_bgr(image[y : y + roi.height, x : x + roi.width], header)


def _hri_msgs() -> Any:
    try:
        from hri_msgs import msg
    except ImportError:
        raise HeadposeError(
            'output.hri needs the package hri_msgs, which is not installed: install '
            'ros-$ROS_DISTRO-hri-msgs or set output.hri to false'
        ) from None
    return msg
