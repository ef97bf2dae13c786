"""Do ids stay with their faces? Asked of rendered people that pass each other, leave and return.

Every person is rendered in a clip of his own, which is then laid over a common picture along a
path, the larger one in front: so the truth is known for every picture, and people hide each other
as they do in life.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from headpose_ros import DEFAULT_MODEL
from headpose_ros.files import check_new
from headpose_ros.geometry.landmarks import bounding_box
from headpose_ros.perception.analyze import Analyzer
from headpose_ros.perception.detect import YuNetDetector
from headpose_ros.perception.faces import Face
from headpose_ros.perception.infer import FaceNetwork
from headpose_ros.perception.tracking.matching import iou
from numpy.typing import NDArray
from rich.progress import track
from scipy.optimize import linear_sum_assignment

from headpose_training.checkpoints import label_of, load_weights
from headpose_training.metrics.tables import markdown_table, write_report
from headpose_training.synthesis.appearance.accessories import OccluderConfig
from headpose_training.synthesis.camera import CameraConfig
from headpose_training.synthesis.heads.mesh import HeadSource
from headpose_training.synthesis.heads.sources import load_heads
from headpose_training.synthesis.render.renderer import Renderer
from headpose_training.synthesis.scene import SceneConfig
from headpose_training.synthesis.sequences import Clip

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

_WIDTH, _HEIGHT, _SIDE, _RATE, _SECONDS = 960, 480, 256, 15, 6.0
#: A face is in sight while at least this share of its box is in the picture and not covered.
_IN_SIGHT, _OUT_OF_SIGHT = 0.8, 0.4
#: A face that has just come into sight may be missed for this time, s.
_SETTLING = 0.5
#: Least overlap of a reported box with a true one.
_SAME = 0.3
#: The head in a clip, over the side of the picture: an ellipse about the landmarks.
_SOFT = 15
_MOTIONS = ('still', 'speak', 'look_about', 'nod')
_COLUMNS = {
    'faces': 'faces in sight',
    'missed': 'missed (%)',
    'switches': 'id switches',
    'swaps': "to an id that was another's",
    'ids': 'ids given over people',
    'false': 'reported and nobody there (%)',
}
_NOTES = (
    f'Rendered people of {_SECONDS:g} s at {_RATE} Hz in pictures of {_WIDTH} x {_HEIGHT} px, real '
    f'detector, network and tracker. A face counts while {100 * _IN_SIGHT:.0f} % of its box can be '
    f'seen, from {_SETTLING:g} s after it came into sight on.',
)

Way = Callable[[float], tuple[float, float]]


@dataclass(frozen=True)
class _Person:
    """One person on a way through the picture.

    Attributes:
        clip: The person.
        scale: Of the clip; of two people the larger one is in front.
        way: From time in s to the centre (x, y) of the clip, px.
    """

    clip: Clip
    scale: float
    way: Way


@dataclass
class _Truth:
    """What is known of a person in one picture: the box, and the share of it that can be seen."""

    box: Array
    seen: float


@dataclass
class _Score:
    """Counts over sequences, and what is remembered within one."""

    counts: Counter[str] = field(default_factory=Counter)
    last: dict[int, str] = field(default_factory=dict)
    ids: set[tuple[int, str]] = field(default_factory=set)
    since: dict[int, float] = field(default_factory=dict)


def tracking(
    out: Path,
    weights: str = DEFAULT_MODEL,
    sequences: int = 10,
    head_model: Path | None = None,
    seed: int = 20,
    device: str = 'auto',
    overwrite: bool = False,
) -> None:
    """Follow rendered people; write tracking.md, .json and .png.

    Args:
        out: Folder for the results.
        weights: Released weights, a .safetensors file, or a checkpoint of a run.
        sequences: Of each kind.
        head_model: `ict_facekit.npz` for further heads.
        seed: Of the people and their ways.
        device: auto, cpu, cuda or cuda:N.
        overwrite: Replace the results that an earlier call left in it; else that is an error.
    """
    check_new(out / 'tracking.json', overwrite)
    network = FaceNetwork(load_weights(weights), device)
    heads, renderer = load_heads(head_model), Renderer(_SIDE)
    rows: list[dict[str, Any]] = []
    samples: list[Image] = []
    for number, (kind, make) in enumerate(_KINDS.items()):
        total: Counter[str] = Counter()
        for index in track(range(sequences), kind):
            people = make(np.random.default_rng((seed, number, index)), heads)
            total += _follow(people, renderer, network, samples if index == 0 else [])
        rows.append(_row(kind, total))
    lines = [f'# Ids that stay: {label_of(weights)}', '', *_NOTES, '']
    table = [[row['kind'], *(f'{row[key]:g}' for key in _COLUMNS)] for row in rows]
    write_report(
        out,
        'tracking',
        {'weights': label_of(weights), 'seed': seed, 'sequences': sequences, 'rows': rows},
        [*lines, *markdown_table(['', *_COLUMNS.values()], table)],
    )
    cv2.imwrite(str(out / 'tracking.png'), cv2.resize(np.vstack(samples), None, fx=0.5, fy=0.5))


def _row(kind: str, total: Counter[str]) -> dict[str, Any]:
    return {
        'kind': kind,
        'faces': total['faces'],
        'missed': round(100 * total['missed'] / total['faces'], 2),
        'switches': total['switches'],
        'swaps': total['swaps'],
        'ids': round(total['ids'] / total['people'], 2),
        'false': round(100 * total['false'] / max(total['reported'], 1), 2),
    }


def _person(
    rng: np.random.Generator, heads: Sequence[HeadSource], scale: float, way: Way
) -> _Person:
    config = SceneConfig(
        camera=CameraConfig(size=_SIDE, fov_deg=(20.0, 40.0), margin=(2.4, 2.6), shift=0.0),
        occluders=OccluderConfig(mask=0.0, hand=0.0),
    )
    config = replace(config, light=replace(config.light, dark=0.0, infrared=0.0))
    config = replace(config, effects=replace(config.effects, low_resolution=0.0))
    kind = str(rng.choice(_MOTIONS))
    return _Person(Clip(int(rng.integers(2**31)), config, heads, kind), scale, way)


def _crossing(rng: np.random.Generator, heads: Sequence[HeadSource]) -> list[_Person]:
    """Two people who pass each other, one right before the other."""
    low = _HEIGHT * rng.uniform(0.45, 0.55, 2)
    near, far = rng.uniform(1.2, 1.5), rng.uniform(0.8, 1.0)
    margin, run = 0.15 * _WIDTH, 0.7 * _WIDTH / _SECONDS
    return [
        _person(rng, heads, near, lambda t: (margin + run * t, low[0])),
        _person(rng, heads, far, lambda t: (_WIDTH - margin - run * t, low[1])),
    ]


def _back(rng: np.random.Generator, heads: Sequence[HeadSource]) -> list[_Person]:
    """One who stays, and one who leaves the picture for little more than a second."""
    times, places = [0.0, 2.0, 2.7, 3.5, 4.2, _SECONDS], [0.75, 0.75, 1.15, 1.15, 0.75, 0.75]

    def way(time: float) -> tuple[float, float]:
        return float(np.interp(time, times, places)) * _WIDTH, 0.5 * _HEIGHT

    return [
        _person(rng, heads, 1.0, lambda _: (0.25 * _WIDTH, 0.5 * _HEIGHT)),
        _person(rng, heads, 1.1, way),
    ]


def _group(rng: np.random.Generator, heads: Sequence[HeadSource]) -> list[_Person]:
    """Three who sit beside each other and sway."""

    def sway(x: float, phase: float) -> Way:
        return lambda t: (x * _WIDTH + 12 * np.sin(1.3 * t + phase), _HEIGHT * 0.5)

    phases = rng.uniform(0, 6, 3)
    return [
        _person(rng, heads, 1.0 + 0.01 * i, sway(x, phases[i]))
        for i, x in enumerate((0.2, 0.5, 0.8))
    ]


_KINDS: dict[str, Callable[[np.random.Generator, Sequence[HeadSource]], list[_Person]]] = {
    'two cross': _crossing,
    'one leaves and returns': _back,
    'three beside each other': _group,
}


def _follow(
    people: Sequence[_Person], renderer: Renderer, network: FaceNetwork, samples: list[Image]
) -> Counter[str]:
    analyzer, score = Analyzer(network, YuNetDetector()), _Score()
    count = int(_SECONDS * _RATE)
    for frame in range(count):
        time = frame / _RATE
        image, truth = _picture(people, renderer, time)
        faces = analyzer.track(image, time)
        _count(score, faces, truth, time)
        if frame == count // 3:
            samples.append(_drawn(image, faces))
    score.counts['people'] = len(people)
    score.counts['ids'] = len(score.ids)
    return score.counts


def _picture(
    people: Sequence[_Person], renderer: Renderer, time: float
) -> tuple[Image, list[_Truth]]:
    canvas = np.full((_HEIGHT, _WIDTH, 3), 110.0)
    owner = np.full((_HEIGHT, _WIDTH), -1)
    boxes: list[Array] = [np.zeros(4) for _ in people]
    for index in sorted(range(len(people)), key=lambda i: people[i].scale):
        person = people[index]
        rendered = renderer.render(person.clip.scene(time))
        x, y = person.way(time)
        move = np.array(
            [
                [person.scale, 0, x - person.scale * _SIDE / 2],
                [0, person.scale, y - person.scale * _SIDE / 2],
            ]
        )
        points = rendered.labels.landmarks
        boxes[index] = bounding_box(points @ move[:, :2].T + move[:, 2])
        alpha = cv2.warpAffine(_head(points), move, (_WIDTH, _HEIGHT))[:, :, None]
        image = cv2.warpAffine(rendered.image, move, (_WIDTH, _HEIGHT))
        canvas = alpha * image + (1 - alpha) * canvas
        owner[alpha[:, :, 0] > 0.5] = index
    return canvas.astype(np.uint8), [_truth(box, owner == i) for i, box in enumerate(boxes)]


def _head(landmarks: Array) -> NDArray[np.float32]:
    """Return the soft mask (S, S) of head and shoulders in a clip."""
    x, y, w, h = bounding_box(landmarks)
    mask = np.zeros((_SIDE, _SIDE), np.float32)
    center = (round(x + w / 2), round(y + h / 2 - 0.1 * h))
    cv2.ellipse(mask, center, (round(0.85 * w), round(0.95 * h)), 0, 0, 360, 1.0, -1)
    return np.asarray(cv2.GaussianBlur(mask, (_SOFT, _SOFT), 0), np.float32)


def _truth(box: Array, mine: NDArray[np.bool_]) -> _Truth:
    low = np.clip(box[:2], 0, [_WIDTH, _HEIGHT]).astype(int)
    high = np.clip(box[:2] + box[2:], 0, [_WIDTH, _HEIGHT]).astype(int)
    seen = mine[low[1] : high[1], low[0] : high[0]].sum()
    return _Truth(box, float(seen / (box[2] * box[3])))


def _count(score: _Score, faces: Sequence[Face], truth: Sequence[_Truth], time: float) -> None:
    """Add one picture. Faces that are half in sight count neither as missed nor as false."""
    overlaps = iou([face.box for face in faces], [true.box for true in truth])
    owners = {
        faces[row].id: column
        for row, column in zip(*linear_sum_assignment(-overlaps), strict=True)
        if overlaps[row, column] >= _SAME
    }
    score.counts['reported'] += len(faces)
    score.counts['false'] += sum(
        face.id not in owners or truth[owners[face.id]].seen < _OUT_OF_SIGHT / 2 for face in faces
    )
    for index, true in enumerate(truth):
        if true.seen < _IN_SIGHT:
            score.since.pop(index, None)
        since = score.since.setdefault(index, time) if true.seen >= _IN_SIGHT else np.inf
        ids = [name for name, owner in owners.items() if owner == index]
        if time - since >= _SETTLING:
            score.counts['faces'] += 1
            score.counts['missed'] += not ids
        for name in ids:
            switched = score.last.setdefault(index, name) != name
            others = {one for owner, one in score.ids if owner != index}
            score.counts['switches'] += switched
            score.counts['swaps'] += switched and name in others
            score.last[index] = name
            score.ids.add((index, name))


def _drawn(image: Image, faces: Sequence[Face]) -> Image:
    drawn = image.copy()
    for face in faces:
        x, y, w, h = face.box.round().astype(int).tolist()
        cv2.rectangle(drawn, (x, y), (x + w, y + h), (0, 255, 0), 2)
        cv2.putText(drawn, face.id, (x, y - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (0, 255, 0), 2)
    return drawn
