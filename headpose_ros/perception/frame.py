"""One image of one camera, on its way into the analysis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headpose_ros.errors import HeadposeError
from headpose_ros.geometry.camera import CameraModel
from headpose_ros.perception.depth import DepthImage

_MAX_SIDE = 16384


class FrameError(HeadposeError, ValueError):
    """An image that cannot be analysed."""


@dataclass(frozen=True)
class Frame:
    """An image of one of several videos.

    Attributes:
        image: uint8 (H, W, 3) BGR.
        stamp: Time of the image in seconds.
        camera: The calibrated camera, or None.
        video: Name of the video; each is followed for itself.
        depth: Aligned with the image, for true distances; or None.
    """

    image: NDArray[np.uint8]
    stamp: float
    camera: CameraModel | None = None
    video: str = ''
    depth: DepthImage | None = None


def check_frame(frame: Frame) -> None:
    """Raise FrameError unless image and stamp can be used."""
    check_image(frame.image)
    if not np.isfinite(frame.stamp):
        raise FrameError(f'the stamp is {frame.stamp}, expected finite seconds')


def check_image(image: NDArray[np.uint8]) -> None:
    """Raise FrameError unless the image is uint8 (H, W, 3) of a possible size."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = getattr(image, 'dtype', type(image).__name__)
        raise FrameError(f'the image is {kind}, expected a uint8 array (H, W, 3) in BGR order')
    if image.ndim != 3 or image.shape[2] != 3 or not min(image.shape[:2]) >= 1:
        raise FrameError(f'the image has shape {image.shape}, expected (H, W, 3) in BGR order')
    if max(image.shape[:2]) > _MAX_SIDE:
        raise FrameError(f'the image has shape {image.shape}, expected at most {_MAX_SIDE} px')
