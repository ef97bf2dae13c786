"""PyTorch as it is: the backend that always works, and the measure for all others."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from headpose_ros.models.weights import LoadedModel
from headpose_ros.perception.backends.base import Backend
from headpose_ros.perception.backends.deployed import deployed


class EagerBackend(Backend):
    """PyTorch, float32, channels last, batch norms folded.

    Args:
        model: The network with its weights.
        device: CPU or CUDA.
    """

    name = 'eager'

    def __init__(self, model: LoadedModel, device: torch.device) -> None:
        self.device = device
        self.details = f'{torch.get_num_threads()} threads' if device.type == 'cpu' else 'float32'
        self._network = deployed(model).to(device)

    @torch.inference_mode()
    def run(self, crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Run the network, see `Backend.run`."""
        outputs = self._network.named(torch.from_numpy(crops).to(self.device))
        return {name: value.cpu().numpy() for name, value in outputs.items()}
