"""Light: a panorama of the surroundings, the lamps in it, and one lamp that casts shadows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from headpose_training.errors import TrainingError

Array = NDArray[np.float64]

#: Rows and columns of a panorama.
SHAPE = (32, 64)
#: Lamps that give highlights and catch-lights.
LAMPS = 4
#: Transfer of a cosine lobe for the three bands of spherical harmonics, over pi (Ramamoorthi,
#: Hanrahan: An Efficient Representation for Irradiance Environment Maps, SIGGRAPH 2001).
_COSINE = np.array([1.0, *[2 / 3] * 3, *[1 / 4] * 5])


@dataclass(frozen=True)
class LightConfig:
    """Which light there is.

    Attributes:
        varied: Off gives every face the same soft light from the front.
        dark: Share of scenes with little light: a noisy picture.
        infrared: Share of scenes with the grey look of infra-red cameras with their own lamp.
        panoramas: Folder of .hdr files that half of the scenes are lit by, or None.
        place: One of `PLACES` for all scenes by day; empty for all of them in turn.
    """

    varied: bool = True
    dark: float = 0.08
    infrared: float = 0.07
    panoramas: Path | None = None
    place: str = ''


@dataclass(frozen=True)
class Light:
    """The light of one scene, directions in the optical frame (x right, y down, z away).

    Attributes:
        harmonics: (9, 3) linear RGB; with the basis of :func:`basis` it gives the irradiance over
            pi of a surface with that normal, without the key light.
        lamps: (LAMPS, 7): direction towards it (3), sharpness of its spherical Gaussian, RGB.
        key: (3,) unit direction towards the lamp that casts shadows.
        key_color: (3,) irradiance over pi that it gives a surface that faces it.
        softness: Width of the shadows' borders in metres.
        exposure: (3,) factors from RGB radiance to the tone curve: brightness and white balance.
        infrared: Whether the picture is grey, lit from the camera.
        dark: How dark the scene is, 0 to 1: the noise of the picture follows it.
        panorama: (H, W, 3) float32 radiance in the optical frame's directions, for the background.
    """

    harmonics: Array
    lamps: Array
    key: Array
    key_color: Array
    softness: float
    exposure: Array
    infrared: bool
    dark: float
    panorama: NDArray[np.float32]


def sample_light(rng: Generator, config: LightConfig, files: tuple[Path, ...] = ()) -> Light:
    """Draw the light of a scene.

    Raises:
        TrainingError: A panorama file is broken.
    """
    if not config.varied:
        return _light(rng, *_studio(np.random.default_rng(1)), tilt=0.0, dark=0.0, infrared=False)
    kind = rng.random()
    tilt = float(rng.normal(0.0, 0.12))
    if kind < config.infrared:
        return _light(rng, *_infrared(rng), tilt=tilt, dark=rng.uniform(0.0, 0.6), infrared=True)
    if kind < config.infrared + config.dark:
        return _light(rng, *_night(rng), tilt=tilt, dark=rng.uniform(0.3, 1.0), infrared=False)
    if files and rng.random() < 0.5:
        panorama = read_panorama(files[rng.integers(len(files))])
        rolled = np.roll(panorama, rng.integers(SHAPE[1]), axis=1)
        return _light(rng, *_found(rolled), tilt=tilt, dark=0.0, infrared=False)
    drawn = str(rng.choice(list(PLACES), p=_SHARES))
    place = PLACES[config.place or drawn]
    return _light(rng, *place(rng), tilt=tilt, dark=0.0, infrared=False)


def panorama_files(folder: Path | None) -> tuple[Path, ...]:
    """Return the sorted .hdr files of a folder.

    Raises:
        TrainingError: There are none.
    """
    if folder is None:
        return ()
    files = tuple(sorted(folder.glob('*.hdr')))
    if not files:
        raise TrainingError(f'{folder} has no .hdr files: give a folder of panoramas, or none')
    return files


@lru_cache(maxsize=64)
def read_panorama(file: Path) -> NDArray[np.float32]:
    """Return an equirectangular .hdr file as a panorama (32, 64, 3) RGB, mean luminance 1."""
    image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype != np.float32:
        raise TrainingError(f'{file} is not a Radiance .hdr picture: remove it or get it anew')
    small = np.asarray(
        cv2.resize(image[..., 2::-1], SHAPE[::-1], interpolation=cv2.INTER_AREA), np.float32
    )
    return small / max(float((small * weights()[..., None]).sum()) / 3, 1e-6)


@lru_cache(maxsize=1)
def directions() -> Array:
    """Return (32, 64, 3) unit directions of a panorama's pixels; its middle is along +z."""
    elevation = np.pi * (0.5 - (np.arange(SHAPE[0]) + 0.5) / SHAPE[0])[:, None]
    azimuth = 2 * np.pi * ((np.arange(SHAPE[1]) + 0.5) / SHAPE[1] - 0.5)[None]
    level = np.cos(elevation)
    return np.stack(
        [
            level * np.sin(azimuth),
            np.broadcast_to(-np.sin(elevation), SHAPE),
            level * np.cos(azimuth),
        ],
        axis=-1,
    )


