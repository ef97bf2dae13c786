"""What every backend is: a network that maps crops to named arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray

from headpose_ros.errors import HeadposeError


class BackendError(HeadposeError):
    """A backend cannot run this network on this machine; the text says why."""


class Backend(ABC):
    """A network that is loaded and ready.

    Attributes:
        name: One of `choose.BACKENDS`.
        device: Where the network computes.
        details: What else decides its speed, such as threads or precision, in a few words.
    """

    name: str
    device: torch.device
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
