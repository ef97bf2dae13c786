"""Simulated drives: what a camera would measure of a driver whose every movement is known.

Directions, lids and mouth are written down on a fine grid of time, and then measured as a network
measures them: with white noise, errors that last, outliers, dropped images and uneven stamps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from headpose_ros.driver.zones import ELSEWHERE
from headpose_ros.geometry.rotations import FRONTAL
from headpose_ros.perception.faces import Face
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.spatial.transform import Rotation

from headpose_training.driving.truth import Drive, TruthEvent

Array = NDArray[np.float64]

SIZE = (1280, 720)
_GRID = 100.0  # Hz
#: Attentive driving with which every drive begins: poses and open eyes are learned from it, s.
_SETTLING = 20.0
#: Where heads point when drivers look at these, degrees: azimuth to the left, elevation up. Left-
#: hand drive; heads do part of the way, eyes the rest.
_AIMS = {
    'instrument_cluster': (0.0, -16.5),
    'lap': (-4.0, -42.0),
    'left_mirror': (36.0, -6.0),
    'inner_mirror': (-29.0, 14.0),
    'centre_stack': (-30.0, -15.0),
    'right_mirror': (-56.5, -5.0),
    'passenger': (-82.0, -6.0),
    'rear': (95.0, -4.0),
}
#: How far people differ in that, degrees.
_PERSON = 1.5
#: A detector loses faces turned farther from the camera, degrees.
_PROFILE = 78.0
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
        sunglasses: Whether the eyes are hidden.
    """

    rate: tuple[float, float] = (15.0, 30.0)
    dropped: float = 0.04
    angle: float = 1.2
    drift: float = 0.8
    outliers: float = 0.003
    openness: float = 0.08
    sunglasses: bool = False


DAY = Conditions()
NIGHT = Conditions(
    rate=(15.0, 22.0), dropped=0.08, angle=2.2, drift=1.4, outliers=0.01, openness=0.12
)
SUNGLASSES = replace(DAY, sunglasses=True)