@lru_cache(maxsize=1)
def weights() -> Array:
    """Return (32, 64) the share of the sphere of each pixel; they sum up to 1."""
    area = np.cos(np.pi * (0.5 - (np.arange(SHAPE[0]) + 0.5) / SHAPE[0]))
    return np.broadcast_to((area / area.sum() / SHAPE[1])[:, None], SHAPE)


def basis(normals: ArrayLike) -> Array:
    """Return (..., 9) real spherical harmonics of unit (..., 3), without their constant factors.

    The factors are in the coefficients; the shader computes the same polynomials.
    """
    x, y, z = np.moveaxis(np.asarray(normals, np.float64), -1, 0)
    one = np.ones_like(x)
    terms = [one, y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y]
    return np.stack(terms, axis=-1)


#: Squared constant factors of the basis, times 4 pi: the integral over the sphere has weight 1.
_FACTORS = np.array([1.0, 3.0, 3.0, 3.0, 15.0, 15.0, 1.25, 15.0, 3.75])


@lru_cache(maxsize=1)
def _projection() -> Array:
    matrix = basis(directions()).reshape(-1, 9) * weights().reshape(-1, 1)
    return (matrix * _FACTORS * _COSINE).T


def harmonics_of(panorama: ArrayLike) -> Array:
    """Return the (9, 3) coefficients of irradiance over pi."""
    return _projection() @ np.asarray(panorama, np.float64).reshape(-1, 3)


Sky = tuple[Array, list[Array]]


def _light(
    rng: Generator, panorama: Array, lamps: list[Array], tilt: float, dark: float, infrared: bool
) -> Light:
    """Turn a panorama and its lamps into a scene's light; the strongest lamp becomes the key."""
    turn = cv2.Rodrigues(np.array([tilt, 0.0, 0.0]))[0]
    turned = [np.concatenate([turn @ lamp[:3], lamp[3:]]) for lamp in lamps]
    turned.sort(key=lambda lamp: -float(_power(lamp).sum()))
    coefficients = harmonics_of(panorama)
    key, key_color = np.array([0.0, -1.0, 0.0]), np.zeros(3)
    if turned:
        key, key_color = turned[0][:3], _power(turned[0])
    for lamp in turned[1:]:
        coefficients = coefficients + np.outer(
            basis(lamp[:3]) * _FACTORS * _COSINE, _power(lamp) / 4
        )
    table = np.zeros((LAMPS, 7))
    table[:, 2] = -1.0
    table[:, 3] = 1.0
    for row, lamp in enumerate(turned[:LAMPS]):
        table[row] = lamp
    bright = _brightness(coefficients, key, key_color)
    # Cameras take most of the light's colour out.
    target = np.exp(rng.normal(np.log(1.15), 0.3))
    luminance = float(bright @ _LUMINANCE)
    balance = (luminance / bright) ** rng.uniform(0.65, 1.0)
    softness = float(np.clip(0.15 / np.sqrt(turned[0][3]), 0.001, 0.03)) if turned else 0.02
    return Light(
        harmonics=coefficients,
        lamps=table,
        key=key,
        key_color=key_color,
        softness=softness,
        exposure=target / luminance * balance,
        infrared=infrared,
        dark=dark,
        panorama=_looked_at(panorama, turned),
    )


