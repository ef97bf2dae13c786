"""OpenVINO on the CPU."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from headpose_ros.models.weights import LoadedModel
from headpose_ros.perception.backends.base import Backend, BackendError
from headpose_ros.perception.backends.exported import exported


class OpenVinoBackend(Backend):
    """OpenVINO, float32.

    Args:
        model: The network with its weights.

    Raises:
        BackendError: The package is missing, or the network cannot be exported.
    """

    name = 'openvino'

    def __init__(self, model: LoadedModel) -> None:
        try:
            import openvino
        except ImportError as error:
            raise BackendError(
                "the package openvino is missing (pip install 'headpose-ros[openvino]')"
            ) from error
        self.device = torch.device('cpu')
        threads = torch.get_num_threads()
        self.details = f'{threads} threads'
        settings = {
            'PERFORMANCE_HINT': 'LATENCY',
            'INFERENCE_NUM_THREADS': threads,
            # CPUs with half precision would use it unasked.
            'INFERENCE_PRECISION_HINT': 'f32',
        }
        core = openvino.Core()
        file = exported(model)
        try:
            compiled = core.compile_model(core.read_model(file.onnx), 'CPU', settings)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise BackendError(f'openvino cannot load {model.spec.name}: {reason}') from error
        self._names = file.names
        self._request = compiled.create_infer_request()

    def run(self, crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Run the network, see `Backend.run`."""
        found = self._request.infer([crops], share_inputs=True, share_outputs=True)
        return {name: found[index] for index, name in enumerate(self._names)}
