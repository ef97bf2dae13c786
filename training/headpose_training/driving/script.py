"""What a driver does, on a fine grid of time: the truth of simulated and rendered drives.

A script says where head and eyes point, how far lids and mouth are open and when something covers
the face. `simulated` measures it as a network would, `rendered` makes pictures of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from headpose_ros.driver_monitoring.zones import ELSEWHERE
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.spatial.transform import Rotation

from headpose_training.driving.truth import TruthEvent

Array = NDArray[np.float64]

GRID = 100.0  # Hz
#: Attentive driving with which every drive begins: poses and open eyes are learned from it, s.
SETTLING = 20.0
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
#: Where the eyes go, over where the head goes.
EYES_FARTHER = 1.3
#: How far people differ in that, degrees.
_PERSON = 1.5
#: How long it takes to get into a seat or out of it, s.
_LEAVING = 1.4
#: A detector loses faces turned farther from the camera, degrees.
PROFILE = 78.0


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
        n = int(self.seconds * GRID) + 1
        self.time = np.arange(n) / GRID
        strayed = [wander(self.rng, n, sigma, 2.0) for sigma in (2.0, 1.2, 1.0)]
        self.angles = np.stack(strayed, axis=1)  # azimuth, elevation, lean in degrees
        self.lids = np.ones(n)
        self.mouth = np.full(n, 0.05)
        self.seen = np.ones(n, bool)
        self.moved = np.zeros(
            3
        )  # of the neutral pose in the end: azimuth, elevation, lean in degrees
        self.gone = np.zeros(n)  # how far the driver has left the seat, 0..1
        self.sight = np.zeros((n, 2))  # where the eyes look: azimuth, elevation in degrees
        self.person = {name: self.rng.normal(0.0, _PERSON, 2).clip(-3, 3) for name in _AIMS}

    def window(self, start: float, end: float) -> slice:
        """Return the part of the grid between two times."""
        return slice(int(start * GRID), int(np.ceil(end * GRID)))

    def look(self, start: float, target: Array, seconds: float) -> float:
        """Turn the head to a target in degrees for some seconds; return when it is back.

        The eyes are away from `start` to `start + seconds`: the head sets out at both.
        """
        way = float(np.hypot(*target))
        turn = float(np.clip(0.22 + 0.005 * way, 0.25, 0.7)) * self.rng.uniform(0.9, 1.2)
        turn = min(turn, 0.8 * seconds)
        part = self.window(start, start + seconds + turn)
        time = self.time[part]
        path = smooth_step(time, start, turn) - smooth_step(time, start + seconds, turn)
        self.angles[part, :2] += path[:, None] * target
        self.sight[self.window(start, start + seconds)] = EYES_FARTHER * target
        # Lids follow the eyes down.
        self.lids[part] *= 1.0 - path * np.clip(-target[1] / 40.0, 0.0, 1.0) * 0.4
        return start + seconds + turn

    def glance(self, start: float, zone: str, seconds: float) -> float:
        """Look at a zone; return when the head is back."""
        aim = np.array(_AIMS[zone]) + self.person[zone] + self.rng.normal(0, 0.7, 2)
        self.truth.append(TruthEvent('glance', start, start + seconds, zone))
        return self.look(start, aim, seconds)

    def blink(self, start: float) -> None:
        """Blink once, for 100 to 400 ms."""
        length = float(np.clip(self.rng.gamma(6.0, 0.03), 0.1, 0.4))
        part = self.window(start, start + length)
        corners = start + length * np.array([0, 0.35, 0.45, 1])
        shut = np.interp(self.time[part], corners, [0, 1, 1, 0])
        self.lids[part] = np.minimum(self.lids[part], 1.0 - shut)

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
        path = smooth_step(self.time, down, fall) - smooth_step(self.time, down + fall, back)
        self.angles[:, 1] -= depth * path
        self.truth.append(TruthEvent('nod', down, down + fall + back))
        return down + fall + back

    def slump(self, start: float) -> float:
        """Fall asleep: the eyes close and the head hangs for some seconds."""
        seconds, sink = self.rng.uniform(5.0, 9.0), self.rng.uniform(0.8, 1.5)
        self.close_eyes(start, seconds)
        side = self.rng.choice([-1, 0, 0, 1])
        depth = np.array([0.0, -self.rng.uniform(28, 42), side * self.rng.uniform(5, 15)])
        path = smooth_step(self.time, start, sink) - smooth_step(
            self.time, start + seconds - 0.3, 0.5
        )
        self.angles += path[:, None] * depth
        self.truth.append(TruthEvent('slump', start + 0.6 * sink, start + seconds))
        return start + seconds + 0.4

    def hide(self, start: float, seconds: float) -> None:
        """Cover the face: what is hidden for long or as it begins cannot be judged."""
        self.seen[self.window(start, start + seconds)] = False

    def leave(self, start: float, seconds: float) -> None:
        """Leave the seat, and come back after some seconds."""
        there = smooth_step(self.time, start, _LEAVING)
        self.gone += there - smooth_step(self.time, start + seconds - _LEAVING, _LEAVING)
        self.seen[self.window(start, start + seconds)] = False
        self.truth.append(TruthEvent('absent', start, start + seconds))

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


def attentive(script: Script, now: float) -> float:
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


def wander(rng: Generator, n: int, sigma: float, memory: float, rate: float = GRID) -> Array:
    """Return noise that lasts about `memory` s: an autoregressive process of the first order."""
    keep = np.exp(-1.0 / (memory * rate))
    white = rng.normal(0, sigma * np.sqrt(1 - keep**2), n)
    white[0] = rng.normal(0, sigma)
    return lfilter([1.0], [1.0, -keep], white)


def smooth_step(time: Array, start: float, seconds: float) -> Array:
    """Return 0 to 1 over some seconds, as limbs move: with minimum jerk (Flash and Hogan 1985)."""
    s = ((time - start) / seconds).clip(0.0, 1.0)
    return s**3 * (10 - 15 * s + 6 * s**2)


def from_angles(degrees: Array) -> Array:
    """Return (N, 3, 3) rotations in the face frame of azimuth, elevation, lean in degrees."""
    azimuth, elevation, lean = degrees.T
    # About z to the left, then up about the ear's axis, which points left, then about the nose.
    return Rotation.from_euler(
        'ZYX', np.column_stack([azimuth, -elevation, lean]), degrees=True
    ).as_matrix()


Act = Callable[[Script, float], float]
#: What a drive may consist of.
ACTS: dict[str, Act] = {
    'glances': _glances,
    'closures': _closures,
    'turns': _turns,
    'yawns and nods': _drowsy,
    'occlusions': _occlusions,
    'everything': _mixed,
    'attentive': attentive,
}


def write_script(rng: Generator, act: str, seconds: float, settling: float = SETTLING) -> Script:
    """Write what happens in a drive: acts of one kind, with a look at the road between them.

    Args:
        rng: Source of randomness.
        act: One of `ACTS`.
        seconds: Length of the drive.
        settling: Attentive driving with which it begins, s.
    """
    script = Script(rng, seconds)
    script.blinks()
    fill(script, act, settling + rng.uniform(0, 3), seconds)
    return script


def fill(script: Script, act: str, start: float, end: float) -> None:
    """Write acts of one kind into a part of a drive; the last one is over before its end."""
    now = start
    # Room for the longest act and a look at the road after it.
    while now < end - 11.0:
        now = ACTS[act](script, now) + script.rng.uniform(2.0, 5.0)


def truth_of(
    script: Script, stamps: Array, found: NDArray[np.bool_], dark: NDArray[np.bool_]
) -> list[TruthEvent]:
    """Return what happens, with long glances and sleep, and mark what nobody could see.

    That is what a cover hides for more than a moment, what sunglasses hide, and the zone that a
    face looks at which is turned too far away to be found.

    Args:
        script: What the driver does.
        stamps: (N,) times of the images, s.
        found: (N,) whether a detector can find the face in them.
        dark: (N,) whether the driver wears sunglasses.
    """
    truth = [_judged(event, script, stamps, found, dark) for event in script.truth]
    return truth + [
        replace(event, kind=kind) for event in truth for kind in _LONGER.get(event.kind, ())
    ]


_LONGER = {'glance': ('long_glance',), 'closure': ('microsleep', 'sleep')}


def _judged(
    event: TruthEvent,
    script: Script,
    stamps: Array,
    found: NDArray[np.bool_],
    dark: NDArray[np.bool_],
) -> TruthEvent:
    if event.kind == 'absent':
        return event
    part = script.window(event.onset - 0.2, event.end + 0.2)
    hidden = float((~script.seen[part]).sum()) / GRID
    needs_eyes = event.kind in ('closure', 'nod', 'slump')
    during = (stamps >= event.onset) & (stamps <= event.end)
    is_away = bool(event.zone) and during.any() and found[during].mean() < 0.5
    return replace(
        event,
        judged=hidden <= 0.1 and not (needs_eyes and bool(dark[during].any())),
        zone=ELSEWHERE if is_away else event.zone,
    )
