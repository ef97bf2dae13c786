"""What is worn or stands in the way: glasses, masks, caps, scarves, hands, head-rests, clothes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from headpose_training.synthesis.appearance.shapes import Hull, Solid, ball, joined, sheet, tube
from headpose_training.synthesis.appearance.skin import Skin

Array = NDArray[np.float64]
Float = NDArray[np.float32]


@dataclass(frozen=True)
class OccluderConfig:
    """How often things cover the face.

    Attributes:
        enabled: Off leaves the clothes only.
        glasses: Share of faces with glasses; a third of them are sunglasses.
        mask: Share with a medical or cloth mask.
        hat: Share with a cap, a beanie or a headscarf.
        hand: Share with a hand at the face.
        headrest: Share with a head-rest or a chair behind the head.
    """

    enabled: bool = True
    glasses: float = 0.25
    mask: float = 0.07
    hat: float = 0.14
    hand: float = 0.10
    headrest: float = 0.12


@dataclass(frozen=True)
class Lenses:
    """The glass of spectacles.

    Attributes:
        solid: Surface; its colours tint what is seen through it.
        opacity: 0..1; above a half the eyes count as hidden.
    """

    solid: Solid
    opacity: float


@dataclass(frozen=True)
class Worn:
    """What a person wears.

    Attributes:
        solids: Opaque things, none of them empty.
        lenses: Of glasses, or None.
        hat: 'cap', 'beanie' or 'scarf', or ''.
        masked: Whether mouth and nose are covered.
    """

    solids: list[Solid]
    lenses: Lenses | None
    hat: str
    masked: bool


@dataclass(frozen=True)
class Anatomy:
    """The places of a head that things are fitted to, in metres in the face frame.

    Attributes:
        landmarks: (68, 3).
        hull: Of the head without the neck.
        neck: (3,) middle of the neck at its lower end.
        neck_radius: Metres, half width across.
        bust: Hull of neck and shoulders about the neck's middle.
        body: (3, 3) rotation from the body's axes (as the face frame's) to the face frame.
    """

    landmarks: Array
    hull: Hull
    neck: Array
    neck_radius: float
    bust: Hull
    body: Array


def any_color(rng: Generator) -> Array:
    """Draw a linear albedo (3,) of cloth or plastic: greys and darks more often than gaudy."""
    grey = np.exp(rng.uniform(np.log(0.015), np.log(0.85)))
    tint = rng.dirichlet(np.full(3, rng.choice([2.0, 10.0, 60.0]))) * 3
    return np.clip(grey * tint, 0.008, 0.9)


def sample_worn(rng: Generator, config: OccluderConfig, body: Anatomy, skin: Skin) -> Worn:
    """Draw clothes and what else a person wears."""
    solids = clothes(rng, body)
    chances = rng.random(5)
    seeds = rng.integers(2**63, size=5)
    if not config.enabled:
        return Worn(solids, None, '', False)
    draws = [np.random.default_rng(seed) for seed in seeds]
    lenses, hat = None, ''
    if chances[0] < config.glasses:
        frame, lenses = glasses(draws[0], body)
        solids += frame
    masked = bool(chances[1] < config.mask)
    if masked:
        solids += mask(draws[1], body)
    if chances[2] < config.hat:
        hat = str(draws[2].choice(['cap', 'beanie', 'scarf'], p=[0.4, 0.35, 0.25]))
        solids += _HATS[hat](draws[2], body)
    if chances[3] < config.hand:
        solids += hand_at_face(draws[3], body, skin)
    if chances[4] < config.headrest:
        solids += headrest(draws[4], body)
    return Worn(solids, lenses, hat, masked)


def clothes(rng: Generator, body: Anatomy) -> list[Solid]:
    """Return shoulders in a garment with one of several collars."""
    radius = body.neck_radius
    width, depth = rng.uniform(0.19, 0.25), rng.uniform(0.09, 0.13)
    slope = rng.uniform(0.04, 0.08)
    # Rings down from the neck: height below the neck's end, half width, half depth.
    rise = rng.choice([-0.008, 0.012, 0.05], p=[0.5, 0.3, 0.2])
    heights = np.array([rise, 0.0, -0.012, -0.03, -0.03 - slope / 2, -0.03 - slope, -0.16, -0.40])
    open_neck = radius * rng.uniform(1.05, 1.35)
    wide = np.array([1.03, 1.06, 1.25, 1.8, 0, 0, 0, 0]) * open_neck
    wide[4:] = [width * 0.72, width * 0.93, width * 1.02, width * 0.9]
    deep = np.array([1.05, 1.1, 1.25, 1.5, 0, 0, 0, 0]) * open_neck
    deep[4:] = [depth * 0.85, depth * 0.95, depth * 1.05, depth * 1.1]
    angle = np.linspace(0, 2 * np.pi, 41)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    bent = np.sign(ring) * np.abs(ring) ** 0.85
    points = np.empty((len(heights), len(angle), 3))
    points[..., 0] = deep[:, None] * bent[:, 0]
    points[..., 1] = wide[:, None] * bent[:, 1]
    # The neckline lies lower in front.
    points[..., 2] = heights[:, None] - 0.012 * ring[:, 0] * (np.arange(len(heights)) < 4)[:, None]
    first, second = any_color(rng), any_color(rng)
    gap = rng.uniform(0.005, 0.010)
    points = body.bust.pushed_out(points @ body.body.T + body.neck, gap)
    parts = [sheet(points, first, 0.05, rng.uniform(0.2, 1.0), flip=True)]
    if rng.random() < 0.5:
        collar = body.bust.pushed_out(points[0], gap + 0.002)
        parts.append(tube(collar, rng.uniform(0.003, 0.010), second, 0.05))
    return [_both_sides(joined(parts))]


def glasses(rng: Generator, body: Anatomy) -> tuple[list[Solid], Lenses]:
    """Return the frame and the lenses of spectacles on the nose."""
    marks = body.landmarks
    eyes = np.stack([marks[36:42].mean(axis=0), marks[42:48].mean(axis=0)])
    gap = abs(eyes[1, 1] - eyes[0, 1])
    width, height = gap * rng.uniform(0.36, 0.45), gap * rng.uniform(0.24, 0.40)
    power = rng.uniform(0.45, 1.0)
    sun = rng.random() < 0.34
    front = max(marks[27, 0], marks[[19, 24], 0].max(), eyes[:, 0].max() + 0.004)
    front += rng.uniform(0.006, 0.011)
    thick = rng.uniform(0.0007, 0.0028)
    color = any_color(rng) if rng.random() < 0.4 else np.full(3, rng.uniform(0.01, 0.05))
    gloss = rng.uniform(0.4, 1.0)
    middle = eyes.mean(axis=0)
    angle = np.linspace(0, 2 * np.pi, 29)
    # Curvature of the front: half of 1/m of spheres of 65 to 150 mm.
    wrap = rng.uniform(3.3, 7.6)
    rings = []
    drop = rng.uniform(0.0, 0.004)
    for eye in eyes:
        side = np.sign(eye[1])
        outline = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        outline = np.sign(outline) * np.abs(outline) ** power
        y = eye[1] + side * 0.001 + width * outline[:, 0]
        z = middle[2] - drop + height * outline[:, 1] - 0.1 * height * np.abs(outline[:, 0])
        x = front - wrap * (y - middle[1]) ** 2
        rings.append(np.stack([x, y, z], axis=-1))
    # Clear of brows and cheekbones.
    ahead = np.clip(
        max(_sunk(body.hull, ring, eye) for ring, eye in zip(rings, eyes, strict=True)), 0.0, 0.012
    )
    front += ahead
    rims, glass = [], []
    for ring in rings:
        ring[:, 0] += ahead
        rims.append(tube(ring, thick, color, gloss, 5))
        center = ring[:-1].mean(axis=0) + np.array([0.002, 0.0, 0.0])
        shares = np.linspace(0.0, 1.0, 4)[:, None, None]
        glass.append(sheet(center + shares * (ring - center), [1, 1, 1], 1.0, flip=True))
    inner = [y + s * (width - 0.001) for y, s in ((eyes[0, 1], 1), (eyes[1, 1], -1))]
    high = middle[2] - drop + height * 0.25
    bridge = np.array([[front, inner[0], high], [front + 0.003, 0, high + 0.003]])
    bridge = np.vstack([bridge, [front, inner[1], high]])
    rims.append(tube(bridge, thick * 1.1, color, gloss, 5))
    for mark, eye in ((marks[0], eyes[0]), (marks[16], eyes[1])):
        side = np.sign(eye[1])
        hinge = np.array([front - wrap * (width + abs(eye[1])) ** 2, eye[1] + side * width, high])
        ear = np.array([mark[0] - 0.025, mark[1] + side * 0.006, max(mark[2], high - 0.015)])
        temple = body.hull.pushed_out(np.linspace(hinge, ear, 8), 0.001)
        temple[0] = hinge
        temple[:, 2] = np.linspace(hinge[2], ear[2], 8)
        rims.append(tube(temple, thick * 1.2, color, gloss, 5))
    tint = rng.uniform(0.0, 0.03, 3) if sun else rng.uniform(0.6, 1.0, 3)
    opacity = rng.uniform(0.82, 0.99) if sun else rng.uniform(0.0, 0.12)
    solid = joined(glass)
    colors = np.broadcast_to(tint, solid.colors.shape).astype(np.float32)
    tinted = Solid(solid.positions, solid.normals, solid.triangles, colors, solid.finish)
    return [joined(rims)], Lenses(tinted, float(opacity))


def _sunk(hull: Hull, ring: Array, eye: Array) -> float:
    """Return metres by which a rim's outer half, from the eye on, lies within the head."""
    outer = ring[np.abs(ring[:, 1]) > np.abs(eye[1])]
    return float((hull.pushed_out(outer, 0.001) - outer)[:, 0].max())


