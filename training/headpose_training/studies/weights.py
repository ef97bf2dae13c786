"""What released weights are worth in use: real boxes, large poses, bad pictures, noise, trust."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from headpose_ros import DEFAULT_MODEL
from headpose_ros.files import check_new
from headpose_ros.geometry.crop import LANDMARK_BOX_MARGIN
from headpose_ros.geometry.landmarks import bounding_box
from headpose_ros.geometry.rotations import aflw_from_matrix, aligned_from_face
from headpose_ros.perception.detect import Detector, YuNetDetector
from headpose_ros.perception.infer import Estimate, FaceNetwork, best_quarter_turn
from numpy.typing import NDArray
from rich.progress import track

from headpose_training.checkpoints import label_of, load_weights
from headpose_training.data.augment import noisy, thinned
from headpose_training.data.formats import read_faces
from headpose_training.data.readers.real_faces import JUDGE_SETS
from headpose_training.data.samples import LabelledFace
from headpose_training.data.spoil import spoil
from headpose_training.metrics.estimates import estimate_of, estimate_of_changed, window_of
from headpose_training.metrics.intervals import measure
from headpose_training.metrics.judge import Judgement, judge
from headpose_training.metrics.landmarks import eye_distance, failure_rate, point_error
from headpose_training.metrics.tables import cell, markdown_table, write_report

Array = NDArray[np.float64]
Image = NDArray[np.uint8]
Row = dict[str, Any]

#: Faces and frames of the still videos, and their noise in grey levels.
_STILLS, _FRAMES, _NOISE = 40, 20, 6.0
#: Least overlap (intersection over union) of a detected box with a face's to be that face.
_LEAST_OVERLAP = 0.3
_YAW_BINS = ((0, 30), (30, 60), (60, 90))
_SEED = 1
_COLUMNS = {
    'faces': 'faces',
    'pose': 'geodesic error (deg)',
    'nme': 'NME outer eyes (%)',
    'failures': 'failures @8 % (%)',
}
_NOTES = (
    'Poses with one constant rotation removed for each line; in brackets: bootstrap over faces, '
    '95 %. Faces that the detector misses are not in its line.',
    'x5, x10, x15: shrunk and enlarged by nearest neighbours. Blur: Gaussian of 4 % of the '
    "crop's side. Dark: an eighth of the light, and noise of 6 grey levels. Covered: a quarter of "
    "the face's box.",
    'Rendered faces, of any roll or upright (pitch and roll within 30 degrees): the true box is '
    'looked at in four quarter turns, and the surest look is followed by a second one, as a node '
    'does with a new face.',
)
_TRUST_NOTE = (
    f'Jitter: mean absolute second difference over {_FRAMES} frames of each of {_STILLS} still '
    f'photographs with noise of {_NOISE:g} grey levels, one fixed window, nothing smoothed. '
    'Expected over observed error: 1 is calibrated. Openness: mean absolute error on rendered '
    'faces. Withheld: face score below one half.'
)


def judge_weights(
    real: Path,
    rendered: Path,
    upright: Path,
    out: Path,
    weights: Sequence[str] = (DEFAULT_MODEL,),
    device: str = 'auto',
    overwrite: bool = False,
) -> None:
    """Judge weights as they are used; write weights.md and weights.json.

    Args:
        real: Packed `real_faces` folder; AFW is judged on.
        rendered: Folder of `headpose-train render` with faces that were not trained on.
        upright: Another one, with --scene.poses.pitch_deg 30 --scene.poses.roll_deg 30.
        out: Folder for the results.
        weights: Released weights, .safetensors files, or checkpoints of runs.
        device: auto, cpu, cuda or cuda:N.
        overwrite: Replace the results that an earlier call left in it; else that is an error.
    """
    check_new(out / 'weights.json', overwrite)
    photographs = read_faces('real_faces', real, JUDGE_SETS)
    heads = read_faces('rendered', rendered)
    upright_heads = read_faces('rendered', upright)
    lines = ['# Weights in use', '', *(line for note in _NOTES for line in (note, ''))]
    trusts: dict[str, Row] = {}
    rows: list[Row] = []
    for name in weights:
        network = FaceNetwork(load_weights(name), device)
        own = [
            *_of_photographs(network, photographs),
            *_of_heads(network, heads, 'rendered'),
            *_of_heads(network, upright_heads, 'rendered upright'),
        ]
        trusts[label_of(name)] = _trust(network, photographs, heads)
        rows += [{'weights': label_of(name), **row} for row in own]
        lines += [f'## {label_of(name)}', '', *_table(own)]
    lines += ['## Steadiness and trust', '', _TRUST_NOTE, '', *_trust_table(trusts)]
    write_report(out, 'weights', {'rows': rows, 'trust': trusts}, lines)


def _of_photographs(network: FaceNetwork, photographs: Sequence[LabelledFace]) -> list[Row]:
    detector = YuNetDetector()
    detected = [_detected(network, detector, face) for face in track(photographs, 'Detecting')]
    kept = [(f, e) for f, e in zip(photographs, detected, strict=True) if e is not None]
    rows = [_row('photographs', judge(photographs, [estimate_of(network, f) for f in photographs]))]
    if kept:
        in_use = judge([face for face, _ in kept], [estimate for _, estimate in kept])
        rows.append(_row("photographs, the detector's boxes", in_use))
    for name, change in _CHANGES.items():
        rng = np.random.default_rng(_SEED)
        changed = [
            estimate_of_changed(network, face, partial(change, rng=rng))
            for face in track(photographs, name, transient=True)
        ]
        rows.append(_row(f'photographs, {name}', judge(photographs, changed)))
    return rows


def _of_heads(network: FaceNetwork, heads: Sequence[LabelledFace], name: str) -> list[Row]:
    made = judge(heads, [_settled(network, face) for face in track(heads, name.capitalize())])
    inside = {
        (low, high): (abs(made.yaw) >= low) & (abs(made.yaw) < high) for low, high in _YAW_BINS
    }
    return [
        _row(f'{name}, yaw {low} to {high} degrees', made, chosen)
        for (low, high), chosen in inside.items()
        if chosen.any()
    ]


def _row(name: str, judged: Judgement, chosen: NDArray[np.bool_] | None = None) -> Row:
    pick = np.ones(len(judged.yaw), bool) if chosen is None else chosen
    nme = 100 * judged.nme['outer eyes'][pick]
    failures = partial(failure_rate, threshold=8.0)
    share = measure(nme, failures)
    share = {**share, 'value': 100 * share['value']}
    share['interval'] = share['interval'] and [100 * bound for bound in share['interval']]
    return {
        'condition': name,
        'faces': int(pick.sum()),
        'pose': measure(judged.aligned.geodesic[pick]),
        'nme': measure(nme),
        'failures': share,
    }


def _detected(network: FaceNetwork, detector: Detector, face: LabelledFace) -> Estimate | None:
    """Return what the network says through the detector's window, or None where it finds none.

    The first crop is the detector's; the second follows the first's estimate, as in a node.
    """
    image = face.read_image()
    found = detector.detect(image)
    overlaps = [_overlap(detection.box, face.box) for detection in found]
    if not overlaps or max(overlaps) < _LEAST_OVERLAP:
        return None
    first = network.estimate(image, [found[int(np.argmax(overlaps))].window])[0]
    return _followed(network, image, first)


def _settled(network: FaceNetwork, face: LabelledFace) -> Estimate:
    """Return what the network says of a face of any roll that a node has just found."""
    image, box = face.read_image(), window_of(face)
    first = best_quarter_turn(network, image, box, np.array([box.center_x, box.center_y]))
    return _followed(network, image, first)


def _followed(network: FaceNetwork, image: Image, first: Estimate) -> Estimate:
    return network.estimate(image, [first.window])[0] if len(first.landmarks) else first


def _overlap(one: Array, other: Array) -> float:
    """Return the intersection over union of two boxes x, y, w, h."""
    low = np.maximum(one[:2], other[:2])
    high = np.minimum(one[:2] + one[2:], other[:2] + other[2:])
    common = float(np.prod(np.clip(high - low, 0, None)))
    return common / (float(one[2] * one[3] + other[2] * other[3]) - common)


def _thinned(crop: Image, rng: np.random.Generator, factor: int) -> Image:
    return thinned(crop, factor)


def _blurred(crop: Image, rng: np.random.Generator) -> Image:
    return np.asarray(cv2.GaussianBlur(crop, (0, 0), 0.04 * crop.shape[0]), np.uint8)


def _dark(crop: Image, rng: np.random.Generator) -> Image:
    return noisy(crop / 8.0, rng, 6.0)


def _covered(crop: Image, rng: np.random.Generator) -> Image:
    """Put a grey square over a quarter of the face's box."""
    size = crop.shape[0]
    box = size / LANDMARK_BOX_MARGIN
    side = int(box / 2)
    x, y = rng.integers(int((size - box) / 2), int((size + box) / 2) - side, 2)
    covered = crop.copy()
    covered[y : y + side, x : x + side] = rng.integers(0, 256)
    return covered


