"""What the benchmarks look at."""

from __future__ import annotations

import cv2
import numpy as np

from headpose_ros.sources.photograph import photograph


def crowd(faces: int) -> np.ndarray:
    """Return a uint8 (720, 1280, 3) picture with the same face several times, at most eight."""
    head = cv2.resize(photograph()[10:250, 110:350], (300, 300))
    picture = np.full((720, 1280, 3), 90, np.uint8)
    for index in range(faces):
        y, x = 30 + 345 * (index // 4), 10 + 320 * (index % 4)
        picture[y : y + 300, x : x + 300] = head
    return picture
