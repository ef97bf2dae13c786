"""Siamese ranking network for head pose (Gao & Wang).

A trunk, an embedding for each angle, and an angle from each embedding. Pre-training compares the
embeddings of pairs of faces (`headpose_training.systems.ranking`); what is deployed is one branch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from headpose_ros.models.outputs import NetworkOutputs, rotation_from_aflw_euler
from headpose_ros.models.trunks import classifier_trunk

_ANGLES = 3


class RankingPose(nn.Module):
    """One branch of the Siamese network.

    Args:
        backbone: torchvision's name of the trunk; the paper has `resnet50`.
        embedding: Features of each angle's embedding.
    """

    def __init__(self, backbone: str = 'resnet50', embedding: int = 128) -> None:
        super().__init__()
        self.trunk, features = classifier_trunk(backbone)
        self.embed = nn.Linear(features, _ANGLES * embedding)
        self.regress = nn.ModuleList(nn.Linear(embedding, 1) for _ in range(_ANGLES))

    def embeddings(self, crops: Tensor) -> Tensor:
        """Return (B, 3, E): what the network knows about pitch, yaw and roll.

        Args:
            crops: (B, 3, S, S) RGB, normalised as ImageNet is; S is 224 in the paper.
        """
        return self.embed(self.trunk(crops)).float().unflatten(1, (_ANGLES, -1))

    def angles(self, embeddings: Tensor) -> Tensor:
        """Return (B, 3) pitch, yaw, roll in radians, AFLW2000 convention."""
        inputs = embeddings.to(self.embed.weight.dtype).unbind(1)
        pairs = zip(self.regress, inputs, strict=True)
        return torch.cat([head(embedding) for head, embedding in pairs], dim=1).float()

    def forward(self, crops: Tensor) -> NetworkOutputs:
        """Predict the rotation (B, 3, 3); there are no landmarks."""
        rotation = rotation_from_aflw_euler(self.angles(self.embeddings(crops)))
        return NetworkOutputs(rotation, None, None, None)
