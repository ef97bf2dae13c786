"""`headpose-train label`: labels for photographs that have none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
from headpose_ros import __version__
from headpose_ros.files import check_new
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from headpose_training.data.readers.labelled import LABELS
from headpose_training.errors import TrainingError
from headpose_training.labelling.files import write_labels
from headpose_training.labelling.merge import MergeConfig, Merged, merge
from headpose_training.labelling.opinions import SHARD, Opinions, ask, read_opinions
from headpose_training.labelling.teachers import FREE, RESEARCH, opener

_SUFFIXES = ('.jpg', '.jpeg', '.png')


def label(
    photographs: Path,
    out: Path,
    photograph_terms: str,
    family: str = FREE,
    reference: str = 'mnn_lite_free',
    teachers: Sequence[str] = ('mediapipe',),
    merging: MergeConfig = MergeConfig(),  # noqa: B008 - frozen
    limit: int = 0,
    overwrite: bool = False,
) -> None:
    """Label photographs of faces; goes on where it was stopped.

    Args:
        photographs: Folder of JPEG or PNG files, one face each; folders in it are searched.
        out: Folder for the labels.
        photograph_terms: Terms and credit of the photographs, for whoever learns from the labels.
        family: free, for weights that anybody may use, or research.
        reference: Weights of ours whose conventions the labels keep.
        teachers: Further ones: mediapipe, released names, or paths of weights.
        merging: Shares of the teachers, and limits of disagreement.
        limit: Label only the first so many photographs; 0 is all.
        overwrite: Replace labels that an earlier call left in it; else that is an error.

    Raises:
        TrainingError: There are no photographs, a teacher is missing, its terms forbid the family,
            or the disk is full.
    """
    check_new(out / LABELS, overwrite)
    files = sorted(f for f in photographs.rglob('*') if f.suffix.lower() in _SUFFIXES)
    files = files[: limit or None]
    if not files:
        raise TrainingError(f'{photographs} holds no photographs: expected .jpg or .png files')
    names = [reference, *teachers]
    about = {
        'photographs': str(photographs.resolve()),
        'photograph_terms': photograph_terms,
        'family': family,
        'teachers': terms_of(names, family),
        'merging': asdict(merging),
        'made_by': f'headpose_ros {__version__}',
    }
    _ask(names, files, out / 'opinions')
    said = [read_opinions(name, len(files), out / 'opinions') for name in names]
    merged = _merged(said, merging)
    chosen = np.flatnonzero(merged.usable)
    rows = {
        field.name: getattr(merged, field.name)[chosen]
        for field in fields(Merged)
        if field.name not in ('apart', 'turned')
    }
    rows = {name: _small(values) for name, values in rows.items()}
    paths = np.array([str(files[i].relative_to(photographs)) for i in chosen])
    write_labels(out, about, {'image': paths} | rows)
    Console().print(
        f'{len(chosen)} of {len(files)} photographs have a label; landmarks of the teachers are '
        f'{100 * np.nanmedian(merged.apart):.1f} % of the box apart, rotations '
        f'{np.median(merged.turned[chosen]):.1f} degrees'
    )


def terms_of(names: Sequence[str], family: str) -> dict[str, str]:
    """Open teachers and return their terms.

    Raises:
        TrainingError: A teacher is missing, or its terms forbid the family.
    """
    if family not in (FREE, RESEARCH):
        raise TrainingError(f'unknown family {family!r}: expected {FREE} or {RESEARCH}')
    opened = [opener(name)() for name in names]
    barred = [t.name for t in opened if family == FREE and t.family != FREE]
    if barred:
        raise TrainingError(
            f'labels for free weights cannot come from {", ".join(barred)}: its terms are for '
            'research only; use --family research or other teachers'
        )
    return {teacher.name: teacher.terms for teacher in opened}


def _ask(names: Sequence[str], files: Sequence[Path], folder: Path) -> None:
    columns = (TextColumn('Asking'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task('', total=-(-len(files) // SHARD) * len(names))
        for done in ask(names, files, folder):
            progress.advance(task, done)


def _merged(said: Sequence[Opinions], merging: MergeConfig) -> Merged:
    try:
        return merge(said[0], list(said[1:]), merging)
    except ValueError as error:
        raise TrainingError(f'the teachers do not go together: {error}') from error


def _small(values: np.ndarray) -> np.ndarray:
    return values if values.dtype == bool else values.astype(np.float32)
