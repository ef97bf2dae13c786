"""Draw faces into images: axes as TF draws them, landmarks, angles."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from headpose_ros.geometry.landmarks import CLOSED_GROUPS, GROUPS, SELLION
from headpose_ros.geometry.rotations import aligned_from_face
from headpose_ros.perception.faces import Face

#: BGR of the axes x, y, z: as in RViz.
AXIS_COLORS = ((0, 0, 255), (0, 200, 0), (255, 80, 0))
#: Which axes are drawn. `tf`: those of the face frame (x out of the face, y to the person's left,
#: z up). `paper`: as figures of papers since Hopenet show a pose: for a frontal face red points to
#: the image's right, green down, blue out of the face.
AXIS_STYLES = ('tf', 'paper')
_SEEN, _HIDDEN, _LINE = (120, 255, 120), (80, 80, 255), (200, 200, 200)
#: OpenCV's fixed-point bits: points land between pixels.
SUBPIXEL_BITS = 4
#: Pixels farther away than this are no place in a picture; OpenCV's numbers end there, too.
_FARTHEST = 1e6


def draw_faces(
    image: NDArray[np.uint8], faces: Sequence[Face], style: str = 'tf'
) -> NDArray[np.uint8]:
    """Return a copy of a uint8 (H, W, 3) BGR image with the faces drawn into it.

    A face that is nowhere, as its numbers are not finite or far out, is left out.

    Args:
        image: The picture that the faces were found in.
        faces: The faces.
        style: One of `AXIS_STYLES`.
    """
    canvas = image.copy()
    for face in filter(_is_somewhere, faces):
        if len(face.landmarks):
            _draw_landmarks(canvas, face)
        _draw_axes(canvas, face, drawn_axes(face.rotation, style))
        _draw_label(canvas, face)
    return canvas


def _is_somewhere(face: Face) -> bool:
    """Return whether a face can be drawn; written so that NaN fails."""
    places = np.concatenate([face.box, face.landmarks.ravel(), face.rotation.ravel()])
    return bool((np.abs(places) < _FARTHEST).all())


def drawn_axes(rotation: NDArray[np.float64], style: str) -> NDArray[np.float64]:
    """Return the red, green and blue axis as columns of a (3, 3) array in the optical frame.

    Args:
        rotation: (3, 3) R_optical_face.
        style: One of `AXIS_STYLES`.
    """
    if style == 'tf':
        return rotation
    # Camera-aligned axes are right, down and into the scene; the figures show the way out.
    return aligned_from_face(rotation) * np.array([1.0, 1.0, -1.0])


def fixed_point(point: NDArray[np.float64]) -> tuple[int, int]:
    """Return (2,) px as OpenCV's drawing functions take them with `SUBPIXEL_BITS`."""
    x, y = np.rint(point * 2**SUBPIXEL_BITS).astype(int)
    return int(x), int(y)


def _draw_landmarks(canvas: NDArray[np.uint8], face: Face) -> None:
    for name, indices in GROUPS.items():
        line = np.rint(face.landmarks[list(indices)] * 2**SUBPIXEL_BITS).astype(np.int32)
        cv2.polylines(canvas, [line], name in CLOSED_GROUPS, _LINE, 1, cv2.LINE_AA, SUBPIXEL_BITS)
    radius = round(max(face.box[2:].max() / 110, 1.0) * 2**SUBPIXEL_BITS)
    visible = face.visibility > 0.5 if len(face.visibility) else np.ones(len(face.landmarks), bool)
    for point, seen in zip(face.landmarks, visible, strict=True):
        color = _SEEN if seen else _HIDDEN
        cv2.circle(canvas, fixed_point(point), radius, color, -1, cv2.LINE_AA, SUBPIXEL_BITS)


def _draw_axes(canvas: NDArray[np.uint8], face: Face, axes: NDArray[np.float64]) -> None:
    """Draw the columns of `axes`, seen by a far camera, far ones first."""
    origin = face.landmarks[SELLION] if len(face.landmarks) else face.box[:2] + face.box[2:] / 2
    length = 0.5 * face.box[2:].max()
    for axis in np.argsort(-axes[2]):
        tip = origin + length * axes[:2, axis]
        cv2.arrowedLine(
            canvas,
            fixed_point(origin),
            fixed_point(tip),
            AXIS_COLORS[axis],
            3,
            cv2.LINE_AA,
            SUBPIXEL_BITS,
            0.12,
        )


def _draw_label(canvas: NDArray[np.uint8], face: Face) -> None:
    pitch, yaw, roll = np.degrees(face.pitch_yaw_roll)
    text = f'{face.id}  yaw {yaw:+.0f}  pitch {pitch:+.0f}  roll {roll:+.0f}'
    scale = float(np.clip(canvas.shape[1] / 1200, 0.45, 1.2))
    (width, height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    # Above the z axis, but never outside the picture.
    x = int(np.clip(face.box[0], 2, max(canvas.shape[1] - width - 4, 2)))
    y = int(np.clip(face.box[1] - 0.45 * face.box[3], height + 4, canvas.shape[0] - base - 2))
    cv2.rectangle(canvas, (x - 3, y - height - 3), (x + width + 3, y + base), (0, 0, 0), -1)
    cv2.putText(
        canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA
    )
