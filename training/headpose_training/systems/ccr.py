"""Training of CCR (Zhang et al., CCBR 2018, equations 1-6).

The printed equations ask two things of one landmark map: equation 3 takes its expectation, which
needs a map that sums to one, and equation 4 compares it with a Gaussian of peak one. Here the raw
map is compared, and the expectation is taken over the softmax of its logarithm (see
`models.ccr`).

Angles are divided by 99 degrees and coordinates lie in [0, 1], so that the weights mean the same
whatever the units.
"""

from __future__ import annotations

from headpose_ros.models import bins
from headpose_ros.models.ccr import CcrBlockOutputs
from torch import Tensor
from torch.nn import functional

from headpose_training.data.module import Batch
from headpose_training.systems import losses
from headpose_training.systems.base import Optimization, System


class CcrSystem(System):
    """Cross-cascading regression, every block supervised.

    Args:
        blocks: Number of stacked blocks.
        width: Channels of the features; 256 in the paper.
        input_size: Crop side in px, a multiple of 64; 256 in the paper.
        bin_weight: a1, of the cross-entropy over angle bins. Much more than the default lets it
            pull every angle to the centre of its bin, 0.75 degrees away on average.
        map_weight: a2, of the landmark maps' squared error.
        landmark_weight: lambda, of all landmark losses.
        sigma: Of the Gaussians, in cells.
        optimization: Optimizer and learning rate; fixed at 2.5e-4 in the paper.
    """

    model = 'ccr'
    entry = 'blocks'
    needs = frozenset({'landmarks', 'rotation'})

    def __init__(
        self,
        blocks: int = 2,
        width: int = 256,
        input_size: int = 256,
        bin_weight: float = 0.002,
        map_weight: float = 1.0,
        landmark_weight: float = 1.0,
        sigma: float = 1.0,
        optimization: Optimization = Optimization('adam', 2.5e-4, schedule='constant'),  # noqa: B008
    ) -> None:
        super().__init__({'blocks': blocks, 'width': width}, input_size, 0.0, optimization)
        self.bin_weight = bin_weight
        self.map_weight = map_weight
        self.landmark_weight = landmark_weight
        self.sigma = sigma

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted parts of the loss, summed over blocks."""
        outputs: list[CcrBlockOutputs] = self.run(batch['image'])
        angles = losses.aflw_angles(batch['rotation'])
        sums: dict[str, Tensor] = {}
        for block in outputs:
            for name, value in (self._pose(block, angles) | self._landmarks(block, batch)).items():
                sums[name] = sums.get(name, 0.0) + value
        return sums

    def _pose(self, block: CcrBlockOutputs, angles: Tensor) -> dict[str, Tensor]:
        entropy = functional.cross_entropy(
            block.angle_logits.flatten(0, 1), bins.bin_of(angles).flatten()
        )
        error = (block.angles() - angles).square().mean() / bins.LIMIT**2
        return {'angles': error, 'bins': entropy * self.bin_weight}

    def _landmarks(self, block: CcrBlockOutputs, batch: Batch) -> dict[str, Tensor]:
        points, visible = batch['points'], batch['visible']
        squares = (block.points() - points).square().sum(dim=2)
        error = losses.weighted_mean(squares, visible * batch['weight'])
        wanted = losses.gaussian_maps(points, block.maps.shape[-1], self.sigma, visible)
        maps = functional.mse_loss(block.maps, wanted) * self.map_weight
        return {'points': error * self.landmark_weight, 'maps': maps * self.landmark_weight}