def _power(lamp: Array) -> Array:
    """Return the irradiance over pi of a lamp on a surface that faces it."""
    # A spherical Gaussian of sharpness s covers 2 pi / s of the sphere.
    return lamp[4:] * 2.0 / lamp[3]


_LUMINANCE = np.array([0.25, 0.6, 0.15])


def _brightness(coefficients: Array, key: Array, key_color: Array) -> Array:
    """Return (3,) about the radiance of a white face turned to the camera, for the exposure."""
    normals = np.array([[0, 0, -1], [0.6, 0, -0.8], [-0.6, 0, -0.8], [0, -0.6, -0.8]], np.float64)
    irradiance = np.maximum(basis(normals) @ coefficients, 0.0)
    irradiance = irradiance + np.maximum(normals @ key, 0.0)[:, None] * key_color
    # Between mean and highest: cameras neither burn out faces nor leave them black.
    highest = irradiance[np.argmax(irradiance @ _LUMINANCE)]
    return np.maximum(0.5 * irradiance.mean(axis=0) + 0.5 * highest, 1e-4)


def _looked_at(panorama: Array, lamps: list[Array]) -> NDArray[np.float32]:
    seen = np.array(panorama, np.float64)
    for lamp in lamps:
        seen += np.exp(lamp[3] * (directions() @ lamp[:3] - 1))[..., None] * lamp[4:]
    return seen.astype(np.float32)


def lamp_at(direction: ArrayLike, half_width: float, color: ArrayLike, power: float) -> Array:
    """Return a lamp (7,).

    Args:
        direction: (3,) towards it, optical frame.
        half_width: Radians from its middle to where it has faded.
        color: (3,) RGB, of any scale.
        power: Irradiance over pi on a surface that faces it.
    """
    axis = np.asarray(direction, np.float64)
    tint = np.asarray(color, np.float64)
    sharpness = 1.0 / max(1.0 - np.cos(half_width), 1e-5)
    level = power * sharpness / 2.0 * tint / tint.mean()
    return np.array([*(axis / np.linalg.norm(axis)), sharpness, *level])


def toward(azimuth: float, elevation: float) -> Array:
    """Return the unit direction (3,), azimuth from +z to the right, elevation up, radians."""
    level = np.cos(elevation)
    return np.array(
        [level * np.sin(azimuth), -np.sin(elevation), level * np.cos(azimuth)], np.float64
    )


def kelvin(temperature: float) -> Array:
    """Return (3,) linear RGB of about the colour of a black body, green 1 (1900 K to 12000 K)."""
    shift = np.log(temperature / 6500.0)
    return np.array([np.exp(-0.75 * shift), 1.0, np.exp(1.05 * shift)])


def _elevation() -> Array:
    return np.arcsin(-directions()[..., 1])


def _layers(sky: Array, horizon: Array, ground: Array, sharp: float) -> Array:
    height = _elevation()[..., None]
    up = np.clip(height / 1.2, 0, 1) ** 0.6
    above = horizon * (1 - up) + sky * up
    share = 1 / (1 + np.exp(-sharp * height))
    return above * share + ground * (1 - share)


