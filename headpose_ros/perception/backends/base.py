"""What every backend is: a network that maps crops to named arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

from headpose_ros.errors import HeadposeError
from headpose_ros.models.registry import ModelSpec
from headpose_ros.perception.device import Device

if TYPE_CHECKING:
    from headpose_ros.models.released import WeightsFile
    from headpose_ros.models.weights import LoadedModel

#: What a backend is made of: weights on disk, or a network that is in PyTorch already.
Model: TypeAlias = Union['WeightsFile', 'LoadedModel']


class BackendError(HeadposeError):
    """A backend cannot run this network on this machine; the message has the reason."""


class Backend(ABC):
    """A network that is loaded and ready.

    Attributes:
        name: One of `choose.BACKENDS`.
        spec: How the network is fed.
        device: Where the network computes.
        details: What else decides its speed, such as threads or precision, in a few words.
    """

    name: str
    spec: ModelSpec
    device: Device
    details: str = ''

    @abstractmethod
    def run(self, crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Run the network.

        Args:
            crops: uint8 (B, S, S, 3) BGR, B >= 1.

        Returns:
            float32 arrays as `deployed.readings` names them. They may be overwritten by the next
            call.
        """
