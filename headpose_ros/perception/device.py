"""Where networks run: on the CPU, or on a GPU by PyTorch. PyTorch is imported only for a GPU."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

from headpose_ros.errors import HeadposeError
from headpose_ros.extras import INSTALL_TORCH

#: Of NVIDIA's drivers on PCs and Jetsons, of WSL, and of AMD, whose PyTorch says `cuda` too.
_GPU_FILES = ('nvidia[0-9]*', 'nvgpu', 'nvhost-gpu', 'dxg', 'kfd')
_EXPECTED = 'expected auto, cpu, cuda or cuda:N'


class DeviceError(HeadposeError):
    """The wanted device is not there."""


@dataclass(frozen=True)
class Device:
    """The CPU, or a GPU; as text what PyTorch calls it.

    Attributes:
        type: `cpu` or `cuda`.
        index: Of the GPU; None for the first.
    """

    type: str = 'cpu'
    index: int | None = None

    def __str__(self) -> str:
        """Return `cpu`, `cuda` or `cuda:N`."""
        return self.type if self.index is None else f'{self.type}:{self.index}'


CPU = Device()


def choose_device(name: str) -> Device:
    """Turn `auto`, `cpu`, `cuda` or `cuda:N` into a device that exists.

    Raises:
        DeviceError: The device is unknown or not there.
    """
    if name == 'auto':
        return Device('cuda') if usable_gpus() else CPU
    parts = re.fullmatch(r'cpu|cuda(?::(\d{1,3}))?', name)
    if parts is None:
        raise DeviceError(f'unknown device {name!r}: {_EXPECTED}')
    if name == 'cpu':
        return CPU
    device = Device('cuda', None if parts[1] is None else int(parts[1]))
    if (device.index or 0) >= usable_gpus():
        raise DeviceError(f'device {name!r} is not there: {why_no_gpu()}; use device cpu or auto')
    return device


def has_gpu(files: Path = Path('/dev')) -> bool:
    """Return whether a GPU is in this machine, whether PyTorch can use it or not."""
    return any(any(files.glob(pattern)) for pattern in _GPU_FILES)


def has_torch() -> bool:
    """Return whether PyTorch is installed, without importing it."""
    return importlib.util.find_spec('torch') is not None


def usable_gpus() -> int:
    """Return the number of GPUs that PyTorch can use."""
    if not (has_gpu() and has_torch()):
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def why_no_gpu() -> str:
    """Return why there is no GPU, or not the wanted one, in a few words."""
    if not has_gpu():
        return 'no GPU is in this machine'
    if not has_torch():
        return f'GPUs need PyTorch ({INSTALL_TORCH})'
    return f'this PyTorch can use {usable_gpus()} GPUs'


def gpu_memory(device: Device) -> int:
    """Return the bytes that this process holds on a GPU; 0 on the CPU."""
    if device.type == 'cpu':
        return 0
    import torch

    return torch.cuda.memory_reserved(str(device))
