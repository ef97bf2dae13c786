"""Training of `mnn_direct`: as `mnn_lite`, and the eyes and a covariance of the rotation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from headpose_training.data.module import Batch
from headpose_training.systems import losses
from headpose_training.systems.base import Optimization
from headpose_training.systems.mnn_lite import MnnLiteSystem


class MnnDirectSystem(MnnLiteSystem):
    """Our small student without maps.

    Args:
        gaze_weight: Of the angle of the directions of sight, radians.
        iris_weight: Of the wing loss of the irises (px of the crop).
        seen_weight: Of the binary cross-entropy of irises being seen.
        weights: Further ones of `MnnLiteSystem`.
    """

    model = 'mnn_direct'

    def __init__(
        self,
        gaze_weight: float = 3.0,
        iris_weight: float = 0.3,
        seen_weight: float = 1.0,
        pose_weight: float = 10.0,
        visibility_weight: float = 2.0,
        openness_weight: float = 5.0,
        error_weight: float = 1.0,
        face_weight: float = 2.0,
        steady_weight: float = 2.0,
        optimization: Optimization = Optimization('adamw', 3e-3, 0.01),  # noqa: B008 - frozen
    ) -> None:
        super().__init__(
            pose_weight=pose_weight,
            visibility_weight=visibility_weight,
            openness_weight=openness_weight,
            error_weight=error_weight,
            face_weight=face_weight,
            steady_weight=steady_weight,
            optimization=optimization,
        )
        self.gaze_weight = gaze_weight
        self.iris_weight = iris_weight
        self.seen_weight = seen_weight

    def _losses_of_faces(self, out: Any, batch: Batch) -> dict[str, Tensor]:
        return super()._losses_of_faces(out, batch) | self._losses_of_eyes(out, batch)

    def _losses_of_trust(self, out: Any, batch: Batch, angles: Tensor) -> dict[str, Tensor]:
        likelihood = losses.covariance(out.rotation_covariance, out.rotation, batch['rotation'])
        return {'covariance': likelihood * self.error_weight}

    def _losses_of_eyes(self, out: Any, batch: Batch) -> dict[str, Tensor]:
        known = (~batch['gaze'].isnan()).all(dim=2).float()
        away = losses.directions(out.gaze, batch['gaze'].nan_to_num())
        trusted = losses.expected_error(out.gaze_error, away, known)
        placed = (~batch['iris'].isnan()).all(dim=2).float()
        size = self.spec.input_size
        iris = losses.wing(out.iris * size, batch['iris'].nan_to_num() * size, 5.0, 1.0, placed)
        return {
            'gaze': losses.weighted_mean(away, known) * self.gaze_weight,
            'gaze_error': trusted * self.error_weight,
            'iris': iris * self.iris_weight,
            'eye_seen': _where_known(out.eye_seen, batch['eye_seen']) * self.seen_weight,
        }


def _where_known(logits: Tensor, target: Tensor) -> Tensor:
    """Return the mean binary cross-entropy over the labels that are not NaN; 0 without any."""
    known = (~target.isnan()).float()
    entropy = functional.binary_cross_entropy_with_logits(
        logits, torch.nan_to_num(target), reduction='none'
    )
    return losses.weighted_mean(entropy, known)
