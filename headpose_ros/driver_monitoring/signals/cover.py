"""Whether a picture shows anything at all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: The images of a camera are examined this often, s of their stamps.
PERIOD = 0.2
#: About this many pixels on each side are examined.
_SAMPLES = 64
#: A picture of less detail than this, in grey levels, shows nothing: it is about the noise of a
#: sensor in the dark. A cabin at night under an infrared lamp has tens.
_LEAST_DETAIL = 4.0


def shows_nothing(image: NDArray[np.uint8]) -> bool:
    """Return whether a camera is covered.

    Args:
        image: uint8 (H, W, 3).
    """
    height, width = image.shape[:2]
    rows, columns = max(height // _SAMPLES, 1), max(width // _SAMPLES, 1)
    grey = image[::rows, ::columns].mean(axis=2)
    # Percentiles, so that a lens that leaks some light at an edge is covered still.
    low, high = np.percentile(grey, [5, 95])
    return bool(high - low < 2 * _LEAST_DETAIL)
