"""Training of `mnn_lite`: wing, map cross-entropy, geodesic, visibility; trust and openness."""

from __future__ import annotations

from typing import Any

from headpose_ros.models.outputs import FaceOutputs
from torch import Tensor
from torch.nn import functional

from headpose_training.data.module import Batch
from headpose_training.systems import losses
from headpose_training.systems.base import Optimization, System


class MnnLiteSystem(System):
    """Our small student.

    Args:
        pose_weight: Of the geodesic loss (radians) against the wing loss (px of the crop).
        map_weight: Of the map cross-entropy.
        visibility_weight: Of the visibility's binary cross-entropy.
        openness_weight: Of the openness of eyes and mouth.
        error_weight: Of the expected errors of points and rotation.
        face_weight: Of the binary cross-entropy of there being a face.
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
        optimization: Optimization = Optimization('adamw', 3e-3, 0.01),  # noqa: B008 - frozen
    ) -> None:
        super().__init__({}, 0, 0.0, optimization)
        self.pose_weight = pose_weight
        self.map_weight = map_weight
        self.visibility_weight = visibility_weight
        self.openness_weight = openness_weight
        self.error_weight = error_weight
        self.face_weight = face_weight

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted parts of the loss."""
        all_crops = self.network(batch['image'])
        face = functional.binary_cross_entropy_with_logits(all_crops.face, batch['face'])
        # The labels of a crop that shows no face are void.
        shown = batch['face'] > 0.5
        out = FaceOutputs(*(None if part is None else part[shown] for part in all_crops))
        return self._losses_of_faces(out, {name: label[shown] for name, label in batch.items()}) | {
            'face': face * self.face_weight
        }

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
