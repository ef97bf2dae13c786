"""Augmentation: from a labelled face to a training crop with labels that still hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from headpose_ros.geometry.crop import CropWindow
from headpose_ros.geometry.landmarks import MIRROR, can_judge_openness
from headpose_ros.geometry.rotations import mirrored
from numpy.random import Generator
from numpy.typing import NDArray

from headpose_training.data.labelled_crop import Crop, Image, cut
from headpose_training.data.samples import LabelledFace
from headpose_training.data.spoil import spoil

#: Down-sampling of the Hopenet paper's low-resolution training.
COARSE_FACTORS = (1, 6, 11, 16, 21)


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes; each probability is per crop.

    Attributes:
        roll_deg: Largest in-plane turn, degrees, either way.
        scale: Largest change of the crop's side, as a factor either way.
        shift: Largest shift of the crop over its side, either way.
        mirror: Probability of a left-right mirror.
        color: Probability of a change of gain, offset, gamma and saturation.
        gray: Probability of a grey picture.
        blur: Probability of Gaussian or motion blur.
        blur_sigma: Largest sigma of the Gaussian, in hundredths of the crop's side.
        low_resolution: Probability of down- and up-sampling by 2 to 6.
        coarse: Probability of down- and up-sampling by nearest neighbour by one of
            `COARSE_FACTORS` (Ruiz et al., CVPRW 2018, section 4.4).
        dark: Probability of twilight: little light, and the noise that comes with it.
        noise: Probability of sensor noise.
        jpeg: Probability of JPEG compression at quality 15 to 70.
        occlusion: Probability of an occluding rectangle over part of the face.
        spoilt: Probability of a crop that shows no face, a part of one, or a blur, for networks
            that tell whether there is a face.
    """

    roll_deg: float = 45.0
    scale: float = 1.25
    shift: float = 0.1
    mirror: float = 0.5
    color: float = 0.7
    gray: float = 0.1
    blur: float = 0.15
    blur_sigma: float = 2.0
    low_resolution: float = 0.15
    coarse: float = 0.0
    dark: float = 0.0
    noise: float = 0.15
    jpeg: float = 0.2
    occlusion: float = 0.25
    spoilt: float = 0.0

    def __call__(self, face: LabelledFace, window: CropWindow, size: int, rng: Generator) -> Crop:
        """Return a random crop of `size` px of a face, around its window."""
        if rng.random() < self.spoilt:
            crop = spoil(face, window, size, rng)
            return replace(crop, image=self._degraded(crop.image, rng))
        crop = cut(face, self._jittered(window, rng), size)
        if rng.random() < self.mirror:
            crop = mirror(crop)
        image, visible, openness = crop.image.copy(), crop.visible, crop.openness
        eyes = crop.eyes
        if rng.random() < self.occlusion:
            image, covers = occlude(image, rng)
            if crop.points is not None and visible is not None:
                visible = visible & ~covers(crop.points)
                openness = np.where(can_judge_openness(visible), openness, np.nan)
            eyes = eyes.hidden(covers(np.nan_to_num(eyes.iris, nan=-1.0)))
        image = self._degraded(image, rng)
        return replace(crop, image=image, visible=visible, openness=openness, eyes=eyes)

    def _jittered(self, window: CropWindow, rng: Generator) -> CropWindow:
        dx, dy = rng.uniform(-self.shift, self.shift, 2) * window.side
        side = window.side * self.scale ** rng.uniform(-1, 1)
        # Most photographs are upright and so are most cameras: normal, cut at the limit.
        roll = np.clip(rng.normal(0, self.roll_deg / 2), -self.roll_deg, self.roll_deg)
        return CropWindow(
            window.center_x + dx, window.center_y + dy, side, window.angle + np.radians(roll)
        )

    def _degraded(self, image: Image, rng: Generator) -> Image:
        steps = (
            (self.color, change_color),
            (self.gray, to_gray),
            (self.blur, lambda picture, rng: blur(picture, rng, self.blur_sigma)),
            (self.low_resolution, lower_resolution),
            (self.coarse, coarsen),
            (self.dark, to_twilight),
            (self.noise, add_noise),
            (self.jpeg, compress),
        )
        for probability, step in steps:
            if rng.random() < probability:
                image = step(image, rng)
        return image


def mirror(crop: Crop) -> Crop:
    """Return the left-right mirrored crop, with landmarks swapped to their partners."""
    return Crop(
        image=np.ascontiguousarray(crop.image[:, ::-1]),
        points=None if crop.points is None else mirrored_landmarks(crop.points, 1.0),
        rotation=None if crop.rotation is None else mirrored(crop.rotation),
        visible=None if crop.visible is None else crop.visible[MIRROR],
        depth=None if crop.depth is None else crop.depth[MIRROR],
        openness=crop.openness[[1, 0, 2]],
        eyes=crop.eyes.mirrored(),
        weight=crop.weight[MIRROR],
        face=crop.face,
    )


