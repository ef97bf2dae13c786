"""CCR: cross-cascading regression of pose and landmarks (Zhang et al., CCBR 2018).

Blocks of an hourglass (landmarks) and a pose branch, side by side, stacked. After each block a
1x1 convolution (channel unification) brings the landmark maps to the width of the features, and
the next block starts from the sum of what both branches found.

What the paper leaves open is read so: the pose branch is the stages conv2_x to conv4_x of
ResNet-50, as two deconvolutions lead from the end of conv4_x back to the block's resolution, and
conv2_x, which has that resolution, is the "intermediate" pose feature.
"""

from __future__ import annotations

from math import log
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.resnet import Bottleneck

from headpose_ros.models import bins
from headpose_ros.models.hourglass import Hourglass, Residual, stem
from headpose_ros.models.outputs import (
    NetworkOutputs,
    expected_points,
    log_distribution,
    rotation_from_aflw_euler,
    visibility_of_peaks,
)

_DEPTH = 4
_ANGLES = 3
#: Maps are raised to about this power before they are normalised: their noise floor then weighs
#: nothing, and a Gaussian stays a Gaussian, whose expectation lies where its centre is, between
#: cells too. (A softmax of the map itself would snap to the nearest cell.)
_FIRST_POWER = 2.0
_FLOOR = 1e-3


class CcrBlockOutputs(NamedTuple):
    """Outputs of one block for B crops.

    Attributes:
        angle_logits: (B, 3, 66) bins of pitch, yaw, roll.
        maps: (B, N, h, w) raw landmark maps, to be Gaussians of peak 1 (eq. 4).
        log_maps: (B, N, h, w) log-softmax of the maps' logarithm, for the expectation (eq. 3).
    """

    angle_logits: Tensor
    maps: Tensor
    log_maps: Tensor

    def angles(self) -> Tensor:
        """Return (B, 3) pitch, yaw, roll in radians, AFLW2000 convention."""
        return bins.expected_angles(self.angle_logits, bins.centers(self.angle_logits))

    def points(self) -> Tensor:
        """Return (B, N, 2) landmarks in [0, 1]."""
        return expected_points(self.log_maps)


class PoseBranch(nn.Module):
    """Stages conv2_x to conv4_x of ResNet-50 and three heads.

    Args:
        width: Channels C of the features; 256 makes ResNet-50's stages.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv2 = _stage(width, width // 4, 3, 1)
        self.conv3 = _stage(width, width // 2, 4, 2)
        self.conv4 = _stage(2 * width, width, 6, 2)
        self.heads = nn.Linear(4 * width, _ANGLES * bins.COUNT)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits (B, 3, 66), early (B, C, h, w) and deep (B, 4C, h / 4, w / 4) features."""
        early = self.conv2(x)
        deep = self.conv4(self.conv3(early))
        logits = self.heads(deep.mean(dim=(2, 3))).float().unflatten(1, (_ANGLES, bins.COUNT))
        return logits, early, deep


class LandmarkBranch(nn.Module):
    """An hourglass and N landmark maps.

    Args:
        width: Channels C of the features.
        landmarks: N.
    """

    def __init__(self, width: int, landmarks: int) -> None:
        super().__init__()
        self.hourglass = Hourglass(_DEPTH, width)
        self.maps = nn.Sequential(
            Residual(width, width),
            nn.Conv2d(width, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, landmarks, 1),
        )
        self.log_power = nn.Parameter(torch.tensor(log(_FIRST_POWER)))

    def forward(self, x: Tensor, pose: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the raw maps and their log-softmax, (B, N, h, w) both, in float32."""
        maps = self.maps(self.hourglass(x, pose)).float()
        logits = (functional.relu(maps) + _FLOOR).log() * self.log_power.exp()
        return maps, log_distribution(logits)


class Exchange(nn.Module):
    """What one block passes to the next: the information map, and the pose map for its middle.

    Args:
        width: Channels C of the features.
        landmarks: Number of landmarks N.
    """

    def __init__(self, width: int, landmarks: int) -> None:
        super().__init__()
        self.unify = nn.Conv2d(landmarks, width, 1)
        self.up = nn.Sequential(_deconvolution(4 * width, width), _deconvolution(width, width))
        self.middle = nn.Conv2d(4 * width, width, 1)

    def forward(self, maps: Tensor, early: Tensor, deep: Tensor) -> tuple[Tensor, Tensor]:
        """Return the information map (B, C, h, w) and the pose map (B, C, h / 16, w / 16)."""
        information = self.unify(maps.to(early.dtype)) + self.up(deep) + early
        middle = functional.adaptive_avg_pool2d(deep, int(early.shape[-1]) >> _DEPTH)
        return information, self.middle(middle)


class Ccr(nn.Module):
    """The network.

    Args:
        landmarks: Number of landmarks N.
        blocks: Number of stacked blocks, >= 1.
        width: Channels of the features, a multiple of 8; 256 in the paper.
    """

    def __init__(self, landmarks: int = 68, blocks: int = 2, width: int = 256) -> None:
        super().__init__()
        self.stem = stem(3, width)
        self.poses = nn.ModuleList(PoseBranch(width) for _ in range(blocks))
        self.landmarks = nn.ModuleList(LandmarkBranch(width, landmarks) for _ in range(blocks))
        self.exchanges = nn.ModuleList(Exchange(width, landmarks) for _ in range(blocks - 1))

    def blocks(self, crops: Tensor) -> list[CcrBlockOutputs]:
        """Return the outputs of every block, for (B, 3, S, S) crops; S is 256 in the paper."""
        x, middle = self.stem(crops), None
        outputs: list[CcrBlockOutputs] = []
        for index, (pose, landmarks) in enumerate(zip(self.poses, self.landmarks, strict=True)):
            logits, early, deep = pose(x)
            maps, log_maps = landmarks(x, middle)
            outputs.append(CcrBlockOutputs(logits, maps, log_maps))
            if index < len(self.exchanges):
                x, middle = self.exchanges[index](maps, early, deep)
        return outputs

    def forward(self, crops: Tensor) -> NetworkOutputs:
        """Predict with the last block.

        Args:
            crops: (B, 3, 256, 256) RGB, normalised as the registry states.

        Returns:
            Rotation (B, 3, 3), points (B, N, 2), maps (B, N, 64, 64), and visibility (B, N)
            from the height of the maps' peaks, as hidden points are trained to all-zero maps.
        """
        last = self.blocks(crops)[-1]
        visibility = visibility_of_peaks(last.maps)
        rotation = rotation_from_aflw_euler(last.angles())
        return NetworkOutputs(rotation, last.points(), last.log_maps, visibility)


def _stage(inputs: int, planes: int, depth: int, stride: int) -> nn.Sequential:
    outputs = planes * Bottleneck.expansion
    project = None
    if stride != 1 or inputs != outputs:
        project = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
        )
    first = Bottleneck(inputs, planes, stride, project)
    return nn.Sequential(first, *(Bottleneck(outputs, planes) for _ in range(depth - 1)))


def _deconvolution(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
