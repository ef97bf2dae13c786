"""ONNX Runtime on the CPU: the `.onnx` beside released weights, or one made from PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headpose_ros.models.registry import spec_of
from headpose_ros.models.released import WeightsFile, read_weights_file
from headpose_ros.models.safetensors_check import shown_path
from headpose_ros.perception.backends.base import Backend, BackendError
from headpose_ros.perception.backends.trial import check, example
from headpose_ros.perception.device import CPU
from headpose_ros.perception.foreign_onnx import ForeignOnnxError, in_time, vet_onnx
from headpose_ros.perception.onnx_session import open_session
from headpose_ros.perception.threads import cpu_threads, limit_cpu_threads

#: Name of the only input: uint8 (B, S, S, 3) BGR.
INPUT = 'crops'
#: In the metadata: digest of the `.safetensors` that a file was made from.
MADE_FROM = 'sha256'


class OnnxRuntimeBackend(Backend):
    """ONNX Runtime, float32, on the CPU.

    Args:
        file: Content of an ONNX file of `exported.exported`.
        source: Where it comes from, for errors.

    Attributes:
        made_from: sha256 of the weights that the file was made from; empty where it is unknown.

    Raises:
        BackendError: The package is missing, or cannot load the file.
        WeightsError: The file is of another network or version.
    """

    name, device = 'onnxruntime', CPU

    def __init__(self, file: bytes, source: object) -> None:
        try:
            self._session = open_session(file)
        except ImportError as error:
            raise BackendError(
                'the package onnxruntime is missing (pip install onnxruntime)'
            ) from error
        except Exception as error:  # the package's errors have no common class
            raise BackendError(f'onnxruntime cannot load {source}: {error}') from error
        header = self._session.get_modelmeta().custom_metadata_map
        self.spec = spec_of(header, source)
        self.made_from = header.get(MADE_FROM, '')
        self.details = f'{cpu_threads()} threads'
        self._names = [output.name for output in self._session.get_outputs()]

    def run(self, crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Run the network, see `Backend.run`."""
        return dict(zip(self._names, self._session.run(None, {INPUT: crops}), strict=True))


def of_file(weights: WeightsFile, onnx: Path) -> OnnxRuntimeBackend:
    """Return what runs the ONNX file beside weights; one that is not ours is tried apart first.

    Raises:
        BackendError: As above, the file was made from other weights, or it is not safe to run.
        WeightsError: As above.
    """
    content = read_weights_file(onnx)
    if not weights.released:
        try:
            vet_onnx(content, try_network)
        except ForeignOnnxError as error:
            raise BackendError(f'{shown_path(onnx)} {error}') from error
    backend = OnnxRuntimeBackend(content, shown_path(onnx))
    if backend.made_from != weights.sha256:
        raise BackendError(
            f'{onnx} was not made from {weights.path.name}; export both with headpose-train export'
        )
    return backend


def try_network(content: bytes) -> None:
    """Run a network on one crop; meant for `foreign_onnx.vet_onnx`.

    Raises:
        HeadposeError: It does not work, answers what no network does, or is slow.
    """
    limit_cpu_threads(1)
    backend = OnnxRuntimeBackend(content, 'it')
    check(in_time(lambda: backend.run(example(backend.spec))), backend.spec)
