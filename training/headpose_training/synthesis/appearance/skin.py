"""Skin and eyes of one person, as the numbers that the shaders draw them by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Linear reflectance of skin without pigment and blood, RGB.
_BARE = np.array([0.80, 0.66, 0.57])
#: Absorption of melanin, about lambda^-3.3 (Jacques: Skin Optics, 1998), at 610, 550 and 465 nm,
#: flattened by the light that is scattered back above it.
MELANIN = np.array([1.70, 2.45, 3.35])
#: Absorption of blood: oxygenated haemoglobin hardly takes red.
BLOOD = np.array([0.10, 1.00, 0.85])


@dataclass(frozen=True)
class SkinConfig:
    """Which skin there is.

    Attributes:
        textured: Off gives every face one tone without pores, spots, brows, lips and stubble.
        melanin: Range of the pigment: 0.02 is very fair, 1.15 very dark.
    """

    textured: bool = True
    melanin: tuple[float, float] = (0.02, 1.15)


@dataclass(frozen=True)
class Skin:
    """One person's skin; amounts are about 0..1 unless a unit is given.

    Attributes:
        melanin: Pigment.
        blood: Haemoglobin.
        flush: More blood in cheeks, nose and ears.
        patches: Strength of uneven tone over centimetres.
        pores: Strength of the finest noise.
        spots: Density of freckles and moles.
        lines: Strength of wrinkles: forehead, eyes, mouth.
        gloss: Oil: strength of the highlights.
        roughness: Of the highlights.
        lips: Blood in the lips.
        lipstick: Colour (3,) and how much of it covers the lips.
        shadow: Dark skin about the eyes; eye shadow of make-up with the colour (3,).
        stubble: Hair shaved or short in the beard's region.
        brow: Density of the brows, in 0.3..1.3.
        brow_width: Of the brows.
        hair_color: (3,) linear albedo of brows and stubble.
        offset: (2,) where in the noise this face lies.
    """

    melanin: float
    blood: float
    flush: float
    patches: float
    pores: float
    spots: float
    lines: float
    gloss: float
    roughness: float
    lips: float
    lipstick: Array
    shadow: Array
    stubble: float
    brow: float
    brow_width: float
    hair_color: Array
    offset: Array

    def albedo(self, melanin: float = 0.0, blood: float = 0.0) -> Array:
        """Return the linear albedo (3,) with more pigment or blood than usual."""
        return skin_albedo(self.melanin + melanin, self.blood + blood)


@dataclass(frozen=True)
class Eyes:
    """The eyes of one person.

    Attributes:
        iris: (3,) linear albedo; inner ring (3,) in the second row.
        size: Radius of the iris, metres.
        pupil: Radius of the pupil over that of the iris.
        ring: Darkness of the limbal ring.
        veins: Redness of the white.
        glow: Light that the pupils give back to a lamp beside the lens.
    """

    iris: Array
    size: float
    pupil: float
    ring: float
    veins: float
    glow: float


def skin_albedo(melanin: float, blood: float) -> Array:
    """Return the linear albedo (3,) of skin by its two pigments."""
    return _BARE * np.exp(-melanin * MELANIN - blood * BLOOD)


def sample_skin(rng: Generator, config: SkinConfig, hair_color: Array, bearded: bool) -> Skin:
    """Draw a person's skin."""
    low, high = config.melanin
    # More of the fair half, where a small change of pigment is a large change of tone.
    melanin = low + (high - low) * rng.beta(0.8, 1.6)
    lipstick, shadow = np.zeros(4), np.zeros(4)
    shadow[:3] = 0.6 * skin_albedo(melanin + 0.2, 0.4)
    shadow[3] = rng.uniform(0.0, 0.15)
    made_up = not bearded and rng.random() < 0.35
    if made_up:
        lipstick[:3] = rng.uniform([0.25, 0.01, 0.02], [0.65, 0.15, 0.18])
        lipstick[3] = rng.uniform(0.2, 0.9)
        if rng.random() < 0.6:
            shadow[:3] = rng.uniform(0.01, 0.3, 3)
            shadow[3] = rng.uniform(0.1, 0.5)
    skin = Skin(
        melanin=melanin,
        blood=rng.uniform(0.05, 0.38),
        flush=rng.gamma(1.6, 0.10),
        patches=rng.uniform(0.2, 1.0),
        pores=rng.uniform(0.2, 1.0) * (0.5 if made_up else 1.0),
        spots=rng.beta(0.5, 2.5) * (0.4 if made_up else 1.0),
        lines=0.0 if rng.random() < 0.4 else rng.uniform(0.2, 1.0),
        gloss=rng.gamma(2.0, 0.5),
        roughness=rng.uniform(0.28, 0.5),
        lips=rng.uniform(0.2, 0.9),
        lipstick=lipstick,
        shadow=shadow,
        stubble=rng.uniform(0.3, 1.0) if bearded else 0.0,
        brow=rng.uniform(0.35, 1.3),
        brow_width=rng.uniform(0.25, 0.75),
        hair_color=hair_color,
        offset=rng.uniform(0.0, 50.0, 2),
    )
    return skin if config.textured else _plain(skin)


def _plain(skin: Skin) -> Skin:
    zero = np.zeros(4)
    return Skin(
        melanin=0.25,
        blood=0.3,
        flush=0.0,
        patches=0.0,
        pores=0.0,
        spots=0.0,
        lines=0.0,
        gloss=0.5,
        roughness=0.4,
        lips=0.0,
        lipstick=zero,
        shadow=zero,
        stubble=0.0,
        brow=0.0,
        brow_width=0.5,
        hair_color=skin.hair_color,
        offset=np.zeros(2),
    )


#: Linear albedo of irises: outer colour and inner ring, and how often they occur.
_IRISES = (
    ([0.045, 0.022, 0.010], [0.075, 0.036, 0.014], 0.45),  # dark brown
    ([0.13, 0.065, 0.025], [0.19, 0.10, 0.03], 0.2),  # brown
    ([0.13, 0.12, 0.05], [0.20, 0.12, 0.04], 0.1),  # hazel
    ([0.10, 0.16, 0.08], [0.20, 0.16, 0.06], 0.07),  # green
    ([0.10, 0.20, 0.34], [0.24, 0.28, 0.28], 0.12),  # blue
    ([0.22, 0.25, 0.28], [0.26, 0.26, 0.22], 0.06),  # grey
)


def sample_eyes(rng: Generator, melanin: float, infrared: bool) -> Eyes:
    """Draw a person's eyes."""
    # Dark skin goes with brown eyes.
    fair = np.clip(1.0 - 1.6 * melanin, 0.02, 1.0)
    shares = np.array(
        [share * (1.0 if row < 2 else fair) for row, (*_, share) in enumerate(_IRISES)]
    )
    shares /= shares.sum()
    outer, inner, _ = _IRISES[rng.choice(len(_IRISES), p=shares)]
    iris = np.array([outer, inner]) * rng.uniform(0.7, 1.4)
    if infrared:
        # Brown irises are pale in the near infra-red.
        iris = np.full((2, 3), rng.uniform(0.15, 0.4))
    return Eyes(
        iris=iris,
        # From two years on irises hardly grow: 11.8 mm across, give or take half a millimetre.
        size=rng.uniform(0.0056, 0.0062),
        pupil=rng.uniform(0.25, 0.6),
        ring=rng.uniform(0.3, 1.0),
        veins=rng.beta(1.0, 4.0),
        glow=rng.uniform(0.3, 1.5) if infrared and rng.random() < 0.6 else 0.0,
    )
