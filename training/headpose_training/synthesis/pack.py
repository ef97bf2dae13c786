"""`headpose-train pack-rendered`: a few rendered faces in one small file, to test weights with."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from headpose_ros.files import check_new
from headpose_ros.geometry.rotations import aflw_from_matrix
from numpy.typing import NDArray
from rich.progress import track

from headpose_training.data.formats import read_faces
from headpose_training.data.labelled_crop import cut
from headpose_training.data.samples import LabelledFace
from headpose_training.errors import TrainingError
from headpose_training.metrics.estimates import window_of

#: As the photographs of AFW: largest pitch, yaw and roll, and least share of points in sight.
_LARGEST_DEG = (25.0, 40.0, 25.0)
_LEAST_SEEN = 0.85
#: Side of the kept crops in px, and over that of a network's: its window fits in with some room.
_SIZE, _ROOM = 160, 1.25
_QUALITY = 90


def pack_rendered(folder: Path, out: Path, count: int = 64, overwrite: bool = False) -> None:
    """Keep the first faces of a dataset that are about as easy as those of AFW.

    Writes an npz: `images` uint8, JPEG files one after the other, `lengths` (N,) of them in bytes,
    `landmarks` (N, 68, 2) px, `rotations` (N, 3, 3) camera-aligned.

    Args:
        folder: Folder of `headpose-train render`.
        out: File to write, `.npz`.
        count: Number of faces N.
        overwrite: Replace a file that exists; else that is an error.

    Raises:
        TrainingError: The folder has fewer such faces.
    """
    check_new(out, overwrite)
    easy = [face for face in read_faces('rendered', folder) if _is_easy(face)][:count]
    if len(easy) < count:
        raise TrainingError(f'{folder} has {len(easy)} easy faces, {count} are wanted: render more')
    crops = [cut(f, window_of(f).scaled(_ROOM), _SIZE) for f in track(easy, 'Packing')]
    images = [_jpeg(crop.image) for crop in crops]
    points = [crop.points for crop in crops if crop.points is not None]
    rotations = [crop.rotation for crop in crops if crop.rotation is not None]
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        out,
        images=np.concatenate(images),
        lengths=[len(image) for image in images],
        landmarks=(np.array(points) * _SIZE - 0.5).astype(np.float32),
        rotations=np.array(rotations, np.float32),
    )
    print(f'{out}: {count} faces, {out.stat().st_size / 1e3:.0f} kB')


def _is_easy(face: LabelledFace) -> bool:
    if face.rotation is None or face.visible is None:
        return False
    angles = np.degrees(aflw_from_matrix(face.rotation))
    return bool((abs(angles) < _LARGEST_DEG).all() and face.visible.mean() >= _LEAST_SEEN)


def _jpeg(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    _, data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return np.asarray(data, np.uint8).ravel()
