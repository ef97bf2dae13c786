"""What is behind a face."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from headpose_training.synthesis.appearance.light import SHAPE, Light
from headpose_training.synthesis.camera import Camera

Float = NDArray[np.float32]


@dataclass(frozen=True)
class BackgroundConfig:
    """What is behind faces.

    Attributes:
        varied: Off gives a plain grey.
        clutter: Share of backgrounds with shapes before the surroundings.
        sharp: Share of backgrounds in focus.
    """

    varied: bool = True
    clutter: float = 0.75
    sharp: float = 0.3


def sample_background(
    rng: Generator, config: BackgroundConfig, camera: Camera, light: Light
) -> Float:
    """Draw a background.

    Returns:
        (B, B, 3) float32 radiance RGB over the whole picture; fewer pixels than that has where
        nothing is sharp.
    """
    if not config.varied:
        return np.tile((0.18 / light.exposure).astype(np.float32), (2, 2, 1))
    sharp, cluttered = rng.random(2) < (config.sharp, config.clutter)
    sigma = 0.0 if sharp else float(np.exp(rng.uniform(np.log(1.0), np.log(12.0))))
    # Of what will be blurred a part of the pixels tells all.
    part = 1 if sigma < 2.0 else 2 if sigma < 5.0 else 4
    side = camera.size // part
    picture = surroundings(camera, light, side)
    if cluttered:
        picture = _clutter(rng, picture)
    if sigma:
        width = sigma * side / 256
        blurred = cv2.GaussianBlur(picture, (0, 0), width, borderType=cv2.BORDER_REPLICATE)
        picture = np.asarray(blurred, np.float32)
    return picture


def surroundings(camera: Camera, light: Light, side: int) -> Float:
    """Return (side, side, 3) radiance of the panorama behind the head."""
    small = 48
    index = (np.arange(small) + 0.5) * camera.size / small - 0.5
    pixels = np.stack(np.meshgrid(index, index), axis=-1).reshape(-1, 2)
    x, y, z = camera.rays(pixels).T
    column = (np.arctan2(x, z) / (2 * np.pi) + 0.5) * SHAPE[1] - 0.5
    row = (0.5 - np.arcsin(np.clip(-y, -1, 1)) / np.pi) * SHAPE[0] - 0.5
    shape = (small, small)
    seen = cv2.remap(
        light.panorama,
        column.reshape(shape).astype(np.float32),
        row.reshape(shape).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )
    large = cv2.resize(seen, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.maximum(large, 0.0).astype(np.float32, copy=False)


def _clutter(rng: Generator, picture: Float) -> Float:
    """Set things before the surroundings: a wall's texture, furniture, foliage, far lights."""
    level = float(picture.mean())
    kind = rng.random()
    if kind < 0.45:
        picture = picture * _clouds(rng, picture.shape[0], rng.uniform(0.05, 0.35))
    elif kind < 0.6:
        return _foliage(rng, picture, level)
    elif kind < 0.72:
        return _lights(rng, picture, level)
    for _ in range(rng.integers(1, 14)):
        _shape(rng, picture, level)
    return picture


def _shape(rng: Generator, picture: Float, level: float) -> None:
    size = picture.shape[0]
    color = [float(c) for c in _color(rng, level)]
    center = rng.uniform(-0.1, 1.1, 2) * size
    extent = size * np.exp(rng.uniform(np.log(0.04), np.log(0.8), 2))
    kind = rng.random()
    if kind < 0.5:
        box = cv2.boxPoints((center.tolist(), extent.tolist(), _angle(rng)))
        cv2.fillConvexPoly(picture, box.astype(np.int32), color, cv2.LINE_AA)
    elif kind < 0.62:
        axes = (extent / 2).astype(int).tolist()
        cv2.ellipse(picture, center.astype(int).tolist(), axes, _angle(rng), 0, 360, color, -1)
    elif kind < 0.8:
        end = (center + rng.normal(0, size, 2)).astype(int).tolist()
        cv2.line(picture, center.astype(int).tolist(), end, color, int(rng.integers(1, 12)))
    else:
        _stripes(rng, picture, color)


def _color(rng: Generator, level: float) -> NDArray[np.float64]:
    gaudy = rng.choice([3.0, 12.0, 60.0], p=[0.2, 0.4, 0.4])
    return level * np.exp(rng.normal(-0.2, 0.9)) * rng.dirichlet([gaudy] * 3) * 3


def _foliage(rng: Generator, picture: Float, level: float) -> Float:
    """Two colours by a noise of leaf size, with the surroundings in the gaps."""
    size = picture.shape[0]
    cells = int(rng.integers(8, 60))
    leaves = cv2.resize(rng.random((cells, cells), np.float32), (size, size))
    tone = cv2.resize(rng.random((2 * cells, 2 * cells), np.float32), (size, size))[..., None]
    green = np.array([0.6, 1.0, 0.35]) if rng.random() < 0.6 else _color(rng, 1.0)
    color = (green * level * (0.15 + 1.2 * tone)).astype(np.float32)
    return np.where(leaves[..., None] > rng.uniform(0.2, 0.6), color, picture)


def _lights(rng: Generator, picture: Float, level: float) -> Float:
    """Discs of light, as lamps out of focus are."""
    picture = picture * rng.uniform(0.2, 1.0)
    size = picture.shape[0]
    radius = size * rng.uniform(0.01, 0.07)
    for _ in range(rng.integers(5, 40)):
        center = (rng.random(2) * size).astype(int).tolist()
        disc = int(radius * rng.uniform(0.7, 1.3)) + 1
        color = [float(c) for c in _color(rng, 4.0 * level)]
        cv2.circle(picture, center, disc, color, -1, cv2.LINE_AA)
    return picture


def _angle(rng: Generator) -> float:
    return float(rng.uniform(0, 180)) if rng.random() < 0.4 else float(rng.normal(0, 3))


def _stripes(rng: Generator, picture: Float, color: list[float]) -> None:
    size = picture.shape[0]
    gap, thick = rng.integers(6, 40), rng.integers(1, 8)
    low, high = np.sort(rng.integers(0, size, 2))
    upright = rng.random() < 0.6
    for at in range(int(rng.integers(0, gap)), size, int(gap)):
        part = picture[low:high, at : at + thick] if upright else picture[at : at + thick, low:high]
        part[...] = color


def _clouds(rng: Generator, size: int, contrast: float) -> Float:
    """Return (S, S, 1) factors about 1 with structure at all scales."""
    total = np.zeros((size, size), np.float32)
    for cells in (3, 7, 17, 41, 97):
        noise = rng.standard_normal((cells, cells), np.float32) / cells**0.5
        total += cv2.resize(noise, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.exp(contrast * total)[..., None]
