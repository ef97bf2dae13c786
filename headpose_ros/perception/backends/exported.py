"""The network as an ONNX file in memory.

It takes a third of a second for `mnn_lite`: less than a cache of files would cost in care.
"""

from __future__ import annotations

import copy
import importlib.util
import tempfile
import warnings
from pathlib import Path
from typing import NamedTuple

import torch

from headpose_ros.models.weights import LoadedModel
from headpose_ros.perception.backends.base import BackendError
from headpose_ros.perception.backends.deployed import Deployed, example

INPUT = 'crops'
#: The newest that PyTorch's exporter and every pinned runtime know.
_OPSET = 17


class Exported(NamedTuple):
    """An ONNX file and the names of its outputs in their order.

    Runtimes that join operations may give an output a second name.
    """

    onnx: bytes
    names: tuple[str, ...]


def exported(model: LoadedModel) -> Exported:
    """Return the ONNX form of `deployed.Deployed`, for any number of crops.

    Args:
        model: The network with its weights.

    Raises:
        BackendError: The package onnx is missing, or ONNX lacks an operation of the network.
    """
    if not model.spec.onnx:
        raise BackendError(f'ONNX lacks operations of {model.spec.name}')
    if importlib.util.find_spec('onnx') is None:
        raise BackendError('the package onnx is missing (pip install onnx)')
    # Without folding and channels last: the exporter folds, and the runtimes order as they like.
    network = Deployed(copy.deepcopy(model.network).float().cpu(), model.spec).eval()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / 'network.onnx'
        _write(network, model, file)
        return Exported(file.read_bytes(), network.names)


def _write(network: Deployed, model: LoadedModel, file: Path) -> None:
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            # This exporter is the older one: the newer needs one more package and ten times as
            # long. It says so each time, and that shapes are constants, which they are here.
            warnings.simplefilter('ignore')
            torch.onnx.export(
                network,
                (example(model.spec),),
                file,
                dynamo=False,
                opset_version=_OPSET,
                input_names=[INPUT],
                output_names=list(network.names),
                dynamic_axes={name: {0: 'batch'} for name in (INPUT, *network.names)},
            )
    except (RuntimeError, ValueError) as error:
        reason = str(error).split('. ')[0].split('\n')[0]
        raise BackendError(f'{model.spec.name} cannot be exported to ONNX: {reason}') from error
