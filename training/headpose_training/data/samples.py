"""What one labelled face is, whatever dataset it came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class LabelledFace:
    """One image with one labelled face.

    Attributes:
        name: Name of the image, for reports.
        image: uint8 (H, W, 3) BGR.
        landmarks: (68, 2) float64 px, iBUG-68 order, pixel centres at integers.
        rotation: (3, 3) camera-aligned rotation (see `headpose_ros.geometry.rotations`).
    """

    name: str
    image: NDArray[np.uint8]
    landmarks: NDArray[np.float64]
    rotation: NDArray[np.float64]
