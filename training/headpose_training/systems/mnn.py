"""Training of MNN (Valle et al., TPAMI 2020): first landmarks, then all tasks."""

from __future__ import annotations

import torch
from headpose_ros.geometry.face_shape import aligned_mean_face
from torch import Tensor, nn
from torch.nn import functional

from headpose_training.data.module import Batch
from headpose_training.systems import losses
from headpose_training.systems.base import Optimization, System

#: The mean face is used in decimetres: its scale in a crop is then about one, as angles are.
_DECIMETRES = 10.0


class MagnitudeBalance(nn.Module):
    """Divide each task's loss by its running magnitude, so that all tasks pull alike.

    Args:
        tasks: Names of the tasks.
        momentum: Of the running mean.
    """

    def __init__(self, tasks: tuple[str, ...], momentum: float = 0.99) -> None:
        super().__init__()
        self.tasks = tasks
        self.momentum = momentum
        self.register_buffer('magnitudes', torch.zeros(len(tasks)))
        self.magnitudes: Tensor

    def forward(self, parts: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the balanced losses."""
        balanced = {}
        for name, loss in parts.items():
            index = self.tasks.index(name)
            now, before = loss.detach().float(), self.magnitudes[index]
            mean = torch.where(before > 0, before.lerp(now, 1 - self.momentum), now)
            self.magnitudes[index] = mean
            balanced[name] = loss / mean.clamp(min=1e-6)
        return balanced


class MnnSystem(System):
    """Pose, landmarks and visibility in one encoder-decoder.

    Args:
        pretraining: Epochs of landmarks only, before all tasks.
        width: Channels of the first stage and of the bottlenecks; 64 in the paper.
        input_size: Crop side in px, a power of two; 256 in the paper.
        sigma: Of the true point's spread in the cross-entropy over pixels, in px.
        optimization: Optimizer and learning rate.
    """

    model = 'mnn'
    entry = 'all_outputs'
    needs = frozenset({'landmarks', 'rotation'})

    def __init__(
        self,
        pretraining: int = 10,
        width: int = 64,
        input_size: int = 256,
        sigma: float = 1.0,
        optimization: Optimization = Optimization('adam', 1e-3),  # noqa: B008 - frozen
    ) -> None:
        options = {'width': width, 'input_size': input_size}
        super().__init__(options, input_size, 0.0, optimization, {'landmarks': pretraining})
        self.sigma = sigma
        self.balance = MagnitudeBalance(('parameters', 'projection', 'maps', 'visibility'))
        shape = torch.tensor(aligned_mean_face() * _DECIMETRES).float()
        self.register_buffer('shape', shape - shape.mean(dim=0), persistent=False)
        self.shape: Tensor

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return L_CE(h) alone while pre-training, then all balanced tasks."""
        out = self.run(batch['image'])
        points, visible = batch['points'], batch['visible']
        assert out.face.log_maps is not None and out.face.visibility is not None
        inside = ((points > 0) & (points < 1)).all(dim=2).float() * batch['weight']
        maps = losses.map_cross_entropy(out.face.log_maps, points, inside, self.sigma)
        if self.phase == 'landmarks':
            return {'maps': maps}
        wanted = losses.pose_parameters(self.shape, points, batch['rotation'], inside)
        projected = losses.project(self.shape, out.projection)
        distance = (projected - points).square().sum(dim=2)
        return self.balance(
            {
                'parameters': (out.pose - wanted).square().mean(),
                'projection': losses.weighted_mean(distance, visible * batch['weight']),
                'maps': maps,
                'visibility': functional.binary_cross_entropy_with_logits(
                    out.face.visibility, visible
                ),
            }
        )