def _blocks(rng: Generator, panorama: Array, count: int, colors: Callable[[], Array]) -> Array:
    """Set buildings, trees, furniture about the horizon."""
    out = panorama.copy()
    for _ in range(count):
        width, high, low = rng.integers(2, 12), rng.integers(1, 9), rng.integers(1, 6)
        start = rng.integers(SHAPE[1])
        columns = np.arange(start, start + width) % SHAPE[1]
        middle = SHAPE[0] // 2
        out[middle - high : middle + low, columns] = colors()
    return out


def _outdoors(rng: Generator) -> Sky:
    """Daylight: clear with a sun, or clouds."""
    cloudy = rng.beta(0.7, 0.7)
    blue = kelvin(rng.uniform(8000, 12000)) * np.array([0.75, 0.9, 1.0])
    sky = (1 - cloudy) * blue * 0.7 + cloudy * np.array([0.9, 0.95, 1.0]) * rng.uniform(0.8, 1.4)
    horizon = sky * 0.4 + 0.6 * rng.uniform(0.7, 1.2)
    ground = rng.uniform(0.08, 0.5) * rng.dirichlet([25, 25, 20]) * 3
    panorama = _layers(sky, horizon, ground, rng.uniform(6, 40))
    panorama = _blocks(
        rng,
        panorama,
        int(rng.integers(2, 14)),
        lambda: rng.uniform(0.05, 0.6) * rng.dirichlet([16, 16, 13]) * 3,
    )
    lamps = []
    if cloudy < 0.75:
        height = rng.uniform(0.08, 1.25)
        warm = kelvin(2600 + 3400 * np.sqrt(np.sin(height)))
        sun = toward(rng.uniform(-np.pi, np.pi), height)
        width = 0.02 if cloudy < 0.4 else rng.uniform(0.1, 0.4)
        lamps.append(lamp_at(sun, width, warm, rng.uniform(1.0, 4.5) * (1 - 0.8 * cloudy)))
    return panorama, lamps


def _room(rng: Generator) -> Sky:
    """Walls, ceiling, windows and lamps."""
    paint = lambda low, high: rng.uniform(low, high) * rng.dirichlet([75, 73, 68]) * 3  # noqa: E731
    walls = paint(0.06, 0.45)
    panorama = _layers(paint(0.1, 0.6), walls, paint(0.02, 0.25), rng.uniform(3, 12))
    panorama = _blocks(rng, panorama, int(rng.integers(2, 10)), lambda: paint(0.02, 0.5))
    lamps = []
    day = rng.random() < 0.65
    for _ in range(rng.integers(1, 4) if day else 0):
        at = toward(rng.uniform(-np.pi, np.pi), rng.uniform(-0.1, 0.5))
        tint = kelvin(rng.uniform(5500, 10000))
        lamps.append(lamp_at(at, rng.uniform(0.2, 0.55), tint, rng.uniform(0.2, 1.6)))
    for _ in range(rng.integers(0, 3) if day else rng.integers(1, 4)):
        at = toward(rng.uniform(-np.pi, np.pi), rng.uniform(0.2, 1.5))
        tint = kelvin(rng.choice([2700, 3000, 4000, 5500]) * rng.uniform(0.9, 1.1))
        lamps.append(lamp_at(at, rng.uniform(0.05, 0.3), tint, rng.uniform(0.1, 1.2)))
    return panorama, lamps


def _studio(rng: Generator) -> Sky:
    """A plain room with soft boxes about the camera."""
    panorama = np.full((*SHAPE, 3), rng.uniform(0.05, 0.4)) * rng.dirichlet([50, 50, 48]) * 3
    lamps = [
        lamp_at(
            toward(np.pi + rng.uniform(-1.3, 1.3), rng.uniform(0.0, 0.9)),
            rng.uniform(0.2, 0.7),
            kelvin(rng.uniform(4800, 6500)),
            rng.uniform(0.3, 1.0),
        )
        for _ in range(rng.integers(1, 4))
    ]
    return panorama, lamps


