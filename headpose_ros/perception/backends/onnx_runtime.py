"""ONNX Runtime: on the CPU, and on NVIDIA GPUs where its package has those providers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from headpose_ros.models.weights import LoadedModel
from headpose_ros.perception.backends.base import Backend, BackendError
from headpose_ros.perception.backends.exported import INPUT, exported
from headpose_ros.perception.onnx_session import open_session


class OnnxRuntimeBackend(Backend):
    """ONNX Runtime, float32.

    Args:
        model: The network with its weights.
        device: CPU or CUDA.
        name: `onnxruntime`, or `tensorrt` for that provider.

    Raises:
        BackendError: The package or the provider is missing, or the network cannot be exported.
    """

    def __init__(self, model: LoadedModel, device: torch.device, name: str = 'onnxruntime') -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise BackendError(
                'the package onnxruntime is missing (pip install onnxruntime)'
            ) from error
        self.name, self.device = name, device
        provider, settings = _provider(name, device)
        there = onnxruntime.get_available_providers()
        if provider not in there:
            raise BackendError(f'onnxruntime has no {provider}, only {", ".join(there)}')
        file = exported(model)
        try:
            self._session = open_session(file.onnx, provider, settings)
        except Exception as error:  # the package's errors have no common class
            raise BackendError(f'onnxruntime cannot load {model.spec.name}: {error}') from error
        if self._session.get_providers()[0] != provider:
            raise BackendError(f'onnxruntime could not start {provider}: its libraries are missing')
        self._names = file.names
        threads = f'{torch.get_num_threads()} threads'
        self.details = threads if device.type == 'cpu' else provider

    def run(self, crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Run the network, see `Backend.run`."""
        return dict(zip(self._names, self._session.run(None, {INPUT: crops}), strict=True))


def _provider(name: str, device: torch.device) -> tuple[str, dict[str, Any]]:
    index = {'device_id': device.index or 0}
    if device.type == 'cpu':
        return 'CPUExecutionProvider', {}
    if name == 'tensorrt':
        return 'TensorrtExecutionProvider', {**index, 'trt_fp16_enable': True}
    return 'CUDAExecutionProvider', index
