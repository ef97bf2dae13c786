"""Hair: shells over scalp and chin for short hair and fur-like curls, ribbons for long strands."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from headpose_training.synthesis.appearance.accessories import Anatomy
from headpose_training.synthesis.appearance.shapes import crossed, grid_triangles, slopes, unit
from headpose_training.synthesis.heads.mesh import HeadMesh

Array = NDArray[np.float64]
Float = NDArray[np.float32]

#: Points along a ribbon.
_STEPS = 9
_RIBBONS = 360
_HEAD_STYLES = ('bald', 'shaved', 'short', 'medium', 'long', 'bob', 'tied', 'curly', 'afro')


@dataclass(frozen=True)
class HairConfig:
    """Which hair there is.

    Attributes:
        enabled: Off makes everybody bald and shaven.
        beard: Share of faces with a beard, a moustache or stubble.
        fringe: Share of hair that falls over the forehead.
        receding: Share of hair lines that have gone back.
    """

    enabled: bool = True
    beard: float = 0.3
    fringe: float = 0.4
    receding: float = 0.25


@dataclass(frozen=True)
class Shells:
    """Fur: copies of a part of the skin, farther and farther out, with holes between strands.

    Attributes:
        positions: (N, 3) float32 metres in the face frame.
        normals: (N, 3) float32.
        comb: (N, 3) float32, where strands lean to, unit or shorter.
        cover: (N, 2) float32: density 0..1 and length in metres.
        triangles: (F, 3) int32.
        layers: Number of copies.
        scale: Strands per metre.
        curl: How far strands wind, in widths of a strand.
        clump: How much strands keep together, 0..1.
        color: (3,) linear albedo.
    """

    positions: Float
    normals: Float
    comb: Float
    cover: Float
    triangles: NDArray[np.int32]
    layers: int
    scale: float
    curl: float
    clump: float
    color: Array


@dataclass(frozen=True)
class Ribbons:
    """Flat bundles of long strands.

    Attributes:
        positions: (N, 3) float32 metres in the face frame.
        normals: (N, 3) float32, away from the head.
        tangents: (N, 3) float32, along the strands.
        uv: (N, 3) float32: across -1..1, along 0..1, a random number of the ribbon.
        triangles: (F, 3) int32.
        outline: (F / 2, 3) int32 longer triangles, for shadows.
        color: (3,) linear albedo.
    """

    positions: Float
    normals: Float
    tangents: Float
    uv: Float
    triangles: NDArray[np.int32]
    outline: NDArray[np.int32]
    color: Array


@dataclass(frozen=True)
class Hair:
    """The hair of one person; any part may be missing."""

    style: str
    color: Array
    shells: list[Shells]
    ribbons: Ribbons | None


#: Melanin of hair as linear albedo, and how often it occurs.
_COLORS = (
    ([0.012, 0.010, 0.009], 0.34),  # black
    ([0.030, 0.019, 0.013], 0.20),  # dark brown
    ([0.075, 0.043, 0.024], 0.16),  # brown
    ([0.20, 0.12, 0.060], 0.08),  # dark blond
    ([0.42, 0.30, 0.16], 0.06),  # blond
    ([0.17, 0.050, 0.018], 0.04),  # red
    ([0.22, 0.21, 0.20], 0.06),  # grey
    ([0.55, 0.54, 0.51], 0.06),  # white
)


def hair_color(rng: Generator) -> Array:
    """Draw the linear albedo (3,) of hair; a few are dyed."""
    if rng.random() < 0.03:
        return rng.uniform(0.02, 0.5, 3)
    colors, shares = zip(*_COLORS, strict=True)
    return np.array(colors[rng.choice(len(colors), p=shares)]) * np.exp(rng.normal(0, 0.2))


def sample_hair(
    rng: Generator,
    config: HairConfig,
    head: HeadMesh,
    body: Anatomy,
    color: Array,
    hat: str,
    bearded: bool,
) -> Hair:
    """Grow a person's hair.

    Args:
        rng: Source of randomness.
        config: Which hair there is.
        head: The head.
        body: Places of the same head.
        color: (3,) linear albedo.
        hat: What is worn on the head: hair under it lies flat, under a scarf there is none.
        bearded: Whether hair grows on the chin; it may be stubble only.
    """
    style = str(rng.choice(_HEAD_STYLES, p=_SHARES))
    grow, beard = rng.integers(2**63, size=2)
    if not config.enabled:
        return Hair('bald', color, [], None)
    shells: list[Shells] = []
    ribbons: Ribbons | None = None
    if hat != 'scarf':
        shells, ribbons = _scalp(np.random.default_rng(grow), config, head, body, style, color, hat)
    draw = np.random.default_rng(beard)
    if bearded and draw.random() < 0.7:
        shells = shells + _beard(draw, head, color)
    return Hair(style, color, shells, ribbons)


_SHARES = (0.06, 0.10, 0.26, 0.14, 0.15, 0.08, 0.07, 0.08, 0.06)


@dataclass(frozen=True)
class _Patch:
    """A part of the skin where hair grows.

    Attributes:
        points: (N, 3) metres in the face frame.
        normals: (N, 3).
        cover: (N,) density 0..1.
        triangles: (F, 3).
    """

    points: Float
    normals: Float
    cover: Float
    triangles: NDArray[np.int32]


@dataclass(frozen=True)
class _Fur:
    """Looks of shells: see `Shells`; length is in metres."""

    length: float
    layers: int
    scale: float
    curl: float
    clump: float


def _patch(head: HeadMesh, region: str) -> _Patch:
    """Cut the part out of a head where a soft mask is not zero."""
    mask = head.regions[region]
    part = head.outline[(mask[head.outline] > 0.02).any(axis=1)]
    used = np.zeros(len(mask), np.bool_)
    used[part] = True
    triangles = (np.cumsum(used) - 1)[part].astype(np.int32)
    return _Patch(head.vertices[used], head.normals[used], mask[used], triangles)


def _scalp(
    rng: Generator,
    config: HairConfig,
    head: HeadMesh,
    body: Anatomy,
    style: str,
    color: Array,
    hat: str,
) -> tuple[list[Shells], Ribbons | None]:
    if style == 'bald':
        return [], None
    center = body.hull.center.astype(np.float32)
    patch = _patch(head, 'scalp')
    if not len(patch.points):
        return [], None
    if rng.random() < config.receding:
        patch = _receding(rng, patch, center)
    comb = _comb(rng, patch, center)
    fur = _fur(rng, style)
    if hat:
        fur = replace(fur, length=min(fur.length, 0.006))
    lean = 0.15 if style in ('afro', 'curly') else rng.uniform(0.5, 1.0)
    sides = np.ones(1, np.float32)
    if style == 'short':
        # Shorter at the sides than on top.
        sides = np.clip((patch.points[:, 2] - center[2]) / 0.1, rng.uniform(0.2, 0.9), 1.0)
    shells = _shells(patch, fur, sides, comb * np.float32(lean), color)
    if style in ('shaved', 'short', 'afro', 'curly'):
        return [shells], None
    return [shells], _ribbons(rng, config, patch, comb, body, style, color, hat)


def _fur(rng: Generator, style: str) -> _Fur:
    """Draw the looks of the shells; under long hair they are its shaded ground."""
    if style == 'shaved':
        return _Fur(rng.uniform(0.002, 0.006), 3, 900.0, 0.0, 0.0)
    if style == 'afro':
        return _Fur(rng.uniform(0.02, 0.075), 10, 330.0, 2.5, 0.5)
    if style == 'curly':
        return _Fur(rng.uniform(0.02, 0.05), 9, 300.0, 3.0, 0.9)
    if style == 'short':
        return _Fur(rng.uniform(0.008, 0.03), 7, 500.0, 0.3, 0.5)
    return _Fur(rng.uniform(0.008, 0.014), 4, 500.0, 0.2, 0.3)


def _receding(rng: Generator, patch: _Patch, center: Float) -> _Patch:
    """Return the patch with hair gone from temples and forehead, and maybe from the crown."""
    x, y, z = (patch.points - center).T
    amount = rng.uniform(0.2, 1.0)
    front = np.clip((x - 0.02) / 0.07, 0, 1) * np.clip(z / 0.06, 0, 1)
    temples = np.exp(-(((np.abs(y) - 0.045) / 0.025) ** 2)) * front
    crown = np.exp(-(x**2 + y**2) / 0.045**2) * (z > 0) * rng.integers(0, 2)
    cover = np.clip(patch.cover - amount * (1.3 * temples + 0.6 * front + 1.2 * crown), 0, 1)
    return replace(patch, cover=cover.astype(np.float32))


def _comb(rng: Generator, patch: _Patch, center: Float) -> Float:
    """Return (N, 3) where strands lean to: away from a parting, back and down."""
    offset = patch.points - center
    part = rng.choice([0.0, 0.025, -0.025, 0.04, -0.04])
    forward = rng.choice([-1.0, -0.4, 0.6], p=[0.45, 0.3, 0.25])
    field = np.empty_like(offset)
    field[:, 0], field[:, 2] = forward, -0.25
    field[:, 1] = 0.9 * np.tanh((offset[:, 1] - part) / 0.015)
    # At the sides and behind everything hangs.
    low = np.clip((0.06 - offset[:, 2:]) / 0.06, 0, 1)
    field = field * (1 - low) + low * np.array([-0.25, 0.0, -1.0], np.float32)
    return _along_skin(field, patch.normals)


def _along_skin(field: Float, normals: Float) -> Float:
    """Return unit (N, 3) vectors: the field without its part across the skin."""
    field = field - normals * np.einsum('vi,vi->v', field, normals)[:, None]
    return field / np.maximum(np.sqrt(np.einsum('vi,vi->v', field, field))[:, None], 1e-6)


def _shells(patch: _Patch, fur: _Fur, lengths: Float, comb: Float, color: Array) -> Shells:
    """Return shells; lengths (N,) or (1,) are shares of the fur's."""
    reach = np.broadcast_to(fur.length * lengths, len(patch.cover))
    return Shells(
        patch.points,
        patch.normals,
        comb,
        np.stack([patch.cover, reach], axis=-1).astype(np.float32),
        patch.triangles,
        fur.layers,
        fur.scale,
        fur.curl,
        fur.clump,
        color,
    )


