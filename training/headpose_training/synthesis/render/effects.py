"""What lens, sensor and compression do to a picture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from headpose_training.data.augment import compress, lower_resolution

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class EffectsConfig:
    """How often the picture suffers.

    Attributes:
        enabled: Off leaves the picture clean.
        defocus: Share of pictures out of focus.
        motion: Share with motion blur.
        low_resolution: Share taken with far fewer pixels.
        noise: Share with visible noise; dark scenes have it always.
        jpeg: Share with strong compression.
        tint: Spread of the white balance: logarithm of the channels' gains.
    """

    enabled: bool = True
    defocus: float = 0.15
    motion: float = 0.10
    low_resolution: float = 0.10
    noise: float = 0.5
    jpeg: float = 0.25
    tint: float = 0.04


@dataclass(frozen=True)
class Effects:
    """What happens to one picture; zero is nothing.

    Attributes:
        defocus: Sigma in px of a picture of 256 px.
        motion: Length and direction (px of a picture of 256 px, radians) of the motion blur.
        vignette: How much darker the corners are, 0..1.
        gains: Of blue, green and red.
        shot: Noise that grows with the root of the light: grey levels at white.
        read: Noise that is everywhere, grey levels.
        coarse: Whether the resolution is lowered.
        jpeg: Whether the picture is compressed hard.
        seed: Of the noise.
    """

    defocus: float
    motion: tuple[float, float]
    vignette: float
    gains: tuple[float, float, float]
    shot: float
    read: float
    coarse: bool
    jpeg: bool
    seed: int


def sample_effects(rng: Generator, config: EffectsConfig, dark: float, grey: bool) -> Effects:
    """Draw what happens to a picture.

    Args:
        rng: Source of randomness.
        config: How often the picture suffers.
        dark: How dark the scene is, 0..1.
        grey: Whether the sensor sees no colours.
    """
    chances, seed = rng.random(6), int(rng.integers(2**63))
    noisy = dark + (rng.gamma(1.5, 0.15) if chances[0] < config.noise else 0.0)
    gains = np.exp(rng.normal(0.0, config.tint, 3) * (not grey))
    effects = Effects(
        defocus=float(rng.uniform(0.5, 2.5)) if chances[1] < config.defocus else 0.0,
        motion=_motion(rng) if chances[2] < config.motion else (0.0, 0.0),
        vignette=float(rng.uniform(0.0, 0.5)) if chances[3] < 0.3 else 0.0,
        gains=(float(gains[0]), float(gains[1]), float(gains[2])),
        shot=float(14.0 * noisy),
        read=float(7.0 * noisy),
        coarse=bool(chances[4] < config.low_resolution),
        jpeg=bool(chances[5] < config.jpeg),
        seed=seed,
    )
    return effects if config.enabled else _nothing(seed)


def _motion(rng: Generator) -> tuple[float, float]:
    return float(rng.uniform(3.0, 16.0)), float(rng.uniform(0.0, np.pi))


def _nothing(seed: int) -> Effects:
    return Effects(0.0, (0.0, 0.0), 0.0, (1.0, 1.0, 1.0), 0.0, 0.0, False, False, seed)


def apply(effects: Effects, image: Image) -> Image:
    """Return the picture, uint8 (S, S, 3) BGR, as a camera would give it."""
    rng = np.random.default_rng(effects.seed)
    size = image.shape[0]
    image = _tinted(image, effects)
    if effects.defocus:
        blurred = cv2.GaussianBlur(image, (0, 0), effects.defocus * size / 256)
        image = np.asarray(blurred, np.uint8)
    if effects.motion[0]:
        image = _smeared(image, effects.motion[0] * size / 256, effects.motion[1])
    if effects.coarse:
        image = lower_resolution(image, rng)
    if effects.shot or effects.read:
        image = _noisy(image, effects, rng)
    return compress(image, rng) if effects.jpeg else image


def _tinted(image: Image, effects: Effects) -> Image:
    levels = np.arange(256)[:, None] * np.array(effects.gains)
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    tinted = np.asarray(cv2.LUT(image, table[:, None]), np.uint8)
    if not effects.vignette:
        return tinted
    line = np.linspace(-1, 1, image.shape[0], dtype=np.float32) ** 2
    fall = 1.0 - effects.vignette * 0.5 * (line[:, None] + line[None])
    return np.asarray(cv2.multiply(tinted, cv2.merge([fall] * 3), dtype=cv2.CV_8U), np.uint8)


def _smeared(image: Image, length: float, angle: float) -> Image:
    side = int(np.ceil(length)) | 1
    kernel = np.zeros((side, side), np.float32)
    middle, reach = side // 2, np.array([np.cos(angle), np.sin(angle)]) * length / 2
    start, end = ((middle - reach) * 16).astype(int), ((middle + reach) * 16).astype(int)
    cv2.line(kernel, start.tolist(), end.tolist(), 1.0, 1, cv2.LINE_AA, 4)
    kernel[middle, middle] = max(kernel[middle, middle], 0.5)
    kernel /= kernel.sum()
    smeared = cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(smeared, np.uint8)


def _noisy(image: Image, effects: Effects, rng: Generator) -> Image:
    """Add noise; its spread in grey levels is found in a table by the pixel's level."""
    level = np.arange(256) / 255.0
    spread = np.sqrt(effects.read**2 + effects.shot**2 * level).astype(np.float32)
    noise = cv2.multiply(_noise(image.shape[0], rng), cv2.LUT(image, spread))
    return np.asarray(cv2.add(image, noise, dtype=cv2.CV_8U), np.uint8)


def _noise(size: int, rng: Generator) -> NDArray[np.float32]:
    """Return (S, S, 3) normal noise: a part of a larger field that is drawn once."""
    row, column = rng.integers(0, size, 2)
    return np.ascontiguousarray(_field(2 * size)[row : row + size, column : column + size])


@lru_cache(maxsize=2)
def _field(size: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((size, size, 3), np.float32)