_CHANGES: dict[str, Callable[..., Image]] = {
    **{f'x{factor}': partial(_thinned, factor=factor) for factor in (5, 10, 15)},
    'blurred': _blurred,
    'dark': _dark,
    'a quarter covered': _covered,
}


def _trust(
    network: FaceNetwork, photographs: Sequence[LabelledFace], heads: Sequence[LabelledFace]
) -> Row:
    return {
        **_jitter(network, photographs[:_STILLS]),
        **_calibration(network, photographs),
        **_openness(network, heads),
        **_withheld(network, photographs),
    }


def _jitter(network: FaceNetwork, faces: Sequence[LabelledFace]) -> Row:
    """Return mean absolute second differences: angles in degrees, landmarks in % of the eyes."""
    rng = np.random.default_rng(_SEED)
    angles, points = [], []
    for face in track(faces, 'Jitter', transient=True):
        still = [
            estimate_of_changed(network, face, partial(noisy, rng=rng, level=_NOISE))
            for _ in range(_FRAMES)
        ]
        turned = aligned_from_face(np.stack([frame.rotation for frame in still]))
        angles.append(_second_differences(np.degrees(aflw_from_matrix(turned))))
        marks = np.stack([frame.landmarks for frame in still])
        scale = 100 / eye_distance(marks)[:, None, None]
        points.append(_second_differences(marks * scale).mean())
    pitch, yaw, roll = np.array(angles).T
    return {
        'jitter of pitch (deg)': measure(pitch),
        'jitter of yaw (deg)': measure(yaw),
        'jitter of roll (deg)': measure(roll),
        'jitter of landmarks (% of the outer eyes)': measure(np.array(points)),
    }


