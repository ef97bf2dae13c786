"""Writes the folder of `headpose-train label`; `data.readers.labelled` has its layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headpose_training.data.readers.labelled import ABOUT, LABELS, VERSION
from headpose_training.errors import TrainingError


def write_labels(folder: Path, about: dict[str, Any], rows: dict[str, NDArray[Any]]) -> None:
    """Write the labels of a folder; the last file appears when both are complete.

    Raises:
        TrainingError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LABELS).unlink(missing_ok=True)
        (folder / ABOUT).write_text(json.dumps({'version': VERSION} | about, indent=1) + '\n')
        partial_file = folder / f'.{LABELS}'
        with partial_file.open('wb') as stream:
            np.savez_compressed(stream, **rows)  # type: ignore[arg-type]
        partial_file.rename(folder / LABELS)
    except OSError as error:
        raise TrainingError(f'cannot write labels to {folder}: {error.strerror}') from error
