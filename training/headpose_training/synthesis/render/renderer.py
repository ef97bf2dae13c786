"""Draws scenes: a shadow map, then everything opaque, lashes and lenses; then lens and sensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import cv2
import moderngl
import numpy as np
from numpy.typing import ArrayLike, NDArray

from headpose_training.synthesis.appearance.hair import Ribbons, Shells
from headpose_training.synthesis.appearance.light import Light
from headpose_training.synthesis.appearance.shapes import Solid, joined
from headpose_training.synthesis.appearance.skin import BLOOD, MELANIN, skin_albedo
from headpose_training.synthesis.heads.mesh import HeadMesh, Material, is_skin
from headpose_training.synthesis.labels import Labels, label
from headpose_training.synthesis.render.context import Shader, compiled, make_context
from headpose_training.synthesis.render.effects import apply
from headpose_training.synthesis.scene import Scene

Array = NDArray[np.float64]
Float = NDArray[np.float32]
Image = NDArray[np.uint8]
Values = dict[str, ArrayLike | bytes]

#: Side of the shadow map in texels and half the width that it covers, metres.
_SHADOW_SIDE, _SHADOW_REACH = 240, 0.26
#: Solids with less gloss mirror nothing.
_GLOSS = 0.25
#: Teeth and gums show from this openness of the mouth on.
_LIPS_APART = 0.01


@dataclass(frozen=True)
class Rendered:
    """One picture.

    Attributes:
        image: uint8 (S, S, 3) BGR.
        labels: What is known about it.
    """

    image: Image
    labels: Labels


class Renderer:
    """Draws scenes of one size. It belongs to the thread that made it.

    Args:
        size: Side of the pictures, px.
        supersampling: Samples per pixel in each direction; above 1 borders and strands are clean.
        device: Which of EGL's devices; None for its default.

    Raises:
        TrainingError: There is no EGL.
    """

    def __init__(
        self, size: int = 256, supersampling: float = 1.25, device: int | None = None
    ) -> None:
        self.size = size
        self._context = context = make_context(device)
        #: Name of what draws, as OpenGL has it.
        self.device = str(context.info['GL_RENDERER'])
        side = round(size * supersampling)
        self._color = context.renderbuffer((side, side), 4)
        self._depth = context.depth_renderbuffer((side, side))
        self._target = context.framebuffer([self._color], self._depth)
        shape = (_SHADOW_SIDE, _SHADOW_SIDE)
        self._shadow_map = context.depth_texture(shape)
        self._shadow_map.compare_func = '<='
        self._shadow_map.repeat_x = self._shadow_map.repeat_y = False
        self._shadow = context.framebuffer([], self._shadow_map)
        skin = ('noise', 'light')
        self._programs = {
            'depth': compiled(context, 'depth', 'depth'),
            'skin': compiled(context, 'skin', 'skin', *skin),
            'eye': compiled(context, 'skin', 'eye', *skin),
            'mouth': compiled(context, 'skin', 'mouth', *skin),
            'lashes': compiled(context, 'skin', 'lashes', *skin),
            'solid': compiled(context, 'solid', 'solid', *skin),
            'cloth': compiled(context, 'solid', 'cloth', *skin),
            'shells': compiled(context, 'shells', 'shells', *skin, 'hair'),
            'ribbons': compiled(context, 'ribbons', 'ribbons', *skin, 'hair'),
        }

    def render(self, scene: Scene, seed: tuple[int, int] = (0, 0)) -> Rendered:
        """Draw a scene and label it.

        Args:
            scene: The scene; its camera's size must be the renderer's.
            seed: Of the dataset and of the face, for the labels.
        """
        # There may be another renderer in this process.
        with self._context:
            rendered = self._drawn(scene, seed)
            self._context.gc()
        return rendered

    def _drawn(self, scene: Scene, seed: tuple[int, int]) -> Rendered:
        drawing = _Drawing(self._context, self._programs, scene)
        shadow = _shadow_matrix(scene)
        self._shadow.use()
        # Rows go up in clip space, here and in the picture: front faces are clockwise.
        self._context.front_face = 'cw'
        self._context.enable_only(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        self._shadow.clear(depth=1.0)
        drawing.cast(shadow)
        self._target.use()
        self._target.clear()
        self._shadow_map.use(0)
        drawing.light(shadow)
        drawing.opaque()
        # Before lashes and clear lenses, which hide nothing.
        depth = self._read_depth()
        drawing.transparent()
        return Rendered(self._developed(scene), label(scene, depth, seed))

    def _read_depth(self) -> NDArray[np.float32]:
        data = self._target.read(components=1, attachment=-1, dtype='f4')
        side = self._target.width
        return np.frombuffer(data, np.float32).reshape(side, side)

    def _developed(self, scene: Scene) -> Image:
        """Read the picture, put the background behind it and give it the camera's tones."""
        side, shape = self._target.width, (self.size, self.size)
        data = self._target.read(components=4)
        drawn = np.frombuffer(data, np.uint8).reshape(side, side, 4)
        # Up to this ratio four samples are all that a pixel covers.
        nearby = side < 1.5 * self.size
        small = cv2.resize(
            drawn, shape, interpolation=cv2.INTER_LINEAR if nearby else cv2.INTER_AREA
        )
        behind = encoded(scene.background * scene.light.exposure.astype(np.float32))
        if behind.shape[:2] != shape:
            behind = np.asarray(cv2.resize(behind, shape), np.uint8)
        hidden = cv2.bitwise_not(cv2.merge([small[..., 3]] * 3))
        front = cv2.cvtColor(small, cv2.COLOR_RGBA2RGB)
        mixed = cv2.LUT(cv2.add(front, cv2.multiply(behind, hidden, scale=1 / 255)), _TONES)
        if scene.light.infrared:
            grey = cv2.cvtColor(mixed, cv2.COLOR_RGB2GRAY)
            return apply(scene.effects, np.asarray(cv2.merge([grey] * 3), np.uint8))
        return apply(scene.effects, np.asarray(cv2.cvtColor(mixed, cv2.COLOR_RGB2BGR), np.uint8))