def _second_differences(values: Array) -> Array:
    return np.asarray(abs(np.diff(values, n=2, axis=0)).mean(axis=0))


def _calibration(network: FaceNetwork, faces: Sequence[LabelledFace]) -> Row:
    """Return the ratios of expected to observed errors, and how well they order the faces."""
    estimates = [estimate_of(network, face) for face in faces]
    if not len(estimates[0].landmark_error):
        return {}
    judged = judge(faces, estimates)
    expected = np.array([np.degrees(estimate.rotation_error) for estimate in estimates])
    true = np.stack([face.landmarks for face in faces if face.landmarks is not None])
    seen = point_error(np.stack([estimate.landmarks for estimate in estimates]), true)
    told = np.array([estimate.landmark_error.mean() for estimate in estimates])
    box = np.array([bounding_box(estimate.landmarks)[2:].max() for estimate in estimates])
    return {
        'expected over observed error of the rotation': measure(
            expected / judged.aligned.geodesic.mean()
        ),
        'expected over observed error of the landmarks': measure(told / box / (seen / box).mean()),
    }


def _openness(network: FaceNetwork, heads: Sequence[LabelledFace]) -> Row:
    unknown: Array = np.full(3, np.nan)
    true: Array = np.stack([unknown if face.openness is None else face.openness for face in heads])
    told = np.stack([estimate_of(network, face).openness for face in heads])
    if np.isnan(told).all():
        return {}
    error = abs(told - true)
    return {
        'error of the openness of eyes': measure(error[:, :2].ravel()),
        'error of the openness of the mouth': measure(error[:, 2]),
    }


def _withheld(network: FaceNetwork, faces: Sequence[LabelledFace]) -> Row:
    """Return shares in %: of faces that are withheld, and of crops without a face that are not."""
    scores = np.array([estimate_of(network, face).face_score for face in faces])
    if np.isnan(scores).any():
        return {}
    rng = np.random.default_rng(_SEED)
    size = network.spec.input_size
    spoilt = [spoil(face, window_of(face), size, rng) for face in faces]
    passed = np.array([_score_of_crop(network, crop.image) for crop in spoilt])
    return {
        'faces withheld (%)': measure(np.where(scores < 0.5, 100.0, 0.0)),
        'crops without a face that pass (%)': measure(np.where(passed < 0.5, 0.0, 100.0)),
    }


def _score_of_crop(network: FaceNetwork, crop: Image) -> float:
    whole = LabelledFace('crop', Path(), annotated_box=np.array([0, 0, *crop.shape[1::-1]]))
    window = window_of(whole).scaled(LANDMARK_BOX_MARGIN / network.spec.margin)
    return network.estimate(crop, [window])[0].face_score


def _table(rows: Sequence[Row]) -> list[str]:
    lines = [
        [row['condition'], str(row['faces']), *(cell(row[key]) for key in list(_COLUMNS)[1:])]
        for row in rows
    ]
    return markdown_table(['', *_COLUMNS.values()], lines)


def _trust_table(trusts: Mapping[str, Row]) -> list[str]:
    names = list(dict.fromkeys(name for row in trusts.values() for name in row))
    lines = [[name, *(cell(row.get(name)) for row in trusts.values())] for name in names]
    return markdown_table(['', *trusts], lines)
