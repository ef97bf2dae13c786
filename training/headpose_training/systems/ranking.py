"""Training of the Siamese ranking network (Gao & Wang): rank pairs, then regress angles.

The pairing layer compares all pairs of a batch by their embeddings, so that no image passes the
trunk twice. Equation 1 as printed is a binary cross-entropy on whether two faces have the same
rank: it teaches sameness, not order. `margin` ranks instead: the face of the higher rank must have
the higher score, by a margin.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from headpose_ros.models.ranking import RankingPose
from torch import Tensor, nn
from torch.nn import functional

from headpose_training.data.module import Batch
from headpose_training.systems import losses
from headpose_training.systems.base import Optimization, System

#: Angles of one rank.
RANK_WIDTH = math.radians(3.0)
_ANGLES = 3


class PairingLayer(nn.Module):
    """Compares all pairs of a batch; dropped after pre-training.

    Args:
        embedding: Features of each angle's embedding.
        loss: `same`: cross-entropy on same or different rank, as printed; `margin`: order.
        margin: Least difference of the scores of two ranks, for `margin`.
    """

    def __init__(
        self, embedding: int, loss: Literal['same', 'margin'] = 'same', margin: float = 0.1
    ) -> None:
        super().__init__()
        self.loss = loss
        self.margin = margin
        self.weights = nn.ModuleList(nn.Linear(embedding, 1) for _ in range(_ANGLES))

    def forward(self, embeddings: Tensor, angles: Tensor) -> Tensor:
        """Return the loss of all pairs.

        Args:
            embeddings: (B, 3, E).
            angles: (B, 3) radians.
        """
        ranks = (angles / RANK_WIDTH).floor().long()
        compare = self._sameness if self.loss == 'same' else self._order
        parts = [compare(self.weights[i], embeddings[:, i], ranks[:, i]) for i in range(_ANGLES)]
        return torch.stack(parts).mean()

    def _sameness(self, weight: nn.Module, embedding: Tensor, ranks: Tensor) -> Tensor:
        first, second = torch.triu_indices(len(ranks), len(ranks), 1, device=ranks.device)
        same = (ranks[first] == ranks[second]).float()
        logits = weight((embedding[first] - embedding[second]).abs())[:, 0]
        # As many different pairs as same ones count: nearly all pairs are different.
        balance = torch.where(same > 0, 0.5 / same.mean(), 0.5 / (1 - same).mean())
        balance = balance.nan_to_num(posinf=0.0)
        return functional.binary_cross_entropy_with_logits(logits, same, weight=balance)

    def _order(self, weight: nn.Module, embedding: Tensor, ranks: Tensor) -> Tensor:
        first, second = torch.triu_indices(len(ranks), len(ranks), 1, device=ranks.device)
        score = weight(embedding)[:, 0]
        steps = (ranks[first] - ranks[second]).float()
        shortfall = functional.relu(self.margin - steps.sign() * (score[first] - score[second]))
        different = (steps != 0).float()
        return (shortfall * different).sum() / different.sum().clamp(min=1.0)


class RankingSystem(System):
    """Ranking first, then the mean squared error of continuous angles.

    Args:
        pretraining: Epochs of ranking.
        pairs: Loss on pairs: `same` as printed in the paper, `margin` for order.
        pair_margin: Least difference of scores, for `margin`.
        backbone: torchvision's name of the trunk; resnet50 in the paper.
        embedding: Features of each angle's embedding.
        input_size: Crop side in px; 224 in the paper, cut out of 300.
        margin: Crop side over the larger side of the landmarks' box; 0 is the registry's.
        optimization: Optimizer and learning rate.
    """

    model = 'ranking'
    entry = 'embeddings'
    needs = frozenset({'rotation'})

    def __init__(
        self,
        pretraining: int = 10,
        pairs: Literal['same', 'margin'] = 'same',
        pair_margin: float = 0.1,
        backbone: str = 'resnet50',
        embedding: int = 128,
        input_size: int = 224,
        margin: float = 0.0,
        optimization: Optimization = Optimization('adam', 1e-4),  # noqa: B008 - frozen
    ) -> None:
        options = {'backbone': backbone, 'embedding': embedding}
        phases = {'ranking': pretraining}
        super().__init__(options, input_size, margin, optimization, phases, 'regression')
        self.pairing = PairingLayer(embedding, pairs, pair_margin)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the ranking loss while pre-training, then the squared error of angles."""
        assert isinstance(self.network, RankingPose)
        embeddings = self.run(batch['image'])
        angles = losses.aflw_angles(batch['rotation'])
        if self.phase == 'ranking':
            return {'pairs': self.pairing(embeddings, angles)}
        return {'angles': (self.network.angles(embeddings) - angles).square().mean()}
