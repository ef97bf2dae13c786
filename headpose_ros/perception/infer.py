"""Run a network on the faces of an image: windows in, rotations and landmarks out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from headpose_ros.errors import HeadposeError
from headpose_ros.geometry.crop import LANDMARK_BOX_MARGIN, CropWindow, apply_affine
from headpose_ros.geometry.landmarks import SCHEMES, complete
from headpose_ros.geometry.rotations import face_from_aligned, in_plane
from headpose_ros.models.outputs import FaceOutputs, mass_near
from headpose_ros.models.registry import ModelSpec
from headpose_ros.models.weights import LoadedModel
from headpose_ros.perception.crop import cut


class DeviceError(HeadposeError):
    """The wanted device is not there."""


@dataclass(frozen=True)
class Estimate:
    """What the network says about one window; further fields as in `faces.Face`.

    Attributes:
        rotation: float64 (3, 3) R_optical_face as a camera pointed straight at the face sees it.
        depth: float64 (68,) depth of the landmarks in px of the image, larger is farther, zero at
            their mean; (0,) for networks without.
    """

    rotation: NDArray[np.float64]
    landmarks: NDArray[np.float64]
    visibility: NDArray[np.float64]
    landmark_confidence: NDArray[np.float64]
    depth: NDArray[np.float64]


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
        self._network = model.network
        self.wake()

    def rest(self) -> None:
        """Give the memory of a GPU back; :meth:`wake` comes before the next estimate."""
        self._network.to('cpu')
        if self.device.type == 'cuda':
            torch.cuda.empty_cache()

    def wake(self) -> None:
        """Take the device's memory again after :meth:`rest`.

        Raises:
            DeviceError: The device has no memory left, or is gone.
        """
        try:
            self._network.to(self.device)
        except RuntimeError as error:
            raise DeviceError(f'cannot use device {self.device}: {error}') from error

    def estimate(self, image: NDArray[np.uint8], windows: Sequence[CropWindow]) -> list[Estimate]:
        """Estimate all windows of one uint8 (H, W, 3) BGR image in one batch.

        Args:
            image: The image.
            windows: As around landmarks; a network that was trained on wider crops gets wider ones.
        """
        return self.estimate_each([(image, window) for window in windows])

    @torch.inference_mode()
    def estimate_each(
        self, views: Sequence[tuple[NDArray[np.uint8], CropWindow]]
    ) -> list[Estimate]:
        """Estimate windows, each of its own image, in one batch; see :meth:`estimate`."""
        if not views:
            return []
        spec = self.spec
        scale = spec.margin / LANDMARK_BOX_MARGIN
        fitted = [window.scaled(scale) for _, window in views]
        images = [image for image, _ in views]
        crops = [
            spec.to_input(cut(image, window, spec.input_size))
            for image, window in zip(images, fitted, strict=True)
        ]
        outputs = self._network(torch.stack(crops).to(self.device))
        return _estimates(outputs, fitted, spec)


def has_gpu() -> bool:
    """Tell whether an NVIDIA GPU is in this machine, whether torch can use it or not."""
    return Path('/dev/nvidia0').exists()


def device_memory(device: torch.device) -> int:
    """Return the bytes that this process holds on a GPU; 0 on the CPU."""
    return torch.cuda.memory_reserved(device) if device.type == 'cuda' else 0


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


def _estimates(
    outputs: FaceOutputs, windows: Sequence[CropWindow], spec: ModelSpec
) -> list[Estimate]:
    """Bring the outputs from the crops back into the image; each leaves the device once."""
    assert outputs.rotation is not None
    rotations = [
        face_from_aligned(in_plane(window.angle) @ aligned)
        for window, aligned in zip(windows, _array(outputs.rotation), strict=True)
    ]
    if outputs.points is None or outputs.log_maps is None or outputs.visibility is None:
        return [Estimate(rotation, np.zeros((0, 2)), *np.zeros((3, 0))) for rotation in rotations]
    confidence = mass_near(outputs.log_maps, outputs.points).float()
    chances = _array(torch.stack([outputs.visibility.float().sigmoid(), confidence], dim=2))
    # The crop's pixel p lies at (p + 0.5) / size.
    points = _array(outputs.points) * spec.input_size - 0.5
    depths = None if outputs.depth is None else _array(outputs.depth)
    estimates = []
    for i, window in enumerate(windows):
        visibility, certainty = _measured(chances[i], spec.scheme).T
        estimates.append(
            Estimate(
                rotation=rotations[i],
                landmarks=apply_affine(
                    window.to_image(spec.input_size), complete(points[i], spec.scheme)
                ),
                visibility=visibility,
                landmark_confidence=certainty,
                depth=np.zeros(0) if depths is None else _depth(depths[i], window, spec),
            )
        )
    return estimates


def _array(values: torch.Tensor) -> NDArray[np.float64]:
    return values.cpu().double().numpy()


def _depth(depth: NDArray[np.float64], window: CropWindow, spec: ModelSpec) -> NDArray[np.float64]:
    """Return (68,) px of the image from (N,) sides of the crop."""
    return complete(depth[:, None], spec.scheme)[:, 0] * window.side


def _measured(chances: NDArray[np.float64], scheme: str) -> NDArray[np.float64]:
    """Return (68, 2) from (N, 2); points that the scheme lacks have no chance to be relied on."""
    full = np.zeros((len(SCHEMES['ibug68']), chances.shape[1]))
    full[list(SCHEMES[scheme])] = chances
    return full
