"""Two-stage part heatmaps with depth (Bulat & Tzimiropoulos, ECCVW 2016; winner of 3DFAW).

A detection network finds a disk around each landmark, a regression network turns image and disks
into Gaussians, a depth network reads each landmark's depth off image and Gaussians. The pose is
that of the mean face turned onto the 3-D landmarks.

The paper's table prints 38 blocks in the third group of the depth network; ResNet-200 has 36
there, and those give the 62.96 M parameters of that network for 69 inputs and 66 outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from headpose_ros.geometry.face_shape import aligned_mean_face
from headpose_ros.geometry.landmarks import SCHEMES
from headpose_ros.models.hourglass import Hourglass, Residual, bilinear_deconvolution, stem
from headpose_ros.models.outputs import (
    NetworkOutputs,
    cell_centers,
    gaussians,
    log_distribution,
    near,
    product,
    visibility_of_peaks,
)
from headpose_ros.models.trunks import stride16_trunk

_STRIDE = 16
_HOURGLASS_DEPTH = 4
#: Sigma of the Gaussians in px of the crop (section 3.3). It stays so for smaller crops: it is one
#: and a half cells of the hourglass, which cannot draw anything sharper.
SIGMA = 6.0
#: Half the window in which a peak's centroid is taken, px.
_PEAK_REACH = 2 * SIGMA
#: Makes a distribution of maps whose peaks are 1: exp(20) outweighs all cells at zero.
_SHARPNESS = 20.0


class Detection(nn.Module):
    """ResNet without pooling at stride 16, enlarged to the input's size.

    Args:
        trunk: torchvision's name of the ResNet.
        landmarks: N.
    """

    def __init__(self, trunk: str, landmarks: int) -> None:
        super().__init__()
        self.trunk, features = stride16_trunk(trunk)
        self.score = nn.Conv2d(features, landmarks, 1)
        self.up = bilinear_deconvolution(landmarks, _STRIDE)
        # Zero scores, as in the paper: the gradient gets through the bilinear layer behind. Two
        # zero layers in a row would never learn.
        nn.init.zeros_(self.score.weight)
        assert self.score.bias is not None
        nn.init.zeros_(self.score.bias)

    def forward(self, crops: Tensor) -> Tensor:
        """Map (B, 3, S, S) to logits (B, N, S, S)."""
        return self.up(self.score(self.trunk(crops)))


class Regression(nn.Module):
    """Hourglass on image and disks, up-sampled by learnable deconvolutions.

    Args:
        landmarks: N.
        width: Channels of the hourglass.
    """

    def __init__(self, landmarks: int, width: int) -> None:
        super().__init__()
        self.stem = stem(3 + landmarks, width)
        self.hourglass = Hourglass(_HOURGLASS_DEPTH, width, learned_up=True)
        self.maps = nn.Sequential(Residual(width, width), nn.Conv2d(width, landmarks, 1))
        self.up = nn.Sequential(*(bilinear_deconvolution(landmarks, 2) for _ in range(2)))

    def forward(self, crops: Tensor, disks: Tensor) -> Tensor:
        """Map (B, 3, S, S) and probabilities (B, N, S, S) to maps (B, N, S, S)."""
        features = self.stem(torch.cat([crops, disks.to(crops.dtype)], dim=1))
        return self.up(self.maps(self.hourglass(features)))


class PreActivationBottleneck(nn.Module):
    """Norm and ReLU before each convolution (He et al., ECCV 2016).

    Args:
        inputs: Input channels.
        planes: Channels of the 3x3 convolution; four times as many come out.
        stride: Of the 3x3 convolution.
    """

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * planes
        self.preact = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(inplace=True))
        self.body = nn.Sequential(
            nn.Conv2d(inputs, planes, 1, bias=False),
            nn.BatchNorm2d(planes),
            nn.ReLU(inplace=True),
            nn.Conv2d(planes, planes, 3, stride, 1, bias=False),
            nn.BatchNorm2d(planes),
            nn.ReLU(inplace=True),
            nn.Conv2d(planes, outputs, 1, bias=False),
        )
        changes = stride != 1 or inputs != outputs
        self.project = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, 4 planes, H / stride, W / stride)."""
        active = self.preact(x)
        skip = x if self.project is None else self.project(active)
        return skip + self.body(active)


