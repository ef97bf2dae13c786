"""How well occluded landmarks are recognised."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.classification import binary_recall_at_fixed_precision

PRECISION = 0.8


def occlusion_recall(visibility: NDArray[np.float64], visible: NDArray[np.bool_]) -> float:
    """Return the recall of occluded landmarks at 80 % precision, in [0, 1].

    The measure that COFW is reported in (Burgos-Artizzu et al., ICCV 2013; Valle et al., TPAMI
    2020). The positive class is "occluded"; the landmarks of all faces are pooled, and of the
    thresholds that reach the precision the one with the largest recall is taken.

    Args:
        visibility: (B, 68) predicted probability of being seen.
        visible: (B, 68) labels, at least one of them False.
    """
    occluded = torch.from_numpy(~visible.ravel()).long()
    score = torch.from_numpy(1 - visibility.ravel())
    recall, _ = binary_recall_at_fixed_precision(score, occluded, PRECISION)
    return float(recall)
