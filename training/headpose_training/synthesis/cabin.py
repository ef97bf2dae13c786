"""A driver in a cabin before a fixed camera: pictures of a person who is told what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from headpose_ros.geometry.rotations import FRONTAL
from numpy.random import Generator
from numpy.typing import NDArray

from headpose_training.synthesis.appearance.accessories import (
    Anatomy,
    Lenses,
    OccluderConfig,
    Worn,
    glasses,
    raised_hands,
)
from headpose_training.synthesis.appearance.light import Light, LightConfig
from headpose_training.synthesis.appearance.shapes import Solid
from headpose_training.synthesis.camera import Camera, CameraConfig
from headpose_training.synthesis.heads.expressions import Expression
from headpose_training.synthesis.heads.mesh import HeadSource
from headpose_training.synthesis.render.effects import EffectsConfig
from headpose_training.synthesis.scene import (
    Scene,
    SceneConfig,
    Setting,
    anatomy,
    skin_points,
    skull_center,
)

Array = NDArray[np.float64]
Float = NDArray[np.float32]

EYEWEAR = ('', 'glasses', 'sunglasses')

#: From the middle of the skull to what a head turns about, metres in the face frame.
_PIVOT = np.array([-0.02, 0.0, -0.09])
#: Lenses let less than this through in glasses, more in sunglasses.
_DARK = 0.5
#: Positions of lids and jaw for which openness is measured, to be found again.
_STEPS = np.linspace(0.0, 1.0, 9)
#: An empty seat: the driver is so far aside, metres.
_GONE = 1.2


@dataclass(frozen=True)
class CabinConfig:
    """What camera there is, and what it sees.

    Attributes:
        size: Side of the square picture, px; a camera's frame is a part of its rows.
        fov_deg: Horizontal field of view, degrees.
        distance: From the camera to the middle of the head, metres.
        infrared: Grey, lit by a lamp at the camera: night.
        eyewear: One of `EYEWEAR`.
    """

    size: int = 640
    fov_deg: float = 50.0
    distance: float = 0.64
    infrared: bool = False
    eyewear: str = ''


@dataclass(frozen=True)
class Act:
    """What the driver does in one picture.

    Attributes:
        rotation: (3, 3) of the face against the neutral one, in the face frame.
        sight: (2,) where the eyes look against the head, to the left and up, radians.
        lids: Openness of the eyes, 0..1 of the neutral ones.
        mouth: Gap of the inner lips over the width of the mouth.
        hands: How far the hands are before the face, 0..1.
        gone: How far the driver has left the seat, 0..1.
    """

    rotation: Array
    sight: Array
    lids: float = 1.0
    mouth: float = 0.05
    hands: float = 0.0
    gone: float = 0.0


class Cabin:
    """One driver, camera and car; the same seed gives the same, by day and by night.

    Args:
        seed: Of all of them.
        config: What camera there is, and what it sees.
        heads: Sources of heads.

    Attributes:
        neutral: (3, 3) R_optical_face of a driver who looks at the road.
    """

    def __init__(self, seed: int, config: CabinConfig, heads: Sequence[HeadSource]) -> None:
        self.config = config
        rng = np.random.default_rng(seed)
        self._setting = Setting(rng, _scene_config(config), heads)
        self._person = self._setting.person
        draw = np.random.default_rng([seed, 1])
        # The camera is on the dashboard: it looks up, and at the driver from some way aside.
        self.neutral = FRONTAL @ _turn(draw.normal(0.0, 6.0), draw.uniform(6.0, 14.0))
        self._seated = self.neutral @ _turn(0.0, draw.uniform(-4.0, 4.0))
        self._place = np.array([*draw.normal(0.0, [0.02, 0.01]), config.distance])
        head = self._person.mesh(Expression())
        self._pivot = skull_center(head) + _PIVOT
        self._lids, self._jaw = _lid_curve(self._setting), _jaw_curve(self._setting)
        still = self._camera(np.eye(3), 0.0)
        scene = self._setting.scene(head, still, self._seated)
        self._ribbons = scene.hair.ribbons
        self._scenery = Scenery(np.random.default_rng([seed, 2]), config, scene.light)
        # Things are drawn for the head at rest, so that they do not change with the expression.
        self._body = anatomy(head, skin_points(head), self._setting.stream('body'), still)
        self._eyewear = np.random.default_rng([seed, 3]).integers(2**32)

    @property
    def widest(self) -> float:
        """The widest opening of the driver's mouth."""
        return float(self._jaw[1].max())

    @property
    def intrinsics(self) -> Array:
        """(3, 3) intrinsics of the square picture, px."""
        size = self.config.size
        focal = size / 2 / np.tan(np.radians(self.config.fov_deg) / 2)
        middle = (size - 1) / 2
        return np.array([[focal, 0.0, middle], [0.0, focal, middle], [0.0, 0.0, 1.0]])

    def scene(self, time: float, act: Act) -> Scene:
        """Return the scene at a time in seconds.

        Args:
            time: For what moves outside, and for noise.
            act: What the driver does.
        """
        camera = self._camera(act.rotation, act.gone)
        head = self._person.mesh(self._expression(act))
        scene = self._setting.scene(head, camera, self._seated)
        body = replace(self._body, body=camera.rotation.T @ self._seated)
        return replace(
            scene,
            worn=self._worn(scene, body, act.hands),
            hair=replace(scene.hair, ribbons=self._ribbons),
            background=self._scenery.at(time),
            effects=replace(scene.effects, seed=scene.effects.seed ^ round(time * 1e6)),
        )

    def _camera(self, rotation: Array, gone: float) -> Camera:
        turned = self.neutral @ rotation
        # Out of the door, which is to the driver's left: the right of the picture.
        aside = gone * _GONE * np.array([1.0, 0.25, 0.0])
        still = self._place - self.neutral @ (self._pivot - _PIVOT)
        pivot = still + self.neutral @ self._pivot + aside
        return Camera(self.intrinsics, self.config.size, turned, pivot - turned @ self._pivot)

    def _expression(self, act: Act) -> Expression:
        blink = float(np.interp(act.lids, *self._lids))
        return Expression(
            blink_left=blink,
            blink_right=blink,
            jaw_open=float(np.interp(act.mouth, self._jaw[1], self._jaw[0])),
            gaze_yaw=float(act.sight[0]),
            gaze_pitch=float(act.sight[1]),
        )

    def _worn(self, scene: Scene, body: Anatomy, hands: float) -> Worn:
        worn = scene.worn
        solids, lenses = list(worn.solids), worn.lenses
        if self.config.eyewear:
            frame, lenses = _glasses(int(self._eyewear), body, self.config.eyewear)
            solids += frame
        if hands > 0:
            solids += raised_hands(body, scene.skin, hands)
        return replace(worn, solids=solids, lenses=lenses)


