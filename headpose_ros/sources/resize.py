"""Frames of another size."""

from __future__ import annotations

import cv2

from headpose_ros.sources.source import Bgr, SourceError


def fit(frame: Bgr, width: int, height: int) -> Bgr:
    """Resize a frame; one side of 0 follows from the other, two keep the frame as it is.

    Raises:
        SourceError: the wanted aspect ratio differs, which would distort every face.
    """
    rows, columns = frame.shape[:2]
    size = (
        width or (round(columns * height / rows) if height else columns),
        height or (round(rows * width / columns) if width else rows),
    )
    if size == (columns, rows):
        return frame
    if abs(size[0] * rows / (size[1] * columns) - 1.0) > 0.01:
        raise SourceError(
            f'frame of {columns}x{rows} does not fit {size[0]}x{size[1]} without distortion: '
            'expected width or height alone, or the same aspect ratio'
        )
    shrinks = size[0] < columns
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(frame, size, interpolation=interpolation)  # type: ignore[return-value]
