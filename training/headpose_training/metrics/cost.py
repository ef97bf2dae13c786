"""What a network costs: parameters, multiplications, time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from headpose_ros.geometry.crop import CropWindow
from headpose_ros.models.weights import LoadedModel
from headpose_ros.perception.device import Device
from headpose_ros.perception.infer import FaceNetwork
from headpose_ros.perception.threads import cpu_threads
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

_WARM_UP, _TIMED = 3, 30


@dataclass(frozen=True)
class Cost:
    """Cost of one face.

    Attributes:
        parameters: Count of trained numbers.
        gmac: Multiply-accumulate operations of convolutions and matrix products on one crop, 1e9.
        ms_per_face: Median time of an estimate of one face, crop included, milliseconds.
        threads: CPU threads of the networks.
        device: Where it ran.
    """

    parameters: int
    gmac: float
    ms_per_face: float
    threads: int
    device: str

    def as_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self)


def cost(
    model: LoadedModel, network: FaceNetwork, image: NDArray[np.uint8], window: CropWindow
) -> Cost:
    """Count and time a network on one face.

    Args:
        model: What the network was made of.
        network: The network on its device.
        image: uint8 (H, W, 3) BGR.
        window: Window of the face.
    """
    return Cost(
        parameters=sum(p.numel() for p in model.network.parameters()),
        gmac=_gmac(model),
        ms_per_face=_milliseconds(network, image, window),
        threads=cpu_threads(),
        device=_device_name(network.device),
    )


def _gmac(model: LoadedModel) -> float:
    size = model.spec.input_size
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.network(torch.zeros(1, 3, size, size))
    return counter.get_total_flops() / 2e9  # it counts a multiply-accumulate as two


def _milliseconds(network: FaceNetwork, image: NDArray[np.uint8], window: CropWindow) -> float:
    times = []
    for _ in range(_WARM_UP + _TIMED):
        start = perf_counter()
        network.estimate(image, [window])  # returns arrays of the CPU: nothing is left to wait for
        times.append(perf_counter() - start)
    return 1000 * median(times[_WARM_UP:])


def _device_name(device: Device) -> str:
    return torch.cuda.get_device_name(str(device)) if device.type == 'cuda' else str(device)
