"""Losses on `FaceOutputs`; shapes as documented there. Every loss is a mean over the batch."""

from __future__ import annotations

import torch
from headpose_ros.models.outputs import cell_centers
from torch import Tensor


def wing(predicted: Tensor, target: Tensor, width: float = 10.0, curvature: float = 2.0) -> Tensor:
    """Wing loss on point coordinates (Feng et al., CVPR 2018, eq. 5).

    Logarithmic within `width`, so that small errors keep a strong gradient; linear beyond.

    Args:
        predicted: (B, N, 2) px.
        target: (B, N, 2) px.
        width: Where the linear part begins, px.
        curvature: Sharpness of the logarithm, px.
    """
    error = (predicted - target).abs()
    offset = width - width * torch.log(torch.tensor(1 + width / curvature)).item()
    near = width * torch.log1p(error / curvature)
    return torch.where(error < width, near, error - offset).mean()


def geodesic(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean angle in radians between (B, 3, 3) rotations, with a bounded gradient at zero.

    The angle comes from the chord, `2 asin(|A - B|_F / (2 sqrt 2))`: unlike acos of the trace it
    keeps its precision for small angles.
    """
    squared_chord = (predicted - target).square().sum(dim=(1, 2))
    sine = (squared_chord.clamp(min=1e-8).sqrt() / 8**0.5).clamp(max=1 - 1e-6)
    return (2 * torch.asin(sine)).mean()


def map_cross_entropy(
    log_maps: Tensor, target: Tensor, weight: Tensor, sigma: float = 1.0
) -> Tensor:
    """Cross-entropy of landmark maps against Gaussians around the true points.

    An expectation alone is content with any map of the right mean; this asks for a sharp one.

    Args:
        log_maps: (B, N, h, w) log-probabilities.
        target: (B, N, 2) points in [0, 1].
        weight: (B, N), 0 for points outside the crop.
        sigma: Of the Gaussian, in cells.
    """
    height, width = log_maps.shape[2:]
    dx = (cell_centers(width, log_maps) - target[:, :, :1]) * width / sigma
    dy = (cell_centers(height, log_maps) - target[:, :, 1:]) * height / sigma
    gauss_x, gauss_y = (-dx.square() / 2).softmax(2), (-dy.square() / 2).softmax(2)
    entropy = -torch.einsum('bnh,bnhw,bnw->bn', gauss_y, log_maps, gauss_x)
    return (entropy * weight).sum() / weight.sum().clamp(min=1.0)
