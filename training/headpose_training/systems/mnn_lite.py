"""Training of `mnn_lite`: wing + map cross-entropy + geodesic + visibility."""

from __future__ import annotations

import lightning
import torch
from headpose_ros.models.registry import MODELS
from torch import Tensor
from torch.nn import functional
from torch.optim.lr_scheduler import OneCycleLR

from headpose_training.data.module import Batch
from headpose_training.metrics.landmarks import nme_outer_eyes
from headpose_training.metrics.pose import aligned_geodesic_deg
from headpose_training.systems import losses


class MnnLiteSystem(lightning.LightningModule):
    """Lightning module of `mnn_lite`.

    Args:
        learning_rate: Peak of the one-cycle cosine schedule (AdamW).
        weight_decay: Of AdamW.
        pose_weight: Of the geodesic loss (radians) against the wing loss (px of the crop).
        map_weight: Of the map cross-entropy.
        visibility_weight: Of the visibility's binary cross-entropy.
    """

    model_name = 'mnn_lite'

    def __init__(
        self,
        learning_rate: float = 2e-3,
        weight_decay: float = 0.01,
        pose_weight: float = 10.0,
        map_weight: float = 0.3,
        visibility_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.spec = MODELS[self.model_name]
        self.network = self.spec.build()

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Return the weighted sum of the losses of one batch."""
        out = self.network(batch['image'])
        size = self.spec.input_size
        inside = ((batch['points'] > 0) & (batch['points'] < 1)).all(dim=2).float()
        parts = {
            'wing': losses.wing(out.points * size, batch['points'] * size, 5.0, 1.0),
            'pose': losses.geodesic(out.rotation, batch['rotation']) * self.hparams['pose_weight'],
            'maps': losses.map_cross_entropy(out.log_maps, batch['points'], inside)
            * self.hparams['map_weight'],
            'visibility': functional.binary_cross_entropy_with_logits(
                out.visibility, batch['visible']
            )
            * self.hparams['visibility_weight'],
        }
        self.log_dict({f'train/{name}': value for name, value in parts.items()})
        total = torch.stack(list(parts.values())).sum()
        self.log('train/loss', total, prog_bar=True)
        return total

    def on_validation_epoch_start(self) -> None:
        """Forget the previous epoch's faces."""
        self._judged: list[tuple[Tensor, ...]] = []

    def validation_step(self, batch: Batch, index: int) -> None:
        """Collect predictions: the aligned pose error needs all faces at once."""
        out = self.network(batch['image'])
        seen = (out.visibility > 0) == (batch['visible'] > 0.5)
        row = (out.points, batch['points'], out.rotation, batch['rotation'], seen)
        self._judged.append(tuple(value.cpu() for value in row))

    def on_validation_epoch_end(self) -> None:
        """Log NME (outer eyes, %), aligned geodesic error (degrees), visibility accuracy."""
        points, true_points, rotation, true_rotation, seen = (
            torch.cat(column).double().numpy() for column in zip(*self._judged, strict=True)
        )
        pose = aligned_geodesic_deg(rotation, true_rotation).mean()
        nme = 100 * nme_outer_eyes(points, true_points).mean()
        self.log_dict({'val/nme': float(nme), 'val/geodesic_deg': float(pose)}, prog_bar=True)
        self.log('val/visibility_accuracy', float(seen.mean()))

    def configure_optimizers(self) -> dict:  # type: ignore[type-arg]
        """Return AdamW with a one-cycle cosine schedule over the whole run."""
        optimizer = torch.optim.AdamW(
            self.parameters(),
            self.hparams['learning_rate'],
            weight_decay=self.hparams['weight_decay'],
        )
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = OneCycleLR(optimizer, self.hparams['learning_rate'], steps, pct_start=0.05)
        return {
            'optimizer': optimizer,
            'lr_scheduler': {'scheduler': schedule, 'interval': 'step'},
        }
