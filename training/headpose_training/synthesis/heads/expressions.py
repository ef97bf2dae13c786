"""What a face does: actions that every head source understands, and random mixes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

Rng = np.random.Generator
#: Draws the actions of one mood.
Mood = Callable[[Rng], dict[str, float]]

_YAWNS = 0.04
#: Eyes turn no farther than this, radians.
_GAZE_ASIDE, _GAZE_DOWN, _GAZE_UP = 0.65, 0.45, 0.35


@dataclass(frozen=True)
class ExpressionConfig:
    """How often faces do what a driver's camera must not miss.

    Shares are above what cameras see: a network that hardly sees closed eyes calls none closed.

    Attributes:
        closed: Share of faces with closed eyes.
        half_closed: Share of faces with half-closed eyes.
        yawning: Share of faces that yawn.
        gaze: Spread of the directions of sight about straight ahead; 1 is ten degrees to the side
            and six up or down.
    """

    closed: float = 0.1
    half_closed: float = 1 / 6
    yawning: float = _YAWNS
    gaze: float = 1.0


@dataclass(frozen=True)
class Expression:
    """Actions of the face in 0..1 (0 is rest) and the direction of sight.

    "Left" and "right" are the person's own. The zero gaze is the x axis of the face frame.

    Attributes:
        gaze_yaw: Radians, positive to the person's left; both eyes alike.
        gaze_pitch: Radians, positive up.
    """

    blink_left: float = 0.0
    blink_right: float = 0.0
    squint_left: float = 0.0
    squint_right: float = 0.0
    eyes_wide: float = 0.0
    brows_up: float = 0.0
    brows_inner_up: float = 0.0
    brows_down: float = 0.0
    brow_up_left: float = 0.0
    brow_up_right: float = 0.0
    cheek_puff: float = 0.0
    sneer: float = 0.0
    jaw_open: float = 0.0
    jaw_left: float = 0.0
    jaw_right: float = 0.0
    jaw_forward: float = 0.0
    smile_left: float = 0.0
    smile_right: float = 0.0
    frown: float = 0.0
    dimple: float = 0.0
    pucker: float = 0.0
    funnel: float = 0.0
    lips_press: float = 0.0
    lips_roll: float = 0.0
    lips_stretch: float = 0.0
    upper_lip_up: float = 0.0
    lower_lip_down: float = 0.0
    mouth_left: float = 0.0
    mouth_right: float = 0.0
    gaze_yaw: float = 0.0
    gaze_pitch: float = 0.0


def _both(name: str, weight: float = 1.0) -> dict[str, float]:
    return {f'{name}Left': weight, f'{name}Right': weight}


#: The blend shapes, by their ARKit names, that an action moves, and how far at most.
BLEND_SHAPES: dict[str, dict[str, float]] = {
    'blink_left': {'eyeBlinkLeft': 1.0},
    'blink_right': {'eyeBlinkRight': 1.0},
    'squint_left': {'eyeSquintLeft': 1.0, 'cheekSquintLeft': 0.7},
    'squint_right': {'eyeSquintRight': 1.0, 'cheekSquintRight': 0.7},
    'eyes_wide': _both('eyeWide'),
    'brows_up': {'browInnerUp': 0.8, **_both('browOuterUp')},
    'brows_inner_up': {'browInnerUp': 1.0},
    'brows_down': _both('browDown'),
    'brow_up_left': {'browOuterUpLeft': 1.0},
    'brow_up_right': {'browOuterUpRight': 1.0},
    'cheek_puff': {'cheekPuff': 1.0},
    'sneer': _both('noseSneer'),
    'jaw_open': {'jawOpen': 1.0},
    'jaw_left': {'jawLeft': 1.0},
    'jaw_right': {'jawRight': 1.0},
    'jaw_forward': {'jawForward': 1.0},
    'smile_left': {'mouthSmileLeft': 1.0, 'cheekSquintLeft': 0.3},
    'smile_right': {'mouthSmileRight': 1.0, 'cheekSquintRight': 0.3},
    'frown': {**_both('mouthFrown'), 'mouthShrugLower': 0.3},
    'dimple': _both('mouthDimple'),
    'pucker': {'mouthPucker': 1.0},
    'funnel': {'mouthFunnel': 1.0},
    'lips_press': _both('mouthPress'),
    'lips_roll': {'mouthRollLower': 0.8, 'mouthRollUpper': 0.8},
    'lips_stretch': _both('mouthStretch'),
    'upper_lip_up': _both('mouthUpperUp'),
    'lower_lip_down': _both('mouthLowerDown'),
    'mouth_left': {'mouthLeft': 1.0},
    'mouth_right': {'mouthRight': 1.0},
}


def blend_weights(expression: Expression) -> dict[str, float]:
    """Return the weight, at most 1, of each ARKit blend shape that the expression moves.

    Lids that follow the gaze are not among them: how far they go per degree is the source's.
    """
    weights: dict[str, float] = {}
    for action, shapes in BLEND_SHAPES.items():
        amount = getattr(expression, action)
        if amount:
            for shape, share in shapes.items():
                weights[shape] = min(weights.get(shape, 0.0) + amount * share, 1.0)
    return weights


def random_expression(rng: Rng, config: ExpressionConfig) -> Expression:
    """Draw a plausible expression: mostly mild, some strong, some blinks, sometimes lopsided."""
    actions = _at_ease(rng)
    for name, amount in _mood(rng, config)(rng).items():
        actions[name] = max(actions.get(name, 0.0), amount)
    actions |= _lids(rng, config, actions)
    across, up = rng.normal(0.0, 0.17) * config.gaze, rng.normal(0.0, 0.10) * config.gaze
    actions['gaze_yaw'] = float(np.clip(across, -_GAZE_ASIDE, _GAZE_ASIDE))
    actions['gaze_pitch'] = float(np.clip(up - 0.03, -_GAZE_DOWN, _GAZE_UP))
    return Expression(**actions)


def _mood(rng: Rng, config: ExpressionConfig) -> Mood:
    rest = (1.0 - config.yawning) / (1.0 - _YAWNS)
    shares = [config.yawning if mood is _yawn else rest * part for mood, part in _MOODS.items()]
    return list(_MOODS)[rng.choice(len(shares), p=shares)]


def _at_ease(rng: Rng) -> dict[str, float]:
    """Faint activity of three muscles: no face is quite at rest."""
    names = [f.name for f in fields(Expression) if f.name in BLEND_SHAPES]
    calm = [n for n in names if not n.startswith(('blink', 'jaw', 'eyes_wide'))]
    return {str(n): float(rng.beta(1.0, 6.0)) for n in rng.choice(calm, 3, replace=False)}


def _pair(rng: Rng, name: str, amount: float) -> dict[str, float]:
    """One action on both sides; in one face of five plainly stronger on one of them."""
    weaker = rng.uniform(0.2, 0.7) if rng.random() < 0.2 else rng.uniform(0.85, 1.0)
    sides = [amount, amount * weaker]
    rng.shuffle(sides)
    return {f'{name}_left': sides[0], f'{name}_right': sides[1]}


def _rest(rng: Rng) -> dict[str, float]:
    return {'jaw_open': rng.beta(1.0, 12.0)}


def _smile(rng: Rng) -> dict[str, float]:
    amount = rng.uniform(0.2, 0.9)
    teeth = rng.uniform(0.0, 0.5) * amount if rng.random() < 0.6 else 0.0
    return {
        **_pair(rng, 'smile', amount),
        **_pair(rng, 'squint', amount * rng.uniform(0.0, 0.5)),
        'upper_lip_up': teeth,
        'lower_lip_down': teeth * rng.uniform(0.3, 1.0),
    }


def _laugh(rng: Rng) -> dict[str, float]:
    return {
        **_pair(rng, 'smile', rng.uniform(0.6, 1.0)),
        **_pair(rng, 'squint', rng.uniform(0.2, 0.9)),
        'jaw_open': rng.uniform(0.15, 0.5),
        'upper_lip_up': rng.uniform(0.1, 0.5),
    }


def _speech(rng: Rng) -> dict[str, float]:
    shapes = ('funnel', 'pucker', 'lips_stretch', 'lips_press', 'lips_roll', 'lower_lip_down')
    shape = str(rng.choice(shapes))
    closed = shape in ('lips_press', 'lips_roll')
    return {
        shape: rng.uniform(0.2, 0.8),
        'jaw_open': 0.0 if closed else rng.beta(2.0, 5.0),
        'upper_lip_up': 0.0 if closed else rng.beta(1.0, 5.0),
        'brows_up': rng.beta(1.0, 4.0),
    }


def _surprise(rng: Rng) -> dict[str, float]:
    amount = rng.uniform(0.3, 1.0)
    return {'brows_up': amount, 'eyes_wide': amount, 'jaw_open': rng.uniform(0.0, 0.6) * amount}


def _anger(rng: Rng) -> dict[str, float]:
    return {
        'brows_down': rng.uniform(0.4, 1.0),
        'sneer': rng.uniform(0.0, 0.8),
        'lips_press': rng.uniform(0.0, 0.7),
        **_pair(rng, 'squint', rng.uniform(0.0, 0.6)),
    }


def _sorrow(rng: Rng) -> dict[str, float]:
    return {'brows_inner_up': rng.uniform(0.3, 1.0), 'frown': rng.uniform(0.3, 1.0)}


def _yawn(rng: Rng) -> dict[str, float]:
    return {
        'jaw_open': rng.uniform(0.6, 1.0),
        'brows_up': rng.uniform(0.0, 0.5),
        **_pair(rng, 'blink', rng.uniform(0.3, 1.0)),
    }


def _grimace(rng: Rng) -> dict[str, float]:
    side = str(rng.choice(['left', 'right']))
    odd = str(rng.choice(['cheek_puff', 'pucker', 'sneer', 'dimple', 'jaw_forward']))
    return {
        f'mouth_{side}': rng.uniform(0.2, 0.8),
        f'jaw_{side}': rng.uniform(0.0, 0.6),
        f'brow_up_{side}': rng.uniform(0.0, 0.8),
        odd: rng.uniform(0.2, 0.8),
    }


#: Moods and the share of faces in each; rest, smiles and speech are what cameras mostly see.
_MOODS: dict[Mood, float] = {
    _rest: 0.30,
    _smile: 0.18,
    _laugh: 0.07,
    _speech: 0.20,
    _surprise: 0.06,
    _anger: 0.06,
    _sorrow: 0.05,
    _yawn: _YAWNS,
    _grimace: 0.04,
}


#: Share of faces that wink.
_WINKS = 1 / 30


def _lids(rng: Rng, config: ExpressionConfig, actions: dict[str, float]) -> dict[str, float]:
    draw, droop = rng.random(), float(rng.beta(1.0, 10.0))
    blink = {name: max(actions.get(name, 0.0), droop) for name in ('blink_left', 'blink_right')}
    if draw < config.closed:
        blink = dict.fromkeys(blink, float(rng.uniform(0.85, 1.0)))
    elif draw < config.closed + config.half_closed:
        blink = dict.fromkeys(blink, float(rng.uniform(0.2, 0.85)))
    elif draw < config.closed + config.half_closed + _WINKS:
        blink[str(rng.choice(list(blink)))] = float(rng.uniform(0.8, 1.0))
    # A lid cannot be torn open and closed at once.
    open_share = 1.0 - max(blink.values())
    return {**blink, 'eyes_wide': actions.get('eyes_wide', 0.0) * open_share}
