"""What a teacher sees in each photograph, over all views, on disk: looking takes longest."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from headpose_ros.geometry.crop import CropWindow
from headpose_ros.geometry.rotations import aligned_from_face, geodesic, in_plane_angle
from headpose_ros.perception.analyze import Analyzer, load_analyzer
from numpy.typing import NDArray

from headpose_training.errors import TrainingError
from headpose_training.labelling.teachers import Look, Teacher, opener
from headpose_training.labelling.views import views

Array = NDArray[np.float64]

#: Photographs in one file of opinions.
SHARD = 250
#: A face that fewer views show to a teacher is not judged by it.
_FEWEST = 2
#: Faces fill tight photographs; a detector wants some border.
_BORDER = 0.25
#: Whose windows all teachers are shown.
_FINDER = 'mnn_lite_free'


@dataclass(frozen=True)
class Opinions:
    """Of one teacher on N photographs; NaN where it found no face or does not judge.

    Attributes:
        points: (N, 68, 2) px, the mean over the views.
        spread: (N, 68) px, the standard deviation between the views.
        depth: (N, 68) px, larger is farther, zero at their mean.
        rotation: (N, 3, 3) camera-aligned, the mean over the views.
        rotation_spread: (N,) radians, the mean angle between the views and their mean.
        iris: (N, 2, 2) px, the person's right eye first.
        visibility: (N, 68).
    """

    points: Array
    spread: Array
    depth: Array
    rotation: Array
    rotation_spread: Array
    iris: Array
    visibility: Array

    @classmethod
    def joined(cls, parts: Sequence[Opinions]) -> Opinions:
        """Return the opinions of all parts, one after the other."""
        names = (field.name for field in fields(cls))
        return cls(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})


def ask(names: Sequence[str], files: Sequence[Path], folder: Path) -> Iterator[int]:
    """Ask teachers about photographs; what is in the folder already is kept.

    Args:
        names: Of the teachers.
        files: The photographs.
        folder: Of the opinions: `windows-00000.npz`, `<teacher>-00000.npz`, ...

    Yields:
        One after each shard of each teacher.

    Raises:
        TrainingError: A teacher is missing, the folder is of other photographs, or cannot be
            written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    finder: Analyzer | None = None
    teachers: dict[str, Teacher] = {}
    for number, part in enumerate(shards(files)):
        windows_file = folder / f'windows-{number:05d}.npz'
        if not windows_file.is_file():
            finder = finder or load_analyzer(_FINDER, 'cpu')
            windows = np.stack([_window(finder, file) for file in part])
            _write(windows_file, {'windows': windows, 'names': _names(part)})
        windows = _windows(windows_file, part)
        for name in names:
            file = _file(folder, name, number)
            if not file.is_file():
                if name not in teachers:
                    teachers[name] = opener(name)()
                _write(file, _asked(teachers[name], part, windows))
            yield 1


