"""`headpose video`: an annotated video and a table of all angles, without ROS."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

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
from headpose_ros.perception.analyze import Analyzer
from headpose_ros.perception.draw import draw_faces
from headpose_ros.perception.table import FaceTable
from headpose_ros.sources.video_writer import VideoWriter
from headpose_ros.tools.frames import Frames
from headpose_ros.tools.interruption import interruptible


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
    frames = Frames(options.source, options.duration, options.calibration)
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
