"""Cut a network's input out of an image. Training and nodes both cut here."""

from __future__ import annotations

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
    corners = np.array([[0, 0], [size, 0], [0, size], [size, size]], np.float64)
    reach = apply_affine(window.to_image(size), corners)
    margin = _MARGIN_PX + window.side / size
    limit = np.array(image.shape[1::-1])
    low = np.clip(np.floor(reach.min(axis=0) - margin), 0, limit - 1).astype(int)
    high = np.clip(np.ceil(reach.max(axis=0) + margin), low + 1, limit).astype(int)
    return image[low[1] : high[1], low[0] : high[0]], low
