"""The part of the pipeline that every backend runs: bytes of crops in, a few numbers out.

Normalisation and the landmarks' confidence are inside, so that all backends do the same, crops
travel as bytes, and the maps never leave the device.
"""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from headpose_ros.models.outputs import NetworkOutputs, chance_near, mass_near
from headpose_ros.models.registry import ModelSpec
from headpose_ros.models.weights import LoadedModel


class Deployed(nn.Module):
    """A trained network between uint8 crops and `readings`.

    Args:
        network: Maps normalised (B, 3, S, S) to `NetworkOutputs`.
        spec: How to feed it.
        dtype: What the network computes in.
    """

    def __init__(
        self, network: nn.Module, spec: ModelSpec, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.network = network.to(dtype)
        self.dtype = dtype
        mean, std = spec.normalization.in_grey_levels
        self.register_buffer('mean', mean.flatten(), persistent=False)
        self.register_buffer('variance', std.flatten().square(), persistent=False)
        self.mean: Tensor
        self.variance: Tensor

    def named(self, crops: Tensor) -> dict[str, Tensor]:
        """Map uint8 (B, S, S, 3) BGR to float32 tensors, see `readings`."""
        # By index and as one batch norm: runtimes have no fast kernels for a flip, and a
        # difference and a product are two passes over the pixels.
        rgb = crops.permute(0, 3, 1, 2)[:, [2, 1, 0]].float()
        normalised = functional.batch_norm(rgb, self.mean, self.variance, eps=0.0)
        return readings(self.network(normalised.to(self.dtype)))

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Return the tensors of `named` without their names, as tracing wants them."""
        return tuple(self.named(crops).values())


def readings(outputs: NetworkOutputs) -> dict[str, Tensor]:
    """Return what the pipeline reads of a network's outputs, by name, in float32.

    What a network does not give is left out, and what another one gives beyond is passed on as it
    is, with these exceptions: `visibility`, `face` and `eye_seen` become probabilities, and
    `log_maps` are replaced by `confidence` (B, N): the probability that a landmark lies near where
    it is said to be, see `outputs.mass_near`. A network without maps has it of its expected errors.
    """
    given = {name: value for name, value in outputs._asdict().items() if value is not None}
    maps = given.pop('log_maps', None)
    if maps is not None:
        given['confidence'] = mass_near(maps, given['points'])
    elif 'point_error' in given:
        given['confidence'] = chance_near(given['point_error'])
    for logit in given.keys() & {'visibility', 'face', 'eye_seen'}:
        given[logit] = given[logit].float().sigmoid()
    return {name: value.float() for name, value in given.items()}


def deployed(model: LoadedModel, dtype: torch.dtype = torch.float32) -> Deployed:
    """Return a copy of a loaded network, ready for PyTorch: norms folded, channels last.

    Half precision is left to networks that were folded in single precision.
    """
    network = folded(copy.deepcopy(model.network).float().cpu())
    return Deployed(network, model.spec, dtype).to(memory_format=torch.channels_last)


def folded(network: nn.Module) -> nn.Module:
    """Merge batch norms into the convolutions before them, in place; in evaluation mode only.

    Only what follows one another in an `nn.Sequential`: there the order is certain.
    """
    for part in network.modules():
        if not isinstance(part, nn.Sequential):
            continue
        for before, after in pairwise(list(part._modules)):
            pair = part._modules[before], part._modules[after]
            if isinstance(pair[0], nn.Conv2d) and isinstance(pair[1], nn.BatchNorm2d):
                part._modules[before] = fuse_conv_bn_eval(pair[0], pair[1])
                part._modules[after] = nn.Identity()
    return network
