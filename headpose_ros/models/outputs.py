"""What every network gives, and how raw outputs become rotations and points."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_PEAK_TO_LOGIT = 10.0
#: A landmark within this share of the crop of the truth is near it.
_NEAR = 1 / 16


class NetworkOutputs(NamedTuple):
    """Outputs of one forward pass over B crops with N landmarks.

    Attributes:
        rotation: (B, 3, 3) camera-aligned rotation of the head in the crop (see
            `geometry.rotations`), or None for a network without a pose head.
        points: (B, N, 2) landmarks in the crop, x and y in [0, 1]: pixel p of a crop of S pixels
            lies at (p + 0.5) / S. None for a network without landmarks.
        log_maps: (B, N, h, w) log-probability of each landmark over the map's cells, or None.
        visibility: (B, N) logit of each landmark being seen, or None.
        depth: (B, N) depth of the landmarks over the crop's side, larger is farther, zero at their
            mean; or None.
        point_error: (B, N) expected distance of each landmark from the truth, over the crop's side;
            or None.
        rotation_error: (B,) expected angle between the rotation and the true one, radians; or None.
        openness: (B, 3) of the person's right eye, left eye and mouth, as in
            `perception.faces.Face`; or None.
        rotation_covariance: (B, 3, 3) of the rotation vector that turns the rotation into the true
            one, in camera-aligned axes, radians squared; or None.
        gaze: (B, 2, 3) unit directions of sight of the person's right and left eye in
            camera-aligned axes, as a camera pointed straight at the face sees them; or None.
        gaze_error: (B, 2) expected angle between those and the true ones, radians; or None.
        iris: (B, 2, 2) centres of the irises in the crop, like `points`; or None.
        eye_seen: (B, 2) logit of the centre of each iris being seen, or None.
        face: (B,) logit of the crop showing a whole face that can be recognised, or None.
    """

    rotation: Tensor | None
    points: Tensor | None
    log_maps: Tensor | None
    visibility: Tensor | None
    depth: Tensor | None = None
    point_error: Tensor | None = None
    rotation_error: Tensor | None = None
    openness: Tensor | None = None
    face: Tensor | None = None
    rotation_covariance: Tensor | None = None
    gaze: Tensor | None = None
    gaze_error: Tensor | None = None
    iris: Tensor | None = None
    eye_seen: Tensor | None = None


def rotation_from_6d(raw: Tensor) -> Tensor:
    """Orthonormalise two 3-vectors into rotations (Zhou et al., CVPR 2019, section 4.2).

    Args:
        raw: (B, 6) first two columns, any scale.

    Returns:
        (B, 3, 3) rotations.
    """
    first = torch.nn.functional.normalize(raw[:, :3], dim=1)
    rest = raw[:, 3:] - (first * raw[:, 3:]).sum(dim=1, keepdim=True) * first
    second = torch.nn.functional.normalize(rest, dim=1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=2)


def product(left: Tensor, right: Tensor) -> Tensor:
    """Return the matrix product of (B, M, K) and (B, K, N), in their own precision.

    Under autocast `@` computes in half precision: too coarse for rotations and covariances.
    """
    return (left[..., :, :, None] * right[..., None, :, :]).sum(dim=-2)


def mean_rotation(one: Tensor, other: Tensor) -> Tensor:
    """Return (B, 3, 3) rotations about midway between two (B, 3, 3) rotations.

    Of their first two columns, so not exactly midway where they are far apart.
    """
    return rotation_from_6d((one + other)[:, :, :2].transpose(1, 2).flatten(1))


def rotation_from_mnn_euler(angles: Tensor) -> Tensor:
    """Turn (B, 3) pitch, yaw, roll in radians into rotations `Ry(-yaw) Rx(-pitch) Rz(roll)`.

    The differentiable twin of `geometry.rotations.matrix_from_mnn_euler`.
    """
    (cp, cy, cr), (sp, sy, sr) = angles.cos().unbind(1), angles.sin().unbind(1)
    rows = [
        torch.stack([cy * cr + sy * sp * sr, -cy * sr + sy * sp * cr, -sy * cp], dim=1),
        torch.stack([cp * sr, cp * cr, sp], dim=1),
        torch.stack([sy * cr - cy * sp * sr, -sy * sr - cy * sp * cr, cy * cp], dim=1),
    ]
    return torch.stack(rows, dim=1)


def rotation_from_aflw_euler(angles: Tensor) -> Tensor:
    """Turn (B, 3) pitch, yaw, roll in radians into rotations `Rx(-pitch) Ry(yaw) Rz(roll)`.

    The differentiable twin of `geometry.rotations.matrix_from_aflw`.
    """
    (cp, cy, cr), (sp, sy, sr) = angles.cos().unbind(1), angles.sin().unbind(1)
    rows = [
        torch.stack([cy * cr, -cy * sr, sy], dim=1),
        torch.stack([cp * sr - sp * sy * cr, cp * cr + sp * sy * sr, sp * cy], dim=1),
        torch.stack([-sp * sr - cp * sy * cr, -sp * cr + cp * sy * sr, cp * cy], dim=1),
    ]
    return torch.stack(rows, dim=1)


def cell_centers(count: int, like: Tensor) -> Tensor:
    """Return the (count,) centres in [0, 1] of equal cells, on `like`'s device and dtype."""
    return (torch.arange(count, device=like.device, dtype=like.dtype) + 0.5) / count


