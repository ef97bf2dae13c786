"""`mnn_lite`: a small student of the MNN for robots without a GPU.

The heads of MNN (pose, landmarks, visibility) on an inverted-residual trunk (Sandler et al.,
CVPR 2018), with a top-down path to 32 x 32 landmark maps that are read out as expectations. Two
heads estimate the pose, and their mean is taken: one sees the pooled features and the landmarks,
the other the landmarks alone. The first is better on pictures like those that it learned from, the
second hardly minds others: it learned from true landmarks and saw no pictures at all. 128 x 128
input, under 0.15 GMAC.

Further heads estimate the errors of these outputs, how far eyes and mouth are open, and whether
there is a face at all.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from headpose_ros.geometry.landmarks import COUNT, GROUPS, OPENING
from headpose_ros.models.outputs import (
    NetworkOutputs,
    expected_points,
    log_distribution,
    map_deviation,
    mean_rotation,
    rotation_from_6d,
)

#: Logarithms of what is usual, so that the heads begin near the truth.
_USUAL_LOG_WIDTH, _USUAL_LOG_POINT_ERROR, _USUAL_LOG_ROTATION_ERROR = -3.0, -4.0, -3.0


def conv_norm(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, pad: int | None = None
) -> nn.Sequential:
    """Return a convolution without bias, and its batch norm; `pad` None keeps the size."""
    padding = kernel // 2 if pad is None else pad
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    )


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise, 1x1 linear projection; identity sum where shapes allow.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        stride: Stride of the depthwise convolution.
        expansion: Hidden channels over input channels.
        activation: After the first two convolutions.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        expansion: int,
        activation: type[nn.Module] = nn.Hardswish,
    ) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.residual = stride == 1 and inputs == outputs
        self.body = nn.Sequential(
            conv_norm(inputs, hidden, 1),
            activation(),
            conv_norm(hidden, hidden, 3, stride, groups=hidden),
            activation(),
            conv_norm(hidden, outputs, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        y = self.body(x)
        return x + y if self.residual else y


def head(*widths: int, activation: type[nn.Module] = nn.Hardswish) -> nn.Sequential:
    """Return linear layers of these widths with activations between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])


def stage(
    inputs: int,
    outputs: int,
    depth: int,
    expansion: int,
    activation: type[nn.Module] = nn.Hardswish,
) -> nn.Sequential:
    """Return `depth` blocks, the first of which halves the resolution."""
    first = InvertedResidual(inputs, outputs, 2, expansion, activation)
    rest = (InvertedResidual(outputs, outputs, 1, expansion, activation) for _ in range(depth - 1))
    return nn.Sequential(first, *rest)


