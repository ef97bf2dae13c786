"""Judge weights on labelled faces: tables with intervals, error curves, best and worst faces."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from headpose_ros import DEFAULT_MODEL
from headpose_ros.files import check_new
from headpose_ros.models.released import released_file
from headpose_ros.models.weights import LoadedModel
from headpose_ros.perception.infer import Estimate, FaceNetwork
from rich.progress import track

from headpose_training.checkpoints import label_of, load_weights
from headpose_training.data.formats import read_faces
from headpose_training.data.readers.real_faces import JUDGE_SETS
from headpose_training.data.samples import LabelledFace
from headpose_training.metrics import pictures, report
from headpose_training.metrics.cost import cost
from headpose_training.metrics.estimates import estimate_of, window_of
from headpose_training.metrics.judge import Judgement, judge
from headpose_training.metrics.tables import write_report


def evaluate(
    data: Path,
    out: Path,
    weights: str = DEFAULT_MODEL,
    format: str = 'real_faces',
    sets: Sequence[str] = JUDGE_SETS,
    device: str = 'auto',
    update_card: bool = False,
    skip_broken: bool = False,
    overwrite: bool = False,
) -> None:
    """Judge weights; write report.md, report.json and PNGs.

    Args:
        data: Folder of the dataset.
        out: Folder for the report.
        weights: Released model, a .safetensors file, or a run's .ckpt.
        format: Format of the dataset.
        sets: Sets of the dataset to judge on; none for all of it.
        device: auto, cpu, cuda or cuda:N.
        update_card: Write the metrics into the card beside the weights.
        skip_broken: Leave out faces that cannot be read instead of stopping.
        overwrite: Replace the report that an earlier call left in it; else that is an error.
    """
    check_new(out / 'report.json', overwrite)
    faces = read_faces(format, data, sets, skip_broken)
    model = load_weights(weights)
    network = FaceNetwork(model, device)
    estimates = [estimate_of(network, face) for face in track(faces, 'Judging')]
    judgement = judge(faces, estimates)
    content = {
        'weights': label_of(weights),
        'model': model.spec.name,
        'sha256': model.card.get('sha256', ''),
        'format': format,
        'sets': list(sets),
        'faces': len(faces),
        **_numbers(judgement, model, network, faces[0]),
    }
    write_report(out, 'report', content, report.to_markdown(content))
    _write_pictures(out, faces, estimates, judgement)
    if update_card:
        _write_metrics(released_file(weights).with_suffix('.json'), content)


def _numbers(
    judgement: Judgement, model: LoadedModel, network: FaceNetwork, face: LabelledFace
) -> dict[str, Any]:
    return {
        'metrics': report.summary(judgement),
        'bins': report.yaw_table(judgement),
        'cost': cost(model, network, face.read_image(), window_of(face)).as_json(),
    }


def _write_pictures(
    out: Path,
    faces: Sequence[LabelledFace],
    estimates: Sequence[Estimate],
    judgement: Judgement,
) -> None:
    errors = pictures.drawn_errors(judgement)
    pictures.write_error_curves(out / 'curves.png', errors)
    if np.isfinite(judgement.yaw).any():
        pictures.write_errors_against_yaw(out / 'yaw.png', judgement.yaw, errors)
        pictures.write_poses(out / 'poses.png', faces, judgement)
    if np.isfinite(judgement.nme['outer eyes']).any():
        pictures.write_landmarks(out / 'faces.png', faces, estimates, judgement)


def _write_metrics(card: Path, content: dict[str, Any]) -> None:
    """Repeat operations and headlines of a report in a card."""
    told = json.loads(card.read_text(encoding='utf-8'))
    metrics = content['metrics']
    values = {
        f'{name} ({metrics[name]["unit"]})' if metrics[name]['unit'] else name: round(
            metrics[name]['value'], 3
        )
        for name in report.HEADLINES
        if name in metrics
    }
    told['operations'] = {name: content['cost'][name] for name in ('parameters', 'gmac')}
    told['metrics'] = {'judged on': content['sets'], 'faces': content['faces'], **values}
    card.write_text(json.dumps(told, indent=2) + '\n', encoding='utf-8')
