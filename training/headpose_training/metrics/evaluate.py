"""Judge weights on labelled faces: tables with intervals, error curves, best and worst faces."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from headpose_ros.geometry.crop import CropWindow
from headpose_ros.geometry.rotations import aligned_from_face
from headpose_ros.models.weights import load_model, released_file
from headpose_ros.perception.infer import Estimate, FaceNetwork
from numpy.typing import NDArray
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import track
from scipy.stats import bootstrap

from headpose_training.data.real_faces import JUDGE_SETS, read_real_faces
from headpose_training.data.samples import LabelledFace
from headpose_training.metrics import pictures
from headpose_training.metrics.landmarks import auc, failure_rate, nme_outer_eyes
from headpose_training.metrics.pose import align, angle_errors_deg, geodesic_deg

Array = NDArray[np.float64]
_RESAMPLES = 2000


@dataclass(frozen=True)
class Judgement:
    """Errors of N faces.

    Attributes:
        nme: (N,) landmark error over the distance of the outer eye corners, as a fraction.
        geodesic: (N,) degrees, as predicted.
        aligned: (N,) degrees, after removing one constant rotation.
        angles: (N, 3) absolute errors of pitch, yaw, roll in degrees after the same removal, in
            the AFLW2000 factorisation Rx(-pitch) Ry(yaw) Rz(roll).
        confidence: (N,) mean landmark confidence.
    """

    nme: Array
    geodesic: Array
    aligned: Array
    angles: Array
    confidence: Array


def evaluate(
    data: Path,
    out: Path,
    weights: str = 'mnn_lite',
    sets: Sequence[str] = JUDGE_SETS,
    device: str = 'auto',
    update_card: bool = False,
) -> None:
    """Judge weights on crops around the true landmarks; write report.md, report.json and PNGs.

    Args:
        data: Packed `real_faces` folder.
        out: Folder for the report.
        weights: Released model, or a .safetensors file.
        sets: Sets of the folder to judge on.
        device: auto, cpu, cuda or cuda:N.
        update_card: Write the metrics into the card beside the weights.
    """
    faces = read_real_faces(data, sets)
    network = FaceNetwork(load_model(weights), device)
    estimates = [_estimate(network, face) for face in track(faces, 'Judging')]
    judgement = judge(faces, estimates)
    report = {
        'weights': weights,
        'sha256': network.card.get('sha256', ''),
        'sets': list(sets),
        'faces': len(faces),
        'metrics': summary(judgement),
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / 'report.json').write_text(json.dumps(report, indent=2) + '\n', encoding='utf-8')
    text = to_markdown(report)
    (out / 'report.md').write_text(text, encoding='utf-8')
    pictures.write_error_curves(out / 'curves.png', judgement.nme, judgement.aligned)
    pictures.write_best_and_worst(out / 'faces.png', faces, estimates, judgement.nme)
    if update_card:
        _write_metrics(released_file(weights).with_suffix('.json'), report)
    Console().print(Markdown(text))


def _write_metrics(card: Path, report: dict[str, Any]) -> None:
    content = json.loads(card.read_text(encoding='utf-8'))
    values = {
        f'{name} ({row["unit"]})' if row['unit'] else name: round(row['value'], 3)
        for name, row in report['metrics'].items()
    }
    content['metrics'] = {'judged on': report['sets'], 'faces': report['faces'], **values}
    card.write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')


def _estimate(network: FaceNetwork, face: LabelledFace) -> Estimate:
    return network.estimate(face.image, [CropWindow.around_landmarks(face.landmarks)])[0]


def judge(faces: Sequence[LabelledFace], estimates: Sequence[Estimate]) -> Judgement:
    """Compare estimates with labels."""
    target = np.stack([face.rotation for face in faces])
    predicted = aligned_from_face(np.stack([estimate.rotation for estimate in estimates]))
    turned = align(predicted, target)
    return Judgement(
        nme=nme_outer_eyes(
            np.stack([estimate.landmarks for estimate in estimates]),
            np.stack([face.landmarks for face in faces]),
        ),
        geodesic=geodesic_deg(predicted, target),
        aligned=geodesic_deg(turned, target),
        angles=angle_errors_deg(turned, target),
        confidence=np.array([e.landmark_confidence.mean() for e in estimates]),
    )


def summary(judgement: Judgement) -> dict[str, dict[str, Any]]:
    """Return every metric with its unit and bootstrap 95 % interval."""
    nme, pitch_yaw_roll = judgement.nme, judgement.angles
    rows: dict[str, tuple[str, Array, Callable[[Array], float]]] = {
        'geodesic error, one constant rotation removed': ('deg', judgement.aligned, np.mean),
        'geodesic error, as predicted': ('deg', judgement.geodesic, np.mean),
        'MAE pitch': ('deg', pitch_yaw_roll[:, 0], np.mean),
        'MAE yaw': ('deg', pitch_yaw_roll[:, 1], np.mean),
        'MAE roll': ('deg', pitch_yaw_roll[:, 2], np.mean),
        'MAE of the three angles': ('deg', pitch_yaw_roll.mean(axis=1), np.mean),
        'NME outer eyes': ('%', 100 * nme, np.mean),
        'failure rate @8 %': ('%', nme, lambda values: 100 * failure_rate(values)),
        'AUC @8 %': ('', nme, auc),
        'landmark confidence, 1st percentile': (
            '',
            judgement.confidence,
            lambda values: float(np.percentile(values, 1)),
        ),
    }
    return {
        name: {'unit': unit, 'value': float(of(values)), 'interval': _interval(values, of)}
        for name, (unit, values, of) in rows.items()
    }


def _interval(values: Array, of: Callable[[Array], float]) -> list[float]:
    result = bootstrap(
        (values,), of, n_resamples=_RESAMPLES, vectorized=False, method='percentile', rng=1
    )
    return [float(bound) for bound in result.confidence_interval]


def to_markdown(report: dict[str, Any]) -> str:
    """Return the report as a Markdown table."""
    lines = [
        f'# {report["weights"]} on {", ".join(report["sets"])}: {report["faces"]} faces',
        '',
        'Crops around the true landmarks. Angles: AFLW2000 factorisation, one constant rotation '
        'removed. Intervals: bootstrap over faces, 95 %.',
        '',
        '| metric | value | 95 % interval |',
        '| --- | --- | --- |',
    ]
    for name, row in report['metrics'].items():
        low, high = row['interval']
        value = f'{row["value"]:.2f} {row["unit"]}'.strip()
        lines.append(f'| {name} | {value} | {low:.2f} to {high:.2f} |')
    return '\n'.join(lines) + '\n'
