"""Face detection: a small base class, and YuNet."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from headpose_ros.foreign_files import FileError, user_path
from headpose_ros.geometry.crop import LANDMARK_BOX_MARGIN, CropWindow, apply_affine, invert_affine
from headpose_ros.parameter import parameter
from headpose_ros.perception.yunet import DetectorError, load_yunet

#: Of an image, counter-clockwise; upright first.
ALL_TURNS = (0, 1, 2, 3)
#: YuNet's file of March 2023 for images of any size; docs/NOTICE.md has its terms.
_YUNET = Path(__file__).with_name('yunet_2023mar.onnx')

# Where YuNet's box lies against the box of the 68 landmarks, in sides of the former, measured on
# 400 HELEN training photographs: centre 0.117 +- 0.026 lower, side 0.814 +- 0.055.
_YUNET_DOWN = 0.117
_YUNET_SIDE = 0.814
_SMALLEST_FACE = 4.0  # px of the image that YuNet sees


@dataclass(frozen=True)
class DetectionOptions:
    """How faces are found."""

    model: str = parameter(
        '',
        "YuNet's ONNX file; empty for the one in this package.",
        read_only=True,
        former='detector_model',
    )
    threshold: float = parameter(
        0.6,
        'Least score of a detected face.',
        minimum=0.05,
        maximum=0.99,
        former='detector_threshold',
    )


@dataclass(frozen=True)
class Detection:
    """A face that a detector found.

    Attributes:
        box: float64 (4,) x, y, w, h px, axis-parallel; it may reach beyond the image.
        window: The crop that a network should see first.
        confidence: 0..1.
    """

    box: NDArray[np.float64]
    window: CropWindow
    confidence: float


class Detector(ABC):
    """Finds faces in an image."""

    @abstractmethod
    def detect(
        self, image: NDArray[np.uint8], quarter_turns: Sequence[int] = ALL_TURNS
    ) -> list[Detection]:
        """Find faces.

        Args:
            image: uint8 (H, W, 3) BGR.
            quarter_turns: How often the image may be turned counter-clockwise to find any: tried
                in this order until a face is found.

        Returns:
            The faces, best first.
        """

    @abstractmethod
    def require(self, confidence: float) -> None:
        """Set the least confidence, 0..1, of faces from the next image on."""


class YuNetDetector(Detector):
    """YuNet, see `perception.yunet`.

    Its recall drops beyond about 45° of roll, so an image in which nothing is found is tried
    again, turned.

    Args:
        model: Path of the ONNX file; empty for the one in this package.
        score_threshold: Least confidence, 0..1.
        max_side: Images are shrunk to this larger side, px: faces of a twentieth of it are found.

    Raises:
        DetectorError: No model file, or OpenCV cannot read it.
    """

    def __init__(
        self,
        model: str = DetectionOptions.model,
        score_threshold: float = DetectionOptions.threshold,
        max_side: int = 480,
    ) -> None:
        self._net = load_yunet(find_yunet(model), score_threshold, ours=not model)
        self.max_side = max_side

    def detect(
        self, image: NDArray[np.uint8], quarter_turns: Sequence[int] = ALL_TURNS
    ) -> list[Detection]:
        """Find faces, see `Detector.detect`."""
        scale = min(self.max_side / max(image.shape[:2]), 1.0)
        if min(image.shape[:2]) * scale < _SMALLEST_FACE:
            return []
        small = _shrunk(image, scale)
        for turns in quarter_turns:
            rows = self._rows(np.ascontiguousarray(np.rot90(small, turns)))
            if len(rows):
                to_image = _quarter_turn_to_image(turns, small.shape[1::-1], scale)
                found = [_detection(row, to_image) for row in rows]
                return sorted(found, key=lambda d: d.confidence, reverse=True)
        return []

    def require(self, confidence: float) -> None:
        """Set the least confidence, 0..1, of faces from the next image on."""
        self._net.threshold = confidence

    def _rows(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        return _plausible(self._net.rows(image), image.shape)


def _shrunk(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    if scale == 1.0:
        return image
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def find_yunet(model: str = '') -> Path:
    """Return the path of YuNet's ONNX file.

    Args:
        model: A path, or empty for the file in this package.

    Raises:
        DetectorError: There is no such file.
    """
    try:
        path = user_path(model) if model else _YUNET
    except FileError as error:
        raise DetectorError(f'{model} (parameter detection.model): {error}') from error
    if not path.is_file():
        raise DetectorError(f'no face detector model at {path} (parameter detection.model)')
    return path


def _plausible(rows: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the (N, 15) rows whose boxes a face in an image of this shape can have.

    On images a few pixels wide YuNet gives boxes of no size at astronomical places.
    """
    rows = rows[np.isfinite(rows).all(axis=1)]
    center, sides = rows[:, :2] + rows[:, 2:4] / 2, rows[:, 2:4]
    limit = np.array(shape[1::-1])
    inside = ((center >= 0) & (center <= limit)).all(axis=1)
    sized = ((sides >= _SMALLEST_FACE) & (sides <= 2 * limit.max())).all(axis=1)
    return rows[inside & sized]


def _quarter_turn_to_image(
    quarter_turns: int, size: tuple[int, int], scale: float
) -> NDArray[np.float64]:
    """Return the (2, 3) map from px of np.rot90(small, quarter_turns) to px of the full image."""
    width, height = size
    # np.rot90 turns counter-clockwise: a pixel of the turned copy at (u, v) comes from (x, y).
    to_small = {
        0: [[1, 0, 0], [0, 1, 0]],
        1: [[0, -1, width - 1], [1, 0, 0]],
        2: [[-1, 0, width - 1], [0, -1, height - 1]],
        3: [[0, 1, 0], [-1, 0, height - 1]],
    }[quarter_turns]
    shrink = np.array([[scale, 0, 0.5 * scale - 0.5], [0, scale, 0.5 * scale - 0.5]])
    enlarge = invert_affine(shrink)
    linear = enlarge[:, :2] @ np.array(to_small, np.float64)
    linear[:, 2] += enlarge[:, 2]
    return linear


def _detection(row: NDArray[np.float64], to_image: NDArray[np.float64]) -> Detection:
    """Turn a row of YuNet (box, right eye, left eye, nose, mouth corners, score) round."""
    x, y, w, h = row[:4]
    corners = apply_affine(to_image, [[x, y], [x + w, y], [x, y + h], [x + w, y + h]])
    low, high = corners.min(axis=0), corners.max(axis=0)
    side = float((high - low).max())
    right_eye, left_eye = apply_affine(to_image, row[4:8].reshape(2, 2))
    roll = float(np.arctan2(left_eye[1] - right_eye[1], left_eye[0] - right_eye[0]))
    down = side * _YUNET_DOWN * np.array([-np.sin(roll), np.cos(roll)])
    center = (low + high) / 2 + down
    window = CropWindow(
        float(center[0]), float(center[1]), side * _YUNET_SIDE * LANDMARK_BOX_MARGIN, roll
    )
    return Detection(np.concatenate([low, high - low]), window, float(np.clip(row[14], 0, 1)))
