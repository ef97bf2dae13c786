"""Averaged weights, which are what a run's checkpoints hold."""

from __future__ import annotations

from functools import partial

from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class WarmAveraging(WeightAveraging):
    """An exponential average of the weights whose memory grows with the run.

    After n steps it reaches back over about n / 9 steps, until `decay` limits it: with a fixed
    memory a short run's average still holds the untrained weights, and is worth nothing.

    Args:
        decay: The largest; 0.998 reaches back over about 500 steps.
    """

    def __init__(self, decay: float = 0.998) -> None:
        super().__init__(use_buffers=True, avg_fn=partial(average, decay=decay))


def average(averaged: Tensor, current: Tensor, steps: Tensor | int, *, decay: float) -> Tensor:
    """Return the average after one more step.

    Args:
        averaged: The average so far.
        current: The weights of this step, of the same shape; counters are taken as they are.
        steps: How many have been averaged before.
        decay: The largest.
    """
    if not averaged.is_floating_point():
        return current
    share = max(1.0 - decay, 9.0 / (10.0 + int(steps)))
    return averaged.lerp(current, share)