class Depth(nn.Module):
    """Pre-activation ResNet from image and Gaussians to the depth of each landmark.

    Args:
        landmarks: N.
        layers: Blocks in each group; (3, 24, 36, 3) is ResNet-200.
        width: Channels of the first convolution; 64 in the paper.
    """

    def __init__(self, landmarks: int, layers: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3 + landmarks, width, 7, 2, 3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
        )
        blocks: list[nn.Module] = []
        channels = width
        for group, count in enumerate(layers):
            for index in range(count):
                stride = 2 if group and not index else 1
                blocks.append(PreActivationBottleneck(channels, width << group, stride))
                channels = 4 * (width << group)
        self.blocks = nn.Sequential(*blocks, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.head = nn.Linear(channels, landmarks)

    def forward(self, crops: Tensor, gaussians: Tensor) -> Tensor:
        """Map (B, 3, S, S) and (B, N, S, S) to depths (B, N) in px of the crop."""
        x = self.stem(torch.cat([crops, gaussians.to(crops.dtype)], dim=1))
        return self.head(self.blocks(x).mean(dim=(2, 3))).float()


class Parts3d(nn.Module):
    """Detection, regression and depth network in a row.

    Args:
        scheme: Landmark scheme; 3DFAW has `ibug66`.
        trunk: torchvision's name of the detection network's ResNet.
        width: Channels of the regression network's hourglass.
        depth_layers: Blocks in each group of the depth network.
        depth_width: Channels of its first convolution.
    """

    def __init__(
        self,
        scheme: str = 'ibug66',
        trunk: str = 'resnet152',
        width: int = 256,
        depth_layers: tuple[int, ...] = (3, 24, 36, 3),
        depth_width: int = 64,
    ) -> None:
        super().__init__()
        chosen = SCHEMES[scheme]
        landmarks = len(chosen)
        self.detection = Detection(trunk, landmarks)
        self.regression = Regression(landmarks, width)
        self.depth = Depth(landmarks, depth_layers, depth_width)
        shape = torch.tensor(aligned_mean_face()[list(chosen)])
        centred = (shape - shape.mean(dim=0)).float()
        self.register_buffer('shape', centred, persistent=False)
        self.shape: Tensor

    def forward(self, crops: Tensor) -> NetworkOutputs:
        """Predict 3-D landmarks, and the rotation of the mean face onto them.

        Args:
            crops: (B, 3, S, S) RGB, normalised as the registry states; S is 384 in the paper.

        Returns:
            Rotation (B, 3, 3), points (B, N, 2), maps (B, N, S, S), visibility (B, N) from the
            peaks' heights, depth (B, N).
        """
        size = crops.shape[-1]
        maps = self.regression(crops, self.detection(crops).float().sigmoid()).float()
        points = peak_points(maps)
        depth = self.depth(crops, part_gaussians(points, size)) / size
        depth = depth - depth.mean(dim=1, keepdim=True)
        rotation = rotation_onto(self.shape.float(), torch.cat([points, depth[:, :, None]], dim=2))
        log_maps = log_distribution(maps * _SHARPNESS)
        return NetworkOutputs(rotation, points, log_maps, visibility_of_peaks(maps), depth)


def part_gaussians(points: Tensor, size: int) -> Tensor:
    """Draw (B, N, size, size) Gaussians of peak 1 and sigma `SIGMA` around (B, N, 2) points."""
    return gaussians(points, size, SIGMA / size)


def peak_points(maps: Tensor) -> Tensor:
    """Return (B, N, 2) in [0, 1]: the centroid of (B, N, S, S) maps around their highest cell."""
    size = maps.shape[-1]
    cells = cell_centers(size, maps)
    index = maps.flatten(2).argmax(dim=2)
    peaks = torch.stack([cells[index % size], cells[index // size]], dim=2)
    window = maps.clamp(min=1e-6) * near(peaks, maps, _PEAK_REACH / size)
    x = (window.sum(dim=2) * cells).sum(dim=2)
    y = (window.sum(dim=3) * cells).sum(dim=2)
    return torch.stack([x, y], dim=2) / window.sum(dim=(2, 3))[:, :, None]


def rotation_onto(shape: Tensor, solid: Tensor) -> Tensor:
    """Return (B, 3, 3): the rotations that turn a centred (N, 3) shape onto (B, N, 3) points.

    Orthogonal Procrustes, whatever the scale and place of the points.
    """
    centred = solid - solid.mean(dim=1, keepdim=True)
    left, _, right = torch.linalg.svd(product(centred.transpose(1, 2), shape[None]))
    signs = torch.ones_like(left[:, 0])
    signs[:, 2] = torch.linalg.det(product(left, right)).sign()
    return product(left * signs[:, None], right)