#: Exposed radiance of the highest level that is drawn; see `encoded` in light.glsl.
_BRIGHTEST = 2.0


def encoded(radiance: NDArray[np.float32]) -> Image:
    """Return (H, W, 3) exposed radiance as the shaders write it: by its square root."""
    return np.asarray(
        cv2.convertScaleAbs(cv2.sqrt(radiance), alpha=255 / np.sqrt(_BRIGHTEST)), np.uint8
    )


def _tones() -> Image:
    """Return the camera's level of each encoded one: linear, soft at the white, gamma 2.2."""
    x = _BRIGHTEST * (np.arange(256) / 255) ** 2
    return np.rint(255 * (x / (1 + x**4) ** 0.25) ** (1 / 2.2)).astype(np.uint8)


_TONES = _tones()


class _Drawing:
    """One scene's buffers and the order in which they are drawn."""

    def __init__(
        self, context: moderngl.Context, programs: dict[str, Shader], scene: Scene
    ) -> None:
        self._context, self._programs, self._scene = context, programs, scene
        self._head = context.buffer(_head_vertices(scene))
        self._parts = _parts(scene.head)
        self._solids = _by_gloss(scene.worn.solids)
        self._values: Values = {}

    def cast(self, shadow: Array) -> None:
        """Draw into the shadow map what casts shadows."""
        self._values = {'shadow_clip': _column_major(shadow)}
        self._draw('depth', [(self._head, '3f 56x', 'position')], self._scene.head.outline)
        for solid in self._solids.values():
            loose = self._buffer(solid.positions)
            self._draw('depth', [(loose, '3f', 'position')], solid.triangles)
        self._context.disable(moderngl.CULL_FACE)
        lenses = self._scene.worn.lenses
        if lenses is not None and lenses.opacity > 0.5:
            positions = self._buffer(lenses.solid.positions)
            self._draw('depth', [(positions, '3f', 'position')], lenses.solid.triangles)
        for shells in self._scene.hair.shells:
            # One layer, half way up the strands, stands for all.
            grown = 0.5 * (shells.cover[:, 1:] * shells.cover[:, :1]) * shells.normals
            positions = self._buffer(shells.positions + grown)
            self._draw('depth', [(positions, '3f', 'position')], shells.triangles)
        ribbons = self._scene.hair.ribbons
        if ribbons is not None:
            positions = self._buffer(ribbons.positions)
            self._draw('depth', [(positions, '3f', 'position')], ribbons.outline)

    def light(self, shadow: Array) -> None:
        """Set what all programs have in common."""
        camera, light = self._scene.camera, self._scene.light
        optical = np.eye(4)
        optical[:3, :3], optical[:3, 3] = camera.rotation, camera.translation
        to_map = np.array([[0.5, 0, 0, 0.5], [0, 0.5, 0, 0.5], [0, 0, 0.5, 0.5], [0, 0, 0, 1]])
        values: Values = {
            'clip': _column_major(camera.clip_matrix()),
            'optical': _column_major(optical),
            'shadow': _column_major(to_map @ shadow),
            **_light_values(light),
        }
        # Every program takes them: once to bytes.
        self._values = {name: _bytes(value) for name, value in values.items()}

    def opaque(self) -> None:
        """Draw all that hides what is behind it."""
        scene = self._scene
        self._context.enable(moderngl.CULL_FACE)
        # From the outside in: what is hidden need not be shaded.
        for name, solid in self._solids.items():
            self._draw_solid(solid, 1.0, name)
        self._context.disable(moderngl.CULL_FACE)
        lenses = scene.worn.lenses
        if lenses is not None and lenses.opacity > 0.5:
            self._draw_lenses(lenses.solid, lenses.opacity)
        if scene.hair.ribbons is not None:
            self._draw_ribbons(scene.hair.ribbons)
        self._context.enable(moderngl.CULL_FACE)
        for shells in scene.hair.shells:
            self._draw_shells(shells)
        self._draw_head('skin', self._parts['skin'], _skin_values(scene))
        self._draw_head('eye', self._parts['eye'], _eye_values(scene))
        if scene.head.mouth_openness > _LIPS_APART:
            for name, tooth in (('teeth', 1.0), ('mouth', 0.0)):
                self._draw_head('mouth', self._parts[name], _mouth_values(scene, tooth))

    def transparent(self) -> None:
        """Draw what does not hide landmarks."""
        lenses = self._scene.worn.lenses
        self._context.disable(moderngl.CULL_FACE)
        self._blend()
        lash = {
            'lash_color': np.minimum(self._scene.hair.color, 0.02),
            'eye_height': self._scene.head.eye_centers[:, 2].mean(),
        }
        self._draw_head('lashes', self._parts['lashes'], lash)
        if lenses is not None and lenses.opacity <= 0.5:
            self._draw_lenses(lenses.solid, lenses.opacity)

    def _draw_lenses(self, solid: Solid, opacity: float) -> None:
        self._blend()
        self._draw_solid(solid, opacity)
        self._context.disable(moderngl.BLEND)

    def _blend(self) -> None:
        self._context.enable(moderngl.BLEND)
        self._context.blend_func = moderngl.ONE, moderngl.ONE_MINUS_SRC_ALPHA

    def _draw_head(self, name: str, triangles: NDArray[np.int32], values: Values) -> None:
        layout = '3f 3f 2f 4f 4f 1f'
        names = ('position', 'normal', 'uv', 'regions_a', 'regions_b', 'open')
        self._draw(name, [(self._head, layout, *names)], triangles, values)

    def _draw_solid(self, solid: Solid, opacity: float, name: str = 'solid') -> None:
        rows = np.hstack([solid.positions, solid.normals, solid.colors, solid.finish])
        content = (self._buffer(rows), '3f 3f 3f 2f', 'position', 'normal', 'tint', 'finish')
        self._draw(name, [content], solid.triangles, {'opacity': opacity})

    def _draw_shells(self, shells: Shells) -> None:
        rows = np.hstack([shells.positions, shells.normals, shells.comb, shells.cover])
        content = (self._buffer(rows), '3f 3f 3f 2f', 'position', 'normal', 'comb', 'cover')
        values: Values = {
            'layers': float(shells.layers),
            'scale': shells.scale,
            'curl': shells.curl,
            'clump': shells.clump,
            'tint': shells.color,
        }
        self._draw('shells', [content], shells.triangles, values, shells.layers)

    def _draw_ribbons(self, ribbons: Ribbons) -> None:
        rows = np.hstack([ribbons.positions, ribbons.normals, ribbons.tangents, ribbons.uv])
        content = (self._buffer(rows), '3f 3f 3f 3f', 'position', 'normal', 'tangent', 'uv')
        eye = -self._scene.camera.rotation.T @ self._scene.camera.translation
        triangles = _nearest_first(ribbons.triangles, ribbons.positions, eye)
        self._draw('ribbons', [content], triangles, {'tint': ribbons.color})

    def _buffer(self, rows: NDArray[np.float32]) -> moderngl.Buffer:
        return self._context.buffer(np.ascontiguousarray(rows, np.float32))

    def _draw(
        self,
        name: str,
        content: list[tuple],
        triangles: NDArray[np.int32],
        values: Values | None = None,
        instances: int = 1,
    ) -> None:
        if not len(triangles):
            return
        shader = self._programs[name]
        values = {**self._values, **(values or {})}
        for key, uniform in shader.uniforms.items():
            if key in values:
                # Of an array OpenGL keeps no more than the shader can read.
                size = 4 * uniform.dimension * uniform.array_length
                uniform.write(_bytes(values[key])[:size])
        index = self._context.buffer(np.ascontiguousarray(triangles, np.int32))
        self._context.vertex_array(shader.program, _used(shader, content), index).render(
            instances=instances
        )


