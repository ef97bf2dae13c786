"""Hopenet: Euler angles as expectations over bins (Ruiz et al., CVPRW 2018).

One trunk, three classifiers of 66 bins. The angle is the expectation over bin centres; weights
published with the paper are decoded with left edges, see `bins.left_edges`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from headpose_ros.models import bins
from headpose_ros.models.outputs import NetworkOutputs, rotation_from_aflw_euler
from headpose_ros.models.trunks import classifier_trunk

DECODES = ('centers', 'left_edges')


class Hopenet(nn.Module):
    """A classification network with three binned heads.

    Args:
        backbone: torchvision's name of the trunk: `resnet50` and `alexnet` as in the paper, or
            another ResNet.
        decode: `centers`, or `left_edges` for weights trained by the published code.

    Raises:
        ValueError: Unknown backbone or decode.
    """

    def __init__(self, backbone: str = 'resnet50', decode: str = 'centers') -> None:
        super().__init__()
        if decode not in DECODES:
            raise ValueError(f'decode is {decode!r}, expected one of {DECODES}')
        self.trunk, features = classifier_trunk(backbone)
        self.fc_yaw = nn.Linear(features, bins.COUNT)
        self.fc_pitch = nn.Linear(features, bins.COUNT)
        self.fc_roll = nn.Linear(features, bins.COUNT)
        self.bin_values = bins.centers if decode == 'centers' else bins.left_edges

    def angle_logits(self, crops: Tensor) -> Tensor:
        """Return (B, 3, 66) logits of pitch, yaw, roll in the AFLW2000 convention.

        Args:
            crops: (B, 3, S, S) RGB, normalised as ImageNet is; S is 224 in the paper.
        """
        features = self.trunk(crops)
        heads = (self.fc_pitch, self.fc_yaw, self.fc_roll)
        return torch.stack([head(features).float() for head in heads], dim=1)

    def angles(self, logits: Tensor) -> Tensor:
        """Return (B, 3) pitch, yaw, roll in radians from (B, 3, 66) logits."""
        return bins.expected_angles(logits, self.bin_values(logits))

    def forward(self, crops: Tensor) -> NetworkOutputs:
        """Predict the rotation (B, 3, 3); there are no landmarks."""
        angles = self.angles(self.angle_logits(crops))
        return NetworkOutputs(rotation_from_aflw_euler(angles), None, None, None)


def published_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a published ResNet-50 Hopenet; use with `decode='left_edges'`.

    The published network has its trunk at the top level and carries an unused `fc_finetune`.

    Args:
        state: A state dict of the published code.

    Returns:
        A state dict of :class:`Hopenet`.
    """
    heads = ('fc_yaw', 'fc_pitch', 'fc_roll')
    return {
        name if name.startswith(heads) else f'trunk.{name}': value
        for name, value in state.items()
        if not name.startswith('fc_finetune')
    }
