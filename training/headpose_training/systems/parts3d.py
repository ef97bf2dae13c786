"""Training of the two-stage 3-D system (Bulat & Tzimiropoulos, ECCVW 2016).

In order: detection, regression, both, and depth on a mix of true and estimated points.
"""

from __future__ import annotations

import torch
from headpose_ros.geometry.landmarks import SCHEMES
from headpose_ros.models.parts3d import Parts3d, part_gaussians, peak_points
from torch import Tensor
from torch.nn import functional

from headpose_training.data.module import Batch
from headpose_training.systems import losses
from headpose_training.systems.base import Optimization, System

#: Disks of 7 px on faces of 220 px height (section 3.1).
_DISK_RADIUS = 7 / 220
#: Brings the squared error of sparse maps to the size of the other losses.
_MAP_SCALE = 100.0


class Parts3dSystem(System):
    """Detection, regression and depth networks.

    Args:
        detection: Epochs of the detection network alone.
        regression: Epochs of the regression network alone.
        joint: Epochs of both.
        trunk: torchvision's name of the detection network's ResNet; resnet152 in the paper.
        width: Channels of the regression hourglass; 256 in the paper.
        depth_layers: Blocks in the groups of the depth network; ResNet-200 in the paper.
        depth_width: Channels of its first convolution; 64 in the paper.
        input_size: Crop side in px, a multiple of 64; 384 in the paper.
        true_points: Share of faces whose depth is learned from true points.
        optimization: Optimizer and learning rate.
    """

    model = 'parts3d'
    entry = ''  # its phases train different networks
    needs = frozenset({'landmarks', 'depth'})

    def __init__(
        self,
        detection: int = 30,
        regression: int = 30,
        joint: int = 20,
        trunk: str = 'resnet152',
        width: int = 256,
        depth_layers: tuple[int, int, int, int] = (3, 24, 36, 3),
        depth_width: int = 64,
        input_size: int = 384,
        true_points: float = 0.5,
        optimization: Optimization = Optimization('rmsprop', 1e-4),  # noqa: B008 - frozen
    ) -> None:
        options = {
            'trunk': trunk,
            'width': width,
            'depth_layers': depth_layers,
            'depth_width': depth_width,
        }
        phases = {'detection': detection, 'regression': regression, 'joint': joint}
        super().__init__(options, input_size, 0.0, optimization, phases, 'depth')
        self.true_points = true_points
        self.chosen = list(SCHEMES[self.spec.scheme])

    @property
    def parts(self) -> Parts3d:
        """Return the three networks."""
        assert isinstance(self.network, Parts3d)
        return self.network

    def on_train_start(self) -> None:
        """Do as at the start of an epoch, which Lightning leaves out where a run is resumed."""
        self.on_train_epoch_start()

    def on_train_epoch_start(self) -> None:
        """Let only the networks of this phase change; the others keep their statistics too."""
        parts = self.parts
        for name, network in (
            ('detection', parts.detection),
            ('regression', parts.regression),
            ('depth', parts.depth),
        ):
            trained = self.phase == name or (self.phase == 'joint' and name != 'depth')
            network.requires_grad_(trained)
            network.train(trained)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of the phase's networks."""
        points, visible = batch['points'][:, self.chosen], batch['visible'][:, self.chosen]
        logits = self.parts.detection(batch['image']).float()
        parts = {}
        if self.phase in ('detection', 'joint'):
            parts['detection'] = _disk_loss(logits, points, visible)
        if self.phase == 'detection':
            return parts
        maps = self.parts.regression(batch['image'], logits.sigmoid()).float()
        if self.phase in ('regression', 'joint'):
            wanted = part_gaussians(points, maps.shape[-1]) * visible[:, :, None, None]
            return parts | {'maps': functional.mse_loss(maps, wanted) * _MAP_SCALE}
        return {'depth': self._depth_loss(batch, points, maps)}

    def _depth_loss(self, batch: Batch, points: Tensor, maps: Tensor) -> Tensor:
        size = maps.shape[-1]
        use_true = torch.rand(len(points), 1, 1, device=points.device) < self.true_points
        used = torch.where(use_true, points, peak_points(maps))
        predicted = self.parts.depth(batch['image'], part_gaussians(used, size))
        # The mean of a scaled-orthographic depth is not observable: leave it out on both sides.
        wanted = batch['depth'][:, self.chosen] * size
        difference = _centred(predicted) - _centred(wanted)
        return difference.square().mean()


def _disk_loss(logits: Tensor, points: Tensor, visible: Tensor) -> Tensor:
    height = (points[:, :, 1].amax(dim=1) - points[:, :, 1].amin(dim=1)) * logits.shape[-1]
    disks = losses.disk_maps(points, logits.shape[-1], height * _DISK_RADIUS)
    return functional.binary_cross_entropy_with_logits(logits, disks * visible[:, :, None, None])


def _centred(values: Tensor) -> Tensor:
    return values - values.mean(dim=1, keepdim=True)
