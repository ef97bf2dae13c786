"""Training of `mnn_lite`: wing + map cross-entropy + geodesic + visibility."""

from __future__ import annotations

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
        optimization: Optimizer and learning rate.
    """

    model = 'mnn_lite'
    needs = frozenset({'landmarks', 'rotation'})

    def __init__(
        self,
        pose_weight: float = 10.0,
        map_weight: float = 0.3,
        visibility_weight: float = 1.0,
        optimization: Optimization = Optimization('adamw', 3e-3, 0.01),  # noqa: B008 - frozen
    ) -> None:
        super().__init__({}, 0, 0.0, optimization)
        self.pose_weight = pose_weight
        self.map_weight = map_weight
        self.visibility_weight = visibility_weight

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted parts of the loss."""
        out = self.network(batch['image'])
        size, points = self.spec.input_size, batch['points']
        inside = ((points > 0) & (points < 1)).all(dim=2).float()
        visible = functional.binary_cross_entropy_with_logits(out.visibility, batch['visible'])
        return {
            'wing': losses.wing(out.points * size, points * size, 5.0, 1.0),
            'pose': losses.geodesic(out.rotation, batch['rotation']) * self.pose_weight,
            'maps': losses.map_cross_entropy(out.log_maps, points, inside) * self.map_weight,
            'visibility': visible * self.visibility_weight,
        }
