"""True distances: the size of a face from an aligned depth image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headpose_ros.geometry.face_shape import mean_face
from headpose_ros.geometry.landmarks import GROUPS

Array = NDArray[np.float64]

#: The jaw line is the border of the face: a pixel beside it shows the background.
_INNER = np.arange(GROUPS['jaw'].stop, len(mean_face()))
_VISIBLE = 0.5
#: Depth is read in squares that reach this many pixels from the landmark, for holes and noise.
_REACH = 1
#: This many landmarks must have a depth, ...
_FEWEST = 12
#: ... and this share of them must give the same size within this ratio, or something is in the way.
_AGREEING, _AGREEMENT = 0.5, 0.05
#: Sizes of faces from infants to the largest adults, in terms of the mean adult's (pupils 63 mm
#: apart). What seems smaller or larger is a picture of a face, or the depth is not aligned.
_SMALLEST, _LARGEST = 0.55, 1.35


@dataclass(frozen=True)
class DepthImage:
    """Depth that is aligned with a colour image: pixel by pixel of the same size and lens.

    Attributes:
        values: (H, W) uint16 or float: distance along the optical axis. 0, NaN and infinity stand
            for nothing measured (REP 118).
        unit: Metres per count.
    """

    values: NDArray[Any]
    unit: float

    def at(self, points: ArrayLike) -> Array:
        """Return (N,) metres at (N, 2) px: median of the measured pixels around; NaN for none."""
        pixels = np.asarray(points, np.float64)
        # What is no number, or would be too large for one, is outside of every image.
        pixels = np.nan_to_num(pixels, nan=-1e6).clip(-1e6, 1e6)
        columns, rows = np.rint(pixels).astype(int).T
        steps = np.arange(-_REACH, _REACH + 1)
        rows = np.add.outer(rows, np.repeat(steps, len(steps)))
        columns = np.add.outer(columns, np.tile(steps, len(steps)))
        height, width = self.values.shape
        known = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        read = self.values[rows.clip(0, height - 1), columns.clip(0, width - 1)] * self.unit
        known &= np.isfinite(read) & (read > 0)
        return _medians(np.where(known, read, np.nan))


def _medians(rows: Array) -> Array:
    """Return (N,) medians of the numbers in (N, M); NaN where a row has none."""
    medians = np.full(len(rows), np.nan)
    some = np.isfinite(rows).any(axis=1)
    medians[some] = np.nanmedian(rows[some], axis=1)
    return medians


def measured_size(
    depth: DepthImage, landmarks: Array, visibility: Array, rotation: Array, position: Array
) -> float | None:
    """Return how large a face is, in terms of the mean adult face.

    The mean face that fits the landmarks stands at `position`; a face of another size that shows
    the same landmarks stands farther or nearer by just that factor, and so does each of its
    points. The answer is the median, over the inner landmarks in sight, of measured depth over
    depth of the mean face's point.

    Args:
        depth: Aligned with the image of the landmarks.
        landmarks: (68, 2) px.
        visibility: (68,) probability that a point is not hidden.
        rotation: (3, 3) R_optical_face.
        position: (3,) metres, where the mean face fits.

    Returns:
        None where the depth does not measure this face: holes, something in the way, or a size
        that no face has.
    """
    chosen = _INNER[visibility[_INNER] > _VISIBLE]
    model = (mean_face()[chosen] @ rotation.T + position)[:, 2]
    sizes = depth.at(landmarks[chosen]) / model
    sizes = sizes[np.isfinite(sizes) & (model > 0)]
    if len(sizes) < _FEWEST:
        return None
    size = float(np.median(sizes))
    agreeing = np.abs(sizes / size - 1.0) < _AGREEMENT
    plausible = _SMALLEST < size < _LARGEST
    return size if plausible and agreeing.mean() >= _AGREEING else None