def _beard(rng: Generator, head: HeadMesh, color: Array) -> list[Shells]:
    """Return a moustache, a goatee, a full or a long beard."""
    marks, patch = head.landmarks, _patch(head, 'beard')
    if not len(patch.points):
        return []
    _, y, z = patch.points.T
    width = abs(marks[54, 1] - marks[48, 1])
    upper = (z > marks[[48, 54], 2].mean()) & (np.abs(y) < 0.75 * width)
    chin = (np.abs(y) < 0.6 * width) & (z < marks[57, 2] + 0.01)
    kinds = ('full', 'long', 'moustache', 'goatee', 'circle')
    kind = str(rng.choice(kinds, p=[0.4, 0.15, 0.15, 0.1, 0.2]))
    masks = {'moustache': upper, 'goatee': chin, 'circle': upper | chin}
    if kind in masks:
        patch = replace(patch, cover=patch.cover * masks[kind])
    long = kind == 'long'
    length = rng.uniform(0.02, 0.05) if long else rng.uniform(0.003, 0.014)
    fur = _Fur(length, 9 if long else 6, rng.uniform(450, 700), rng.uniform(0.3, 2.0), 0.4)
    # Long at the chin, short at the cheeks.
    low = np.clip((marks[48, 2] - z) / 0.04, 0, 1)
    down = np.empty_like(patch.points)
    down[:, 0], down[:, 1], down[:, 2] = 0.25, 0.15 * np.sign(y), -1.0
    comb = np.float32(0.8) * _along_skin(down, patch.normals)
    return [_shells(patch, fur, 0.35 + 0.65 * low, comb, color * rng.uniform(0.7, 1.2))]