def mask(rng: Generator, body: Anatomy) -> list[Solid]:
    """Return a mask over nose and mouth, with loops to the ears."""
    marks = body.landmarks
    # Over nose and chin as they are, not over the smoothed hull of the whole head.
    top = marks[28] * rng.uniform(0.2, 0.8) + marks[29] * 0.5
    top_height = float(np.interp(rng.random(), [0, 1], [marks[29, 2], marks[28, 2]]))
    low_height = marks[8, 2] - 0.008
    columns, rows = 25, 15
    side = np.linspace(-1, 1, columns)
    height = np.linspace(0, 1, rows)[:, None]
    usual = _MASKS[rng.integers(len(_MASKS))]
    color = any_color(rng) if rng.random() < 0.3 else np.array(usual)
    jaw = marks[:17]
    reach = 0.84 * min(abs(marks[2, 1]), abs(marks[14, 1]))
    y = side * reach
    rim_top = top_height - 0.014 * np.abs(side) ** 1.5
    rim_low = np.interp(y, jaw[:, 1], jaw[:, 2]) - 0.004
    rim_low = np.minimum(rim_low, marks[8, 2] + 0.05) * 0.6 + low_height * 0.4
    z = rim_top * (1 - height) + rim_low * height
    ridge_z = np.array(
        [top_height, marks[30, 2], marks[33, 2], marks[51, 2], marks[57, 2], low_height]
    )
    ridge_x = np.array(
        [
            top[0],
            marks[30, 0] + 0.004,
            marks[33, 0] + 0.012,
            marks[51, 0] + 0.011,
            marks[57, 0] + 0.009,
            marks[8, 0] + 0.002,
        ]
    )
    order = np.argsort(ridge_z)
    ridge = np.interp(z[:, columns // 2], ridge_z[order], ridge_x[order])[:, None]
    # From the ridge over the cheeks to the jaw: an arc.
    edge = np.interp(np.abs(y), np.abs(jaw[[4, 3, 2, 1]][::1, 1]), jaw[[4, 3, 2, 1], 0]) + 0.012
    arc = np.sqrt(np.clip(1 - np.abs(side) ** 2.2, 0, 1))
    x = edge[None] + (ridge - edge[None]) * arc[None]
    points = np.stack([x, np.broadcast_to(y, x.shape), z], axis=-1)
    points = body.hull.pushed_out(points, -0.004)
    pleats = 0.0012 * np.sin(height * np.pi * rng.choice([0, 6, 8]))
    points[..., 0] += pleats
    cloth = sheet(points, color, 0.05, 0.5, flip=True)
    loops = []
    for column, mark in ((0, marks[0]), (-1, marks[16])):
        for row in (1, rows - 2):
            start = points[row, column]
            ear = mark + np.array([-0.022, np.sign(mark[1]) * 0.006, -0.004])
            path = body.hull.pushed_out(np.linspace(start, ear, 6), 0.001)
            path[0] = start
            loops.append(tube(path, 0.0011, [0.7, 0.7, 0.7], 0.1, 4))
    return [_both_sides(cloth), *loops]


#: Linear albedo of medical masks: pale blue, white, green, black.
_MASKS = ([0.35, 0.58, 0.75], [0.8, 0.8, 0.8], [0.35, 0.6, 0.5], [0.02, 0.02, 0.02])


def _both_sides(solid: Solid) -> Solid:
    """Add the back of an open surface."""
    back = Solid(
        solid.positions - 0.0008 * solid.normals,
        -solid.normals,
        np.ascontiguousarray(solid.triangles[:, ::-1]),
        solid.colors * 0.8,
        solid.finish,
    )
    return joined([solid, back])


def _crown(
    rng: Generator, body: Anatomy, rim: Array, thickness: float, color: Array, weave: float
) -> Solid:
    """Return cloth over the head from its top down to a rim (49,) of polar angles."""
    azimuth = np.linspace(-np.pi, np.pi, 49)
    share = np.linspace(0.0, 1.0, 14)[:, None]
    polar = np.pi / 2 * (1 - share) + rim * share
    thick = thickness * (0.35 + 0.65 * np.sin(np.pi * np.clip(share * 0.9 + 0.15, 0, 1)))
    points = body.hull.at(polar, np.broadcast_to(azimuth, polar.shape), thick)
    return _both_sides(sheet(points, color, 0.05, weave))


def _polar_of(body: Anatomy, point: Array) -> float:
    offset = point - body.hull.center
    return float(np.arctan2(offset[2], np.hypot(offset[0], offset[1])))


def _rim(body: Anatomy, front: float, back: float) -> Array:
    """Return (49,) polar angles from the forehead's to the nape's."""
    azimuth = np.linspace(-np.pi, np.pi, 49)
    return back + (front - back) * (0.5 + 0.5 * np.cos(azimuth))


def cap(rng: Generator, body: Anatomy) -> list[Solid]:
    """Return a cap with a brim, in front or behind."""
    brow = _polar_of(body, body.landmarks[[19, 24]].mean(axis=0))
    front = brow + np.radians(rng.uniform(12, 28))
    rim = _rim(body, front, np.radians(rng.uniform(-18, 5)))
    color = any_color(rng)
    crown = _crown(rng, body, rim, rng.uniform(0.012, 0.022), color, 0.4)
    behind = rng.random() < 0.12
    angle = np.linspace(-0.95, 0.95, 17) + (np.pi if behind else 0.0)
    base = np.interp(np.angle(np.exp(1j * angle)), np.linspace(-np.pi, np.pi, 49), rim)
    inner = body.hull.at(base, angle, 0.006)
    length = rng.uniform(0.05, 0.075) * np.cos(np.linspace(-1.25, 1.25, 17)) ** 0.6
    drop = rng.uniform(0.1, 0.45)
    away = np.stack(
        [np.cos(angle) * 0 + (-1 if behind else 1), 0.25 * np.sin(angle), 0 * angle], -1
    )
    steps = np.linspace(0, 1, 6)[:, None, None]
    brim = inner[None] + steps * length[None, :, None] * away[None]
    brim[..., 2] -= drop * length * steps[..., 0] ** 1.3
    brim[..., 2] -= 0.3 * np.abs(brim[..., 1]) ** 2 / 0.08 * steps[..., 0]
    shade = color if rng.random() < 0.7 else any_color(rng)
    return [crown, _both_sides(sheet(brim, shade, 0.1, 0.3))]


def beanie(rng: Generator, body: Anatomy) -> list[Solid]:
    """Return a knitted cap."""
    brow = _polar_of(body, body.landmarks[[19, 24]].mean(axis=0))
    front = brow + np.radians(rng.uniform(6, 26))
    rim = _rim(body, front, np.radians(rng.uniform(-30, -8)))
    color = any_color(rng)
    parts = [_crown(rng, body, rim, rng.uniform(0.012, 0.03), color, 1.0)]
    if rng.random() < 0.6:
        fold = body.hull.at(rim + 0.06, np.linspace(-np.pi, np.pi, 49), 0.009)
        low = body.hull.at(rim - 0.06, np.linspace(-np.pi, np.pi, 49), 0.010)
        shade = color if rng.random() < 0.7 else any_color(rng)
        parts.append(_both_sides(sheet(np.stack([fold, (fold + low) / 2, low]), shade, 0.05, 1.0)))
    return parts


def scarf(rng: Generator, body: Anatomy) -> list[Solid]:
    """Return a scarf about head and neck that leaves the face open."""
    brow = _polar_of(body, body.landmarks[[19, 24]].mean(axis=0))
    chin = _polar_of(body, body.landmarks[8])
    top, low = brow + np.radians(rng.uniform(12, 26)), chin - np.radians(rng.uniform(2, 8))
    wide = np.radians(rng.uniform(56, 68))
    color = any_color(rng)
    turn = np.linspace(0, 2 * np.pi, 49)
    middle, half = (top + low) / 2, (top - low) / 2
    # From the opening's edge, an ellipse about the face, back to the point opposite.
    share = np.linspace(0.0, 1.0, 16)[:, None]
    edge_polar = middle + half * np.sin(turn)
    edge_azimuth = wide * np.cos(turn)
    # Directions on a circle about the x axis, opened up to the back.
    direction = np.stack(
        [
            np.cos(edge_polar) * np.cos(edge_azimuth),
            np.cos(edge_polar) * np.sin(edge_azimuth),
            np.sin(edge_polar),
        ],
        axis=-1,
    )
    open_angle = np.arccos(np.clip(direction[:, 0], -1, 1))
    spin = np.arctan2(direction[:, 2], direction[:, 1])
    angle = open_angle + (np.pi - open_angle) * share
    spread = np.stack(
        [np.cos(angle), np.sin(angle) * np.cos(spin), np.sin(angle) * np.sin(spin)], axis=-1
    )
    reach = body.hull.reach(body.hull.center + spread)
    thick = rng.uniform(0.008, 0.02) * (0.3 + 0.7 * np.clip(share * 6, 0, 1))
    points = body.hull.center + spread * (reach + thick)[..., None]
    hood = _both_sides(sheet(points, color, 0.1, 0.4, flip=True))
    ring = np.linspace(0, 2.15 * np.pi, 35)
    wraps = []
    for level in range(rng.integers(1, 4)):
        r = body.neck_radius * (1.25 + 0.12 * level)
        path = np.stack([r * np.cos(ring), r * np.sin(ring), 0.04 - 0.03 * level + 0 * ring], -1)
        path[:, 2] -= 0.02 * np.cos(ring)
        wraps.append(tube(path, rng.uniform(0.015, 0.028), color, 0.1, 7))
    return [hood, joined(wraps).moved(body.body, body.neck)]


_HATS = {'cap': cap, 'beanie': beanie, 'scarf': scarf}


def hand_at_face(rng: Generator, body: Anatomy, skin: Skin) -> list[Solid]:
    """Return a hand at cheek, chin, mouth, nose, eye or ear, sometimes with a telephone."""
    marks = body.landmarks
    side = rng.choice([-1.0, 1.0])
    half = range(17) if side < 0 else range(16, -1, -1)
    jaw = [marks[i] for i in half]
    place = rng.choice(['cheek', 'chin', 'mouth', 'eye', 'ear', 'brow'])
    spots = {
        'cheek': (jaw[3] + marks[30]) / 2,
        'chin': marks[8] * 0.8 + jaw[5] * 0.2,
        'mouth': marks[62],
        'eye': marks[36:42].mean(axis=0) if side < 0 else marks[42:48].mean(axis=0),
        'ear': jaw[1] + np.array([-0.015, 0.0, 0.0]),
        'brow': marks[19] if side < 0 else marks[24],
    }
    target = np.asarray(spots[str(place)])
    outward = target - body.hull.center
    outward[2] *= 0.3
    outward /= np.linalg.norm(outward)
    # The wrist is below and outside; the palm faces the head.
    up = np.array([0.0, -side * rng.uniform(0.2, 1.2), 1.0]) + rng.normal(0, 0.2, 3)
    up -= outward * (up @ outward)
    up /= np.linalg.norm(up)
    axes = np.column_stack([outward, np.cross(up, outward), up])
    hand = _hand(rng, skin, curl=rng.uniform(0.05, 0.5), side=side)
    scale = rng.uniform(0.9, 1.1)
    offset = target + outward * rng.uniform(0.010, 0.022) - up * rng.uniform(0.02, 0.10) * scale
    parts = [hand.moved(axes * scale, offset)]
    if place == 'ear' and rng.random() < 0.5:
        phone = ball([0.005, 0.037, 0.075], any_color(rng), 0.15, 0.9)
        parts.append(phone.moved(axes, target + outward * 0.012))
    return parts


def raised_hands(body: Anatomy, skin: Skin, share: float) -> list[Solid]:
    """Return both hands flat before the face, as of somebody who rubs the eyes.

    Args:
        body: The head.
        skin: Of the person.
        share: 0 is out of the way, in the lap; 1 is before the face.
    """
    marks = body.landmarks
    away = float(marks[30, 0]) + 0.015 + 0.08 * (1.0 - share)
    low = float(marks[8, 2]) - 0.01 - 0.35 * (1.0 - share)
    parts = []
    for side in (-1.0, 1.0):
        # The same fingers in every picture.
        hand = _hand(np.random.default_rng(0), skin, curl=0.15, side=side)
        lean = Rotation.from_rotvec([side * 0.12, 0.0, 0.0]).as_matrix()
        parts.append(hand.moved(lean, [away, side * 0.047, low]))
    return parts


def _hand(rng: Generator, skin: Skin, curl: float, side: float) -> Solid:
    """Return a hand: palm towards -x, fingers towards +z, the wrist at the origin."""
    color = skin.albedo(blood=0.1)
    parts = [ball([0.013, 0.040, 0.048], color, 0.75, 0.3).moved(np.eye(3), [0, 0, 0.045])]
    arm = np.array([[0.0, 0, 0.03], [0.01, 0, -0.02], [0.03, 0, -0.12], [0.05, 0, -0.30]])
    parts.append(tube(arm, [0.024, 0.027, 0.035, 0.045], color, 0.3, 12))
    spread = rng.uniform(0.0, 0.25)
    for finger in range(4):
        y = side * (finger - 1.5) * 0.0195
        length = (0.075, 0.085, 0.08, 0.062)[finger]
        bend = curl * rng.uniform(0.6, 1.4)
        parts.append(
            _finger(np.array([0, y, 0.085]), side * (finger - 1.5) * spread, length, bend, color)
        )
    thumb = _finger(np.array([-0.006, -side * 0.036, 0.03]), -side * 0.8, 0.07, curl * 0.6, color)
    return joined([*parts, thumb])


def _finger(base: Array, lean: float, length: float, bend: float, color: Array) -> Solid:
    share = np.array([0.0, 0.25, 0.45, 0.6, 0.75, 0.88, 0.97, 1.0])
    angle = bend * 1.6 * share
    steps = np.diff(share, prepend=0.0)[:, None] * length
    heading = np.stack(
        [-np.sin(angle), np.cos(angle) * np.sin(lean), np.cos(angle) * np.cos(lean)], -1
    )
    radius = 0.0092 * np.array([1.1, 1.0, 0.95, 1.0, 0.9, 0.82, 0.55, 0.05])
    return tube(base + np.cumsum(steps * heading, axis=0), radius, color, 0.3, 8)


def headrest(rng: Generator, body: Anatomy) -> list[Solid]:
    """Return a head-rest behind the head, and maybe a seat belt."""
    color = any_color(rng) * rng.uniform(0.2, 1.0)
    size = [rng.uniform(0.03, 0.06), rng.uniform(0.11, 0.17), rng.uniform(0.08, 0.14)]
    rest = ball(size, color, rng.uniform(0.25, 0.5), 0.2, 0.5)
    behind = body.hull.center + body.body @ np.array([-0.13 - size[0], 0.0, -0.02])
    tilt = body.body @ Rotation.from_rotvec([0, rng.normal(0, 0.1), 0]).as_matrix()
    parts = [rest.moved(tilt, behind)]
    if rng.random() < 0.6:
        back = ball([0.07, 0.27, 0.33], color, 0.3, 0.2, 0.5)
        parts.append(back.moved(tilt, behind + body.body @ np.array([-0.03, 0.0, -0.46])))
    if rng.random() < 0.4:
        side = rng.choice([-1.0, 1.0])
        y = np.linspace(side * 0.2, -side * 0.12, 9)
        x = 0.13 - 0.12 * ((y - side * 0.05) / 0.25) ** 2
        z = np.linspace(-0.02, -0.30, 9)
        middle = np.stack([x, y, z], axis=-1)
        belt = np.stack([middle, middle + np.array([0.0, side * 0.045, 0.02])])
        strap = _both_sides(sheet(belt, np.full(3, 0.03), 0.3, 0.8))
        parts.append(strap.moved(body.body, body.neck))
    return parts