def occlude(
    image: Image, rng: Generator
) -> tuple[Image, Callable[[NDArray[np.float64]], NDArray[np.bool_]]]:
    """Cover a random turned rectangle.

    Returns:
        The image, and a function that tells which of (N, 2) points in [0, 1] are covered.
    """
    size = image.shape[0]
    center = rng.uniform(0.15, 0.85, 2) * size
    extent = rng.uniform(0.12, 0.5, 2) * size
    angle = rng.uniform(0, 180)
    corners = cv2.boxPoints((center.tolist(), extent.tolist(), angle)).astype(np.int32)
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, corners, 255)
    image[mask > 0] = _occluder_texture(image, rng)[mask > 0]

    def covers(points: NDArray[np.float64]) -> NDArray[np.bool_]:
        x, y = np.clip(np.rint(points * size - 0.5).astype(int), 0, size - 1).T
        return mask[y, x] > 0

    return image, covers


def _occluder_texture(image: Image, rng: Generator) -> Image:
    if rng.random() < 0.5:
        return np.full_like(image, rng.integers(0, 256, 3))
    cells = rng.integers(0, 256, (rng.integers(2, 9), rng.integers(2, 9), 3), dtype=np.uint8)
    return _image(cv2.resize(cells, image.shape[1::-1], interpolation=cv2.INTER_CUBIC))


def change_color(image: Image, rng: Generator) -> Image:
    """Change gain, offset, gamma, and mix with grey (saturation)."""
    values = np.arange(256) / 255.0
    tables = []
    gamma, gain, offset = rng.uniform(0.6, 1.7), rng.uniform(0.6, 1.3), rng.uniform(-0.15, 0.15)
    for tint in rng.uniform(0.9, 1.1, 3):
        tables.append(np.clip(values**gamma * gain * tint + offset, 0, 1) * 255)
    table = np.stack(tables, axis=1)[:, None].astype(np.uint8)
    changed = _image(cv2.LUT(image, table))
    saturation = rng.uniform(0.3, 1.4)
    return _image(cv2.addWeighted(changed, saturation, to_gray(changed, rng), 1 - saturation, 0))


def to_gray(image: Image, rng: Generator) -> Image:
    """Return the grey picture in three channels."""
    return _image(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR))


def blur(image: Image, rng: Generator, largest: float) -> Image:
    """Blur by a Gaussian, or along a line as a moving head does.

    Args:
        image: uint8 (S, S, 3).
        rng: Source of chance.
        largest: Largest sigma, in hundredths of the crop's side.
    """
    if rng.random() < 0.5:
        return _image(
            cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, largest) * image.shape[0] / 100)
        )
    length = int(rng.integers(3, 10))
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1.0 / length
    center = ((length - 1) / 2, (length - 1) / 2)
    turn = cv2.getRotationMatrix2D(center, rng.uniform(0, 180), 1.0)
    turned = np.asarray(cv2.warpAffine(kernel, turn, (length, length)), np.float32)
    return _image(cv2.filter2D(image, -1, turned / max(float(turned.sum()), 1e-6)))


def lower_resolution(image: Image, rng: Generator) -> Image:
    """Down-sample by 2 to 6 and back up, each with a random interpolation."""
    size = image.shape[0]
    small = max(int(size / rng.uniform(2, 6)), 8)
    down, up = rng.choice([cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_AREA], 2)
    shrunk = cv2.resize(image, (small, small), interpolation=int(down))
    return _image(cv2.resize(shrunk, (size, size), interpolation=int(up)))


def coarsen(image: Image, rng: Generator) -> Image:
    """Down- and up-sample by one of :data:`COARSE_FACTORS`, by nearest neighbour."""
    return thinned(image, int(rng.choice(COARSE_FACTORS)))


def thinned(image: Image, factor: int) -> Image:
    """Return a square image with its pixels thinned out by a factor, at its old size.

    Args:
        image: uint8 (S, S, 3).
        factor: One pixel is left of a square of this side.
    """
    size = image.shape[0]
    small = (max(round(size / factor), 1),) * 2
    shrunk = cv2.resize(image, small, interpolation=cv2.INTER_NEAREST_EXACT)
    return _image(cv2.resize(shrunk, (size, size), interpolation=cv2.INTER_NEAREST_EXACT))


def to_twilight(image: Image, rng: Generator) -> Image:
    """Leave a third to a sixteenth of the light, with noise of 1 to 7 grey levels."""
    return noisy(image / rng.uniform(3, 16), rng, rng.uniform(1, 7))


def add_noise(image: Image, rng: Generator) -> Image:
    """Add Gaussian noise of 2 to 15 grey levels."""
    return noisy(image, rng, rng.uniform(2, 15))


def noisy(image: NDArray[Any], rng: Generator, level: float) -> Image:
    """Return a picture of any numbers with Gaussian noise of `level` grey levels, as uint8."""
    return np.clip(image + rng.normal(0, level, image.shape), 0, 255).astype(np.uint8)


def compress(image: Image, rng: Generator) -> Image:
    """Compress as JPEG and decompress."""
    quality = int(rng.integers(15, 71))
    _, data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return _image(cv2.imdecode(data, cv2.IMREAD_COLOR))


def _image(pixels: Any) -> Image:
    """Return what OpenCV gives as the picture that it is; its annotations promise any number."""
    return np.asarray(pixels, np.uint8)


def mirrored_landmarks(points: NDArray[np.float64], right: float) -> NDArray[np.float64]:
    """Return the landmarks (68, 2) of the mirror image of a picture whose x ends at `right`."""
    return np.asarray(points[MIRROR] * [-1.0, 1.0] + [right, 0.0])
