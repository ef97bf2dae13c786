"""Training of `mnn_lite`: wing, map cross-entropy, geodesic, visibility; then trust and jitter."""

from __future__ import annotations

from typing import Any

import torch
from headpose_ros.models.outputs import FaceOutputs
from torch import Tensor
from torch.nn import functional

from headpose_training.data.module import Batch
from headpose_training.systems import losses
from headpose_training.systems.base import Optimization, System
from headpose_training.systems.steadiness import next_frames, unsteadiness

#: Share of a batch that is seen a second time, as the next frame might show it.
_SEEN_AGAIN = 0.25


class MnnLiteSystem(System):
    """Our small student.

    Args:
        pose_weight: Of the geodesic loss (radians) against the wing loss (px of the crop).
        map_weight: Of the map cross-entropy.
        visibility_weight: Of the visibility's binary cross-entropy.
        openness_weight: Of the openness of eyes and mouth.
        error_weight: Of the expected errors of points and rotation.
        face_weight: Of the binary cross-entropy of there being a face.
        steady_weight: Of what changes between two frames of the same face, points (px of the crop)
            and rotation; 0 leaves that out.
        optimization: Optimizer and learning rate.
    """

    model = 'mnn_lite'
    needs = frozenset({'landmarks', 'rotation'})

    def __init__(
        self,
        pose_weight: float = 10.0,
        map_weight: float = 0.3,
        visibility_weight: float = 1.0,
        openness_weight: float = 5.0,
        error_weight: float = 1.0,
        face_weight: float = 2.0,
        steady_weight: float = 0.0,
        optimization: Optimization = Optimization('adamw', 3e-3, 0.01),  # noqa: B008 - frozen
    ) -> None:
        super().__init__({}, 0, 0.0, optimization)
        self.pose_weight = pose_weight
        self.map_weight = map_weight
        self.visibility_weight = visibility_weight
        self.openness_weight = openness_weight
        self.error_weight = error_weight
        self.face_weight = face_weight
        self.steady_weight = steady_weight

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted parts of the loss."""
        all_crops, unsteady = self._seen(batch['image'], batch['face'])
        logits: Any = all_crops.face
        face = functional.binary_cross_entropy_with_logits(logits, batch['face'])
        # The labels of a crop that shows no face are void.
        shown = batch['face'] > 0.5
        out = _chosen(all_crops, shown)
        return self._losses_of_faces(out, {name: label[shown] for name, label in batch.items()}) | {
            'face': face * self.face_weight,
            **unsteady,
        }

    def _seen(self, images: Tensor, face: Tensor) -> tuple[FaceOutputs, dict[str, Tensor]]:
        """Return the outputs of all crops, and the weighted loss of what jitters."""
        again = face[: round(len(images) * _SEEN_AGAIN)].nonzero()[:, 0]
        if not (self.steady_weight and len(again)):
            return self.network(images), {}
        grey_level = 1 / self.spec.normalization.in_grey_levels[1].to(images)
        frames, moved = next_frames(images[again], grey_level)
        out = self.network(torch.cat([images, frames]))
        first, later = _chosen(out, slice(0, len(images))), _chosen(out, slice(len(images), None))
        steps, turns = unsteadiness(_chosen(first, again), later, moved)
        loss = steps * self.spec.input_size + turns * self.pose_weight
        return first, {'steady': loss * self.steady_weight}

    def _losses_of_faces(self, out: Any, batch: Batch) -> dict[str, Tensor]:
        size, points = self.spec.input_size, batch['points']
        inside = ((points > 0) & (points < 1)).all(dim=2).float()
        visible = functional.binary_cross_entropy_with_logits(out.visibility, batch['visible'])
        distances = (out.points - points).norm(dim=2)
        angles = losses.angles(out.rotation, batch['rotation'])
        errors = losses.expected_error(out.point_error, distances) + losses.expected_error(
            out.rotation_error, angles
        )
        return {
            'wing': losses.wing(out.points * size, points * size, 5.0, 1.0),
            'pose': angles.mean() * self.pose_weight,
            'maps': losses.map_cross_entropy(out.log_maps, points, inside) * self.map_weight,
            'visibility': visible * self.visibility_weight,
            'openness': losses.where_known(out.openness, batch['openness']) * self.openness_weight,
            'errors': errors * self.error_weight,
        }


def _chosen(out: FaceOutputs, rows: Tensor | slice) -> FaceOutputs:
    """Return the outputs of some of the crops."""
    return FaceOutputs(*(None if part is None else part[rows] for part in out))
