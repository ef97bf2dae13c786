"""Whether both forms of weights, `.safetensors` and `.onnx`, give the same for the same crops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headpose_ros.geometry.crop import CropWindow
from headpose_ros.geometry.rotations import geodesic
from headpose_ros.models.registry import ModelSpec
from headpose_ros.models.released import WeightsFile
from headpose_ros.perception.backends.base import Backend
from headpose_ros.perception.backends.choose import make
from headpose_ros.perception.crop import cut
from headpose_ros.perception.device import CPU
from headpose_ros.sources.photograph import FACE, photograph

#: The most by which they may differ: degrees, and px of the crop.
MOST_DEGREES, MOST_PX = 0.05, 0.05
_CROPS = 24


@dataclass(frozen=True)
class Difference:
    """The largest differences over all crops.

    Attributes:
        degrees: Angle between the rotations.
        px: Distance of a landmark along an axis, px of the crop.
    """

    degrees: float
    px: float

    @property
    def allowed(self) -> bool:
        """Whether it is no more than rounding."""
        return self.degrees <= MOST_DEGREES and self.px <= MOST_PX

    def __str__(self) -> str:
        """Return a sentence for the terminal."""
        return (
            f'ONNX and PyTorch differ by {self.degrees:.4f} degrees, {self.px:.4f} px of the crop'
        )


def difference(weights: WeightsFile) -> Difference:
    """Run both forms on crops of the built-in photograph: turned, moved, near, far, and missed.

    Args:
        weights: With an ONNX file.

    Raises:
        BackendError: One of them does not run here.
        WeightsError: The weights are of another network.
    """
    onnx, torch = (make(weights, CPU, name) for name in ('onnxruntime', 'torch'))
    crops = _crops(onnx.spec)
    (turns, points), (other_turns, other_points) = (_answers(b, crops) for b in (onnx, torch))
    return Difference(
        degrees=float(np.degrees(geodesic(turns, other_turns).max())),
        px=float(np.abs(points - other_points).max(initial=0.0)) * onnx.spec.input_size,
    )


def _crops(spec: ModelSpec) -> NDArray[np.uint8]:
    image, (x, y) = photograph(), FACE
    rng = np.random.default_rng(0)
    near = rng.uniform([x - 20, y - 20, 90, -0.7], [x + 20, y + 20, 220, 0.7], (_CROPS, 4))
    anywhere = rng.uniform([0, 0, 40, -np.pi], [512, 512, 300, np.pi], (_CROPS // 8, 4))
    windows = [CropWindow(*place) for place in np.concatenate([near, anywhere])]
    return np.stack([cut(image, window, spec.input_size) for window in windows])


def _answers(
    backend: Backend, crops: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return (B, 3, 3) rotations and (B, N, 2) points in [0, 1]."""
    found = backend.run(crops)
    return found['rotation'], found.get('points', np.zeros((len(crops), 0, 2), np.float32))
