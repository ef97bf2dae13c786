"""YuNet (Wu et al., Machine Intelligence Research 2023): an image in, rows of faces out.

By ONNX Runtime, which takes half as long as OpenCV's own network code, or by
`cv2.FaceDetectorYN` for a file that takes images of one size only. Both give the same faces (a
test checks).
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from headpose_ros.errors import HeadposeError
from headpose_ros.foreign_files import FileError, read_bounded
from headpose_ros.perception.foreign_onnx import ForeignOnnxError, in_time, vet_onnx
from headpose_ros.perception.onnx_session import open_session
from headpose_ros.perception.threads import limit_cpu_threads

#: Of the grids. Sides of the image that the network takes are multiples of the coarsest.
_STRIDES = (8, 16, 32)
_OVERLAP, _MOST = 0.3, 100
#: Bytes; YuNet has 0.2 MB.
_LARGEST_FILE = 50 * 10**6
_log = logging.getLogger(__name__)


class DetectorError(HeadposeError):
    """The detector cannot be made."""


class YuNet(ABC):
    """The network with its decoding.

    Attributes:
        threshold: Least score, 0..1; may be changed at any time.
    """

    threshold: float

    @abstractmethod
    def rows(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Find faces.

        Args:
            image: uint8 (H, W, 3) BGR.

        Returns:
            (N, 15): box x, y, w, h px; right eye, left eye, nose, right and left corner of the
            mouth, x and y px; score.
        """


def load_yunet(path: Path, threshold: float, ours: bool) -> YuNet:
    """Load YuNet's ONNX file the fastest way that works here.

    Args:
        path: The file.
        threshold: Least score, 0..1.
        ours: Whether it came with this package; others are tried apart first.

    Raises:
        DetectorError: It cannot be read, is not safe to run, or OpenCV cannot run it either.
    """
    try:
        content = read_bounded(path, _LARGEST_FILE)
        if not ours:
            vet_onnx(content, try_yunet)
    except (FileError, ForeignOnnxError) as error:
        raise DetectorError(f'cannot load the face detector {path}: {error}') from error
    return _opened(content, path, threshold)


def try_yunet(content: bytes) -> None:
    """Look for faces in one image; meant for `foreign_onnx.vet_onnx`.

    Raises:
        HeadposeError: The file does not work, or is slow.
    """
    limit_cpu_threads(1)
    cv2.setNumThreads(1)
    net = _opened(content, 'it', 0.6)
    in_time(lambda: net.rows(np.full((480, 480, 3), 128, np.uint8)))


def _opened(content: bytes, source: object, threshold: float) -> YuNet:
    try:
        return OnnxYuNet(content, source, threshold)
    except Exception as error:  # a missing package, or one of the runtime's errors
        _log.info('YuNet runs by OpenCV, which takes twice as long as ONNX Runtime: %s', error)
        return OpenCvYuNet(content, source, threshold)


class OpenCvYuNet(YuNet):
    """YuNet by OpenCV.

    Args:
        file: Content of the ONNX file.
        source: Where it comes from, for errors.
        threshold: Least score, 0..1.

    Raises:
        DetectorError: OpenCV cannot read it.
    """

    def __init__(self, file: bytes, source: object, threshold: float) -> None:
        self.threshold = threshold
        model, config = np.frombuffer(file, np.uint8), np.zeros(0, np.uint8)
        try:
            self._net = cv2.FaceDetectorYN.create(
                'onnx', model, config, (32, 32), threshold, _OVERLAP, _MOST
            )
        except (cv2.error, AttributeError) as error:
            raise DetectorError(
                f'OpenCV {cv2.__version__} cannot load the face detector {source}; expected YuNet '
                f'2023mar (face_detection_yunet_2023mar.onnx) and OpenCV 4.9 or newer, below 5'
            ) from error

    def rows(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Find faces, see `YuNet.rows`."""
        # In images of a single cell OpenCV finds faces that are nowhere, now and then.
        below, beside = (max(2 * _STRIDES[-1] - side, 0) for side in image.shape[:2])
        padded = cv2.copyMakeBorder(image, 0, below, 0, beside, cv2.BORDER_CONSTANT)
        self._net.setInputSize(padded.shape[1::-1])
        self._net.setScoreThreshold(self.threshold)
        _, rows = self._net.detect(padded)
        return np.zeros((0, 15)) if rows is None else rows.astype(np.float64)


class OnnxYuNet(YuNet):
    """YuNet by ONNX Runtime, on as many threads as the networks.

    Args:
        file: Content of the ONNX file.
        source: Where it comes from, for errors.
        threshold: Least score, 0..1.

    Raises:
        ImportError: onnxruntime is missing.
        DetectorError: The file takes images of one size only.
    """

    def __init__(self, file: bytes, source: object, threshold: float) -> None:
        self.threshold = threshold
        self._session = open_session(file)
        (image,) = self._session.get_inputs()
        self._input = image.name
        if isinstance(image.shape[2], int):
            raise DetectorError(f'{source} takes images of {image.shape[2]} rows only')
        self._outputs = [
            f'{kind}_{stride}' for kind in ('cls', 'obj', 'bbox', 'kps') for stride in _STRIDES
        ]

    def rows(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Find faces, see `YuNet.rows`."""
        height, width = (-(-side // _STRIDES[-1]) * _STRIDES[-1] for side in image.shape[:2])
        pixels = np.zeros((1, 3, height, width), np.float32)
        pixels[0, :, : image.shape[0], : image.shape[1]] = image.transpose(2, 0, 1)
        found = self._session.run(self._outputs, {self._input: pixels})
        classes, objects, boxes, points = (
            np.concatenate([part[0] for part in found[i : i + 3]]) for i in range(0, 12, 3)
        )
        scores = np.sqrt(np.clip(classes, 0, 1) * np.clip(objects, 0, 1))[:, 0]
        sure = np.flatnonzero(scores >= self.threshold)
        cells = _cells(height, width)[sure]
        rows = _decoded(boxes[sure], points[sure], scores[sure], cells)
        return rows[_apart(rows, self.threshold)]


def _cells(height: int, width: int) -> NDArray[np.float64]:
    """Return (M, 3): column and row of every cell of the three grids, and its stride."""
    grids = []
    for stride in _STRIDES:
        rows, columns = np.mgrid[: height // stride, : width // stride]
        strides = np.full(rows.size, stride)
        grids.append(np.stack([columns.ravel(), rows.ravel(), strides], axis=1))
    return np.concatenate(grids).astype(np.float64)


def _decoded(
    boxes: NDArray[Any], points: NDArray[Any], scores: NDArray[Any], cells: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (N, 15) rows: places are offsets from the cell, sides logarithms, all in strides."""
    place, stride = cells[:, :2], cells[:, 2:]
    center, sides = (place + boxes[:, :2]) * stride, np.exp(boxes[:, 2:]) * stride
    five = (np.tile(place, 5) + points) * stride
    return np.column_stack([center - sides / 2, sides, five, scores])


def _apart(rows: NDArray[np.float64], threshold: float) -> list[int]:
    """Return the rows, best first, without those whose boxes overlap a better one."""
    if not len(rows):
        return []
    boxes, scores = rows[:, :4].tolist(), rows[:, 14].tolist()
    kept = cv2.dnn.NMSBoxes(boxes, scores, threshold, _OVERLAP, top_k=_MOST)
    return [int(index) for index in kept]
