"""What one labelled face is, whatever dataset it came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from headpose_ros.geometry.landmarks import bounding_box
from numpy.typing import NDArray

from headpose_training.errors import TrainingError


@dataclass(frozen=True)
class LabelledFace:
    """One labelled face of an image; labels that its dataset does not have are None.

    Attributes:
        name: Name of the face, for reports: the image's name within its dataset.
        file: The image. It is read when it is needed: large datasets do not fit into memory.
        landmarks: (68, 2) float64 px, iBUG-68 order, pixel centres at integers.
        rotation: (3, 3) camera-aligned rotation (see `headpose_ros.geometry.rotations`).
        visible: (68,) bool, as annotated.
        depth: (68,) float64, depth of the landmarks in px of the image, larger is farther, zero
            at their mean.
        openness: (3,) float64 of the person's right eye, left eye and mouth, as in
            `headpose_ros.perception.faces.Face`; NaN where unknown.
        reliability: (68,) float64 in 0..1: how far each landmark's label is to be relied on, where
            teachers made the labels.
        gaze: (2, 3) float64 unit directions of sight in camera-aligned axes (x right, y down, z
            away from the camera), the person's right eye first; NaN where unknown.
        iris: (2, 2) float64 px of the iris centres, the same order; NaN where unknown.
        iris_visible: (2,) whether each centre is seen.
        annotated_box: (4,) x, y, w, h px of the face box that the dataset comes with.
    """

    name: str
    file: Path
    landmarks: NDArray[np.float64] | None = None
    rotation: NDArray[np.float64] | None = None
    visible: NDArray[np.bool_] | None = None
    depth: NDArray[np.float64] | None = None
    openness: NDArray[np.float64] | None = None
    gaze: NDArray[np.float64] | None = None
    iris: NDArray[np.float64] | None = None
    iris_visible: NDArray[np.bool_] | None = None
    annotated_box: NDArray[np.float64] | None = None
    reliability: NDArray[np.float64] | None = None

    def read_image(self) -> NDArray[np.uint8]:
        """Return the image, uint8 (H, W, 3) BGR.

        Raises:
            TrainingError: The file is missing or broken.
        """
        # Labels were made on the pixels as they are stored, whatever EXIF says about turning.
        image = cv2.imread(str(self.file), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if image is None:
            raise TrainingError(f'{self.file} is missing or is not an image that OpenCV reads')
        return np.asarray(image, np.uint8)

    @property
    def box(self) -> NDArray[np.float64]:
        """Return (4,) x, y, w, h px of the face: around the landmarks, else as annotated."""
        if self.landmarks is not None:
            return bounding_box(self.landmarks)
        if self.annotated_box is None:
            raise TrainingError(f'{self.name} has neither landmarks nor a box to crop by')
        return self.annotated_box
