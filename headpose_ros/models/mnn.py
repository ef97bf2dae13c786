"""MNN: multi-task encoder-decoder for pose, landmarks and visibility (Valle et al., TPAMI 2020).

Tables 1-2 of the supplement. Stages are numbered by the paper: stage 9 works at 256 x 256, each
next one at half the size, stage 1 at 1 x 1. Every convolution and transposed convolution is
without bias and followed by batch norm; heads are biased 1 x 1 convolutions without norm.
"""

from __future__ import annotations

import itertools
from math import log2
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from headpose_ros.models.outputs import (
    NetworkOutputs,
    expected_points,
    log_distribution,
    rotation_from_mnn_euler,
)

#: Output channels of the first stages over the network's width; all further ones are the last.
_MULTIPLES = (1, 2, 4)
_POSE_PARAMETERS = 6


class MnnOutputs(NamedTuple):
    """Outputs of the full network for B crops.

    Attributes:
        pose: (B, 6) parameters under direct supervision (L_ED): pitch, yaw, roll in radians as in
            `geometry.rotations.matrix_from_mnn_euler`; the place x, y of the mean face's centre,
            in sides of the crop from its middle; and the logarithm of the mean face's scale.
        projection: (B, 6) parameters of the same meaning, supervised through the projected mean
            face (L_AE).
        face: What is deployed; its rotation is that of `pose`.
    """

    pose: Tensor
    projection: Tensor
    face: NetworkOutputs


def _norm_relu(convolution: nn.Module, channels: int) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


