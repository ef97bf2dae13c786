"""The networks by name: one line each, with all that a node must know to run them.

Plain data: PyTorch is imported by the methods that build networks and tensors, not by this module.
"""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headpose_ros.errors import HeadposeError
from headpose_ros.geometry.crop import LANDMARK_BOX_MARGIN
from headpose_ros.geometry.landmarks import SCHEMES
from headpose_ros.models.safetensors_check import WeightsFileError, input_size, margin

if TYPE_CHECKING:
    from torch import Tensor, nn


_LONGEST = 60  # characters of a header that an error repeats


class WeightsError(HeadposeError):
    """Weights are missing, damaged, or of another network."""


@dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation of the RGB channels, as shares of full brightness."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @cached_property
    def in_grey_levels(self) -> tuple[Tensor, Tensor]:
        """Return both as float32 (3, 1, 1), of brightness 0 to 255."""
        import torch

        mean, std = (torch.tensor(v)[:, None, None] * 255.0 for v in (self.mean, self.std))
        return mean, std


#: Into [-1, 1].
UNIT = Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
#: What torchvision's ImageNet weights, and so the papers that start from them, expect.
IMAGENET = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class ModelSpec:
    """A network and how to feed it. Every network gives a rotation.

    Attributes:
        name: Registered name.
        network: The class, `module:Class` within this package. It is imported when it is built:
            a node whose network needs no torchvision does not need torchvision.
        input_size: Crop side in px.
        scheme: Landmark scheme, a name of `geometry.landmarks.SCHEMES`; `none` without landmarks.
        paper: Where the network comes from.
        normalization: Of the crop's channels.
        depth: Whether the landmarks have depth.
        margin: Side of the crop over the larger side of the landmarks' box.
        onnx: Whether ONNX has all operations of the network.
        defaults: Options of the class that this line sets.
    """

    name: str
    network: str
    input_size: int
    scheme: str
    paper: str
    normalization: Normalization = UNIT
    depth: bool = False
    margin: float = LANDMARK_BOX_MARGIN
    onnx: bool = True
    defaults: dict[str, Any] = field(default_factory=dict)

    @property
    def landmarks(self) -> int:
        """Return the number of landmarks; 0 without."""
        return len(SCHEMES[self.scheme])

    @property
    def network_class(self) -> Callable[..., nn.Module]:
        """Return the network's class."""
        found: Callable[..., nn.Module] = pkgutil.resolve_name(f'{__package__}.{self.network}')
        return found

    def build(self, **options: Any) -> nn.Module:
        """Return the network with fresh parameters.

        Args:
            options: Arguments of its class, as for a narrower variant.
        """
        return self.network_class(**{**self.defaults, **options})

    def to_input(self, crop: NDArray[np.uint8]) -> Tensor:
        """Normalise one crop.

        Args:
            crop: uint8 (S, S, 3) BGR.

        Returns:
            float32 (3, S, S) RGB.
        """
        import torch

        rgb = torch.from_numpy(np.ascontiguousarray(crop[:, :, ::-1].transpose(2, 0, 1)))
        mean, std = self.normalization.in_grey_levels
        return rgb.float().sub_(mean).div_(std)


_MNN = 'Valle et al., TPAMI 2020'
_CCR = 'Zhang et al., CCBR 2018'
_HOPENET = 'Ruiz et al., CVPRW 2018'
_PARTS3D = 'Bulat & Tzimiropoulos, ECCVW 2016'

MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec('mnn_lite', 'mnn_lite:MnnLite', 128, 'ibug68', f'ours; heads of {_MNN}'),
        ModelSpec('mnn_direct', 'mnn_direct:MnnDirect', 128, 'ibug68', f'ours; heads of {_MNN}'),
        ModelSpec('mnn', 'mnn:Mnn', 256, 'ibug68', _MNN),
        ModelSpec('mnn_encoder', 'mnn:Mnn', 256, 'none', _MNN, defaults={'landmarks': 0}),
        ModelSpec('ccr', 'ccr:Ccr', 256, 'ibug68', _CCR),
        ModelSpec('hopenet', 'hopenet:Hopenet', 224, 'none', _HOPENET, IMAGENET),
        # Its rotation is a singular value decomposition.
        ModelSpec(
            'parts3d', 'parts3d:Parts3d', 384, 'ibug66', _PARTS3D, IMAGENET, depth=True, onnx=False
        ),
        ModelSpec('ranking', 'ranking:RankingPose', 224, 'none', 'Gao & Wang', IMAGENET),
    )
}


def describe(spec: ModelSpec, options: Mapping[str, Any]) -> dict[str, str]:
    """Return how a network is fed, as the headers of its files hold it.

    Args:
        spec: How it is fed.
        options: What it was built with, beyond the registry's defaults.
    """
    return {
        'model': spec.name,
        'options': json.dumps(dict(options)),
        'input_size': str(spec.input_size),
        'margin': repr(spec.margin),
        'scheme': spec.scheme,
        'normalization': json.dumps([spec.normalization.mean, spec.normalization.std]),
    }


def spec_of(header: Mapping[str, str], source: object) -> ModelSpec:
    """Return the registry's line, with what the header of a file overrides.

    Args:
        header: As :func:`describe` returns it; only the model must be there.
        source: The file, for errors.

    Raises:
        WeightsError: The network is unknown, or fed in another way than by this version.
    """
    name = header.get('model', '')
    if name not in MODELS:
        raise WeightsError(
            f'{source} is for the model {name[:_LONGEST]!r}, expected one of {", ".join(MODELS)}; '
            'export weights with headpose-train export'
        )
    line = MODELS[name]
    try:
        size = input_size(header.get('input_size', str(line.input_size)))
        wide = margin(header.get('margin', repr(line.margin)))
    except WeightsFileError as error:
        raise WeightsError(f'{source} {error}') from error
    expected = describe(line, {})
    for key in ('scheme', 'normalization'):
        if header.get(key, expected[key]) != expected[key]:
            raise WeightsError(
                f'{source} has the {key} {header[key][:_LONGEST]}, this version expects '
                f'{expected[key]}; export it again'
            )
    return replace(line, input_size=size, margin=wide)