class TopDown(nn.Module):
    """Add a coarser map, up-sampled twice, to a lateral projection of a finer one.

    Args:
        lateral: Channels of the finer map.
        width: Channels of the coarser map and of the result.
    """

    def __init__(self, lateral: int, width: int) -> None:
        super().__init__()
        self.project = conv_norm(lateral, width, 1)
        self.mix = InvertedResidual(width, width, 1, 2)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Map (B, width, h, w) and (B, lateral, 2h, 2w) to (B, width, 2h, 2w)."""
        up = functional.interpolate(coarse, scale_factor=2.0, mode='nearest')
        return self.mix(up + self.project(fine))


class Openness(nn.Module):
    """How far the eyes and the mouth are open, from the features at them and of the whole crop.

    Args:
        local: Channels of the map of features.
        deep: Channels of the pooled features.
    """

    def __init__(self, local: int, deep: int) -> None:
        super().__init__()
        self.eye = head(local + deep, 32, 1)
        self.mouth = head(local + deep, 32, 1)

    def forward(self, log_maps: Tensor, features: Tensor, pooled: Tensor) -> Tensor:
        """Return (B, 3) in [0, 1]: the person's right eye, left eye and mouth.

        Args:
            log_maps: (B, 68, h, w) where the landmarks are.
            features: (B, local, h, w).
            pooled: (B, deep).
        """
        maps = log_maps.detach().exp()
        places = [maps[:, list(GROUPS[name])].mean(dim=1) for name in OPENING]
        # In the maps' precision, which is single where the features are in half.
        sums = torch.einsum('bphw,bchw->bpc', torch.stack(places, dim=1), features.to(maps.dtype))
        local = sums.to(features.dtype)
        whole = pooled[:, None].expand(-1, len(OPENING), -1)
        both = torch.cat([local, whole], dim=2)
        return torch.cat([self.eye(both[:, :2]), self.mouth(both[:, 2:])], dim=1)[..., 0].sigmoid()


class MnnLite(nn.Module):
    """The `mnn_lite` network, for the 68 landmarks of iBUG."""

    def __init__(self) -> None:
        super().__init__()
        width, deep, landmarks = 64, 160, COUNT
        self.stem = nn.Sequential(conv_norm(3, 16, 3, 2), nn.Hardswish())
        self.stage4 = stage(16, 32, 2, 4)
        self.stage8 = stage(32, 64, 3, 4)
        self.stage16 = stage(64, 96, 3, 4)
        self.stage32 = stage(96, deep, 2, 4)
        self.top = conv_norm(deep, width, 1)
        self.down16 = TopDown(96, width)
        self.down8 = TopDown(64, width)
        self.down4 = TopDown(32, width)
        self.maps = nn.Conv2d(width, landmarks, 1)
        self.visibility = nn.Linear(deep, landmarks)
        self.pose = head(deep + 2 * landmarks, 128, 6)
        self.pose_of_points = head(2 * landmarks, 128, 128, 6)
        self.openness = Openness(width, deep)
        self.face = head(deep + landmarks, 32, 1)
        self.errors = head(deep + landmarks, 64, landmarks + 1)

    def forward(self, crops: Tensor) -> NetworkOutputs:
        """Predict pose, landmarks and visibility.

        Args:
            crops: (B, 3, 128, 128) RGB, normalised as the registry states.

        Returns:
            All outputs but depth, N = 68; maps (B, 68, 32, 32).
        """
        fine = self.stage4(self.stem(crops))
        middle = self.stage8(fine)
        coarse = self.stage16(middle)
        deepest = self.stage32(coarse)
        features = self.down4(self.down8(self.down16(self.top(deepest), coarse), middle), fine)
        # The read-out in float32: the exponentials of half precision cost half a pixel.
        log_maps = log_distribution(self.maps(features).float())
        points = expected_points(log_maps)
        pooled = deepest.mean(dim=(2, 3))
        centred = (points.to(pooled.dtype) - 0.5).flatten(1) * 4.0
        seen = rotation_from_6d(self.pose(torch.cat([pooled, centred], dim=1)).float())
        return NetworkOutputs(
            mean_rotation(seen, self.rotation_of_points(points)),
            points,
            log_maps,
            self.visibility(pooled),
            openness=self.openness(log_maps, features, pooled),
            **self._trust(pooled, log_maps),
        )

    def rotation_of_points(self, points: Tensor) -> Tensor:
        """Return (B, 3, 3) camera-aligned rotations of (B, 68, 2) landmarks, of any place and size.

        Ruiz et al. (CVPRW 2018) have how good a pose from landmarks alone is.
        """
        centred = points - points.mean(dim=1, keepdim=True)
        shape = functional.normalize(centred.flatten(1), dim=1) * 5.0
        return rotation_from_6d(self.pose_of_points(shape.to(self.maps.weight.dtype)).float())

    def _trust(self, pooled: Tensor, log_maps: Tensor) -> dict[str, Tensor]:
        """Return the expected errors and the face's logit.

        Both see the features and how wide the maps are. Nothing flows back from the errors: they
        judge the other heads, which must not learn to make themselves easy to judge.
        """
        width = map_deviation(log_maps).log() - _USUAL_LOG_WIDTH
        doubts = torch.cat([pooled, width.to(pooled.dtype)], dim=1)
        errors = self.errors(doubts.detach()).float()
        return {
            'point_error': (errors[:, :-1] + _USUAL_LOG_POINT_ERROR).exp(),
            'rotation_error': (errors[:, -1] + _USUAL_LOG_ROTATION_ERROR).exp(),
            'face': self.face(doubts).float()[:, 0],
        }
