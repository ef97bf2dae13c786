"""What all dataset readers share: go over the faces, check labels and images, report."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import scipy.io
from headpose_ros.geometry.landmarks import COUNT
from numpy.typing import NDArray
from rich.progress import track

from headpose_training.data.samples import LabelledFace
from headpose_training.errors import TrainingError

#: The set of the faces of a dataset, or of a folder, that knows no parts.
ALL = 'all'
_SHAPES = {
    'landmarks': (COUNT, 2),
    'rotation': (3, 3),
    'visible': (COUNT,),
    'depth': (COUNT,),
    'annotated_box': (4,),
    'reliability': (COUNT,),
}
_IMAGE_SUFFIXES = ('.jpg', '.png', '.jpeg', '.JPG')
#: Rounding of published matrices: six digits.
_ORTHONORMAL = 1e-3
_JPEG_START, _JPEG_SCAN, _JPEG_END = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'
_PNG_START, _PNG_END = b'\x89PNG', b'IEND\xaeB`\x82'


@dataclass(frozen=True)
class Item:
    """A face that a dataset lists and that is not read yet.

    Attributes:
        labels: Where its labels are within the dataset, to name it in errors.
        set: Part of the dataset that it belongs to.
        load: Reads the labels. Raises ValueError (such as TrainingError) or OSError.
    """

    labels: str
    set: str
    load: Callable[[], LabelledFace]


@dataclass(frozen=True)
class DatasetFormat:
    """A dataset's public layout.

    Attributes:
        name: Key of the format.
        read: Lists the faces of a folder. Raises TrainingError if the folder is not of the layout.
        labels: Which of 'landmarks', 'rotation', 'visible', 'depth' and 'box' its faces have.
        layout: What the folder must look like.
        terms: Terms of use, in a few words.
        citation: Paper that introduces the dataset.
    """

    name: str
    read: Callable[[Path], list[Item]]
    labels: frozenset[str]
    layout: str
    terms: str
    citation: str


@dataclass(frozen=True)
class Reading:
    """The faces of a folder and what is wrong with the others, one line each."""

    faces: list[LabelledFace]
    problems: list[str]

    def complaint(self, folder: Path) -> str:
        """Return how many faces are broken and what is wrong with the first of them."""
        count, total = len(self.problems), len(self.problems) + len(self.faces)
        return f'{folder}: {count} of {total} faces are broken, first: ' + '; '.join(
            self.problems[:3]
        )


def read_items(dataset: DatasetFormat, folder: Path, sets: Sequence[str]) -> Reading:
    """Read the labels of some sets of a folder, and check labels and images.

    Args:
        dataset: The folder's format.
        folder: The dataset.
        sets: Names of the sets to read; empty for all.

    Raises:
        TrainingError: The folder has no such faces.
    """
    if not folder.is_dir():
        raise TrainingError(f'{folder} is not a folder; expected {dataset.layout}')
    items = dataset.read(folder)
    if not items:
        raise TrainingError(f'{folder} holds no faces of {dataset.name}; expected {dataset.layout}')
    known = {item.set for item in items}
    if not known.issuperset(sets):
        raise TrainingError(
            f'{folder} has no faces of the sets {sorted(set(sets) - known)}; it has {sorted(known)}'
        )
    chosen = [item for item in items if not sets or item.set in sets]
    # OpenCV gives up the interpreter's lock while it decodes.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = list(
            track(
                pool.map(_checked, chosen),
                description=f'Reading {dataset.name}',
                total=len(chosen),
                transient=True,
            )
        )
    return Reading(
        [outcome for outcome in outcomes if isinstance(outcome, LabelledFace)],
        [outcome for outcome in outcomes if isinstance(outcome, str)],
    )


def stems(folder: Path, *suffixes: str) -> list[str]:
    """Return the sorted names of a folder's files with any of the suffixes, without them.

    Labels and images are looked for alike, so that each misses the other.
    """
    names = [file.name for file in folder.iterdir() if not file.name.startswith('.')]
    return sorted({name[: -len(end)] for name in names for end in suffixes if name.endswith(end)})


def image_stems(folder: Path, *suffixes: str) -> list[str]:
    """Return :func:`stems` of files with the suffixes and of images."""
    return stems(folder, *suffixes, *_IMAGE_SUFFIXES)


def image_of(folder: Path, stem: str) -> Path:
    """Return the image of that name, whatever its suffix; a .jpg where there is none."""
    files = [folder / (stem + suffix) for suffix in _IMAGE_SUFFIXES]
    return next((file for file in files if file.is_file()), files[0])


def subfolders(folder: Path) -> list[Path]:
    """Return the folders directly in a folder, sorted, hidden ones left out."""
    return sorted(
        entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith('.')
    )


def read_mat(file: Path) -> dict[str, Any]:
    """Read a MATLAB file of version 5 to 7."""
    with file.open('rb') as stream:
        try:
            return scipy.io.loadmat(stream)
        except Exception as error:  # SciPy raises what its parser stumbles over
            raise TrainingError('is not a MATLAB file that SciPy reads') from error


def variable(mat: dict[str, Any], name: str) -> NDArray[np.float64]:
    """Return a numeric variable of a MATLAB file as float64."""
    if name not in mat:
        raise TrainingError(f'{name} is missing')
    return np.asarray(mat[name], np.float64)


def table(text: str, columns: int) -> NDArray[np.float64]:
    """Return numbers, apart by spaces or commas, as (N, columns) float64."""
    try:
        return np.array(text.replace(',', ' ').split(), np.float64).reshape(-1, columns)
    except ValueError as error:
        raise TrainingError(f'is not rows of {columns} numbers') from error


def _checked(item: Item) -> LabelledFace | str:
    try:
        face = item.load()
        _check_labels(face)
    except FileNotFoundError as error:
        return f'{item.labels}: {Path(error.filename).name} is missing'
    except (ValueError, OSError) as error:
        return f'{item.labels}: {error}'
    try:
        _check_image(face.file)
    except TrainingError as error:
        return f'{face.name}: {error}'
    return face


def _check_labels(face: LabelledFace) -> None:
    for name, shape in _SHAPES.items():
        value = getattr(face, name)
        if value is None:
            continue
        if value.shape != shape:
            raise TrainingError(f'{name} of shape {value.shape}, expected {shape}')
        if not np.isfinite(value).all():
            raise TrainingError(f'{name} with values that are not finite')
    if face.rotation is not None and not _is_rotation(face.rotation):
        raise TrainingError('the pose is not a rotation matrix')
    if face.annotated_box is not None and (face.annotated_box[2:] <= 0).any():
        raise TrainingError('the box is empty')


def _is_rotation(matrix: NDArray[np.float64]) -> bool:
    return np.allclose(matrix @ matrix.T, np.eye(3), atol=_ORTHONORMAL) and (
        np.linalg.det(matrix) > 0
    )


def _check_image(file: Path) -> None:
    if not file.is_file():
        raise TrainingError('the image is missing')
    data = file.read_bytes()
    if _is_cut_short(data):
        raise TrainingError('the image is cut short')
    if not data or cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is None:
        raise TrainingError('not an image that OpenCV reads')


def _is_cut_short(data: bytes) -> bool:
    """Return whether a JPEG or PNG lacks its end, which OpenCV would fill with grey."""
    if data.startswith(_JPEG_START):
        # A thumbnail in the header has an end too; none lies between the last scan and its end.
        return data.rfind(_JPEG_END) < max(data.rfind(_JPEG_SCAN), 0)
    return data.startswith(_PNG_START) and _PNG_END not in data
