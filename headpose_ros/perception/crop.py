"""Cut a network's input out of an image. Training and nodes both cut here."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from headpose_ros.geometry.crop import CropWindow, apply_affine

#: Shrinking by more than this aliases under bilinear interpolation: blur first.
_ALIASING_SHRINK = 1.6
_MARGIN_PX = 8


def cut(image: NDArray[np.uint8], window: CropWindow, size: int) -> NDArray[np.uint8]:
    """Cut a window; what lies beyond the image repeats its border.

    Args:
        image: uint8 (H, W, 3).
        window: The square to cut, in px of the image.
        size: Side of the crop in px.

    Returns:
        uint8 (size, size, 3).
    """
    matrix = window.to_crop(size)
    part, offset = _surroundings(image, window, size)
    matrix[:, 2] = apply_affine(matrix, offset)
    shrink = window.side / size
    if shrink > _ALIASING_SHRINK:
        part = np.asarray(cv2.GaussianBlur(part, (0, 0), 0.35 * shrink), np.uint8)
    crop = cv2.warpAffine(
        part, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(crop, np.uint8)


def _surroundings(
    image: NDArray[np.uint8], window: CropWindow, size: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the part of the image that the window needs, and its (2,) x, y offset.

    The blur then costs what the face is worth, not what the frame is worth.
    """
    reach = window.reach + _MARGIN_PX + 2 * window.side / size
    left, right = _span(window.center_x, reach, image.shape[1])
    top, bottom = _span(window.center_y, reach, image.shape[0])
    return image[top:bottom, left:right], np.array([left, top])


def _span(center: float, reach: float, limit: int) -> tuple[int, int]:
    """Return the first px within reach and the one after the last: at least one, in the image."""
    first = min(max(math.floor(center - reach), 0), limit - 1)
    return first, min(max(math.ceil(center + reach), first + 1), limit)
