"""Which faces come first, and which the cap on their number spares."""

from __future__ import annotations

import numpy as np

from headpose_ros.geometry.crop import CropWindow
from headpose_ros.perception.tracking.options import TrackingOptions
from headpose_ros.perception.tracking.track import center_of

#: A newcomer takes the place of a followed face, and another face that of the first one, only
#: when it is preferred by this factor.
LOYALTY = 1.5
#: What the preference of a face outside of the preferred region is multiplied by.
_OUTSIDE = 1e-3
#: Distance from the centre, in diagonals of the image, below which nearer is not better.
_ABOUT_CENTRED = 0.05


def preference(window: CropWindow, shape: tuple[int, ...], options: TrackingOptions) -> float:
    """Return how much a face is preferred, > 0, more is better.

    Args:
        window: Where it is in the image.
        shape: Height and width of the image, px; more may follow.
        options: What is preferred.
    """
    size = np.array(shape[1::-1], np.float64)
    place = center_of(window) / size
    if options.prefer == 'size':
        return window.side
    if options.prefer == 'centre':
        away = float(np.linalg.norm((place - 0.5) * size) / np.linalg.norm(size))
        return 1.0 / max(away, _ABOUT_CENTRED)
    low = np.array(options.region[:2])
    inside = ((low <= place) & (place <= low + options.region[2:])).all()
    return window.side * (1.0 if inside else _OUTSIDE)
