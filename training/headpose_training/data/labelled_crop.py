"""A network's input with its labels, cut out of a labelled face's image."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from headpose_ros.geometry.crop import CropWindow, apply_affine
from headpose_ros.geometry.landmarks import COUNT
from headpose_ros.geometry.rotations import in_plane
from headpose_ros.perception.crop import cut as cut_pixels
from numpy.typing import NDArray

from headpose_training.data.samples import LabelledFace

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Eyes:
    """Labels of both eyes in a crop, the person's right one first; NaN where unknown.

    Attributes:
        gaze: (2, 3) unit directions of sight in camera-aligned axes of the crop.
        iris: (2, 2) centres of the irises in the crop, x and y in [0, 1].
        seen: (2,) 1 where the centre of the iris is seen, 0 where not.
    """

    gaze: NDArray[np.float64] = field(default_factory=lambda: np.full((2, 3), np.nan))
    iris: NDArray[np.float64] = field(default_factory=lambda: np.full((2, 2), np.nan))
    seen: NDArray[np.float64] = field(default_factory=lambda: np.full(2, np.nan))

    def mirrored(self) -> Eyes:
        """Return the labels of the left-right mirrored crop."""
        return Eyes(
            self.gaze[::-1] * [-1.0, 1.0, 1.0],
            self.iris[::-1] * [-1.0, 1.0] + [1.0, 0.0],
            self.seen[::-1].copy(),
        )

    def hidden(self, which: NDArray[np.bool_]) -> Eyes:
        """Return the labels where (2,) some eyes are covered."""
        gaze, iris = (np.where(which[:, None], np.nan, part) for part in (self.gaze, self.iris))
        return Eyes(gaze, iris, np.where(which & ~np.isnan(self.seen), 0.0, self.seen))


@dataclass(frozen=True)
class Crop:
    """One network input with its labels.

    Attributes:
        image: uint8 (S, S, 3) BGR.
        points: (68, 2) landmarks in the crop, x and y in [0, 1] as in `NetworkOutputs.points`;
            or None.
        rotation: (3, 3) camera-aligned rotation of the head in the crop; or None.
        visible: (68,) bool: inside the crop and not behind an occluder, nor hidden by annotation;
            None without landmarks. Self-occlusion is added by the dataset, which knows the head.
        depth: (68,) depth over the crop's side, larger is farther; or None.
        openness: (3,) right eye, left eye, mouth; NaN where unknown or hidden.
        eyes: What is known of both eyes.
        weight: (68,) in 0..1: how far each landmark's label is to be relied on.
        face: Whether a whole face can be recognised; the other labels are void where not.
    """

    image: Image
    points: NDArray[np.float64] | None
    rotation: NDArray[np.float64] | None
    visible: NDArray[np.bool_] | None
    depth: NDArray[np.float64] | None = None
    openness: NDArray[np.float64] = field(default_factory=lambda: np.full(3, np.nan))
    eyes: Eyes = field(default_factory=lambda: Eyes())
    weight: NDArray[np.float64] = field(default_factory=lambda: np.ones(COUNT))
    face: bool = True


def cut(face: LabelledFace, window: CropWindow, size: int) -> Crop:
    """Cut a window out of a face's image; the labels turn with it.

    Raises:
        TrainingError: The image is missing or broken.
    """
    pixels = cut_pixels(face.read_image(), window, size)
    rotation = None if face.rotation is None else in_plane(-window.angle) @ face.rotation
    depth = None if face.depth is None else face.depth / window.side
    openness = np.full(3, np.nan) if face.openness is None else face.openness
    eyes = _eyes(face, window, size)
    weight = np.ones(COUNT) if face.reliability is None else face.reliability
    if face.landmarks is None:
        return Crop(pixels, None, rotation, None, depth, openness, eyes)
    points = (apply_affine(window.to_crop(size), face.landmarks) + 0.5) / size
    visible = np.all((points > 0) & (points < 1), axis=1)
    if face.visible is not None:
        visible &= face.visible
    return Crop(pixels, points, rotation, visible, depth, openness, eyes, weight)


def _eyes(face: LabelledFace, window: CropWindow, size: int) -> Eyes:
    none = Eyes()
    gaze, iris, seen = none.gaze, none.iris, none.seen
    if face.gaze is not None:
        gaze = face.gaze @ in_plane(-window.angle).T
    if face.iris is not None:
        iris = (apply_affine(window.to_crop(size), face.iris) + 0.5) / size
    if face.iris_visible is not None:
        seen = face.iris_visible.astype(np.float64)
    return Eyes(gaze, iris, seen).hidden(np.any((iris < 0) | (iris > 1), axis=1))