def _cabin(rng: Generator) -> Sky:
    """A car: dark inside, bright windows behind the camera and to the sides, maybe the sun."""
    panorama = np.full((*SHAPE, 3), rng.uniform(0.02, 0.12)) * rng.dirichlet([50, 50, 48]) * 3
    panorama = _blocks(rng, panorama, 6, lambda: np.full(3, rng.uniform(0.02, 0.3)))
    sky = kelvin(rng.uniform(5500, 9000)) * rng.uniform(0.4, 1.2)
    # Windscreen and the two sides; the camera sits on the dashboard or on the mirror.
    lamps = [lamp_at(toward(np.pi + rng.uniform(-0.6, 0.6), 0.35), 0.6, sky, rng.uniform(0.2, 1.0))]
    for side in (-1, 1):
        at = toward(side * rng.uniform(1.0, 2.0), rng.uniform(0.0, 0.4))
        lamps.append(lamp_at(at, rng.uniform(0.25, 0.5), sky, rng.uniform(0.1, 1.4)))
    if rng.random() < 0.4:
        sun = toward(rng.choice([-1, 1]) * rng.uniform(0.7, 2.6), rng.uniform(0.2, 0.9))
        lamps.append(lamp_at(sun, 0.02, kelvin(4800), rng.uniform(1.0, 4.0)))
    return panorama, lamps


def _night(rng: Generator) -> Sky:
    """Little light: a screen, a street lamp, coloured lights."""
    panorama = np.full((*SHAPE, 3), rng.uniform(0.01, 0.08)) * rng.dirichlet([25, 25, 30]) * 3
    lamps = []
    for _ in range(rng.integers(1, 4)):
        kind = rng.random()
        screen = toward(np.pi + rng.normal(0, 0.4), rng.uniform(-0.6, 0.1))
        at = screen if kind < 0.4 else toward(rng.uniform(-np.pi, np.pi), rng.uniform(0, 1))
        tint = kelvin(8500) if kind < 0.4 else kelvin(rng.uniform(2000, 4000))
        if kind > 0.85:
            tint = rng.dirichlet([0.8, 0.8, 0.8]) + 0.02
        lamps.append(lamp_at(at, rng.uniform(0.05, 0.5), tint, rng.uniform(0.1, 0.6)))
    return panorama, lamps


def _infrared(rng: Generator) -> Sky:
    """A lamp beside the lens, hardly anything else."""
    panorama = np.full((*SHAPE, 3), rng.uniform(0.01, 0.15))
    at = toward(np.pi + rng.normal(0, 0.25), rng.normal(0, 0.2))
    return panorama, [lamp_at(at, rng.uniform(0.03, 0.15), np.ones(3), rng.uniform(0.6, 1.2))]


#: Surroundings by day, and the share of the scenes that have them.
PLACES: dict[str, Callable[[Generator], Sky]] = {
    'outdoors': _outdoors,
    'room': _room,
    'studio': _studio,
    'cabin': _cabin,
}
_SHARES = (0.32, 0.36, 0.14, 0.18)


def _found(panorama: NDArray[np.float32]) -> Sky:
    """Take the brightest places of a photographed panorama out of it, as lamps."""
    rest = np.array(panorama, np.float64)
    lamps = []
    limit = 6.0 * float((rest.mean(axis=-1) * weights()).sum())
    for _ in range(LAMPS):
        bright = rest.mean(axis=-1)
        row, column = np.unravel_index(int(bright.argmax()), SHAPE)
        if bright[row, column] < limit:
            break
        axis = directions()[row, column]
        near = (directions() @ axis > np.cos(0.25)) & (bright > limit)
        excess = np.where(near[..., None], rest - limit, 0.0)
        flux = (np.maximum(excess, 0.0) * weights()[..., None]).sum(axis=(0, 1)) * 4
        lamps.append(lamp_at(axis, 0.12, flux + 1e-9, float(flux.mean())))
        rest[near] = np.minimum(rest[near], limit)
    return rest, lamps
