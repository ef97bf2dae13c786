"""Fixed batch sizes on a GPU: one graph launch, one upload and one download for each batch.

Without a GPU the same code runs call by call, which is how it is tested.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headpose_ros.models.weights import LoadedModel
from headpose_ros.perception.backends.base import Backend, BackendError
from headpose_ros.perception.backends.deployed import Deployed, deployed

#: Batches are filled up to the next of these; larger ones are split.
BUCKETS = (1, 2, 4, 8, 16, 32, 64)
#: Runs before a capture: libraries choose their kernels and make their workspaces in the first.
_WARM_UP = 3


class StaticBackend(Backend):
    """PyTorch with static batches, warmed up when it is made.

    On CUDA each batch size is captured as a CUDA graph, in half precision. Read-outs stay in single
    precision inside the networks.

    Args:
        model: The network with its weights.
        device: CUDA; or CPU, in single precision and without graphs.
        compiled: Let torch.compile make the kernels.
        buckets: Batch sizes, ascending.

    Raises:
        BackendError: torch.compile has no compiler on this machine.
    """

    def __init__(
        self,
        model: LoadedModel,
        device: torch.device,
        compiled: bool = False,
        buckets: Sequence[int] = BUCKETS,
    ) -> None:
        self.name = 'compile' if compiled else 'cudagraph'
        self.device = device
        dtype = _dtype(device)
        self.details = (
            f'{str(dtype).removeprefix("torch.")}, batches of {", ".join(map(str, buckets))}'
        )
        network = deployed(model, dtype).to(device)
        forward: Callable[[Tensor], dict[str, Tensor]] = network.named
        if compiled:
            forward = torch.compile(network.named, dynamic=False)
        try:
            size = model.spec.input_size
            self._batches = [_Batch(count, size, forward, network) for count in buckets]
        except Exception as error:
            if not compiled:
                raise
            reason = str(error).strip().split('\n')[0]
            raise BackendError(f'torch.compile failed: {reason}') from error

    def run(self, crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Run the network, see `Backend.run`."""
        largest = self._batches[-1].count
        parts = [self._part(crops[i : i + largest]) for i in range(0, len(crops), largest)]
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _part(self, crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        batch = next(batch for batch in self._batches if batch.count >= len(crops))
        return batch.run(crops)


class _Batch:
    """Buffers and graph of one batch size."""

    def __init__(
        self,
        count: int,
        size: int,
        forward: Callable[[Tensor], dict[str, Tensor]],
        network: Deployed,
    ) -> None:
        device = network.mean.device
        self.count = count
        pinned = device.type == 'cuda'
        shape = (count, size, size, 3)
        self._host_in = torch.zeros(shape, dtype=torch.uint8, pin_memory=pinned)
        self._crops = torch.zeros(shape, dtype=torch.uint8, device=device)
        self._forward = forward
        with torch.inference_mode():
            outputs = forward(self._crops)
            self._shapes = {name: tuple(value.shape[1:]) for name, value in outputs.items()}
            width = sum(prod(shape) for shape in self._shapes.values())
            self._flat = torch.zeros((count, width), device=device)
        self._host_out = torch.zeros((count, width), pin_memory=pinned)
        self._graph = _captured(self._step) if device.type == 'cuda' else None

    def run(self, crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Return the outputs of up to `count` crops; what was in the rest does not matter."""
        given = len(crops)
        self._host_in.numpy()[:given] = crops
        with torch.inference_mode():
            self._crops.copy_(self._host_in, non_blocking=True)
            if self._graph is None:
                self._step()
            else:
                self._graph.replay()
            self._host_out.copy_(self._flat, non_blocking=True)
        if self._graph is not None:
            torch.cuda.current_stream(self._crops.device).synchronize()
        return self._unpacked(self._host_out.numpy()[:given].copy())

    def _step(self) -> None:
        """Fill the flat output: one download instead of one for each output."""
        outputs = self._forward(self._crops)
        parts = [value.reshape(self.count, -1) for value in outputs.values()]
        torch.cat(parts, dim=1, out=self._flat)

    def _unpacked(self, flat: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        found: dict[str, NDArray[np.float32]] = {}
        start = 0
        for name, shape in self._shapes.items():
            end = start + prod(shape)
            found[name] = flat[:, start:end].reshape(-1, *shape)
            start = end
        return found


def _captured(step: Callable[[], None]) -> torch.cuda.CUDAGraph:
    """Warm a function up on a stream of its own and capture it."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.inference_mode():
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
    return graph


def _dtype(device: torch.device) -> torch.dtype:
    """Return float16 on GPUs, whose mantissa keeps landmarks to a tenth of a pixel."""
    return torch.float16 if device.type == 'cuda' else torch.float32
