"""Angles as a distribution over bins, as Hopenet and CCR predict them."""

from __future__ import annotations

from math import radians

import torch
from torch import Tensor

#: 66 bins of 3 degrees over ±99 degrees (Ruiz et al., CVPRW 2018, section 3.2).
COUNT = 66
WIDTH = radians(3.0)
LIMIT = COUNT * WIDTH / 2


def centers(like: Tensor) -> Tensor:
    """Return the (66,) bin centres in radians, on `like`'s device and dtype."""
    return left_edges(like) + WIDTH / 2


def left_edges(like: Tensor) -> Tensor:
    """Return the (66,) lower bounds of the bins in radians.

    The code published with the paper decodes with these, `3 * index - 99`: cross-entropy alone
    then reads every angle half a bin, 1.5 degrees, too low. Its joint loss makes the network
    learn around that, so that weights trained so must be decoded so.
    """
    return torch.arange(COUNT, device=like.device, dtype=like.dtype) * WIDTH - LIMIT


def expected_angles(logits: Tensor, values: Tensor) -> Tensor:
    """Read angles off as expectations over bins.

    Args:
        logits: (..., 66).
        values: (66,) radians that the bins stand for: `centers` or `left_edges`.

    Returns:
        (...,) radians.
    """
    return (logits.softmax(dim=-1) * values).sum(dim=-1)


def bin_of(angles: Tensor) -> Tensor:
    """Return the (...,) int64 bin of angles in radians; angles beyond ±99° go to the outer bins."""
    return ((angles + LIMIT) / WIDTH).floor().long().clamp(0, COUNT - 1)
