"""`headpose video`: an annotated video and a table of all angles, without ROS."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from headpose_ros.errors import HeadposeError
from headpose_ros.files import check_new
from headpose_ros.geometry.camera import CameraModel
from headpose_ros.perception.analyze import Analyzer
from headpose_ros.perception.draw import draw_faces
from headpose_ros.perception.table import FaceTable
from headpose_ros.sources.open import open_stream
from headpose_ros.sources.source import Source
from headpose_ros.sources.video_writer import VideoWriter
from headpose_ros.sources.virtual_camera import VirtualCameraSource
from headpose_ros.tools.interruption import interruptible

Bgr = NDArray[np.uint8]


@dataclass(frozen=True)
class VideoOptions:
    """What to write.

    Attributes:
        source: Video, folder of images, device, or a photograph to move before a virtual camera.
        out: Annotated video, `.mp4`; the table lies beside it as `.csv`.
        landmarks: Whether the table holds the landmarks too.
        style: One of `perception.draw.AXIS_STYLES`.
        duration: Seconds to analyse, 0 for all.
        calibration: File of camera_info_manager, for positions in metres; None for none.
        overwrite: Whether a video or table of that name is replaced.
    """

    source: str
    out: Path
    landmarks: bool = False
    style: str = 'tf'
    duration: float = 0.0
    calibration: Path | None = None
    overwrite: bool = False


@dataclass
class VideoSummary:
    """What was written.

    Attributes:
        frames: Frames in the video.
        skipped: Damaged frames of the source, left out.
        faces: Faces found, over all frames.
        left_out: Frames with more faces than `max_faces`.
        interrupted: Whether a signal ended it.
        seconds: How long it took.
    """

    frames: int = 0
    skipped: int = 0
    faces: int = 0
    left_out: int = 0
    interrupted: bool = False
    seconds: float = 0.0


def table_path(video: Path) -> Path:
    """Return where the table of an annotated video lies."""
    return video.with_suffix('.csv')


def annotate(analyzer: Analyzer, options: VideoOptions) -> VideoSummary:
    """Analyse a source and write video and table; SIGINT and SIGTERM end both in good order.

    Raises:
        HeadposeError: The source cannot be read or has no good frame, or the output cannot be
            written.
    """
    _check_out(options)
    frames = _Frames(options)
    summary = VideoSummary()
    start = time.monotonic()
    with ExitStack() as stack:
        stack.callback(frames.close)
        progress = stack.enter_context(progress_bar('frames'))
        video = stack.enter_context(VideoWriter(options.out))
        table = stack.enter_context(FaceTable(table_path(options.out), options.landmarks))
        interruption = stack.enter_context(interruptible())
        task = progress.add_task(Path(options.source).name, total=frames.total or None)
        for stamp, image in frames:
            if interruption.asked:
                summary.interrupted = True
                break
            camera = frames.camera(image)
            faces = analyzer.track(image, stamp, camera)
            video.write(draw_faces(image, faces, options.style), stamp)
            table.write(summary.frames, stamp, faces)
            summary.frames += 1
            summary.faces += len(faces)
            summary.left_out += analyzer.left_out('') > 0
            progress.update(task, completed=summary.frames + frames.skipped)
    summary.skipped, summary.seconds = frames.skipped, time.monotonic() - start
    if not summary.frames and not summary.interrupted:
        raise HeadposeError(f'no frame of {options.source} can be read: nothing was written')
    return summary


def progress_bar(unit: str) -> Progress:
    """Return the bar that all tools show."""
    return Progress(
        TextColumn('{task.description}', markup=False),  # a name may have brackets
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )


def _check_out(options: VideoOptions) -> None:
    out = options.out
    if out.suffix.lower() != '.mp4':
        raise HeadposeError(f'cannot write {out}: expected a name that ends in .mp4')
    if not out.parent.is_dir():
        raise HeadposeError(f'cannot write {out}: there is no folder {out.parent}')
    if out.exists() and Path(options.source).exists() and out.samefile(options.source):
        raise HeadposeError(f'{out} is both input and output: expected two different files')
    for file in (out, table_path(out)):
        check_new(file, options.overwrite)


class _Frames:
    """Times and images of whatever the user named.

    Attributes:
        total: How many frames there are, 0 for unknown.
    """

    def __init__(self, options: VideoOptions) -> None:
        self._duration = options.duration
        self._calibration = options.calibration
        self._cameras: dict[tuple[int, int], CameraModel | None] = {}
        self._source = _open(options)
        self.total = self._promised()

    @property
    def skipped(self) -> int:
        """Damaged frames so far."""
        return self._source.skipped

    def __iter__(self) -> Iterator[tuple[float, Bgr]]:
        first: float | None = None
        for stamp, image in self._all():
            first = stamp if first is None else first
            if self._duration and stamp - first >= self._duration:
                return
            yield stamp - first, image

    def camera(self, image: Bgr) -> CameraModel | None:
        """Return the calibrated camera for images of this size; None without a calibration."""
        if self._calibration is None:
            return None
        height, width = image.shape[:2]
        if (width, height) not in self._cameras:
            self._cameras[width, height] = _load_camera(self._calibration, width, height)
        return self._cameras[width, height]

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _all(self) -> Iterator[tuple[float, Bgr]]:
        yield from self._source.timed()
        # A photograph moves before the virtual camera for as long as it is wanted.
        while isinstance(self._source, VirtualCameraSource):
            self._source.rewind()
            yield from self._source.timed()

    def _promised(self) -> int:
        if not self._source.total:
            return round(self._duration * self._source.fps)
        return 0 if self._duration else self._source.total


def _open(options: VideoOptions) -> Source:
    source = open_stream(options.source)
    if isinstance(source, VirtualCameraSource) and not options.duration:
        raise HeadposeError(
            f'{options.source} is a photograph: give --duration to move it before a virtual '
            'camera, or use headpose image'
        )
    return source


def _load_camera(file: Path, width: int, height: int) -> CameraModel | None:
    # Only here: the calibration is held in a sensor_msgs/CameraInfo, all else needs no ROS.
    from headpose_ros.ros.input.calibration import load_calibration, scaled
    from headpose_ros.ros.input.camera_info import camera_model

    return camera_model(scaled(load_calibration(file), width, height))
