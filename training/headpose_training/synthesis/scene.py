"""Everything about one picture, drawn from one seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from headpose_ros.geometry.rotations import face_from_aligned
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from headpose_training.synthesis.appearance.accessories import (
    Anatomy,
    OccluderConfig,
    Worn,
    sample_worn,
)
from headpose_training.synthesis.appearance.background import BackgroundConfig, sample_background
from headpose_training.synthesis.appearance.hair import Hair, HairConfig, hair_color, sample_hair
from headpose_training.synthesis.appearance.light import (
    Light,
    LightConfig,
    panorama_files,
    sample_light,
)
from headpose_training.synthesis.appearance.openness import openness
from headpose_training.synthesis.appearance.shapes import Hull
from headpose_training.synthesis.appearance.skin import (
    Eyes,
    Skin,
    SkinConfig,
    sample_eyes,
    sample_skin,
)
from headpose_training.synthesis.camera import Camera, CameraConfig, sample_camera
from headpose_training.synthesis.heads.expressions import ExpressionConfig, random_expression
from headpose_training.synthesis.heads.mesh import HeadMesh, HeadSource, Identity, is_skin
from headpose_training.synthesis.poses import PoseConfig, sample_rotation
from headpose_training.synthesis.render.effects import Effects, EffectsConfig, sample_effects

Array = NDArray[np.float64]

#: The parts of a scene, each with a stream of random numbers of its own: what one part draws does
#: not change the others, so that an ablation shows the same heads.
_PARTS = (
    'person', 'expression', 'pose', 'camera', 'light', 'skin', 'eyes', 'body', 'worn', 'hair',
    'background', 'effects',
)  # fmt: skip


@dataclass(frozen=True)
class SceneConfig:
    """What faces there are: ranges of every part, and switches for ablations.

    Attributes:
        poses: Of the heads.
        expressions: Of the faces.
        camera: Its ranges.
        light: `light.varied` off: one soft light.
        skin: `skin.textured` off: one plain tone.
        hair: `hair.enabled` off: no hair.
        occluders: `occluders.enabled` off: nothing before the face.
        background: `background.varied` off: grey.
        effects: `effects.enabled` off: a clean picture, without blur and noise.
    """

    poses: PoseConfig = field(default_factory=PoseConfig)
    expressions: ExpressionConfig = field(default_factory=ExpressionConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    light: LightConfig = field(default_factory=LightConfig)
    skin: SkinConfig = field(default_factory=SkinConfig)
    hair: HairConfig = field(default_factory=HairConfig)
    occluders: OccluderConfig = field(default_factory=OccluderConfig)
    background: BackgroundConfig = field(default_factory=BackgroundConfig)
    effects: EffectsConfig = field(default_factory=EffectsConfig)


@dataclass(frozen=True)
class Scene:
    """One face before one camera; the same scene gives the same pixels.

    Attributes:
        source: Name of the head's source.
        head: The mesh.
        openness: (V,) see `appearance.openness`.
        camera: With the head's rotation and translation.
        light: Of the scene.
        skin: Of the person.
        eyes: Of the person.
        hair: Of the person.
        worn: Clothes and what covers the face.
        background: (B, B, 3) float32 radiance RGB over the whole picture.
        effects: What lens and sensor do to the picture.
    """

    source: str
    head: HeadMesh
    openness: NDArray[np.float32]
    camera: Camera
    light: Light
    skin: Skin
    eyes: Eyes
    hair: Hair
    worn: Worn
    background: NDArray[np.float32]
    effects: Effects


class Setting:
    """A person with clothes, light and place: all of a scene but expression, pose and camera.

    Args:
        rng: Source of randomness.
        config: Ranges and switches.
        heads: Sources of heads, drawn from in equal shares.
    """

    def __init__(self, rng: Generator, config: SceneConfig, heads: Sequence[HeadSource]) -> None:
        self.config = config
        self._seeds = dict(zip(_PARTS, rng.integers(2**63, size=len(_PARTS)), strict=True))
        draw = self.stream('person')
        self._source = heads[int(draw.integers(len(heads)))]
        self.person: Identity = self._source.sample(draw)
        self._panoramas = panorama_files(config.light.panoramas)

    def stream(self, part: str) -> Generator:
        """Return the random numbers of one of the parts, from their start."""
        return np.random.default_rng(self._seeds[part])

    def scene(self, head: HeadMesh, camera: Camera, seated: Array | None = None) -> Scene:
        """Return the scene with the person's head in some expression before a camera.

        Args:
            head: The person's, with an expression.
            camera: With the head's pose.
            seated: (3, 3) rotation of the body in the optical frame; None: drawn.
        """
        config, draw = self.config, self.stream
        points = skin_points(head)
        light = sample_light(draw('light'), config.light, self._panoramas)
        body = anatomy(head, points, draw('body'), camera)
        if seated is not None:
            body = replace(body, body=camera.rotation.T @ seated)
        looks = draw('skin')
        color = hair_color(looks)
        bearded = bool(looks.random() < config.hair.beard) and config.hair.enabled
        skin = sample_skin(looks, config.skin, color, bearded)
        worn = sample_worn(draw('worn'), config.occluders, body, skin)
        return Scene(
            source=self._source.name,
            head=head,
            openness=openness(self._source),
            camera=camera,
            light=light,
            skin=skin,
            eyes=sample_eyes(draw('eyes'), skin.melanin, light.infrared),
            hair=sample_hair(draw('hair'), config.hair, head, body, color, worn.hat, bearded),
            worn=worn,
            background=sample_background(draw('background'), config.background, camera, light),
            effects=sample_effects(draw('effects'), config.effects, light.dark, light.infrared),
        )


def sample_scene(rng: Generator, config: SceneConfig, heads: Sequence[HeadSource]) -> Scene:
    """Draw a scene.

    Args:
        rng: Source of randomness.
        config: Ranges and switches.
        heads: Sources of heads, drawn from in equal shares.

    Raises:
        TrainingError: A panorama file is broken.
    """
    setting = Setting(rng, config, heads)
    head = setting.person.mesh(random_expression(setting.stream('expression'), config.expressions))
    facing = face_from_aligned(sample_rotation(setting.stream('pose'), config.poses))
    landmarks = head.landmarks.astype(np.float64)
    camera = sample_camera(
        setting.stream('camera'), config.camera, facing, landmarks, skull_center(head)
    )
    return setting.scene(head, camera)


def skull_center(head: HeadMesh) -> Array:
    """Return (3,) metres: the middle of the skull, between the ears, above the sellion's height."""
    ears = head.landmarks[[0, 16]].mean(axis=0)
    return np.array([ears[0] - 0.005, 0.0, 0.15 * head.vertices[:, 2].max()], np.float64)


