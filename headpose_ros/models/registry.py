"""The networks by name: one line each, with all that a node must know to run them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headpose_ros.models.mnn import Mnn
from headpose_ros.models.mnn_lite import MnnLite


@dataclass(frozen=True)
class ModelSpec:
    """A network and how to feed it.

    Attributes:
        name: Registered name.
        build: Makes the network with fresh parameters.
        input_size: Crop side in px.
        landmarks: Number of landmarks N, iBUG-68 order where N is 68; 0 without landmarks.
        paper: Where the network comes from.
    """

    name: str
    build: Callable[[], nn.Module]
    input_size: int
    landmarks: int
    paper: str


MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec('mnn_lite', MnnLite, 128, 68, 'headpose_ros; heads of Valle et al., TPAMI 2020'),
        ModelSpec('mnn', Mnn, 256, 68, 'Valle et al., TPAMI 2020, supplement tables 1-2'),
        ModelSpec('mnn_encoder', lambda: Mnn(0), 256, 0, 'Valle et al., TPAMI 2020, table 1'),
    )
}


def to_input(crop: NDArray[np.uint8]) -> Tensor:
    """Normalise one crop for a network of this registry.

    Args:
        crop: uint8 (S, S, 3) BGR.

    Returns:
        float32 (3, S, S) RGB in [-1, 1].
    """
    rgb = np.ascontiguousarray(crop[:, :, ::-1].transpose(2, 0, 1))
    return torch.from_numpy(rgb).float().div_(127.5).sub_(1.0)