def _by_gloss(solids: Sequence[Solid]) -> dict[str, Solid]:
    """Return the solids by the program that draws them: what mirrors nothing costs less."""
    parts: dict[str, list[Solid]] = {}
    for solid in solids:
        matte = float(solid.finish[:, 0].max()) < _GLOSS
        parts.setdefault('cloth' if matte else 'solid', []).append(solid)
    return {name: joined(own) for name, own in parts.items()}


def _nearest_first(triangles: NDArray[np.int32], points: Float, eye: Array) -> NDArray[np.int32]:
    """Return triangles (F, 3) by their distance: what is hidden need not be shaded."""
    distance = np.square(points - eye.astype(np.float32)).sum(axis=1)
    return triangles[np.argsort(distance[triangles[:, 0]])]


def _bytes(value: ArrayLike | bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    return np.asarray(value, np.int32 if isinstance(value, int) else np.float32).tobytes()


def _used(shader: Shader, content: list[tuple]) -> list[tuple]:
    """Turn attributes that a program does not read into gaps."""
    used = []
    for buffer, layout, *names in content:
        formats = layout.split()
        kept = [name for name in names if name in shader.attributes]
        gaps = [
            part if part.endswith('x') or names[i] in shader.attributes else f'{4 * int(part[0])}x'
            for i, part in enumerate(formats)
        ]
        used.append((buffer, ' '.join(gaps), *kept))
    return used


def _column_major(matrix: Array) -> bytes:
    return np.ascontiguousarray(matrix.T, np.float32).tobytes()


def _shadow_matrix(scene: Scene) -> Array:
    """Return (4, 4) from the face frame to the clip space of the key light."""
    back = scene.camera.rotation.T @ scene.light.key
    across = np.cross(back, np.eye(3)[np.argmin(np.abs(back))])
    across /= np.linalg.norm(across)
    axes = np.stack([across, np.cross(back, across), -back])
    middle = scene.head.landmarks[[0, 16]].mean(axis=0).astype(np.float64)
    matrix = np.eye(4)
    matrix[:3, :3] = axes / _SHADOW_REACH
    # Bodies reach deeper than the map is wide.
    matrix[2, :3] /= 2.5
    matrix[:3, 3] = -matrix[:3, :3] @ middle
    return matrix


def _head_vertices(scene: Scene) -> NDArray[np.float32]:
    head = scene.head
    regions = [head.regions[name] for name in _REGION_ORDER]
    return np.column_stack([head.vertices, head.normals, head.uv, *regions, scene.openness]).astype(
        np.float32
    )


_REGION_ORDER = ('scalp', 'brow', 'lips', 'beard', 'lids', 'ears', 'nose', 'cheeks')


def _parts(head: HeadMesh) -> dict[str, NDArray[np.int32]]:
    materials = head.materials
    return {
        'skin': head.triangles[is_skin(materials)],
        'eye': head.triangles[materials == Material.SCLERA],
        'teeth': head.triangles[materials == Material.TEETH],
        'mouth': head.triangles[materials == Material.MOUTH],
        'lashes': head.triangles[materials == Material.LASHES],
    }


def _light_values(light: Light) -> Values:
    return {
        'harmonics': light.harmonics,
        'lamp': light.lamps[:, :4],
        'lamp_color': light.lamps[:, 4:],
        'lamps': int((light.lamps[:, 4:] > 0).any(axis=1).sum()),
        'key': light.key,
        'key_color': light.key_color,
        'softness': light.softness / (2 * _SHADOW_REACH),
        'exposure': light.exposure,
    }


def _skin_values(scene: Scene) -> Values:
    skin = scene.skin
    plain = (field.name for field in fields(skin) if field.name != 'shadow')
    shaved = bool(scene.hair.shells) and scene.hair.style != 'bald'
    return {
        **{name: getattr(skin, name) for name in plain},
        # Brows are seldom as fair as the hair.
        'brow_color': 0.55 * skin.hair_color,
        'eye_shadow': skin.shadow,
        'uv_scale': _millimetres_of_uv(scene.head),
        'bare': skin_albedo(0.0, 0.0),
        'melanin_absorbs': MELANIN * (0.3 if scene.light.infrared else 1.0),
        'blood_absorbs': BLOOD * (0.2 if scene.light.infrared else 1.0),
        'scalp': 0.8 if shaved else 0.25,
    }


def _millimetres_of_uv(head: HeadMesh) -> Float:
    """Return (2, 2): places in the texture times this are millimetres to the left and up.

    Fitted to the front of the face: textures lie turned and stretched, pores and creases do not.
    """
    rows = np.unique(head.triangles[head.materials == Material.SKIN][::7, 0])
    low, high = head.landmarks[8, 2], -0.5 * head.landmarks[8, 2]
    points = head.vertices[rows]
    rows = rows[(head.normals[rows, 0] > 0.5) & (points[:, 2] > low) & (points[:, 2] < high)]
    uv, points = head.uv[rows], 1e3 * head.vertices[rows, 1:]
    fitted = np.linalg.lstsq(uv - uv.mean(axis=0), points - points.mean(axis=0), rcond=None)[0]
    return np.asarray(fitted, np.float32)


def _eye_values(scene: Scene) -> Values:
    head, eyes = scene.head, scene.eyes
    return {
        'eye_center': head.eye_centers,
        'gaze': head.gaze,
        'eye_radius': head.eye_radius,
        'iris_size': eyes.size / head.eye_radius,
        'pupil_size': eyes.pupil,
        'ring': eyes.ring,
        'veins': eyes.veins,
        'glow': eyes.glow,
        'iris_outer': eyes.iris[0],
        'iris_inner': eyes.iris[1],
    }


def _mouth_values(scene: Scene, tooth: float) -> Values:
    return {
        'tooth': tooth,
        'opening': scene.head.mouth_openness,
        'mouth_front': scene.head.landmarks[60:68, 0].mean(),
        'tooth_color': [0.72, 0.64, 0.52],
    }