def _ribbons(
    rng: Generator,
    config: HairConfig,
    patch: _Patch,
    comb: Float,
    body: Anatomy,
    style: str,
    color: Array,
    hat: str,
) -> Ribbons | None:
    roots, normals, lean = _roots(rng, patch, comb, _RIBBONS)
    if not len(roots):
        return None
    length = {
        'medium': rng.uniform(0.05, 0.12),
        'bob': rng.uniform(0.14, 0.22),
        'long': rng.uniform(0.24, 0.45),
        'tied': rng.uniform(0.10, 0.16),
    }[style]
    lengths = length * rng.uniform(0.75, 1.1, len(roots))
    offset = roots - body.hull.center
    front = (offset[:, 0] > 0.055) & (offset[:, 2] > 0.03)
    if rng.random() < config.fringe and style != 'tied':
        # Falls forward and is cut above, at or below the brows.
        lengths = np.where(front, rng.uniform(0.05, 0.10), lengths)
        ahead = np.array([1.0, 0.0, -0.2]) + np.outer(offset[:, 1], [0.0, rng.uniform(0, 6), 0.0])
        lean = np.where(front[:, None], ahead, lean)
    elif style in ('long', 'bob', 'tied'):
        # Out of the face: to the sides and back.
        aside = np.stack([0 * lengths - 0.6, np.sign(offset[:, 1] + 1e-6), 0 * lengths], axis=-1)
        lean = np.where(front[:, None], aside, lean)
    down = body.body @ np.array([0.0, 0.0, -1.0])
    thickness = rng.uniform(0.006, 0.016) * (0.5 if hat else 1.0)
    paths = _fall(rng, roots, normals, lean, lengths, down, body, thickness, style)
    paths = paths[~_before_the_face(paths, body) | (rng.random(len(paths)) < 0.01)]
    if not len(paths):
        return None
    return _flat(rng, paths, body, rng.uniform(0.0045, 0.009), color)


