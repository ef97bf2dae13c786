"""Rendered faces on disk, in shards of JPEG files with one file of labels.

`headpose_training.data.readers.rendered` has the layout. A shard appears under its name only when
it is complete; `render.json` in the folder states how the faces were made.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import cv2
import numpy as np

from headpose_training.data.readers.rendered import ARRAYS, LABELS
from headpose_training.errors import TrainingError
from headpose_training.synthesis.heads.sources import load_heads
from headpose_training.synthesis.labels import Labels
from headpose_training.synthesis.scene import SceneConfig, sample_scene

if TYPE_CHECKING:
    from headpose_training.synthesis.render.renderer import Rendered

#: Faces in a shard.
SHARD = 500
_QUALITY = 92
_INFO = 'render.json'

T = TypeVar('T')
#: Number, JPEG and labels of a face.
Encoded = tuple[int, bytes, Labels]


@dataclass(frozen=True)
class Faces:
    """A source of rendered faces: what is needed to make face number i, always the same one.

    Attributes:
        heads: `ict_facekit.npz` for its heads beside those of Anny, or None for Anny's alone.
        config: What faces there are.
        seed: Of all faces.
        supersampling: See `Renderer`.
        device: See `Renderer`.
    """

    heads: Path | None = None
    config: SceneConfig = SceneConfig()  # noqa: RUF009 - frozen
    seed: int = 0
    supersampling: float = 1.25
    device: int | None = None

    def open(self) -> FaceMaker:
        """Load the heads and start OpenGL, in the process that renders.

        Raises:
            TrainingError: The heads are missing, or there is no EGL.
        """
        return FaceMaker(self)


class FaceMaker:
    """Renders the faces of a `Faces`. It belongs to one process."""

    def __init__(self, faces: Faces) -> None:
        self._faces = faces
        self._heads = load_heads(faces.heads)
        # Not above: who only reads rendered faces needs no OpenGL.
        try:
            from headpose_training.synthesis.render.renderer import Renderer
        except ImportError as error:
            raise TrainingError(
                f'rendering needs what `headpose-training[synthesis]` installs: {error}'
            ) from error
        size = faces.config.camera.size
        self._renderer = Renderer(size, faces.supersampling, faces.device)

    @property
    def device(self) -> str:
        """Name of what draws."""
        return self._renderer.device

    def __call__(self, index: int) -> Rendered:
        """Return the face of that number."""
        seed = (self._faces.seed, index)
        scene = sample_scene(np.random.default_rng(seed), self._faces.config, self._heads)
        return self._renderer.render(scene, seed)


def write_shards(
    faces: Faces, out: Path, count: int, workers: int, shard_size: int = SHARD
) -> Iterator[int]:
    """Render faces 0 to count - 1 into shards; shards that are complete are kept.

    Args:
        faces: Which faces.
        out: Folder; it is made. One with other faces in it is refused.
        count: Number of faces.
        workers: Processes that render.
        shard_size: Faces in a shard.

    Yields:
        How many faces are there, whenever some more are.

    Raises:
        TrainingError: The folder holds other faces, the disk is full, there is no EGL, or the
            heads are missing.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        _note(faces, out, shard_size)
        todo = [n for n in range(-(-count // shard_size)) if not _complete(out, n)]
        done = count - sum(len(_numbers(n, count, shard_size)) for n in todo)
        yield done
        with Writers(faces, workers) as writers:
            for number in todo:
                rendered: list[Encoded] = []
                for result in writers.render(_numbers(number, count, shard_size)):
                    rendered.append(result)
                    done += 1
                    yield done
                _write_shard(out, number, sorted(rendered, key=lambda face: face[0]))
    except OSError as error:
        raise TrainingError(
            f'cannot write to {out}: {error.strerror or error}; the shards in it are complete: '
            'free some space and start the same command again'
        ) from error


def is_complete(out: Path, count: int, shard_size: int = SHARD) -> bool:
    """Return whether a folder holds all shards of so many faces."""
    return all(_complete(out, number) for number in range(-(-count // shard_size)))


class Writers:
    """Processes that render and encode; one alone works in this process."""

    def __init__(self, faces: Faces, workers: int) -> None:
        self._faces, self._workers = faces, workers

    def __enter__(self) -> Writers:
        """Start the processes."""
        # A forked process would share the parent's threads and OpenGL, and hang.
        self._pool = (
            ProcessPoolExecutor(self._workers, get_context('spawn'), _start_worker, (self._faces,))
            if self._workers > 1
            else None
        )
        if self._pool is None:
            _start_worker(self._faces)
        return self

    def __exit__(self, *error: object) -> None:
        """Stop the processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def render(self, numbers: Sequence[int]) -> Iterator[Encoded]:
        """Yield faces, in any order."""
        yield from self._run(_encode_face, numbers)

    def render_timed(self, numbers: Sequence[int]) -> Iterator[tuple[Encoded, float]]:
        """Yield faces, in any order, and the seconds of processor time that each took."""
        yield from self._run(_timed_face, numbers)

    def device(self) -> str:
        """Return the name of what draws."""
        return next(self._run(_device, [0]))

    def _run(self, work: Callable[[int], T], numbers: Sequence[int]) -> Iterator[T]:
        if self._pool is None:
            yield from map(work, numbers)
            return
        waiting: set[Future[T]] = set()
        left = iter(numbers)
        ready = True
        while ready or waiting:
            # A few in the queue of each process: enough to keep it busy.
            while ready and len(waiting) < 4 * self._workers:
                number = next(left, None)
                ready = number is not None
                if number is not None:
                    waiting.add(self._pool.submit(work, number))
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()


_maker: list[FaceMaker | TrainingError] = []


def _start_worker(faces: Faces) -> None:
    parent = parent_process()
    if parent is not None:
        # A pool that is killed leaves its processes behind, waiting for ever.
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    cv2.setNumThreads(1)
    try:
        _maker[:] = [faces.open()]
    except TrainingError as error:
        # Raised with the first face: a pool says nothing about why its start failed.
        _maker[:] = [error]


def _end_with(parent: int) -> None:
    connection.wait([parent])
    os._exit(1)


def _started() -> FaceMaker:
    maker = _maker[0]
    if isinstance(maker, TrainingError):
        raise maker
    return maker


def _encode_face(number: int) -> Encoded:
    face = _started()(number)
    _, data = cv2.imencode('.jpg', face.image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return number, data.tobytes(), face.labels


def _timed_face(number: int) -> tuple[Encoded, float]:
    start = time.process_time()
    return _encode_face(number), time.process_time() - start


def _device(_: int) -> str:
    return _started().device


def _numbers(shard: int, count: int, shard_size: int) -> range:
    return range(shard * shard_size, min((shard + 1) * shard_size, count))


def _name(number: int) -> str:
    return f'shard-{number:05d}'


def _complete(out: Path, number: int) -> bool:
    return (out / _name(number) / LABELS).is_file()


def _write_shard(out: Path, number: int, faces: list[Encoded]) -> None:
    partial_folder = out / f'.{_name(number)}'
    shutil.rmtree(partial_folder, ignore_errors=True)
    try:
        partial_folder.mkdir()
        for index, data, _ in faces:
            (partial_folder / f'{index:06d}.jpg').write_bytes(data)
        rows: dict[str, Any] = {
            name: np.stack([getattr(labels, name) for *_, labels in faces]) for name in ARRAYS
        }
        with (partial_folder / LABELS).open('wb') as stream:
            np.savez(stream, index=np.array([index for index, *_ in faces]), **rows)
            stream.flush()
            os.fsync(stream.fileno())
        partial_folder.rename(out / _name(number))
    except OSError:
        shutil.rmtree(partial_folder, ignore_errors=True)
        raise


def _note(faces: Faces, out: Path, shard_size: int) -> None:
    """Write down how the faces are made, or check that those in the folder are made alike."""
    made = {
        'seed': faces.seed,
        'heads': f'anny, {faces.heads.name}' if faces.heads else 'anny',
        'shard_size': shard_size,
        'supersampling': faces.supersampling,
        'config': repr(faces.config),
    }
    file = out / _INFO
    if file.is_file():
        there = json.loads(file.read_text())
        other = sorted(key for key in made if there.get(key) != made[key])
        if other:
            raise TrainingError(
                f'{out} holds faces made with another {", ".join(other)}: choose another folder'
            )
        return
    temporary = file.with_suffix('.tmp')
    temporary.write_text(json.dumps(made, indent=1) + '\n')
    temporary.rename(file)
