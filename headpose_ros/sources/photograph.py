"""The built-in photograph: a face to try things on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

#: Middle of the face, (x, y) px.
FACE = (221.0, 125.0)


def photograph() -> NDArray[np.uint8]:
    """Return Eileen Collins by NASA (public domain), uint8 (512, 512, 3) BGR."""
    data = np.fromfile(Path(__file__).with_name('astronaut.jpg'), np.uint8)
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
