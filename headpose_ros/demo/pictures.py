"""Annotated video and contact sheet out of a recording."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from headpose_ros.demo.recording import read_messages
from headpose_ros.files import write_whole
from headpose_ros.ros.input.pictures import StampMatcher, annotated
from headpose_ros.sources.video_writer import VideoWriter

_SHEET_COLUMNS, _SHEET_ROWS, _SHEET_WIDTH = 4, 3, 360
#: Images that wait for their result; more than the node ever holds.
_WAITING = 64

Image = NDArray[np.uint8]


def annotated_frames(recording: Path, images: str, faces: str) -> Iterator[tuple[int, Image]]:
    """Yield stamp in ns and annotated picture of every image with a result."""
    matcher = StampMatcher(_WAITING)
    for topic, message in read_messages(recording, images, faces):
        pair = matcher.image(message) if topic == images else matcher.faces(message)
        if pair is not None:
            stamp = message.header.stamp
            yield stamp.sec * 10**9 + stamp.nanosec, annotated(*pair)


def write_pictures(recording: Path, video: Path, sheet: Path, images: str, faces: str) -> int:
    """Write the annotated video and a sheet of frames spread over it.

    Returns:
        The number of frames in the video; with none, nothing is written.
    """
    stamps = [stamp for stamp, _ in annotated_frames(recording, images, faces)]
    if not stamps:
        return 0
    wanted = np.linspace(0, len(stamps) - 1, _SHEET_COLUMNS * _SHEET_ROWS).round().astype(int)
    kept: dict[int, Image] = {}
    frames = enumerate(annotated_frames(recording, images, faces))
    with VideoWriter(video) as writer:
        for index, (stamp, picture) in track(frames, 'Writing the video', total=len(stamps)):
            writer.write(picture, (stamp - stamps[0]) * 1e-9)
            if index in wanted:
                kept[index] = picture
    _, data = cv2.imencode('.png', _contact_sheet([kept[index] for index in wanted]))
    write_whole(sheet, data.tobytes(), overwrite=True)
    return len(stamps)


def _contact_sheet(pictures: list[Image]) -> Image:
    height = round(_SHEET_WIDTH * pictures[0].shape[0] / pictures[0].shape[1])
    small = [
        cv2.resize(picture, (_SHEET_WIDTH, height), interpolation=cv2.INTER_AREA)
        for picture in pictures
    ]
    rows = [
        np.hstack(small[start : start + _SHEET_COLUMNS])
        for start in range(0, len(small), _SHEET_COLUMNS)
    ]
    return np.vstack(rows)
