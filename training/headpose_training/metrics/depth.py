"""Errors of landmarks in three dimensions: the measures of the 3DFAW challenge.

Jeni et al., "The First 3D Face Alignment in the Wild (3DFAW) Challenge", ECCV Workshops 2016.
Points are x px, y px and depth px of the image, which is a weak-perspective camera's space.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from headpose_training.metrics.landmarks import eye_distance, point_error

Array = NDArray[np.float64]


def gte(predicted: Array, target: Array) -> Array:
    """Return (B,) ground truth errors as fractions.

    The mean distance of the points over the distance of the labelled outer eye corners, both in
    three dimensions.

    Args:
        predicted: (B, 68, 3) px.
        target: (B, 68, 3) px.
    """
    return point_error(predicted, target) / eye_distance(target)


def cvgtce(predicted: Array, target: Array) -> Array:
    """Return (B,) cross-view ground truth consistency errors as fractions.

    The ground truth error that is left after the similarity transform f, R, t of the prediction
    with the least squared distance to the label: an error of shape only. The challenge compares
    with labels of the same face in another view; here the label of the same image stands for it.
    """
    fitted = [_fitted(p, t) for p, t in zip(predicted, target, strict=True)]
    return gte(np.array(fitted).reshape(target.shape), target)


def _fitted(points: Array, target: Array) -> Array:
    """Return (68, 3) points under the similarity that brings them nearest to the target."""
    middle = target.mean(axis=0)
    points, target = points - points.mean(axis=0), target - middle
    turned = Rotation.align_vectors(target, points)[0].apply(points)
    return turned * ((turned * target).sum() / (turned**2).sum()) + middle
