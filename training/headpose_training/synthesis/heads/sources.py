"""The sources of heads a machine has."""

from __future__ import annotations

from pathlib import Path

from headpose_training.synthesis.heads.anny import AnnyHeads
from headpose_training.synthesis.heads.ict import IctHeads
from headpose_training.synthesis.heads.mesh import HeadSource


def load_heads(ict: Path | None = None) -> list[HeadSource]:
    """Load the heads that can be had: Anny's, which any machine has, and perhaps ICT-FaceKit's.

    They stay apart, as what is computed once for a source holds for its triangles alone; a scene
    draws one of them. They have no more triangles than pictures of a few hundred pixels show.

    Args:
        ict: `ict_facekit.npz`, from `headpose-train convert-ict`.

    Raises:
        TrainingError: A source is missing or broken.
    """
    anny = AnnyHeads().thinned()
    return [anny] if ict is None else [anny, IctHeads.load(ict).thinned()]
