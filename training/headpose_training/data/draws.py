"""Which faces a run sees, in which order and with which chance: the same whenever it is resumed."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

#: A face's index in the dataset and the seed of its augmentation.
Draw = tuple[int, int]


def run_seed() -> int:
    """Return the seed that `seed_everything` gave this run; 0 without."""
    return int(os.environ.get('PL_GLOBAL_SEED', 0))


class Draws(Sampler[Draw]):
    """An endless sequence of shuffled passes over all faces, cut into epochs.

    An epoch depends on the seed and its number alone, not on what ran before it in this process:
    a resumed run sees what an undisturbed one would have seen. Every face is seen equally often.

    Args:
        faces: How many there are.
        epoch_crops: Crops in an epoch; 0 is one pass over the faces.
        seed: Of order and augmentation.
        rank: Of this process among those that share the epoch.
        ranks: How many processes share it.
    """

    def __init__(
        self, faces: int, epoch_crops: int = 0, seed: int = 0, rank: int = 0, ranks: int = 1
    ) -> None:
        self._faces, self._seed = faces, seed
        self._crops = epoch_crops or faces
        self._rank, self._ranks = rank, ranks
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration; Lightning calls it."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Return the crops of this process in an epoch."""
        return self._crops // self._ranks

    def __iter__(self) -> Iterator[Draw]:
        """Yield the draws of this process."""
        start = self._epoch * self._crops
        mine = range(start + self._rank, start + len(self) * self._ranks, self._ranks)
        order_of, order = -1, np.zeros(0, np.int64)
        for place in mine:
            turn, within = divmod(place, self._faces)
            if turn != order_of:
                order_of, order = turn, self._order(turn)
            yield int(order[within]), place

    def _order(self, turn: int) -> np.ndarray:
        return np.random.default_rng((self._seed, turn)).permutation(self._faces)
