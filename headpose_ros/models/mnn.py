"""MNN: multi-task encoder-decoder for pose, landmarks and visibility (Valle et al., TPAMI 2020).

Tables 1-2 of the supplement. Stages are numbered by the paper: stage 9 works at 256 x 256, each
next one at half the size, stage 1 at 1 x 1. Every convolution and transposed convolution is
without bias and followed by batch norm; heads are biased 1 x 1 convolutions without norm.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from headpose_ros.models.outputs import FaceOutputs, expected_points, rotation_from_mnn_euler

#: Output channels of stages 9, 8, ..., 1.
CHANNELS = (64, 128, 256, 256, 256, 256, 256, 256, 256)
_NARROW = 64
_POSE_PARAMETERS = 6


def _norm_relu(convolution: nn.Module, channels: int) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


class Bottleneck(nn.Module):
    """1x1 to 64 channels, a middle convolution, 1x1 back, with an identity sum.

    Args:
        channels: Input and output channels.
        kernel: Kernel of the middle convolution: 3, or 1 where the map is a single pixel.
    """

    def __init__(self, channels: int, kernel: int = 3) -> None:
        super().__init__()
        middle = nn.Conv2d(_NARROW, _NARROW, kernel, padding=kernel // 2, bias=False)
        self.body = nn.Sequential(
            _norm_relu(nn.Conv2d(channels, _NARROW, 1, bias=False), _NARROW),
            _norm_relu(middle, _NARROW),
            nn.Conv2d(_NARROW, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return functional.relu(x + self.body(x))


class Encoder(nn.Module):
    """Stages 9 to 1: (B, 3, 256, 256) to one map per stage, 256 x 256 down to 1 x 1."""

    def __init__(self) -> None:
        super().__init__()
        first = nn.Sequential(
            _norm_relu(nn.Conv2d(3, CHANNELS[0], 1, bias=False), CHANNELS[0]),
            Bottleneck(CHANNELS[0]),
        )
        halving = (
            nn.Sequential(
                _norm_relu(nn.Conv2d(before, after, 2, 2, bias=False), after), Bottleneck(after)
            )
            for before, after in itertools.pairwise(CHANNELS[:-1])
        )
        last = nn.Sequential(nn.MaxPool2d(2), Bottleneck(CHANNELS[-1], kernel=1))
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
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        reduce = nn.Conv2d(2 * channels, channels, 1, bias=False)
        self.body = nn.Sequential(_norm_relu(reduce, channels), Bottleneck(channels))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map two (B, c, H, W) to one."""
        return self.body(torch.cat([x, skip], dim=1))


class Decoder(nn.Module):
    """Stages 2 to 9: back to (B, 64, 256, 256)."""

    def __init__(self) -> None:
        super().__init__()
        widths = CHANNELS[-2::-1]
        self.stages = nn.ModuleList(DecoderStage(width) for width in widths)
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
    """

    def __init__(self, landmarks: int = 68) -> None:
        super().__init__()
        self.landmarks = landmarks
        self.encoder = Encoder()
        self.pose = nn.Conv2d(CHANNELS[-1], _POSE_PARAMETERS, 1)
        if landmarks:
            self.projection = nn.Conv2d(CHANNELS[-1], _POSE_PARAMETERS, 1)
            self.decoder = Decoder()
            self.maps = nn.Conv2d(CHANNELS[0], landmarks, 1)
            self.visibility = nn.Conv2d(CHANNELS[0], landmarks, 1)

    def forward(self, crops: Tensor) -> FaceOutputs:
        """Predict pose, and with a decoder landmarks and visibility.

        Args:
            crops: (B, 3, 256, 256) RGB, normalised as the registry says.

        Returns:
            Rotation (B, 3, 3); points (B, N, 2), maps (B, N, 256, 256) and visibility (B, N)
            logits, or None each without a decoder.
        """
        maps = self.encoder(crops)
        parameters = self.pose(maps[-1]).flatten(1).float()
        rotation = rotation_from_mnn_euler(parameters[:, :3])
        if not self.landmarks:
            return FaceOutputs(rotation, None, None, None)
        features = self.decoder(maps)
        raw = self.maps(features).float()
        log_maps = raw.flatten(2).log_softmax(2).view_as(raw)
        visibility = self._visibility_at(log_maps, features)
        return FaceOutputs(rotation, expected_points(log_maps), log_maps, visibility)

    def _visibility_at(self, log_maps: Tensor, features: Tensor) -> Tensor:
        """Read each landmark's visibility where its own map says that it is."""
        logits = self.visibility(features).float()
        return (log_maps.exp() * logits).sum(dim=(2, 3))
