"""Losses on `NetworkOutputs`; shapes as documented there. Every loss is a mean over the batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from headpose_ros.geometry.rotations import aflw_from_matrix, mnn_euler_from_matrix
from headpose_ros.models.outputs import cell_centers, gaussians, rotation_from_mnn_euler
from numpy.typing import ArrayLike, NDArray
from torch import Tensor


def wing(
    predicted: Tensor,
    target: Tensor,
    width: float = 10.0,
    curvature: float = 2.0,
    weight: Tensor | None = None,
) -> Tensor:
    """Wing loss on point coordinates (Feng et al., CVPR 2018, eq. 5).

    Logarithmic within `width`, so that small errors keep a strong gradient; linear beyond.

    Args:
        predicted: (B, N, 2) px.
        target: (B, N, 2) px.
        width: Where the linear part begins, px.
        curvature: Sharpness of the logarithm, px.
        weight: (B, N) of each point; None is 1.
    """
    error = (predicted - target).abs()
    offset = width - width * torch.log(torch.tensor(1 + width / curvature)).item()
    near = width * torch.log1p(error / curvature)
    loss = torch.where(error < width, near, error - offset).mean(dim=2)
    return loss.mean() if weight is None else weighted_mean(loss, weight)


def geodesic(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean angle in radians between (B, 3, 3) rotations, with a bounded gradient at zero."""
    return angles(predicted, target).mean()


def angles(predicted: Tensor, target: Tensor) -> Tensor:
    """Return (B,) angles in radians between (B, 3, 3) rotations, with a bounded gradient at zero.

    The angle comes from the chord, `2 asin(|A - B|_F / (2 sqrt 2))`: unlike acos of the trace it
    keeps its precision for small angles.
    """
    squared_chord = (predicted - target).square().sum(dim=(1, 2))
    sine = (squared_chord.clamp(min=1e-8).sqrt() / 8**0.5).clamp(max=1 - 1e-6)
    return 2 * torch.asin(sine)


def expected_error(expected: Tensor, error: Tensor, weight: Tensor | None = None) -> Tensor:
    """Negative log-likelihood of errors under exponential distributions of the expected means.

    Least where `expected` is the mean of the errors: then it is calibrated. Nothing flows into
    the errors, so that a network cannot lower this by growing worse where it is unsure.

    Args:
        expected: Above zero, any shape.
        error: Of the same shape, at least zero.
        weight: Of the same shape; None is 1.
    """
    loss = expected.log() + error.detach() / expected
    return loss.mean() if weight is None else weighted_mean(loss, weight)


def covariance(expected: Tensor, predicted: Tensor, target: Tensor) -> Tensor:
    """Negative log-likelihood of rotations under normal distributions about the predicted ones.

    Least where the covariance is that of the errors: then the mean of the squared error, normalised
    by it, is 3. Nothing flows into the rotations, as in :func:`expected_error`.

    Args:
        expected: (B, 3, 3) covariance of the rotation vector from `predicted` to `target`, radians
            squared.
        predicted: (B, 3, 3) rotations.
        target: (B, 3, 3) rotations.
    """
    error = rotation_vector(target @ predicted.detach().transpose(1, 2))
    squared = (error * torch.linalg.solve(expected, error)).sum(dim=1)
    return (squared + torch.logdet(expected)).mean() / 2


def rotation_vector(rotation: Tensor) -> Tensor:
    """Return (B, 3) axes times angles, radians, of (B, 3, 3) rotations by less than a half turn."""
    skew = rotation - rotation.transpose(1, 2)
    axis = torch.stack([skew[:, 2, 1], skew[:, 0, 2], skew[:, 1, 0]], dim=1) / 2
    sine = axis.norm(dim=1).clamp(min=1e-6)
    cosine = (rotation.diagonal(dim1=1, dim2=2).sum(dim=1) - 1) / 2
    return axis * (torch.atan2(sine, cosine) / sine)[:, None]


def directions(predicted: Tensor, target: Tensor) -> Tensor:
    """Return (...) angles in radians between unit vectors (..., 3); bounded gradient at 0."""
    chord = (predicted - target).square().sum(dim=-1).clamp(min=1e-8).sqrt()
    return 2 * torch.asin((chord / 2).clamp(max=1 - 1e-6))