class Bottleneck(nn.Module):
    """1x1 to few channels, a middle convolution, 1x1 back, with an identity sum.

    Args:
        channels: Input and output channels.
        narrow: Channels in the middle.
        kernel: Kernel of the middle convolution: 3, or 1 where the map is a single pixel.
    """

    def __init__(self, channels: int, narrow: int, kernel: int = 3) -> None:
        super().__init__()
        middle = nn.Conv2d(narrow, narrow, kernel, padding=kernel // 2, bias=False)
        self.body = nn.Sequential(
            _norm_relu(nn.Conv2d(channels, narrow, 1, bias=False), narrow),
            _norm_relu(middle, narrow),
            nn.Conv2d(narrow, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return functional.relu(x + self.body(x))


class Encoder(nn.Module):
    """Stages 9 to 1: (B, 3, 256, 256) to one map per stage, 256 x 256 down to 1 x 1.

    Args:
        channels: Output channels of each stage.
    """

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        narrow = channels[0]
        first = nn.Sequential(
            _norm_relu(nn.Conv2d(3, channels[0], 1, bias=False), channels[0]),
            Bottleneck(channels[0], narrow),
        )
        halving = (
            nn.Sequential(
                _norm_relu(nn.Conv2d(before, after, 2, 2, bias=False), after),
                Bottleneck(after, narrow),
            )
            for before, after in itertools.pairwise(channels[:-1])
        )
        last = nn.Sequential(nn.MaxPool2d(2), Bottleneck(channels[-1], narrow, kernel=1))
        self.stages = nn.ModuleList([first, *halving, last])

    def forward(self, crops: Tensor) -> list[Tensor]:
        """Return the outputs of stages 9, 8, ..., 1."""
        maps: list[Tensor] = []
        for stage in self.stages:
            maps.append(stage(maps[-1] if maps else crops))
        return maps


class DecoderStage(nn.Module):
    """Concatenate the encoder's stage of this size, reduce 2c to c by 1x1, bottleneck.

    Args:
        channels: c.
        narrow: Channels in the middle of the bottleneck.
    """

    def __init__(self, channels: int, narrow: int) -> None:
        super().__init__()
        reduce = nn.Conv2d(2 * channels, channels, 1, bias=False)
        self.body = nn.Sequential(_norm_relu(reduce, channels), Bottleneck(channels, narrow))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map two (B, c, H, W) to one."""
        return self.body(torch.cat([x, skip], dim=1))


class Decoder(nn.Module):
    """Stages 2 to 9: back to (B, 64, 256, 256).

    Args:
        channels: Output channels of each stage of the encoder.
    """

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        widths = channels[-2::-1]
        self.stages = nn.ModuleList(DecoderStage(width, channels[0]) for width in widths)
        self.ups = nn.ModuleList(
            _norm_relu(nn.ConvTranspose2d(before, after, 2, 2, bias=False), after)
            for before, after in itertools.pairwise(widths)
        )

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Decode the encoder's maps, given in the encoder's order."""
        skips = maps[-2::-1]
        # A transposed convolution from 1x1 would learn four separate projections: the paper
        # repeats the pixel instead.
        x = functional.interpolate(maps[-1], scale_factor=2.0, mode='nearest')
        x = self.stages[0](x, skips[0])
        for up, stage, skip in zip(self.ups, self.stages[1:], skips[1:], strict=True):
            x = stage(up(x), skip)
        return x


class Mnn(nn.Module):
    """The full network, or the encoder-only pose module.

    The bottleneck's two heads give six pose parameters each: one is supervised directly (L_ED),
    the other through the projected mean face (L_AE). Deployed alone, the encoder keeps the first.

    Args:
        landmarks: Number of landmarks N; 0 builds the encoder-only pose module.
        width: Channels of the first stage and of all bottlenecks; 64 in the paper.
        input_size: Side S of the crops, a power of two: the last stage works at 1 x 1.

    Raises:
        ValueError: The input size is no power of two.
    """

    def __init__(self, landmarks: int = 68, width: int = 64, input_size: int = 256) -> None:
        super().__init__()
        stages = int(log2(input_size)) + 1
        if 2 ** (stages - 1) != input_size:
            raise ValueError(f'input_size is {input_size}, expected a power of two')
        channels = [width * m for m in _MULTIPLES + _MULTIPLES[-1:] * (stages - len(_MULTIPLES))]
        self.landmarks = landmarks
        self.encoder = Encoder(channels)
        self.pose = nn.Conv2d(channels[-1], _POSE_PARAMETERS, 1)
        if landmarks:
            self.projection = nn.Conv2d(channels[-1], _POSE_PARAMETERS, 1)
            self.decoder = Decoder(channels)
            self.maps = nn.Conv2d(channels[0], landmarks, 1)
            self.visibility = nn.Conv2d(channels[0], landmarks, 1)

    def forward(self, crops: Tensor) -> NetworkOutputs:
        """Predict pose, and with a decoder landmarks and visibility.

        Args:
            crops: (B, 3, S, S) RGB, normalised as the registry states.

        Returns:
            Rotation (B, 3, 3); points (B, N, 2), maps (B, N, S, S) and visibility (B, N)
            logits, or None each without a decoder.
        """
        if self.landmarks:
            return self.all_outputs(crops).face
        pose = self.pose(self.encoder(crops)[-1]).flatten(1).float()
        return NetworkOutputs(rotation_from_mnn_euler(pose[:, :3]), None, None, None)

    def all_outputs(self, crops: Tensor) -> MnnOutputs:
        """Return what the tasks of the full network are trained by."""
        maps = self.encoder(crops)
        pose = self.pose(maps[-1]).flatten(1).float()
        projection = self.projection(maps[-1]).flatten(1).float()
        features = self.decoder(maps)
        log_maps = log_distribution(self.maps(features).float())
        visibility = self._visibility_at(log_maps, features)
        rotation = rotation_from_mnn_euler(pose[:, :3])
        face = NetworkOutputs(rotation, expected_points(log_maps), log_maps, visibility)
        return MnnOutputs(pose, projection, face)

    def _visibility_at(self, log_maps: Tensor, features: Tensor) -> Tensor:
        """Read each landmark's visibility where its own map says that it is."""
        logits = self.visibility(features).float()
        return (log_maps.exp() * logits).sum(dim=(2, 3))
