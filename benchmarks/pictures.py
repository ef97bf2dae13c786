"""What the benchmarks look at."""

from __future__ import annotations

import cv2
import numpy as np


def photograph() -> np.ndarray:
    """Return NASA's photograph of an astronaut, uint8 (512, 512, 3) BGR."""
    from skimage import data

    return np.ascontiguousarray(data.astronaut()[:, :, ::-1])


def crowd(faces: int) -> np.ndarray:
    """Return a uint8 (720, 1280, 3) picture with the same face several times, at most eight."""
    head = cv2.resize(photograph()[10:250, 110:350], (300, 300))
    picture = np.full((720, 1280, 3), 90, np.uint8)
    for index in range(faces):
        y, x = 30 + 345 * (index // 4), 10 + 320 * (index % 4)
        picture[y : y + 300, x : x + 300] = head
    return picture
