"""Rendered faces without files: made while a network is trained on them."""

from __future__ import annotations

from collections.abc import Iterator

from torch.utils.data import IterableDataset, get_worker_info

from headpose_training.synthesis.dataset import Faces
from headpose_training.synthesis.render.renderer import Rendered


class RenderedFaces(IterableDataset[Rendered]):
    """Faces rendered while training, without end; each loader process has its own share.

    Args:
        faces: Which faces.
        start: Number of the first one.
    """

    def __init__(self, faces: Faces, start: int = 0) -> None:
        self.faces, self.start = faces, start

    def __iter__(self) -> Iterator[Rendered]:
        """Yield faces; workers take turns."""
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        make = self.faces.open()
        index = self.start + first
        while True:
            yield make(index)
            index += step
