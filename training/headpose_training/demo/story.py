"""The drive of `demo-driver`: two minutes in which a driver does about everything that is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from headpose_ros.driver_monitoring.options import DriverOptions
from headpose_ros.driver_monitoring.zones import Zones
from headpose_ros.perception.faces import Face
from numpy.typing import NDArray

from headpose_training.driving.rendered import Film, film_truth
from headpose_training.driving.script import GRID, Script, from_angles
from headpose_training.driving.truth import Drive, TruthEvent, watch
from headpose_training.synthesis.cabin import CabinConfig

Array = NDArray[np.float64]

#: Of the driver and of the small movements; chosen for the looks of the picture.
SEED = 12
SECONDS = 120.0
#: From here on the driver, who has come back, wears sunglasses; and from here on it is night.
_SUNGLASSES, _NIGHT = 88.5, 104.0
#: Events whose truth is what the same definition says about exact signals.
_BY_DEFINITION = ('repeated_glances', 'perclos')


def story(rate: float, size: int = 640) -> Film:
    """Return the film of the drive.

    Args:
        rate: Pictures a second.
        size: Width of the pictures, px.
    """
    script = Script(np.random.default_rng(SEED), SECONDS)
    script.blinks()
    script.glance(12.0, 'left_mirror', 1.0)
    script.glance(16.0, 'instrument_cluster', 0.9)
    script.glance(20.0, 'inner_mirror', 1.2)
    script.speak(23.5, 3.0)
    script.glance(28.0, 'centre_stack', 3.2)
    script.glance(35.0, 'lap', 2.6)
    script.glance(40.5, 'right_mirror', 1.1)
    script.yawn(44.0)
    script.close_eyes(53.0, 0.8)
    script.close_eyes(57.0, 1.7)
    script.nod(61.5)
    script.close_eyes(66.0, 3.8)
    script.hide(73.0, 1.6)
    script.glance(77.5, 'passenger', 1.6)
    script.leave(83.0, 11.0)
    script.glance(98.0, 'left_mirror', 1.2)
    script.glance(107.0, 'centre_stack', 2.8)
    script.close_eyes(112.5, 1.4)
    script.glance(116.0, 'inner_mirror', 1.1)
    day = CabinConfig(size=size)
    takes = (
        (0.0, day),
        (_SUNGLASSES, replace(day, eyewear='sunglasses')),
        (_NIGHT, replace(day, infrared=True)),
    )
    return Film(SEED, script, rate, takes)


def story_truth(
    film: Film, neutral: Array, zones: Zones, options: DriverOptions
) -> list[TruthEvent]:
    """Return all that happens in a film that has a telling of its own.

    Args:
        film: The film.
        neutral: (3, 3) R_optical_face of the driver who looks at the road.
        zones: What there is to look at.
        options: What counts as long.
    """
    least = {
        'long_glance': options.glances.limit,
        'microsleep': options.closures.microsleep,
        'sleep': options.closures.sleep,
    }
    events = [e for e in film_truth(film, neutral) if e.duration >= least.get(e.kind, 0.0)]
    exact = watch(Drive('exact', film.size, (), _exact(film, neutral)), zones, options)
    events += [TruthEvent(e.kind, e.onset, e.end) for e in exact.found if e.kind in _BY_DEFINITION]
    events += [
        TruthEvent('sunglasses', max(start, _back(film)), end)
        for (start, config), end in zip(film.takes, _ends(film), strict=True)
        if config.eyewear == 'sunglasses'
    ]
    return sorted(events, key=lambda event: event.onset)


def true_signals(film: Film, widest: float) -> dict[str, Array]:
    """Return (N,) true values of signals at the film's stamps, angles in degrees.

    Args:
        film: The film.
        widest: Opening that the driver's mouth does not exceed.
    """
    script, index = film.script, np.rint(film.stamps * GRID).astype(int)
    seen = np.where(script.seen[index], 1.0, np.nan)
    azimuth, elevation, _ = (script.angles[index] * seen[:, None]).T
    return {
        'azimuth': azimuth,
        'elevation': elevation,
        'eye_openness': script.lids[index] * seen,
        'mouth_openness': np.minimum(script.mouth[index], widest) * seen,
    }


def _ends(film: Film) -> list[float]:
    return [start for start, _ in film.takes[1:]] + [film.script.seconds]


def _back(film: Film) -> float:
    """Return when the driver is back in the seat, s."""
    absent = [event.end for event in film.script.truth if event.kind == 'absent']
    return max(absent, default=0.0)


def _exact(film: Film, neutral: Array) -> Iterator[tuple[float, list[Face]]]:
    """Yield what a faultless network would measure."""
    script, ones = film.script, np.ones(68)
    index = np.rint(film.stamps * GRID).astype(int)
    rotations = neutral @ from_angles(script.angles[index])
    for stamp, i, rotation in zip(film.stamps.tolist(), index, rotations, strict=True):
        seen = ones if film.take(stamp).eyewear != 'sunglasses' else np.zeros(68)
        face = Face(
            id='f1',
            box=np.array([0.3, 0.3, 0.3, 0.4]) * film.size[0],
            rotation=rotation,
            landmarks=np.zeros((68, 2)),
            visibility=seen,
            landmark_confidence=ones,
            confidence=1.0,
            openness=np.array([script.lids[i], script.lids[i], script.mouth[i]]),
        )
        yield stamp, [face] if script.seen[i] else []
