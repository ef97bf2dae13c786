"""The network as an ONNX file, which carries what is needed to feed it."""

from __future__ import annotations

import copy
import tempfile
import warnings
from pathlib import Path

import torch

from headpose_ros.extras import how_to_get
from headpose_ros.models.registry import describe
from headpose_ros.models.weights import LoadedModel
from headpose_ros.perception.backends.base import BackendError
from headpose_ros.perception.backends.deployed import Deployed
from headpose_ros.perception.backends.onnx_runtime import INPUT, MADE_FROM

#: The newest that PyTorch's exporter and every pinned runtime know.
_OPSET = 17


def exported(model: LoadedModel, sha256: str = '') -> bytes:
    """Return the ONNX form of `deployed.Deployed`, for any number of crops.

    It takes a third of a second for `mnn_lite`.

    Args:
        model: The network with its weights.
        sha256: Of the weights' file, for the metadata.

    Raises:
        BackendError: The package onnx is missing, or ONNX lacks an operation of the network.
    """
    if not model.spec.onnx:
        raise BackendError(f'ONNX lacks operations of {model.spec.name}')
    try:
        import onnx
    except ImportError as error:
        raise BackendError(f'the package onnx is missing ({how_to_get("onnx")})') from error
    # Without folding and channels last: the exporter folds, and the runtime orders as it likes.
    network = Deployed(copy.deepcopy(model.network).float().cpu(), model.spec).eval()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / 'network.onnx'
        _write(network, model, file)
        written = onnx.load(str(file))
    onnx.helper.set_model_props(written, {**describe(model.spec, {}), MADE_FROM: sha256})
    return written.SerializeToString()


def _write(network: Deployed, model: LoadedModel, file: Path) -> None:
    size = model.spec.input_size
    crops = torch.full((1, size, size, 3), 128, dtype=torch.uint8)
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            names = list(network.named(crops))
            # This exporter is the older one: the newer needs one more package and ten times as
            # long. It says so each time, and that shapes are constants, which they are here.
            warnings.simplefilter('ignore')
            torch.onnx.export(
                network,
                (crops,),
                file,
                dynamo=False,
                opset_version=_OPSET,
                input_names=[INPUT],
                output_names=names,
                dynamic_axes={name: {0: 'batch'} for name in (INPUT, *names)},
            )
    except (RuntimeError, ValueError) as error:
        reason = str(error).split('. ')[0].split('\n')[0]
        raise BackendError(f'{model.spec.name} cannot be exported to ONNX: {reason}') from error