def _scene_config(config: CabinConfig) -> SceneConfig:
    nothing = OccluderConfig(glasses=0.0, mask=0.0, hat=0.08, hand=0.0, headrest=0.0)
    return SceneConfig(
        camera=CameraConfig(size=config.size),
        light=LightConfig(dark=0.0, infrared=float(config.infrared), place='cabin'),
        occluders=nothing,
        effects=EffectsConfig(defocus=0.0, motion=0.0, low_resolution=0.0, jpeg=0.0),
    )


def _turn(azimuth: float, elevation: float) -> Array:
    """Return a rotation in the face frame: degrees to the left and up."""
    left = cv2.Rodrigues(np.array([0.0, 0.0, np.radians(azimuth)]))[0]
    up = cv2.Rodrigues(np.array([0.0, -np.radians(elevation), 0.0]))[0]
    return np.asarray(left @ up, np.float64)


def _lid_curve(setting: Setting) -> tuple[Array, Array]:
    """Return openness of the eyes, rising, and how far lids blink for it."""
    meshes = [setting.person.mesh(Expression(blink_left=b, blink_right=b)) for b in _STEPS]
    openness = np.array([float(mesh.eye_openness.mean()) for mesh in meshes])
    return openness[::-1], _STEPS[::-1]


def _jaw_curve(setting: Setting) -> tuple[Array, Array]:
    """Return how far the jaw is open, and the opening of the mouth, rising."""
    meshes = [setting.person.mesh(Expression(jaw_open=b)) for b in _STEPS]
    return _STEPS, np.array([float(mesh.mouth_openness) for mesh in meshes])


def _glasses(seed: int, body: Anatomy, eyewear: str) -> tuple[list[Solid], Lenses]:
    """Return glasses whose lenses are as dark as they should be."""
    while True:
        frame, lenses = glasses(np.random.default_rng(seed), body)
        if (lenses.opacity > _DARK) == (eyewear == 'sunglasses'):
            return frame, lenses
        seed += 1


class Scenery:
    """What is behind a driver: seat, rear and side windows, and what goes by outside.

    Args:
        rng: Source of randomness.
        config: Its size counts, and whether it is night.
        light: Of the scene.
    """

    def __init__(self, rng: Generator, config: CabinConfig, light: Light) -> None:
        self._size = size = config.size
        bright = 0.1 if config.infrared else 1.0
        exposed = 1.0 / light.exposure
        self._inside, self._glass = _interior(rng, size, config.infrared)
        self._inside *= exposed.astype(np.float32)
        self._outside = (_landscape(rng, size) * bright * exposed).astype(np.float32)
        self._speed = rng.uniform(0.25, 0.5) * size  # px a second

    def at(self, time: float) -> Float:
        """Return (S, S, 3) radiance at a time in seconds."""
        width = self._outside.shape[1]
        first = round(time * self._speed) % (width - self._size)
        outside = self._outside[:, first : first + self._size]
        return np.asarray(self._inside + self._glass * (outside - self._inside), np.float32)


