"""The hourglass and its residual module (Newell et al., ECCV 2016), for CCR and the part network.

Half the channels are squeezed between 1x1 convolutions, norm and ReLU come before each
convolution; down by max pooling, up by repeating or by learned deconvolutions, skips added.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Residual(nn.Module):
    """Pre-activation bottleneck: 1x1, 3x3, 1x1 and an identity, or a 1x1 where channels change.

    Args:
        inputs: Input channels.
        outputs: Output channels.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.body = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(inputs, half, 1),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            nn.Conv2d(half, half, 3, padding=1),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            nn.Conv2d(half, outputs, 1),
        )
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        return self.skip(x) + self.body(x)


class Hourglass(nn.Module):
    """Features at one scale, informed by all coarser ones.

    Args:
        depth: Number of halvings, >= 1.
        width: Channels.
        learned_up: Double by deconvolutions instead of repeating.
    """

    def __init__(self, depth: int, width: int, learned_up: bool = False) -> None:
        super().__init__()
        self.skip = Residual(width, width)
        self.down = Residual(width, width)
        self.middle = (
            Hourglass(depth - 1, width, learned_up) if depth > 1 else Residual(width, width)
        )
        self.up = Residual(width, width)
        self.enlarge = (
            bilinear_deconvolution(width, 2) if learned_up else nn.Upsample(scale_factor=2)
        )

    def forward(self, x: Tensor, injected: Tensor | None = None) -> Tensor:
        """Map (B, C, H, W) to the same shape.

        Args:
            x: Features.
            injected: Added to the map in the middle, (B, C, H / 2^depth, W / 2^depth).
        """
        small = self.down(functional.max_pool2d(x, 2))
        if isinstance(self.middle, Hourglass):
            small = self.middle(small, injected)
        else:
            small = self.middle(small if injected is None else small + injected)
        return self.skip(x) + self.enlarge(self.up(small))


def stem(inputs: int, width: int) -> nn.Sequential:
    """Return the way from (B, inputs, S, S) to (B, width, S / 4, S / 4)."""
    return nn.Sequential(
        nn.Conv2d(inputs, width // 4, 7, 2, 3, bias=False),
        nn.BatchNorm2d(width // 4),
        nn.ReLU(inplace=True),
        Residual(width // 4, width // 2),
        nn.MaxPool2d(2),
        Residual(width // 2, width // 2),
        Residual(width // 2, width),
    )


def bilinear_deconvolution(channels: int, factor: int) -> nn.ConvTranspose2d:
    """Return a learnable enlargement by an even factor that starts as bilinear interpolation.

    One kernel for each channel (Long et al., CVPR 2015).
    """
    kernel = 2 * factor
    layer = nn.ConvTranspose2d(
        channels, channels, kernel, factor, factor // 2, groups=channels, bias=False
    )
    ramp = 1 - (torch.arange(kernel) - (kernel - 1) / 2).abs() / factor
    with torch.no_grad():
        layer.weight.copy_(ramp[:, None] * ramp[None])
    return layer