def where_known(predicted: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute error over the entries whose label is not NaN; 0 without any."""
    known = ~target.isnan()
    error = (predicted - target.nan_to_num()).abs() * known
    return error.sum() / known.sum().clamp(min=1)


def map_cross_entropy(
    log_maps: Tensor, target: Tensor, weight: Tensor, sigma: float = 1.0
) -> Tensor:
    """Cross-entropy of landmark maps against Gaussians around the true points.

    An expectation alone is content with any map of the right mean; this asks for a sharp one.

    Args:
        log_maps: (B, N, h, w) log-probabilities.
        target: (B, N, 2) points in [0, 1].
        weight: (B, N) in 0..1, 0 for points outside the crop.
        sigma: Of the Gaussian, in cells.
    """
    height, width = log_maps.shape[2:]
    dx = (cell_centers(width, log_maps) - target[:, :, :1]) * width / sigma
    dy = (cell_centers(height, log_maps) - target[:, :, 1:]) * height / sigma
    gauss_x, gauss_y = (-dx.square() / 2).softmax(2), (-dy.square() / 2).softmax(2)
    entropy = -torch.einsum('bnh,bnhw,bnw->bn', gauss_y, log_maps, gauss_x)
    return weighted_mean(entropy, weight)


def gaussian_maps(target: Tensor, size: int, sigma: float, weight: Tensor) -> Tensor:
    """Draw Gaussians of peak 1 around points, all-zero maps where the weight is zero.

    Args:
        target: (B, N, 2) points in [0, 1].
        size: Side of the maps in cells.
        sigma: In cells.
        weight: (B, N), 1 = drawn.

    Returns:
        (B, N, size, size).
    """
    return gaussians(target, size, sigma / size) * weight[:, :, None, None]


def disk_maps(target: Tensor, size: int, radius: Tensor) -> Tensor:
    """Draw binary disks around points.

    Args:
        target: (B, N, 2) points in [0, 1].
        size: Side of the maps in cells.
        radius: (B,) in cells.

    Returns:
        (B, N, size, size), 0 or 1.
    """
    cells = cell_centers(size, target)
    x, y = (((cells - p) * size).square() for p in (target[:, :, :1], target[:, :, 1:]))
    squared = x[:, :, None, :] + y[:, :, :, None]
    return (squared <= radius.square()[:, None, None, None]).to(target.dtype)


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Return the mean of values by weights in 0..1 of their shape; 0 where they sum to little."""
    return (values * weight).sum() / weight.sum().clamp(min=1.0)


def project(shape: Tensor, parameters: Tensor) -> Tensor:
    """Project a 3-D face by six pose parameters (scaled orthographic).

    Args:
        shape: (N, 3) camera-aligned, centred, any unit.
        parameters: (B, 6) as in `models.mnn.MnnOutputs`.

    Returns:
        (B, N, 2) in [0, 1].
    """
    turned = shape @ rotation_from_mnn_euler(parameters[:, :3]).transpose(1, 2)
    scale = parameters[:, 5].exp()[:, None, None]
    return turned[:, :, :2] * scale + parameters[:, None, 3:5] + 0.5


def pose_parameters(shape: Tensor, points: Tensor, rotation: Tensor, weight: Tensor) -> Tensor:
    """Fit place and scale of a turned 3-D face to points: the label of L_ED.

    Args:
        shape: (N, 3) camera-aligned, centred.
        points: (B, N, 2) in [0, 1].
        rotation: (B, 3, 3) camera-aligned.
        weight: (B, N), 0 for points that do not count.

    Returns:
        (B, 6) as in `models.mnn.MnnOutputs`.
    """
    share = (weight / weight.sum(dim=1, keepdim=True).clamp(min=1.0))[:, :, None]
    turned = (shape @ rotation.transpose(1, 2))[:, :, :2]
    model_mean, mean = (turned * share).sum(dim=1), (points * share).sum(dim=1)
    model, seen = turned - model_mean[:, None], points - mean[:, None]
    over = (model * seen * share).sum(dim=(1, 2))
    scale = (over / (model.square() * share).sum(dim=(1, 2)).clamp(min=1e-9)).clamp(min=1e-3)
    place = mean - scale[:, None] * model_mean - 0.5
    return torch.cat([_angles(mnn_euler_from_matrix, rotation), place, scale.log()[:, None]], dim=1)


def aflw_angles(rotation: Tensor) -> Tensor:
    """Return (B, 3) pitch, yaw, roll in radians, AFLW2000 convention, of (B, 3, 3) labels."""
    return _angles(aflw_from_matrix, rotation)


def _angles(factorise: Callable[[ArrayLike], NDArray[np.float64]], rotation: Tensor) -> Tensor:
    """Read angles off labels by a factorisation of `geometry.rotations`; no gradient passes."""
    angles = factorise(rotation.double().cpu().numpy())
    return torch.as_tensor(angles, dtype=rotation.dtype, device=rotation.device)
