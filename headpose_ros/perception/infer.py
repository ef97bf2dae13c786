"""Run a network on the faces of an image: windows in, rotations and landmarks out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from headpose_ros.errors import HeadposeError
from headpose_ros.geometry.crop import CropWindow, apply_affine
from headpose_ros.geometry.rotations import face_from_aligned, in_plane
from headpose_ros.models.outputs import FaceOutputs, mass_near
from headpose_ros.models.registry import to_input
from headpose_ros.models.weights import LoadedModel
from headpose_ros.perception.crop import cut


class DeviceError(HeadposeError):
    """The wanted device is not there."""


@dataclass(frozen=True)
class Estimate:
    """What the network says about one window; fields as in `faces.Face`."""

    rotation: NDArray[np.float64]
    landmarks: NDArray[np.float64]
    visibility: NDArray[np.float64]
    landmark_confidence: NDArray[np.float64]


class FaceNetwork:
    """A loaded network on a device.

    Args:
        model: The network with its weights.
        device: As in :func:`choose_device`.

    Raises:
        DeviceError: The device is unknown or not there.
    """

    def __init__(self, model: LoadedModel, device: str = 'auto') -> None:
        self.spec = model.spec
        self.card = model.card
        self.device = choose_device(device)
        self._network = model.network.to(self.device)

    @torch.inference_mode()
    def estimate(self, image: NDArray[np.uint8], windows: Sequence[CropWindow]) -> list[Estimate]:
        """Estimate all windows of one uint8 (H, W, 3) BGR image in one batch."""
        if not windows:
            return []
        size = self.spec.input_size
        crops = torch.stack([to_input(cut(image, window, size)) for window in windows])
        outputs = self._network(crops.to(self.device))
        return _estimates(outputs, windows, size)


def limit_cpu_threads(count: int) -> None:
    """Set how many cores the networks of this process may use, for all of its threads.

    Splitting the small layers of a robot's network costs more than it gains: on two cores
    `mnn_lite` is faster on one of them, and the other is free for everything else.
    """
    torch.set_num_threads(count)


def choose_device(name: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda` or `cuda:N` into a device that exists.

    Raises:
        DeviceError: The device is unknown or not there.
    """
    if name == 'auto':
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f'unknown device {name!r}: expected auto, cpu, cuda or cuda:N') from error
    if device.type not in ('cpu', 'cuda'):
        raise DeviceError(f'device {name!r} is not supported: expected auto, cpu, cuda or cuda:N')
    if device.type == 'cuda' and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f'device {name!r} is not there: this torch sees {torch.cuda.device_count()} CUDA '
            'devices; use device cpu or auto'
        )
    return device


def _estimates(outputs: FaceOutputs, windows: Sequence[CropWindow], size: int) -> list[Estimate]:
    count = len(windows)
    assert outputs.rotation is not None
    rotations = outputs.rotation.cpu().double().numpy()
    points, visibility, confidence = (np.zeros((count, 0, 2)), *(np.zeros((2, count, 0))))
    if outputs.points is not None and outputs.log_maps is not None:
        points = outputs.points.cpu().double().numpy() * size - 0.5
        confidence = mass_near(outputs.log_maps, outputs.points).cpu().double().numpy()
    if outputs.visibility is not None:
        visibility = outputs.visibility.sigmoid().cpu().double().numpy()
    return [
        Estimate(
            rotation=face_from_aligned(in_plane(window.angle) @ rotations[i]),
            landmarks=apply_affine(window.to_image(size), points[i]),
            visibility=visibility[i],
            landmark_confidence=confidence[i],
        )
        for i, window in enumerate(windows)
    ]
