"""Training runs that are part of something longer, and are stopped with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from headpose_training.checkpoints import CHECKPOINT


def train(config: Path, run: Path, words: Sequence[str] = ()) -> None:
    """Fit a system into a folder, from where it stopped: a finished run is not trained again.

    Args:
        config: Configuration of the system.
        run: Folder of the run.
        words: Further words for `headpose-train fit`.

    Raises:
        TrainingError: The run fails.
    """
    from headpose_training.fit import fit  # Lightning takes seconds to import

    checkpoint = run / CHECKPOINT
    resume = [f'--ckpt_path={checkpoint}'] if checkpoint.is_file() else []
    fit([f'--config={config}', f'--out={run}', *words, *resume])