def read_opinions(name: str, count: int, folder: Path) -> Opinions:
    """Return what a teacher said about the first `count` photographs.

    Raises:
        TrainingError: A file is missing or damaged.
    """
    numbers = range(-(-count // SHARD))
    return Opinions.joined([_opinions(_file(folder, name, n)) for n in numbers])


def shards(files: Sequence[Path]) -> list[Sequence[Path]]:
    """Return the photographs in parts of `SHARD`."""
    return [files[i : i + SHARD] for i in range(0, len(files), SHARD)]


def read_photograph(file: Path) -> NDArray[np.uint8] | None:
    """Return a photograph, uint8 (H, W, 3) BGR; None where it cannot be read."""
    image = cv2.imread(str(file), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return None if image is None else np.asarray(image, np.uint8)


def _opinions(file: Path) -> Opinions:
    return Opinions(**{name: value.astype(np.float64) for name, value in _read(file).items()})


def _names(files: Sequence[Path]) -> NDArray[np.str_]:
    return np.array([file.name for file in files])


def _windows(file: Path, photographs: Sequence[Path]) -> Array:
    """Return the windows of a shard, after a check that they are of these photographs."""
    arrays = _read(file)
    if arrays['names'].tolist() != _names(photographs).tolist():
        raise TrainingError(
            f'{file} is of other photographs than those in the folder now: label into a new folder'
        )
    return arrays['windows'].astype(np.float64)


def _window(finder: Analyzer, file: Path) -> Array:
    """Return (4,) centre x, y, side and angle of the window of the largest face; NaN for none."""
    image = read_photograph(file)
    if image is None:
        return np.full(4, np.nan)
    border = round(_BORDER * max(image.shape[:2]))
    wide = cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_REPLICATE)
    faces = finder(np.asarray(wide, np.uint8))
    if not faces:
        return np.full(4, np.nan)
    face = max(faces, key=lambda face: face.box[2] * face.box[3])
    angle = in_plane_angle(aligned_from_face(face.rotation))
    window = CropWindow.around_landmarks(face.landmarks - border, angle)
    return np.array([window.center_x, window.center_y, window.side, window.angle])


def _asked(teacher: Teacher, files: Sequence[Path], windows: Array) -> dict[str, Array]:
    rows = [_opinion(teacher, file, window) for file, window in zip(files, windows, strict=True)]
    return {name: np.stack([row[name] for row in rows]).astype(np.float32) for name in rows[0]}


def _opinion(teacher: Teacher, file: Path, window: Array) -> dict[str, Array]:
    image = None if np.isnan(window).any() else read_photograph(file)
    looks: list[Look] = []
    if image is not None:
        seen = teacher(views(image, CropWindow(*map(float, window))))
        looks = [look for look in seen if look is not None]
    if len(looks) < _FEWEST:
        return _nothing()
    points = np.stack([look.points for look in looks])
    rotation, turned = _mean_rotation(np.stack([look.rotation for look in looks]))
    return {
        'points': points.mean(axis=0),
        'spread': np.sqrt(points.var(axis=0).sum(axis=1)),
        'depth': np.stack([look.depth for look in looks]).mean(axis=0),
        'rotation': rotation,
        'rotation_spread': turned,
        'iris': np.stack([look.iris for look in looks]).mean(axis=0),
        'visibility': np.stack([look.visibility for look in looks]).mean(axis=0),
    }


def _nothing() -> dict[str, Array]:
    shapes = {
        'points': (68, 2),
        'spread': (68,),
        'depth': (68,),
        'rotation': (3, 3),
        'rotation_spread': (),
        'iris': (2, 2),
        'visibility': (68,),
    }
    return {name: np.full(shape, np.nan) for name, shape in shapes.items()}


def _mean_rotation(rotations: Array) -> tuple[Array, Array]:
    """Return the mean (3, 3) of (V, 3, 3) rotations and the mean angle to it, radians."""
    if np.isnan(rotations).any():
        return np.full((3, 3), np.nan), np.array(np.nan)
    mean = nearest_rotation(rotations.sum(axis=0))
    return mean, np.asarray(geodesic(rotations, mean[None]).mean())


def nearest_rotation(matrix: Array) -> Array:
    """Return the rotation nearest to a (3, 3) matrix, in the chordal sense."""
    u, _, v = np.linalg.svd(matrix)
    return np.asarray(u @ np.diag([1.0, 1.0, np.linalg.det(u @ v)]) @ v)


def _file(folder: Path, name: str, number: int) -> Path:
    return folder / f'{Path(name).stem}-{number:05d}.npz'


def _write(file: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write a file that appears under its name only when it is complete."""
    partial = file.with_name(f'.{file.name}.{os.getpid()}')
    try:
        with partial.open('wb') as stream:
            np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
            stream.flush()
            os.fsync(stream.fileno())
        partial.rename(file)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise TrainingError(
            f'cannot write {file}: {error.strerror or error}; start the same command again'
        ) from error


def _read(file: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(file, allow_pickle=False) as data:
            return {name: data[name] for name in data.files}
    except (OSError, ValueError, EOFError) as error:
        raise TrainingError(f'{file} is missing or damaged: remove it and label again') from error