def _roots(rng: Generator, patch: _Patch, comb: Float, count: int) -> tuple[Array, Array, Array]:
    """Draw places on the scalp, by area and density, with their normals and directions."""
    share = patch.cover[patch.triangles].mean(axis=1)
    grown = np.flatnonzero(share > 0.25)
    if not len(grown):
        return np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 3))
    corners = patch.triangles[grown]
    a, b, c = (patch.points[corners[:, i]].astype(np.float64) for i in range(3))
    area = np.linalg.norm(crossed(b - a, c - a), axis=1) * share[grown]
    chosen = corners[rng.choice(len(corners), count, p=area / area.sum())]
    weights = rng.dirichlet([1, 1, 1], count)

    def mixed(values: Float) -> Array:
        return np.einsum('nk,nkd->nd', weights, values[chosen])

    return mixed(patch.points), mixed(patch.normals), mixed(comb)


def _fall(
    rng: Generator,
    roots: Array,
    normals: Array,
    lean: Array,
    lengths: Array,
    down: Array,
    body: Anatomy,
    thickness: float,
    style: str,
) -> Array:
    """Return (N, S, 3) paths of strands that start as combed, fall, and stay off the head."""
    count = len(roots)
    wild = rng.normal(0, rng.uniform(0.05, 0.25), (count, 3))
    heading = 0.5 * normals + lean + wild
    heading /= np.linalg.norm(heading, axis=1, keepdims=True)
    step = (lengths / (_STEPS - 1))[:, None]
    stiff = rng.uniform(0.35, 0.7)
    layer = thickness * rng.uniform(0.3, 1.2, count)
    place = roots.copy()
    paths = [place]
    knot = body.hull.center + np.array([-0.115, 0.0, rng.uniform(-0.03, 0.06)])
    for _ in range(_STEPS - 1):
        pull = down
        if style == 'tied':
            away = knot - place
            pull = away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 0.02)
        heading = stiff * heading + (1 - stiff) * pull
        heading /= np.maximum(np.linalg.norm(heading, axis=1, keepdims=True), 1e-9)
        moved = body.hull.pushed_out(place + step * heading, layer)
        moved = _off_the_neck(moved, body, layer)
        heading = (moved - place) / np.maximum(
            np.linalg.norm(moved - place, axis=1, keepdims=True), 1e-9
        )
        place = moved
        paths.append(place)
    path = np.stack(paths, axis=1)
    return path + _waves(rng, path, lengths)


