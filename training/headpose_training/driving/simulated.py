"""Simulated drives: what a camera would measure of a driver whose every movement is known.

Directions, lids and mouth are written down on a fine grid of time, and then measured as a network
measures them: with white noise, errors that last, outliers, dropped images and uneven stamps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from headpose_ros.geometry.rotations import FRONTAL
from headpose_ros.perception.faces import Face
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from headpose_training.driving.script import (
    GRID,
    PROFILE,
    Script,
    from_angles,
    truth_of,
    wander,
    write_script,
)
from headpose_training.driving.truth import Drive

Array = NDArray[np.float64]

SIZE = (1280, 720)
_EYE_POINTS = slice(36, 48)


@dataclass(frozen=True)
class Conditions:
    """What the camera and the network make of a face.

    Attributes:
        rate: Images per second, least and most.
        dropped: Share of images that never come.
        angle: White noise of the rotation about each axis, degrees.
        drift: Noise that lasts about half a second, degrees.
        outliers: Share of poses that are far off.
        openness: Noise of the openness of an eye.
        lids: How far open closed and open eyes are measured.
        sunglasses: From when on the eyes are hidden, s.
    """

    rate: tuple[float, float] = (15.0, 30.0)
    dropped: float = 0.04
    angle: float = 1.2
    drift: float = 0.8
    outliers: float = 0.003
    openness: float = 0.08
    lids: tuple[float, float] = (0.0, 1.0)
    sunglasses: float = np.inf


DAY = Conditions()
NIGHT = Conditions(
    rate=(15.0, 22.0), dropped=0.08, angle=2.2, drift=1.4, outliers=0.01, openness=0.12
)
SUNGLASSES = replace(DAY, sunglasses=0.0)


def drives(
    seed: int, sequences: int = 220, attentive_hours: float = 4.0, seconds: float = 80.0
) -> Iterator[Drive]:
    """Yield simulated drives of all kinds in turn, then attentive ones.

    Args:
        seed: Of everything.
        sequences: How many, beside the attentive ones.
        attentive_hours: Length of attentive driving in all.
        seconds: Length of one drive.
    """
    names = list(_KINDS)
    for index in range(sequences):
        rng = np.random.default_rng([seed, index])
        name = names[index % len(names)]
        act, conditions = _KINDS[name]
        yield _drive(name, write_script(rng, act, seconds), conditions)
    length = 360.0
    for index in range(round(attentive_hours * 3600 / length)):
        rng = np.random.default_rng([seed, 1_000_000 + index])
        conditions = NIGHT if index % 4 == 3 else DAY
        script = write_script(rng, 'attentive', length)
        yield replace(_drive('attentive', script, conditions), attentive=True)


#: Kinds of drives: what happens, and how it is measured.
_KINDS: dict[str, tuple[str, Conditions]] = {
    'glances': ('glances', DAY),
    'closures': ('closures', DAY),
    'turns': ('turns', DAY),
    'yawns and nods': ('yawns and nods', DAY),
    'occlusions': ('occlusions', DAY),
    'glances at night': ('glances', NIGHT),
    'closures at night': ('closures', NIGHT),
    'yawns and nods at night': ('yawns and nods', NIGHT),
    'sunglasses': ('glances', SUNGLASSES),
    'everything': ('everything', DAY),
    'everything at night': ('everything', NIGHT),
}


def _drive(name: str, script: Script, conditions: Conditions) -> Drive:
    """Return one drive; its frames are made as they are read."""
    measured = measure(script, conditions)
    dark = measured.stamps >= conditions.sunglasses
    truth = truth_of(script, measured.stamps, measured.found, dark)
    return Drive(name, SIZE, truth, frames(script, conditions, measured))


@dataclass(frozen=True)
class Measured:
    """What is measured in N images.

    Attributes:
        stamps: (N,) s.
        rotations: (N, 3, 3) R_optical_face.
        openness: (N, 3) of right eye, left eye and mouth.
        found: (N,) whether the face is found.
    """

    stamps: Array
    rotations: Array
    openness: Array
    found: NDArray[np.bool_]


def measure(script: Script, conditions: Conditions) -> Measured:
    """Measure a drive as a camera and a network would."""
    rng = script.rng
    stamps = _stamps(rng, script.seconds, conditions)
    index = np.rint(stamps * GRID).astype(int)
    n = len(stamps)
    noise = rng.normal(0, conditions.angle, (n, 3))
    rate = n / script.seconds
    noise += np.stack([wander(rng, n, conditions.drift, 0.5, rate) for _ in range(3)], axis=1)
    outliers = rng.random(n) < conditions.outliers
    noise[outliers] += rng.normal(0, 15, (outliers.sum(), 3))
    # Where the camera is: ahead of the driver, some way aside.
    camera = from_angles(rng.normal(0, [[8.0, 5.0, 2.0]]))[0]
    rotations = FRONTAL @ camera @ from_angles(script.angles[index])
    rotations = rotations @ Rotation.from_rotvec(noise, degrees=True).as_matrix()
    found = script.seen[index] & (-rotations[:, 2, 0] > np.cos(np.radians(PROFILE)))
    openness = _measured_openness(script, conditions, stamps)
    return Measured(stamps, rotations, openness, found)


def frames(
    script: Script, conditions: Conditions, measured: Measured
) -> Iterator[tuple[float, list[Face]]]:
    """Yield stamps and the face, where it is found."""
    points, clear, dark = np.zeros((68, 2)), np.ones(68), np.ones(68)
    dark[_EYE_POINTS] = 0.1
    place = np.array([0.4, 0.3]) + script.rng.uniform(-0.05, 0.05, 2)
    box = np.array([*(place * SIZE), 250.0, 280.0])
    for i, stamp in enumerate(measured.stamps.tolist()):
        visibility = dark if stamp >= conditions.sunglasses else clear
        face = Face(
            id='f1',
            box=box,
            rotation=measured.rotations[i],
            landmarks=points,
            visibility=visibility,
            landmark_confidence=visibility,
            confidence=0.9,
            openness=measured.openness[i],
        )
        yield stamp, [face] if measured.found[i] else []


def _measured_openness(script: Script, conditions: Conditions, stamps: Array) -> Array:
    """Return (N, 3) of right eye, left eye, mouth, as a network tells them."""
    rng, n, index = script.rng, len(stamps), np.rint(stamps * GRID).astype(int)
    closed, opened = conditions.lids
    true = closed + (opened - closed) * script.lids[index]
    scale = rng.uniform(0.9, 1.05)
    lids = scale * true + wander(rng, n, 0.4 * conditions.openness, 1.0, 20.0)
    eyes = lids[:, None] + rng.normal(0, conditions.openness, (n, 2))
    dark = stamps >= conditions.sunglasses
    if dark.any():
        # What a network says of eyes that it cannot see.
        eyes[dark] = rng.uniform(0.05, 0.9) + rng.normal(0, 0.1, (dark.sum(), 2))
    mouth = script.mouth[index] + rng.normal(0, 0.05, n)
    return np.column_stack([eyes.clip(0.0, 1.0), mouth.clip(0.0)])


def _stamps(rng: Generator, seconds: float, conditions: Conditions) -> Array:
    """Return rising stamps of the images that come."""
    period = 1.0 / rng.uniform(*conditions.rate)
    stamps = np.arange(0.0, seconds, period)
    stamps = stamps + rng.uniform(-0.1, 0.1, len(stamps)) * period
    kept = rng.random(len(stamps)) >= conditions.dropped
    # Now and then a few in a row.
    for start in np.flatnonzero(rng.random(len(stamps)) < 0.002):
        kept[start : start + 4] = False
    return stamps[kept].clip(0.0, seconds)