def gaussians(points: Tensor, size: int, sigma: float) -> Tensor:
    """Draw Gaussians of peak 1.

    Args:
        points: (B, N, 2) in [0, 1].
        size: Side S of the maps.
        sigma: In sides of the map.

    Returns:
        (B, N, S, S).
    """
    cells = cell_centers(size, points)
    x, y = (((cells - p) / sigma).square() / -2 for p in (points[:, :, :1], points[:, :, 1:]))
    return x.exp()[:, :, None, :] * y.exp()[:, :, :, None]


def log_distribution(logits: Tensor) -> Tensor:
    """Return (B, N, h, w) log-probabilities over each map's cells, from logits of that shape."""
    return logits.flatten(2).log_softmax(2).view_as(logits)


def visibility_of_peaks(maps: Tensor) -> Tensor:
    """Return (B, N) logits of being seen, from (B, N, h, w) maps trained to Gaussians of peak 1.

    Hidden points are trained to all-zero maps: half a peak is an even chance.
    """
    return (maps.amax(dim=(2, 3)) - 0.5) * _PEAK_TO_LOGIT


def expected_points(log_maps: Tensor) -> Tensor:
    """Read landmarks off maps as expectations (integral regression, Sun et al., ECCV 2018).

    Args:
        log_maps: (B, N, h, w) log-probabilities, each map summing to one in probability.

    Returns:
        (B, N, 2) x and y in [0, 1].
    """
    maps = log_maps.exp()
    x = (maps.sum(dim=2) * cell_centers(maps.shape[3], maps)).sum(dim=2)
    y = (maps.sum(dim=3) * cell_centers(maps.shape[2], maps)).sum(dim=2)
    return torch.stack([x, y], dim=2)


def chance_near(point_error: Tensor, radius: float = _NEAR) -> Tensor:
    """Return (B, N): the probability that landmarks lie within `radius` of the truth, in [0, 1].

    Args:
        point_error: (B, N) expected distances, trained as means of exponential distributions.
        radius: Over the crop's side, as in :func:`mass_near`.
    """
    return 1.0 - torch.exp(-radius / point_error)  # ONNX has no expm1


def mass_near(log_maps: Tensor, points: Tensor, radius: float = _NEAR) -> Tensor:
    """Return (B, N): the probability within `radius` of each point, along both axes.

    A sharp map puts nearly all its mass there, a torn or flat one little: the landmark's
    confidence, in [0, 1]. The radius is a share of the map, so that it means the same for maps
    of any size. Cells at the edge count by the share of them that is within: else a point's last
    digit, which no two backends have alike, would tell whether a whole column counts.
    """
    maps = log_maps.exp()
    x, y = (
        _shares_near(points[:, :, axis, None], maps.shape[3 - axis], radius).to(maps.dtype)
        for axis in (0, 1)
    )
    # Sums over weighted rows and columns as products: no mask as large as the maps.
    return (y[:, :, None, :] @ maps @ x[:, :, :, None])[:, :, 0, 0]


def map_deviation(log_maps: Tensor) -> Tensor:
    """Return (B, N): the standard deviation of each map's distribution, over the map's side.

    Args:
        log_maps: (B, N, h, w) log-probabilities.
    """
    maps = log_maps.exp()
    variances = []
    for marginal in (maps.sum(dim=2), maps.sum(dim=3)):
        cells = cell_centers(marginal.shape[2], maps)
        mean = (marginal * cells).sum(dim=2, keepdim=True)
        variances.append((marginal * (cells - mean).square()).sum(dim=2))
    return (variances[0] + variances[1]).clamp(min=1e-8).sqrt()


def near(points: Tensor, maps: Tensor, radius: float) -> Tensor:
    """Return which cells of maps lie near points, along both axes.

    Args:
        points: (B, N, 2) in [0, 1].
        maps: (B, N, h, w); only its shape, device and type count.
        radius: In sides of the map.

    Returns:
        (B, N, h, w) bool.
    """
    height, width = maps.shape[2:]
    x = (points[:, :, :1] - cell_centers(width, maps)).abs() <= radius
    y = (points[:, :, 1:] - cell_centers(height, maps)).abs() <= radius
    return y[:, :, :, None] & x[:, :, None, :]


def _shares_near(place: Tensor, count: int, radius: float) -> Tensor:
    """Return (B, N, count) the share of each of `count` cells within a radius of (B, N, 1)."""
    away = (place - cell_centers(count, place)).abs()
    return ((radius - away) * count + 0.5).clamp(0.0, 1.0)
