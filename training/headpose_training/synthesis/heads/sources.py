"""The sources of heads a machine has, as one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headpose_training.synthesis.heads.anny import AnnyHeads
from headpose_training.synthesis.heads.ict import IctHeads
from headpose_training.synthesis.heads.mesh import HeadSource, Identity


@dataclass(frozen=True)
class MixedHeads:
    """Several sources, each as likely as the others. See `mesh.HeadSource`."""

    sources: tuple[HeadSource, ...]

    @property
    def name(self) -> str:
        """The names of the sources."""
        return '+'.join(source.name for source in self.sources)

    def sample(self, rng: np.random.Generator) -> Identity:
        """Draw a source and of it a person."""
        return self.sources[int(rng.integers(len(self.sources)))].sample(rng)


def heads(ict: Path | None = None) -> HeadSource:
    """Return the heads that can be had: Anny's, which any machine has, and perhaps ICT-FaceKit's.

    Args:
        ict: `ict_facekit.npz`, from `headpose-train convert-ict`.

    Raises:
        TrainingError: A source is missing or broken.
    """
    return AnnyHeads() if ict is None else MixedHeads((AnnyHeads(), IctHeads.load(ict)))