def head_hull(head: HeadMesh, skin: NDArray[np.float32]) -> Hull:
    """Return the hull of the head without the neck, about its middle."""
    return Hull.around(skin[skin[:, 2] > head.landmarks[8, 2] - 0.06], skull_center(head))


def anatomy(head: HeadMesh, skin: NDArray[np.float32], rng: Generator, camera: Camera) -> Anatomy:
    """Measure the places of a head that worn things need, and draw where the body faces.

    Args:
        head: The head.
        skin: (N, 3) the vertices of its skin.
        rng: Source of randomness.
        camera: With the head's pose.
    """
    jaw = head.landmarks[8, 2]
    low = skin[(skin[:, 2] < jaw - 0.035) & (skin[:, 2] > jaw - 0.065)]
    if not len(low):
        low = skin[skin[:, 2] < jaw]
    middle = (low.max(axis=0) + low.min(axis=0)) / 2
    neck = np.array([middle[0], 0.0, jaw - 0.075])
    return Anatomy(
        landmarks=head.landmarks.astype(np.float64),
        hull=head_hull(head, skin),
        neck=neck,
        neck_radius=float(np.clip(_most(np.abs(low[:, 1])), 0.045, 0.075)),
        bust=Hull.around(skin[skin[:, 2] < jaw - 0.02], neck, 0.5),
        body=body_turn(rng, camera, neck),
    )


def _most(values: NDArray[np.float32]) -> float:
    """Return what six of ten values are below."""
    place = int(0.6 * (len(values) - 1))
    return float(np.partition(values, place)[place])


def skin_points(head: HeadMesh) -> NDArray[np.float32]:
    """Return the (N, 3) vertices of the skin."""
    used = np.zeros(len(head.vertices), np.bool_)
    used[head.triangles[is_skin(head.materials)].ravel()] = True
    return head.vertices[used]


#: How far a head turns on its neck, radians: least and most of what people do.
_NECK = np.radians([40.0, 70.0])
#: Turns of the neck, radians, tried next where the body would hide the face.
_FARTHER = np.radians([70.0, 90.0, 110.0])
#: Half depth and half width of chest and shoulders, metres, and how near to the face they may be.
_CHEST, _CLEAR = np.array([0.16, 0.28]), 0.10


def body_turn(rng: Generator, camera: Camera, neck: Array) -> Array:
    """Return a rotation (3, 3) from the body's axes to the face frame.

    The body stands upright before the camera, about turned to it, as far as the neck can bear it:
    what is more takes the body along.

    Args:
        rng: Source of randomness.
        camera: With the head's pose.
        neck: (3,) lower end of the neck in the face frame.
    """
    azimuth, lean = rng.normal(0.0, 0.5), rng.normal(0.0, 0.12, 2)
    upright = face_from_aligned(Rotation.from_euler('yxz', [azimuth, *lean]).as_matrix())
    turn = cv2.Rodrigues(camera.rotation.T @ upright)[0]
    angle = max(float(np.linalg.norm(turn)), 1e-9)
    body = np.eye(3)
    for limit in (rng.uniform(*_NECK), *_FARTHER):
        body = np.asarray(cv2.Rodrigues(turn * min(1.0, limit / angle))[0], np.float64)
        if not _in_the_way(camera, body, neck):
            break
    return body


def _in_the_way(camera: Camera, body: Array, neck: Array) -> bool:
    """Return whether the line of sight to the face's origin meets chest or shoulders."""
    eye = -camera.rotation.T @ camera.translation
    share = np.linspace(0.0, max(1.0 - _CLEAR / float(np.linalg.norm(eye)), 0.0), 24)[:, None]
    line = (eye * (1 - share) - neck) @ body
    return bool(((line[:, 2] < 0.0) & (((line[:, :2] / _CHEST) ** 2).sum(axis=1) < 1.0)).any())
