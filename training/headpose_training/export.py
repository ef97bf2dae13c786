"""From checkpoints to weights: safetensors, the same network as ONNX, and a card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from headpose_ros.files import check_new
from headpose_ros.models.hopenet import published_state
from headpose_ros.models.registry import MODELS, ModelSpec
from headpose_ros.models.released import WeightsFile, sha256
from headpose_ros.models.weights import assemble, load_model, save_weights
from headpose_ros.perception.backends.exported import exported
from headpose_ros.perception.verify import difference
from torch import Tensor

from headpose_training.checkpoints import mean_of, read_tensors
from headpose_training.errors import TrainingError

#: What the margins of the published Hopenet crop come to on a box as wide as high.
_PUBLISHED_HOPENET_MARGIN = 1.96


def export(
    checkpoint: Path,
    out: Path,
    description: Path,
    mean_with: Sequence[Path] = (),
    overwrite: bool = False,
) -> None:
    """Write `<out>.safetensors`, `<out>.onnx` for robots without PyTorch, and a card, `<out>.json`.

    Args:
        checkpoint: A checkpoint of `headpose-train fit`; the averaged weights are taken.
        out: File to write, without suffix.
        description: JSON object with what a card must say: data, license, family (free or
            research), command.
        mean_with: Further checkpoints or exported weights, of runs that began with one another's
            weights: the mean of all is written.
        overwrite: Replace weights that exist; else that is an error.
    """
    check_new(out.with_suffix('.safetensors'), overwrite)
    card = _read_description(description)
    saved = mean_of([checkpoint, *mean_with])
    assemble(saved.spec, saved.options, saved.state, checkpoint)  # or say that it does not fit
    _write(out, saved.spec, saved.state, saved.options, card)


def import_hopenet(state: Path, out: Path, description: Path, overwrite: bool = False) -> None:
    """Turn weights that were published with the Hopenet paper's code into ours.

    They are decoded with the left edges of the bins, as that code does.

    Args:
        state: State dict of the published code (ResNet-50).
        out: File to write, without suffix.
        description: JSON object with what a card must say: data, license, family (free or
            research), command.
        overwrite: Replace weights that exist; else that is an error.
    """
    check_new(out.with_suffix('.safetensors'), overwrite)
    card = _read_description(description)
    tensors = published_state(read_tensors(state))
    options = {'backbone': 'resnet50', 'decode': 'left_edges'}
    spec = replace(MODELS['hopenet'], margin=_PUBLISHED_HOPENET_MARGIN)
    assemble(spec, options, tensors, state)  # or say that it does not fit
    _write(out, spec, tensors, options, card)


def _write(
    out: Path,
    spec: ModelSpec,
    state: Mapping[str, Tensor],
    options: Mapping[str, Any],
    card: dict[str, Any],
) -> None:
    file = out.with_suffix('.safetensors')
    file.parent.mkdir(parents=True, exist_ok=True)
    # What was there before is of other weights.
    out.with_suffix('.json').unlink(missing_ok=True)
    out.with_suffix('.onnx').unlink(missing_ok=True)
    save_weights(file, spec, state, options)
    card |= {'model': spec.name, 'options': dict(options)}
    card |= _digest(file)
    onnx = out.with_suffix('.onnx')
    if spec.onnx:
        card['onnx'] = _write_onnx(file, onnx)
    out.with_suffix('.json').write_text(json.dumps(card, indent=2) + '\n', encoding='utf-8')


def _write_onnx(weights: Path, onnx: Path) -> dict[str, Any]:
    """Write the ONNX form of weights, compare both, and return its line of the card."""
    digest = sha256(weights)
    onnx.write_bytes(exported(load_model(str(weights)), digest))
    print(difference(WeightsFile(weights, digest, onnx, {})))
    return _digest(onnx)


def _digest(file: Path) -> dict[str, Any]:
    size, digest = file.stat().st_size, sha256(file)
    print(f'{file}: {size / 1e6:.2f} MB, sha256 {digest}')
    return {'bytes': size, 'sha256': digest}


def _read_description(path: Path) -> dict[str, Any]:
    try:
        card = json.loads(path.read_text(encoding='utf-8'))
        missing = {'data', 'license', 'family', 'command'} - card.keys()
    except (OSError, ValueError, AttributeError) as error:
        raise TrainingError(f'{path} is not a JSON object: {error}') from error
    if missing:
        raise TrainingError(f'{path} lacks {sorted(missing)}, which every card must say')
    return card
