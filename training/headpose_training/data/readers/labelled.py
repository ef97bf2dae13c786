"""Photographs with labels by teachers, as `headpose-train label` writes them.

`labels.npz` has one row per photograph that has a label, `label.json` the photographs' folder, the
teachers with their terms, the family (free or research) and how the labels were made.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headpose_training.data.reading import ALL, DatasetFormat, Item
from headpose_training.data.samples import LabelledFace
from headpose_training.errors import TrainingError

#: Of the layout of the files; one of another version is refused.
VERSION = 1
LABELS, ABOUT = 'labels.npz', 'label.json'
_ARRAYS = ('image', 'points', 'reliability', 'rotation', 'visible', 'iris')


def is_labelled(folder: Path) -> bool:
    """Return whether a folder holds labels, complete as they were written."""
    return (folder / LABELS).is_file()


def read_about(folder: Path) -> dict[str, Any]:
    """Return whose labels a folder holds.

    Raises:
        TrainingError: It holds none, or those of another version.
    """
    try:
        about = json.loads((folder / ABOUT).read_text())
    except (OSError, ValueError) as error:
        raise TrainingError(f'{folder} is not of headpose-train label: {error}') from error
    if about.get('version') != VERSION:
        raise TrainingError(
            f'{folder} has labels of version {about.get("version")}, this headpose-train reads '
            f'{VERSION}: run headpose-train label again, the teachers are not asked again'
        )
    return dict(about)


def _list(folder: Path) -> list[Item]:
    photographs = Path(read_about(folder)['photographs'])
    try:
        with np.load(folder / LABELS, allow_pickle=False) as data:
            rows = {name: data[name] for name in _ARRAYS}
    except (OSError, KeyError, ValueError) as error:
        raise TrainingError(f'{folder / LABELS} is missing or damaged: label again') from error
    names: Sequence[str] = rows.pop('image').tolist()
    return [
        Item(f'{LABELS} {name}', ALL, partial(_read, photographs / name, rows, row))
        for row, name in enumerate(names)
    ]


def _read(file: Path, rows: dict[str, NDArray[Any]], row: int) -> LabelledFace:
    return LabelledFace(
        file.name,
        file,
        landmarks=rows['points'][row].astype(np.float64),
        rotation=rows['rotation'][row].astype(np.float64),
        visible=rows['visible'][row],
        reliability=rows['reliability'][row].astype(np.float64),
        iris=rows['iris'][row].astype(np.float64),
    )


LABELLED = DatasetFormat(
    'labelled',
    _list,
    frozenset({'landmarks', 'rotation', 'visible'}),
    'label.json and labels.npz, made by `headpose-train label`',
    'as label.json says: of the photographs and of the teachers',
    'labelled by headpose-train label',
)
