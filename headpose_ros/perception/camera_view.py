"""Which part of a camera's images is searched, and how the camera is mounted.

Only the detector sees the turned part. What it finds is put back into the image at once, so that
boxes, landmarks and poses are always those of the image and of the camera as published.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headpose_ros.geometry.crop import CropWindow, apply_affine
from headpose_ros.parameter import parameter
from headpose_ros.perception.detect import ALL_TURNS, Detection, Detector

#: From (u, v) in np.rot90(part, turns) to (x, y) in the part; the last column counts sides - 1.
_BACK = {
    0: ([[1, 0], [0, 1]], [0, 0]),
    1: ([[0, -1], [1, 0]], [1, 0]),
    2: ([[-1, 0], [0, -1]], [1, 1]),
    3: ([[0, 1], [-1, 0]], [0, 1]),
}


@dataclass(frozen=True)
class ViewOptions:
    """How the cameras of a node are mounted, and which part of their images counts."""

    region: tuple[float, ...] = parameter(
        (0.0, 0.0, 1.0, 1.0),
        'Part of the images in which faces are followed: x, y, width and height as shares of the '
        "image's; four numbers for all cameras or four per camera.",
        minimum=0.0,
        maximum=1.0,
        former='image_region',
    )
    quarter_turns: tuple[float, ...] = parameter(
        (0.0,),
        'Clockwise quarter turns that bring the images of a camera mounted sideways upright; one '
        'number for all cameras or one per camera. Results stay in the frame of the images.',
        choices=(0, 1, 2, 3),
        former='quarter_turns',
    )


@dataclass(frozen=True)
class CameraView:
    """How one camera is mounted, and which part of its images counts.

    Attributes:
        region: x, y, w, h of the part in which faces are followed, as shares of the image's width
            and height.
        quarter_turns: Clockwise quarter turns of the image that bring the scene upright, 0 to 3.
    """

    region: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    quarter_turns: int = 0

    def contains(self, point: NDArray[np.float64], shape: tuple[int, ...]) -> bool:
        """Return whether a (2,) px of an image of this shape lies in the region."""
        if self.region == CameraView.region:
            return True  # a face that leaves the image is followed as long as it is seen
        x0, y0, x1, y1 = self.pixels(shape)
        return bool(x0 <= point[0] < x1 and y0 <= point[1] < y1)

    def pixels(self, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        """Return x0, y0, x1, y1 px of the region, the last two exclusive; at least 1 px wide."""
        height, width = shape[:2]
        x, y, w, h = self.region
        x0, y0 = (min(int(share * side), side - 1) for share, side in ((x, width), (y, height)))
        x1, y1 = int(np.ceil((x + w) * width)), int(np.ceil((y + h) * height))
        return x0, y0, min(max(x1, x0 + 1), width), min(max(y1, y0 + 1), height)


def detect_in(
    detector: Detector,
    image: NDArray[np.uint8],
    view: CameraView,
    quarter_turns: Sequence[int] = ALL_TURNS,
) -> list[Detection]:
    """Return the faces of an image that lie in a view, in px of the image.

    Args:
        detector: Finds them.
        image: uint8 (H, W, 3) BGR.
        view: Part of the image, and how it is turned.
        quarter_turns: As for `Detector.detect`, of the view.
    """
    if view == CameraView():
        return detector.detect(image, quarter_turns)
    x0, y0, x1, y1 = view.pixels(image.shape)
    turns = -view.quarter_turns % 4  # np.rot90 turns counter-clockwise
    part = np.ascontiguousarray(np.rot90(image[y0:y1, x0:x1], turns))
    linear, ends = _BACK[turns]
    offset = np.array([x0, y0]) + np.array(ends) * [x1 - x0 - 1, y1 - y0 - 1]
    to_image = np.column_stack([np.array(linear, np.float64), offset])
    return [_moved(found, to_image) for found in detector.detect(part, quarter_turns)]


def _moved(found: Detection, to_image: NDArray[np.float64]) -> Detection:
    """Return a detection in other pixels; the (2, 3) map turns and moves but does not scale."""
    x, y, w, h = found.box
    corners = apply_affine(to_image, [[x, y], [x + w, y + h]])
    low, high = corners.min(axis=0), corners.max(axis=0)
    window = found.window
    ((cx, cy),) = apply_affine(to_image, [[window.center_x, window.center_y]])
    angle = window.angle + float(np.arctan2(to_image[1, 0], to_image[0, 0]))
    moved = CropWindow(float(cx), float(cy), window.side, angle)
    return Detection(np.concatenate([low, high - low]), moved, found.confidence)
