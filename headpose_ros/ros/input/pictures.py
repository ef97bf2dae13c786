"""Images and the faces found in them, brought together by stamp and drawn."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headpose_ros.geometry.rotations import face_from_aligned, matrix_from_aflw
from headpose_ros.perception.draw import draw_faces
from headpose_ros.perception.faces import Face
from headpose_ros.ros.input.compressed import decode_compressed
from headpose_ros.ros.input.images import decode
from headpose_ros.ros.output.messages import face_from_message

#: Images that wait for their faces. Half a second at 30 Hz: a later result is no live picture.
_WAITING = 16


class StampMatcher:
    """Pairs messages of two topics with equal stamps, whichever comes first.

    Args:
        depth: How many messages of each topic wait for the other one.
    """

    def __init__(self, depth: int = _WAITING) -> None:
        self._depth = depth
        self._images: OrderedDict[int, Any] = OrderedDict()
        self._faces: OrderedDict[int, Any] = OrderedDict()

    def image(self, message: Any) -> tuple[Any, Any] | None:
        """Take an image; return it with its faces if those are there."""
        faces = self._exchange(message, self._images, self._faces)
        return None if faces is None else (message, faces)

    def faces(self, message: Any) -> tuple[Any, Any] | None:
        """Take faces; return them behind their image if that is there."""
        image = self._exchange(message, self._faces, self._images)
        return None if image is None else (image, message)

    def _exchange(self, message: Any, own: OrderedDict[int, Any], other: Any) -> Any:
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        if stamp in other:
            return other.pop(stamp)
        own[stamp] = message
        while len(own) > self._depth:
            own.popitem(last=False)
        return None


def annotated(image: Any, faces: Any, style: str = 'tf') -> NDArray[np.uint8]:
    """Draw the faces of a headpose_ros/Faces into the image that they were found in.

    Args:
        image: sensor_msgs/Image or CompressedImage.
        faces: headpose_ros/Faces.
        style: One of `perception.draw.AXIS_STYLES`.

    Returns:
        uint8 (H, W, 3) BGR.

    Raises:
        ImageError: The image cannot be decoded.
    """
    return draw_faces(pixels_of(image), [seen_face(face) for face in faces.faces], style)


def pixels_of(image: Any) -> NDArray[np.uint8]:
    """Return uint8 (H, W, 3) BGR of a sensor_msgs/Image or CompressedImage.

    Raises:
        ImageError: The image cannot be decoded.
    """
    return decode_compressed(image) if hasattr(image, 'format') else decode(image)


def seen_face(message: Any) -> Face:
    """Return the core face of a headpose_ros/Face, turned as the camera sees it.

    The angles are always those in the axes of the camera, the quaternion is in the frame of the
    message.
    """
    head = message.head_pose
    aligned = matrix_from_aflw([head.pitch, head.yaw, head.roll])
    return replace(face_from_message(message), rotation=face_from_aligned(aligned))
