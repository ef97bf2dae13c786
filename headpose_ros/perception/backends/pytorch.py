"""PyTorch: on GPUs in half precision, and on CPUs for what ONNX lacks."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from headpose_ros.models.weights import LoadedModel
from headpose_ros.perception.backends.base import Backend
from headpose_ros.perception.backends.deployed import deployed
from headpose_ros.perception.device import Device
from headpose_ros.perception.threads import cpu_threads


class TorchBackend(Backend):
    """PyTorch, channels last, batch norms folded.

    Args:
        model: The network with its weights.
        device: CUDA, in half precision, whose mantissa keeps landmarks to a tenth of a pixel; or
            CPU, in single precision. Read-outs stay in single precision inside the networks.
    """

    name = 'torch'

    def __init__(self, model: LoadedModel, device: Device) -> None:
        self.spec, self.device = model.spec, device
        dtype = torch.float16 if device.type == 'cuda' else torch.float32
        if device.type == 'cpu':
            torch.set_num_threads(cpu_threads())
        threads = f'{torch.get_num_threads()} threads'
        self.details = threads if device.type == 'cpu' else 'half precision'
        self._network = deployed(model, dtype).to(str(device))

    @torch.inference_mode()
    def run(self, crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Run the network, see `Backend.run`."""
        outputs = self._network.named(torch.from_numpy(crops).to(str(self.device)))
        return {name: value.cpu().numpy() for name, value in outputs.items()}