def _before_the_face(paths: Array, body: Anatomy) -> NDArray[np.bool_]:
    """Return (N,): which strands hang over eyes, nose or mouth; people push these aside."""
    marks = body.landmarks
    low = marks[[37, 44], 2].mean()
    half = 0.75 * abs(marks[45, 1])
    over = (paths[..., 0] > marks[36, 0]) & (np.abs(paths[..., 1]) < half) & (paths[..., 2] < low)
    return over.any(axis=1)


def _off_the_neck(points: Array, body: Anatomy, layer: Array) -> Array:
    """Keep strands outside of neck and shoulders: a vertical cylinder that widens downwards."""
    local = (points - body.neck) @ body.body
    below = np.clip(-local[:, 2] / 0.08, 0, 1)
    radius = body.neck_radius * 1.1 + below * 0.06 + layer
    flat = np.maximum(np.hypot(local[:, 0], local[:, 1] / (1 + below)), 1e-6)
    near = (local[:, 2] < 0.05) & (flat < radius)
    factor = np.where(near, radius / flat, 1.0)
    local[:, :2] *= factor[:, None]
    return local @ body.body.T + body.neck


def _waves(rng: Generator, path: Array, lengths: Array) -> Array:
    """Return (N, S, 3) offsets: waves or curls that grow towards the tips."""
    amount = rng.choice([0.0, 0.003, 0.008], p=[0.45, 0.3, 0.25])
    along = np.linspace(0, 1, _STEPS)[None] * lengths[:, None]
    phase = rng.uniform(0, 2 * np.pi, (len(path), 1)) * rng.uniform(0.1, 1.0)
    # No shorter than what the points along a strand can follow.
    period = np.maximum(rng.uniform(0.03, 0.08), 4.5 * lengths[:, None] / (_STEPS - 1))
    angle = phase + along * 2 * np.pi / period
    grown = amount * np.clip(along / 0.06, 0, 1)
    return np.stack([grown * np.cos(angle), grown * np.sin(angle), 0 * angle], axis=-1)


def _flat(rng: Generator, paths: Array, body: Anatomy, width: float, color: Array) -> Ribbons:
    """Turn (N, S, 3) paths into ribbons that lie flat on the head."""
    count = len(paths)
    tangents = unit(slopes(paths, 1))
    outward = paths - body.hull.center
    # Below the head, away from the axis of the neck.
    outward[..., 2] *= np.clip(1 + outward[..., 2] / 0.08, 0, 1)
    across = unit(crossed(tangents, outward))
    normals = crossed(across, tangents)
    share = np.linspace(0, 1, _STEPS)
    wide = width * rng.uniform(0.6, 1.4, (count, 1)) * (0.7 + 0.6 * np.sin(np.pi * share**0.7))
    edges = np.array([-1.0, 1.0])
    points = paths[:, :, None] + (wide[..., None] * edges)[..., None] * across[:, :, None]
    # A bundle is round.
    bent = normals[:, :, None] + 0.6 * edges[:, None] * across[:, :, None]
    bent = unit(bent)
    uv = np.empty((count, _STEPS, 2, 3))
    uv[..., 0], uv[..., 1] = edges, share[:, None]
    uv[..., 2] = rng.random((count, 1, 1))
    return Ribbons(
        points.reshape(-1, 3).astype(np.float32),
        bent.reshape(-1, 3).astype(np.float32),
        np.repeat(tangents, 2, axis=1).reshape(-1, 3).astype(np.float32),
        uv.reshape(-1, 3).astype(np.float32),
        _strips(count, 1),
        _strips(count, 2),
        color,
    )


def _strips(count: int, every: int) -> NDArray[np.int32]:
    """Return the (N, 3) triangles of ribbons through every so many of their points."""
    rows = np.arange(0, _STEPS, every, dtype=np.int32)
    points = (2 * rows[:, None] + np.arange(2, dtype=np.int32)).ravel()
    strip = points[grid_triangles(len(rows), 2)]
    starts = np.arange(count, dtype=np.int32)[:, None, None] * (_STEPS * 2)
    return np.asarray((strip[None] + starts).reshape(-1, 3), np.int32)
