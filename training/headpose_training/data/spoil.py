"""Crops that show no face, for networks that must tell: what trackers and detectors get wrong."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from headpose_ros.geometry.crop import CropWindow, apply_affine
from numpy.random import Generator
from numpy.typing import NDArray

from headpose_training.data.labelled_crop import Crop, cut
from headpose_training.data.samples import LabelledFace

#: Share of the landmarks within the crop: of a part of a face, and of none. Rather more is a face
#: at the edge of the picture, which deserves its pose.
_PART, _NONE = (0.15, 0.5), (0.0, 0.02)
_TRIES = 20


def spoil(face: LabelledFace, window: CropWindow, size: int, rng: Generator) -> Crop:
    """Return a crop near a face that shows none, a part, a far too small one, or a blur.

    Args:
        face: The face, with landmarks or not.
        window: Where a good crop would be.
        size: Side of the crop in px.
        rng: Source of chance.
    """
    kind = rng.integers(5)
    if kind == 0:
        crop = cut(face, window, size)
        crop = replace(crop, image=_blurred(crop.image, rng))
    elif kind == 1:
        crop = cut(face, window.scaled(rng.uniform(2.6, 5.0)), size)
    else:
        wanted = _PART if kind == 2 else _NONE
        crop = cut(face, _beside(face, window, size, wanted, rng), size)
    return replace(crop, face=False)


def _blurred(image: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    """Leave 3 to 7 pixels across the crop."""
    left = int(rng.integers(3, 8))
    shrunk = cv2.resize(image, (left, left), interpolation=cv2.INTER_AREA)
    up = cv2.INTER_CUBIC if rng.random() < 0.7 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(shrunk, image.shape[1::-1], interpolation=up), np.uint8)


def _beside(
    face: LabelledFace,
    window: CropWindow,
    size: int,
    wanted: tuple[float, float],
    rng: Generator,
) -> CropWindow:
    """Return a window of chance that holds the wanted share of the landmarks, or one far off."""
    for _ in range(_TRIES):
        candidate = _moved(window, rng)
        if face.landmarks is None:
            break
        points = apply_affine(candidate.to_crop(size), face.landmarks)
        inside = np.all((points >= 0) & (points <= size - 1), axis=1).mean()
        if wanted[0] <= inside <= wanted[1]:
            return candidate
    return CropWindow(window.center_x + 2 * window.side, window.center_y, window.side, window.angle)


def _moved(window: CropWindow, rng: Generator) -> CropWindow:
    side = window.side * rng.uniform(0.3, 1.3)
    dx, dy = rng.uniform(-1.0, 1.0, 2) * (window.side + side) / 2
    return CropWindow(
        window.center_x + dx, window.center_y + dy, side, np.radians(rng.uniform(-45, 45))
    )