@dataclass
class Script:
    """What a driver does, on a grid of time.

    Attributes:
        rng: Source of randomness.
        seconds: Length.
        truth: What happens.
    """

    rng: Generator
    seconds: float
    truth: list[TruthEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with a driver who looks at the road, open-eyed."""
        n = int(self.seconds * _GRID) + 1
        self.time = np.arange(n) / _GRID
        wander = [_wander(self.rng, n, sigma, 2.0) for sigma in (2.0, 1.2, 1.0)]
        self.angles = np.stack(wander, axis=1)  # azimuth, elevation, lean in degrees
        self.lids = np.ones(n)
        self.mouth = np.full(n, 0.05)
        self.seen = np.ones(n, bool)
        self.person = {name: self.rng.normal(0.0, _PERSON, 2).clip(-3, 3) for name in _AIMS}

    def window(self, start: float, end: float) -> slice:
        """Return the part of the grid between two times."""
        return slice(int(start * _GRID), int(np.ceil(end * _GRID)))

    def look(self, start: float, target: Array, seconds: float) -> float:
        """Turn the head to a target in degrees for some seconds; return when it is back.

        The eyes are away from `start` to `start + seconds`: the head sets out at both.
        """
        way = float(np.hypot(*target))
        turn = float(np.clip(0.22 + 0.005 * way, 0.25, 0.7)) * self.rng.uniform(0.9, 1.2)
        turn = min(turn, 0.8 * seconds)
        path = _smooth_step(self.time, start, turn) - _smooth_step(self.time, start + seconds, turn)
        self.angles[:, :2] += path[:, None] * target
        # Lids follow the eyes down.
        self.lids *= 1.0 - path * np.clip(-target[1] / 40.0, 0.0, 1.0) * 0.4
        return start + seconds + turn

    def glance(self, start: float, zone: str, seconds: float) -> float:
        """Look at a zone; return when the head is back."""
        aim = np.array(_AIMS[zone]) + self.person[zone] + self.rng.normal(0, 0.7, 2)
        self.truth.append(TruthEvent('glance', start, start + seconds, zone))
        return self.look(start, aim, seconds)

    def blink(self, start: float) -> None:
        """Blink once, for 100 to 400 ms."""
        length = float(np.clip(self.rng.gamma(6.0, 0.03), 0.1, 0.4))
        shut = np.interp(self.time, start + length * np.array([0, 0.35, 0.45, 1]), [0, 1, 1, 0])
        self.lids = np.minimum(self.lids, 1.0 - shut)

    def close_eyes(self, start: float, seconds: float) -> float:
        """Close the eyes so that they are 80 % closed for some seconds; return when they open."""
        fall, rise = self.rng.uniform(0.08, 0.25), self.rng.uniform(0.1, 0.25)
        corners = [
            start - 0.8 * fall,
            start + 0.2 * fall,
            start + seconds - 0.2 * rise,
            start + seconds + 0.8 * rise,
        ]
        self.lids = np.minimum(self.lids, 1.0 - np.interp(self.time, corners, [0, 1, 1, 0]))
        self.truth.append(TruthEvent('closure', start, start + seconds))
        return start + seconds + rise

    def yawn(self, start: float) -> float:
        """Yawn for 3 to 7 s; return when it is over."""
        length, wide = self.rng.uniform(3.0, 7.0), self.rng.uniform(0.75, 1.1)
        path = np.interp(self.time, start + length * np.array([0, 0.35, 0.7, 1]), [0, 1, 1, 0])
        self.mouth = np.maximum(self.mouth, 0.05 + wide * path)
        self.lids = np.minimum(self.lids, 1.0 - self.rng.uniform(0.3, 0.6) * path)
        self.angles[:, 1] += self.rng.uniform(0, 8) * path
        open_ = self.time[self.mouth > 0.55]
        open_ = open_[(open_ >= start) & (open_ <= start + length)]
        self.truth.append(TruthEvent('yawn', float(open_[0]), float(open_[-1])))
        return start + length

    def nod(self, start: float) -> float:
        """Doze off: the eyes close, the head sinks and jerks back; return when it is over."""
        fall, back = self.rng.uniform(0.5, 1.1), self.rng.uniform(0.25, 0.45)
        depth, lag = self.rng.uniform(14, 30), self.rng.uniform(0.0, 0.4)
        self.close_eyes(start, lag + fall + self.rng.uniform(0.0, 0.1))
        down = start + lag
        path = _smooth_step(self.time, down, fall) - _smooth_step(self.time, down + fall, back)
        self.angles[:, 1] -= depth * path
        self.truth.append(TruthEvent('nod', down, down + fall + back))
        return down + fall + back

    def slump(self, start: float) -> float:
        """Fall asleep: the eyes close and the head hangs for some seconds."""
        seconds, sink = self.rng.uniform(5.0, 9.0), self.rng.uniform(0.8, 1.5)
        self.close_eyes(start, seconds)
        side = self.rng.choice([-1, 0, 0, 1])
        depth = np.array([0.0, -self.rng.uniform(28, 42), side * self.rng.uniform(5, 15)])
        path = _smooth_step(self.time, start, sink) - _smooth_step(
            self.time, start + seconds - 0.3, 0.5
        )
        self.angles += path[:, None] * depth
        self.truth.append(TruthEvent('slump', start + 0.6 * sink, start + seconds))
        return start + seconds + 0.4

    def hide(self, start: float, seconds: float) -> None:
        """Cover the face: what is hidden for long or as it begins cannot be judged."""
        self.seen[self.window(start, start + seconds)] = False

    def speak(self, start: float, seconds: float) -> None:
        """Move the lips as in speech, up to an opening of 0.4, and the head a little."""
        part = self.window(start, start + seconds)
        t = self.time[part]
        pace = 0.5 + 0.5 * np.sin(2 * np.pi * 3.1 * t) * np.sin(2 * np.pi * 0.7 * t)
        self.mouth[part] = np.maximum(self.mouth[part], 0.05 + 0.33 * pace)
        self.angles[part, 1] += 2.5 * np.sin(2 * np.pi * 1.3 * t)

    def blinks(self) -> None:
        """Blink every 2 to 7 s all the time."""
        now = self.rng.uniform(0, 3)
        while now < self.seconds:
            self.blink(now)
            now += self.rng.uniform(2.0, 7.0)


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
    names = list(_ACTS)
    for index in range(sequences):
        rng = np.random.default_rng([seed, index])
        name = names[index % len(names)]
        act, conditions = _ACTS[name]
        yield _drive(rng, name, act, conditions, seconds)
    length = 360.0
    for index in range(round(attentive_hours * 3600 / length)):
        rng = np.random.default_rng([seed, 1_000_000 + index])
        conditions = NIGHT if index % 4 == 3 else DAY
        yield replace(_drive(rng, 'attentive', _attentive, conditions, length), attentive=True)


def _glances(script: Script, now: float) -> float:
    zone = script.rng.choice(list(_AIMS))
    return script.glance(now, str(zone), script.rng.uniform(0.5, 5.0))


def _closures(script: Script, now: float) -> float:
    return script.close_eyes(now, script.rng.uniform(0.6, 5.0))


def _drowsy(script: Script, now: float) -> float:
    choice = script.rng.random()
    if choice < 0.4:
        return script.yawn(now)
    return script.nod(now) if choice < 0.85 else script.slump(now)


def _turns(script: Script, now: float) -> float:
    """Look to a side at a junction, anywhere between mirror and shoulder."""
    azimuth = script.rng.uniform(25, 85) * script.rng.choice([-1, 1])
    seconds = script.rng.uniform(0.7, 4.0)
    script.truth.append(TruthEvent('glance', now, now + seconds))
    return script.look(now, np.array([azimuth, script.rng.uniform(-8, 4)]), seconds)


def _occlusions(script: Script, now: float) -> float:
    if script.rng.random() < 0.5:
        script.hide(now, script.rng.uniform(0.1, 3.0))
        return now + 3.0
    act = _glances if script.rng.random() < 0.5 else _closures
    end = act(script, now)
    if script.rng.random() < 0.5:
        script.hide(script.rng.uniform(now - 1.0, end), script.rng.uniform(0.1, 2.0))
    return end + 2.0


def _mixed(script: Script, now: float) -> float:
    act = script.rng.choice(4)
    return (_glances, _closures, _drowsy, _glances)[act](script, now)


def _attentive(script: Script, now: float) -> float:
    """Drive as people do: mirrors and instruments for a moment, a word, a nod of agreement."""
    choice = script.rng.random()
    if choice < 0.6:
        zone = str(script.rng.choice(['left_mirror', 'inner_mirror', 'instrument_cluster']))
        return script.glance(now, zone, script.rng.uniform(0.5, 1.4)) + 4.0
    if choice < 0.8:
        seconds = script.rng.uniform(2.0, 8.0)
        script.speak(now, seconds)
        return now + seconds
    if choice < 0.9:
        # Scanning the road within it.
        return script.look(now, script.rng.normal(0, [5.0, 2.0]).clip(-8, 8), 2.0)
    part = script.window(now, now + 1.5)
    script.angles[part, 1] += 5.0 * np.sin(2 * np.pi * 1.33 * (script.time[part] - now))
    return now + 1.5


Act = Callable[[Script, float], float]
_ACTS: dict[str, tuple[Act, Conditions]] = {
    'glances': (_glances, DAY),
    'closures': (_closures, DAY),
    'turns': (_turns, DAY),
    'yawns and nods': (_drowsy, DAY),
    'occlusions': (_occlusions, DAY),
    'glances at night': (_glances, NIGHT),
    'closures at night': (_closures, NIGHT),
    'yawns and nods at night': (_drowsy, NIGHT),
    'sunglasses': (_glances, SUNGLASSES),
    'everything': (_mixed, DAY),
    'everything at night': (_mixed, NIGHT),
}


def _drive(rng: Generator, name: str, act: Act, conditions: Conditions, seconds: float) -> Drive:
    """Write the script of one drive; its frames are made as they are read."""
    script = Script(rng, seconds)
    script.blinks()
    now = _SETTLING + rng.uniform(0, 3)
    # Room for the longest act and a look at the road after it.
    while now < seconds - 11.0:
        now = act(script, now) + rng.uniform(2.0, 5.0)
    measured = _measure(script, conditions)
    truth = [_judged(event, script, conditions, measured) for event in script.truth]
    truth += [
        replace(event, kind=kind)
        for event in truth
        for kind in {'glance': ['long_glance'], 'closure': ['microsleep', 'sleep']}.get(
            event.kind, []
        )
    ]
    return Drive(name, SIZE, truth, _frames(script, conditions, measured))


@dataclass(frozen=True)
class _Measured:
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


def _judged(
    event: TruthEvent, script: Script, conditions: Conditions, measured: _Measured
) -> TruthEvent:
    """Mark what nobody could see.

    That is what a cover hides for more than a moment, what sunglasses hide, and the zone that a
    face looks at which is turned too far away to be found.
    """
    part = script.window(event.onset - 0.2, event.end + 0.2)
    hidden = float((~script.seen[part]).sum()) / _GRID
    needs_eyes = event.kind in ('closure', 'nod', 'slump')
    during = (measured.stamps >= event.onset) & (measured.stamps <= event.end)
    is_away = bool(event.zone) and measured.found[during].mean() < 0.5
    return replace(
        event,
        judged=hidden <= 0.1 and not (needs_eyes and conditions.sunglasses),
        zone=ELSEWHERE if is_away else event.zone,
    )


def _measure(script: Script, conditions: Conditions) -> _Measured:
    """Measure a drive as a camera and a network would."""
    rng = script.rng
    stamps = _stamps(rng, script.seconds, conditions)
    index = np.rint(stamps * _GRID).astype(int)
    n = len(stamps)
    noise = rng.normal(0, conditions.angle, (n, 3))
    rate = n / script.seconds
    noise += np.stack([_wander(rng, n, conditions.drift, 0.5, rate) for _ in range(3)], axis=1)
    outliers = rng.random(n) < conditions.outliers
    noise[outliers] += rng.normal(0, 15, (outliers.sum(), 3))
    # Where the camera is: ahead of the driver, some way aside.
    camera = _from_angles(rng.normal(0, [[8.0, 5.0, 2.0]]))[0]
    rotations = FRONTAL @ camera @ _from_angles(script.angles[index])
    rotations = rotations @ Rotation.from_rotvec(noise, degrees=True).as_matrix()
    found = script.seen[index] & (-rotations[:, 2, 0] > np.cos(np.radians(_PROFILE)))
    return _Measured(stamps, rotations, _measured_openness(script, conditions, index), found)


def _frames(
    script: Script, conditions: Conditions, measured: _Measured
) -> Iterator[tuple[float, list[Face]]]:
    """Yield stamps and the face, where it is found."""
    points, visibility = np.zeros((68, 2)), np.ones(68)
    if conditions.sunglasses:
        visibility[_EYE_POINTS] = 0.1
    place = np.array([0.4, 0.3]) + script.rng.uniform(-0.05, 0.05, 2)
    box = np.array([*(place * SIZE), 250.0, 280.0])
    for i, stamp in enumerate(measured.stamps.tolist()):
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


def _measured_openness(script: Script, conditions: Conditions, index: NDArray[np.intp]) -> Array:
    """Return (N, 3) of right eye, left eye, mouth, as a network tells them."""
    rng, n = script.rng, len(index)
    scale = rng.uniform(0.9, 1.05)
    lids = scale * script.lids[index] + _wander(rng, n, 0.4 * conditions.openness, 1.0, 20.0)
    eyes = lids[:, None] + rng.normal(0, conditions.openness, (n, 2))
    if conditions.sunglasses:
        # What a network says of eyes that it cannot see.
        eyes = np.tile(rng.uniform(0.05, 0.9), (n, 2)) + rng.normal(0, 0.1, (n, 2))
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


def _wander(rng: Generator, n: int, sigma: float, memory: float, rate: float = _GRID) -> Array:
    """Return noise that lasts about `memory` s: an autoregressive process of the first order."""
    keep = np.exp(-1.0 / (memory * rate))
    white = rng.normal(0, sigma * np.sqrt(1 - keep**2), n)
    white[0] = rng.normal(0, sigma)
    return lfilter([1.0], [1.0, -keep], white)


def _smooth_step(time: Array, start: float, seconds: float) -> Array:
    """Return 0 to 1 over some seconds, as limbs move: with minimum jerk (Flash and Hogan 1985)."""
    s = ((time - start) / seconds).clip(0.0, 1.0)
    return s**3 * (10 - 15 * s + 6 * s**2)


def _from_angles(degrees: Array) -> Array:
    """Return (N, 3, 3) rotations in the face frame of azimuth, elevation, lean in degrees."""
    azimuth, elevation, lean = degrees.T
    # About z to the left, then up about the ear's axis, which points left, then about the nose.
    return Rotation.from_euler(
        'ZYX', np.column_stack([azimuth, -elevation, lean]), degrees=True
    ).as_matrix()
