"""Training of Hopenet (Ruiz et al., CVPRW 2018, section 3.2): cross-entropy + a x squared error."""

from __future__ import annotations

from typing import Any

import torch
from headpose_ros.models import bins
from headpose_ros.models.hopenet import Hopenet
from torch import Tensor, nn
from torch.nn import functional

from headpose_training.checkpoints import read_tensors
from headpose_training.data.module import Batch
from headpose_training.errors import TrainingError
from headpose_training.systems import losses
from headpose_training.systems.base import Optimization, System


class HopenetSystem(System):
    """Multi-loss pose from one trunk.

    Args:
        backbone: torchvision's name: resnet50 and alexnet as in the paper, or a smaller ResNet.
        input_size: Crop side in px; 224 in the paper.
        regression_weight: a, of the squared error in degrees; 0.01 to 4 in the paper.
        classification_weight: Of the cross-entropy; 0 leaves regression only.
        initial: State dict of an ImageNet-trained trunk of torchvision, or empty: the published
            training starts from one.
        freeze_stem: Keep the first convolution and all batch norms as they start, as the
            published code does; only sensible with `initial`.
        head_scale: Factor of the heads' learning rate; 5 in the published code.
        margin: Crop side over the larger side of the landmarks' box; 0 is the registry's.
        optimization: Optimizer and learning rate; Adam at 1e-5 for 25 epochs in the paper.
    """

    model = 'hopenet'
    entry = 'angle_logits'
    needs = frozenset({'rotation'})

    def __init__(
        self,
        backbone: str = 'resnet50',
        input_size: int = 224,
        regression_weight: float = 1.0,
        classification_weight: float = 1.0,
        initial: str = '',
        freeze_stem: bool = False,
        head_scale: float = 1.0,
        margin: float = 0.0,
        optimization: Optimization = Optimization('adam', 1e-5, schedule='constant'),  # noqa: B008
    ) -> None:
        super().__init__({'backbone': backbone}, input_size, margin, optimization)
        assert isinstance(self.network, Hopenet)
        self.regression_weight = regression_weight
        self.classification_weight = classification_weight
        self.freeze_stem = freeze_stem
        self.head_scale = head_scale
        if initial:
            load_trunk(self.network.trunk, initial)
        if freeze_stem:
            for module in frozen_modules(self.network.trunk):
                module.requires_grad_(False)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted parts of the loss, each a mean over faces, summed over angles."""
        assert isinstance(self.network, Hopenet)
        logits = self.run(batch['image'])
        angles = losses.aflw_angles(batch['rotation'])
        entropy = functional.cross_entropy(logits.flatten(0, 1), bins.bin_of(angles).flatten())
        error = torch.rad2deg(self.network.angles(logits) - angles).square().mean()
        return {
            'classification': 3 * entropy * self.classification_weight,
            'regression': 3 * error * self.regression_weight,
        }

    def train(self, mode: bool = True) -> HopenetSystem:
        """Set the mode; frozen batch norms keep the statistics that they came with."""
        super().train(mode)
        if self.freeze_stem:
            assert isinstance(self.network, Hopenet)
            for module in frozen_modules(self.network.trunk):
                module.eval()
        return self

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the trunk, and the heads with a rate of their own."""
        assert isinstance(self.network, Hopenet)
        trunk = [p for p in self.network.trunk.parameters() if p.requires_grad]
        heads = (self.network.fc_pitch, self.network.fc_yaw, self.network.fc_roll)
        head_parameters = [p for head in heads for p in head.parameters()]
        return [{'params': trunk}, {'params': head_parameters, 'scale': self.head_scale}]


def frozen_modules(trunk: nn.Module) -> list[nn.Module]:
    """Return the first convolution and all batch norms of a trunk."""
    first = next(m for m in trunk.modules() if isinstance(m, nn.Conv2d))
    return [first, *(m for m in trunk.modules() if isinstance(m, nn.BatchNorm2d))]


def load_trunk(trunk: nn.Module, path: str) -> None:
    """Load torchvision's weights into a trunk; its last classifier is left out.

    Raises:
        TrainingError: The file is no state dict of this trunk.
    """
    state = read_tensors(path)
    own = trunk.state_dict()
    fitting = {k: v for k, v in state.items() if k in own and v.shape == own[k].shape}
    if fitting.keys() != own.keys():
        missing = sorted(own.keys() - fitting.keys())[:3]
        raise TrainingError(f'{path} does not fit the trunk: no {", ".join(missing)} of its shape')
    trunk.load_state_dict(fitting)