def _interior(rng: Generator, size: int, infrared: bool) -> tuple[Float, Float]:
    """Return (S, S, 3) what is seen inside, where a white wall is about 1, and (S, S, 1) glass."""
    trim, seat = (np.full(3, rng.uniform(*span)) for span in ((0.03, 0.06), (0.05, 0.14)))
    if not infrared:
        seat = seat * (1.0 + rng.normal(0.0, 0.12, 3))
    inside = np.empty((size, size, 3), np.float32)
    inside[:] = trim * np.linspace(1.6, 0.6, size)[:, None, None]
    glass = np.zeros((size, size), np.float32)
    for window in _WINDOWS:
        _fill(glass, window, 1.0)
    # Rear seat, pillar, the driver's own seat with its head-rest.
    _fill(inside, [(-0.1, 0.56), (0.34, 0.5), (0.5, 0.62), (0.5, 1.1), (-0.1, 1.1)], seat * 0.5)
    front = [(0.24, 1.1), (0.25, 0.72), (0.32, 0.62), (0.68, 0.62), (0.76, 0.72), (0.78, 1.1)]
    for shape, level in ((front, 0.9), (_HEADREST, 0.75)):
        _fill(glass, shape, 0.0)
        _fill(inside, shape, seat * level)
    for x in (0.44, 0.56):
        cv2.line(inside, _px(size, x, 0.56), _px(size, x, 0.64), [0.35] * 3, max(size // 80, 1))
    # Behind the focus.
    sigma = size / 200
    soft = cv2.GaussianBlur(inside, (0, 0), sigma)
    return np.asarray(soft, np.float32), np.asarray(
        cv2.GaussianBlur(glass, (0, 0), sigma)[..., None], np.float32
    )


#: Corners as shares of the picture: rear window, rear side window, the driver's side window.
_WINDOWS = (
    [(0.14, 0.3), (0.52, 0.27), (0.55, 0.46), (0.11, 0.48)],
    [(-0.1, 0.3), (0.06, 0.29), (0.03, 0.5), (-0.1, 0.52)],
    [(0.7, 0.2), (1.1, 0.08), (1.1, 0.62), (0.8, 0.56)],
)
_HEADREST = [(0.37, 0.58), (0.35, 0.36), (0.4, 0.31), (0.6, 0.31), (0.65, 0.36), (0.63, 0.58)]


def _fill(picture: Float, corners: Sequence[tuple[float, float]], value: object) -> None:
    points = np.array([_px(picture.shape[0], *corner) for corner in corners], np.int32)
    color = np.broadcast_to(np.asarray(value, np.float64), 3).tolist()
    cv2.fillPoly(picture, [points], color if picture.ndim == 3 else color[0], cv2.LINE_AA)


def _px(size: int, x: float, y: float) -> tuple[int, int]:
    return round(x * size), round(y * size)


def _landscape(rng: Generator, size: int) -> Array:
    """Return (S, 6 S, 3) sky, hills, trees and houses, that close on themselves."""
    width = 5 * size
    picture = np.empty((size, width, 3), np.float32)
    picture[:] = np.linspace(1.0, 1.5, size)[:, None, None] * np.array([0.75, 0.88, 1.0])
    along = np.arange(width) / width * 2 * np.pi
    hills = sum(rng.uniform(0.01, 0.03) * np.sin(k * along + rng.uniform(0, 6)) for k in (2, 5, 11))
    rows = np.arange(size)[:, None] / size
    picture[rows > 0.4 + hills] = [0.28, 0.36, 0.22]
    for _ in range(60):
        x, high = int(rng.integers(width)), rng.uniform(0.05, 0.2)
        wide = int(size * rng.uniform(0.03, 0.12))
        if rng.random() < 0.6:
            color = (np.array([0.12, 0.2, 0.08]) * rng.uniform(0.5, 1.5)).tolist()
            middle = (x, round(size * (0.46 - high / 2)))
            cv2.ellipse(picture, middle, (wide // 2, round(size * high)), 0, 0, 360, color, -1)
        else:
            color = (rng.dirichlet([30, 28, 24]) * rng.uniform(0.6, 2.0)).tolist()
            top = round(size * (0.46 - high))
            cv2.rectangle(picture, (x, top), (x + wide, round(size * 0.5)), color, -1)
    soft = cv2.GaussianBlur(picture, (0, 0), size / 100)
    return np.concatenate([soft, soft[:, :size]], axis=1).astype(np.float64)
