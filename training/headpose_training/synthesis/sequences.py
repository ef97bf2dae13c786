"""One person before one camera, moving smoothly: for tracking and for tests of jitter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from headpose_ros.geometry.rotations import FRONTAL, face_from_aligned, matrix_from_mnn_euler
from numpy.random import Generator
from numpy.typing import NDArray

from headpose_training.errors import TrainingError
from headpose_training.synthesis.camera import sample_camera
from headpose_training.synthesis.heads.expressions import Expression
from headpose_training.synthesis.heads.mesh import HeadSource
from headpose_training.synthesis.scene import Scene, SceneConfig, Setting, skull_center

Array = NDArray[np.float64]

#: What a head may do: see the functions of the same names.
MOTIONS = ('still', 'turn', 'nod', 'tilt', 'speak', 'yawn', 'look_about')


#: From the middle of the skull to what a head turns about, metres in the face frame: half way down
#: the neck, so that the shoulders hardly move.
_PIVOT = np.array([-0.02, 0.0, -0.09])


@dataclass(frozen=True)
class Moment:
    """Pose and expression at one time.

    Attributes:
        angles: (3,) pitch, yaw, roll in radians of `matrix_from_mnn_euler`.
        expression: Of the face.
    """

    angles: Array
    expression: Expression


class Motion:
    """Smooth pose and expression as functions of time; blinks come with every motion.

    Args:
        kind: One of `MOTIONS`.
        rng: Draws speeds, widths and the times of blinks.
    """

    def __init__(self, kind: str, rng: Generator) -> None:
        self._act = _ACTS[kind]
        self._center = rng.normal(0.0, [0.08, 0.25, 0.05])
        self._period, self._width = rng.uniform(2.0, 5.0), rng.uniform(0.5, 1.0)
        self._phase = rng.uniform(0.0, 2 * np.pi, 8)
        # A blink every two to six seconds, for ten minutes.
        self._blinks = np.cumsum(rng.uniform(2.0, 6.0, 200))

    def __call__(self, time: float) -> Moment:
        """Return the moment at a time in seconds, from 0 to 600."""
        angle = 2 * np.pi * time / self._period + self._phase[0]
        # Nobody holds quite still.
        sway = 0.01 * np.sin(2 * np.pi * time * np.array([0.31, 0.23, 0.17]) + self._phase[1:4])
        turned, actions = self._act(angle, time, self._phase)
        blink = float(np.exp(-(((time - self._blinks) / 0.07) ** 2)).max())
        lids = {side: max(blink, actions.get(side, 0.0)) for side in ('blink_left', 'blink_right')}
        expression = Expression(**{**actions, **lids})
        return Moment(self._center + sway + self._width * turned, expression)


Act = tuple[Array, dict[str, float]]


def _still(angle: float, time: float, phase: Array) -> Act:
    return np.zeros(3), {}


def _turn(angle: float, time: float, phase: Array) -> Act:
    """Turn from side to side, up to 80°."""
    return np.array([0.0, 1.4, 0.1]) * np.sin(angle), {}


def _nod(angle: float, time: float, phase: Array) -> Act:
    return np.array([0.5, 0.0, 0.0]) * np.sin(2 * angle), {}


def _tilt(angle: float, time: float, phase: Array) -> Act:
    return np.array([0.0, 0.15, 0.7]) * np.sin(angle), {}


def _speak(angle: float, time: float, phase: Array) -> Act:
    """Open and close, round and spread the lips at the pace of syllables."""
    open_, round_, wide = (
        0.5 + 0.5 * np.sin(2 * np.pi * pace * time + phase[i])
        for i, pace in ((4, 3.1), (5, 1.7), (6, 1.1))
    )
    actions = {
        'jaw_open': 0.35 * open_ * (0.4 + 0.6 * wide),
        'funnel': 0.5 * round_,
        'lips_stretch': 0.4 * wide * (1 - round_),
    }
    return np.array([0.08, 0.12, 0.04]) * np.sin(angle + phase[4:7]), actions


def _yawn(angle: float, time: float, phase: Array) -> Act:
    """Yawn once in a period, eyes closing."""
    wide = float(np.clip(np.sin(angle), 0.0, 1.0) ** 2)
    actions = {
        'jaw_open': 0.95 * wide,
        'brows_up': 0.4 * wide,
        'blink_left': 0.9 * wide,
        'blink_right': 0.9 * wide,
    }
    return np.array([0.25, 0.0, 0.0]) * wide, actions


def _look_about(angle: float, time: float, phase: Array) -> Act:
    """Eyes ahead of the head."""
    actions = {
        'gaze_yaw': 0.4 * float(np.sin(angle + 0.6)),
        'gaze_pitch': 0.15 * float(np.sin(0.7 * angle + phase[7])),
    }
    return np.array([0.2, 0.6, 0.1]) * np.sin(angle * np.array([0.7, 1.0, 0.5])), actions


_ACTS: dict[str, Callable[[float, float, Array], Act]] = {
    'still': _still,
    'turn': _turn,
    'nod': _nod,
    'tilt': _tilt,
    'speak': _speak,
    'yawn': _yawn,
    'look_about': _look_about,
}


class Clip:
    """Scenes of one person over time; person, clothes, light, camera and place stay.

    Args:
        seed: Of all of them.
        config: What faces there are; `config.camera.margin` is that of the middle pose.
        heads: Sources of heads.
        kind: One of `MOTIONS`.

    Raises:
        TrainingError: There is no such motion.
    """

    def __init__(
        self, seed: int, config: SceneConfig, heads: Sequence[HeadSource], kind: str
    ) -> None:
        if kind not in MOTIONS:
            raise TrainingError(f'unknown motion {kind!r}: expected one of {", ".join(MOTIONS)}')
        self._setting = Setting(np.random.default_rng(seed), config, heads)
        self._motion = Motion(kind, self._setting.stream('pose'))
        head = self._setting.person.mesh(Expression())
        center = skull_center(head)
        self._pivot = center + _PIVOT
        # Framed about the middle pose, with room for the turns.
        self._camera = sample_camera(
            self._setting.stream('camera'),
            config.camera,
            FRONTAL,
            head.landmarks.astype(np.float64),
            center,
        )
        self._ribbons = self._setting.scene(head, self._camera).hair.ribbons

    def scene(self, time: float) -> Scene:
        """Return the scene at a time in seconds, from 0 to 600."""
        moment, still = self._motion(time), self._camera
        turn = still.rotation @ FRONTAL.T @ matrix_from_mnn_euler(moment.angles)
        rotation = face_from_aligned(turn)
        place = still.to_optical(self._pivot) - rotation @ self._pivot
        camera = replace(still, rotation=rotation, translation=place)
        scene = self._setting.scene(self._setting.person.mesh(moment.expression), camera)
        # Loose strands would be parted and pushed aside anew in every picture.
        scene = replace(scene, hair=replace(scene.hair, ribbons=self._ribbons))
        # The sensor's noise is new in every picture.
        seed = scene.effects.seed ^ round(time * 1e6)
        return replace(scene, effects=replace(scene.effects, seed=seed))
