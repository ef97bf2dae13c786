"""`mnn_direct`: the heads of the MNN by regression, for robots without a GPU.

An inverted-residual trunk (Sandler et al., CVPR 2018) whose last map is read by a depthwise
convolution over all of it (Chen et al., MobileFaceNets, 2018); landmarks are regressed from there
(as in Guo et al., PFLD, 2019), without maps. What concerns the eyes and the mouth sees features
that are sampled around them, in their own axes (as in Grishchenko et al., Attention Mesh, 2020).
128 x 128 input, ReLU alone.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from math import exp

import torch
from torch import Tensor, nn
from torch.nn import functional

from headpose_ros.geometry.crop import LANDMARK_BOX_MARGIN
from headpose_ros.geometry.face_shape import aligned_mean_face
from headpose_ros.geometry.landmarks import COUNT
from headpose_ros.models.mnn_lite import conv_norm, head, stage
from headpose_ros.models.outputs import (
    NetworkOutputs,
    mean_rotation,
    product,
    rotation_from_6d,
)

#: Logarithms of what is usual, so that the heads begin near the truth: errors over the crop's side,
#: angles in radians.
_USUAL_LOG_POINT_ERROR, _USUAL_LOG_ANGLE = -4.0, -2.5
#: The mean angle of a rotation vector with a covariance of trace 1 that is alike along all axes.
_ANGLE_OF_TRACE = 0.921
#: Corners of the patches: right eye, left eye, mouth, from the outer or right corner.
_CORNERS = ((36, 39), (42, 45), (48, 54))
#: Width of a patch over the distance of its corners, its height over its width, its samples.
_WIDER, _HIGHER, _COLUMNS, _ROWS = 1.5, 0.7, 7, 5
_LOCAL = 64
#: First and last corner of both eyes.
_OUTER, _INNER = ([pair[end] for pair in _CORNERS[:2]] for end in (0, 1))


_head = partial(head, activation=nn.ReLU)
_stage = partial(stage, activation=nn.ReLU)


class MnnDirect(nn.Module):
    """The `mnn_direct` network, for the 68 landmarks of iBUG.

    Args:
        input_size: Side S of the crops, a multiple of 2 to the number of stages plus one.
        stem: Channels at half the resolution.
        widths: Channels of the stages at a quarter, an eighth, ... of the resolution.
        depths: Their blocks.
        expansions: Hidden channels of their blocks over the channels.
        deep: Channels that describe the whole crop.
    """

    def __init__(
        self,
        input_size: int = 128,
        stem: int = 24,
        widths: tuple[int, ...] = (32, 64, 128, 160),
        depths: tuple[int, ...] = (2, 4, 6, 2),
        expansions: tuple[int, ...] = (2, 2, 3, 4),
        deep: int = 256,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_norm(3, stem, 3, 2), nn.ReLU())
        steps = zip(pairwise((stem, *widths)), depths, expansions, strict=True)
        self.stages = nn.ModuleList(
            _stage(before, after, depth, expansion) for (before, after), depth, expansion in steps
        )
        side = input_size // 2 ** (1 + len(widths))
        self.whole = nn.Sequential(
            conv_norm(widths[-1], deep, 1),
            nn.ReLU(),
            conv_norm(deep, deep, side, groups=deep, pad=0),
        )
        seen = deep + widths[-2]
        self.points = nn.Linear(seen, 2 * COUNT)
        self.visibility = nn.Linear(seen, COUNT)
        self.pose = _head(seen + 2 * COUNT, 128, 6)
        self.pose_of_points = _head(2 * COUNT, 128, 128, 6)
        self.trust = _head(seen, 128, COUNT + 6)
        self.face = _head(seen, 32, 1)
        self.register_buffer('grids', _grids(), persistent=False)
        self.grids: Tensor
        patch = widths[0] * _COLUMNS * _ROWS
        self.local = nn.ModuleList(nn.Linear(patch, _LOCAL) for _ in _CORNERS)
        self.eye = nn.ModuleList(_head(_LOCAL + seen, 64, 8) for _ in _CORNERS[:2])
        self.mouth = _head(_LOCAL + seen, 32, 1)
        self._begin_with_the_mean_face()

    def forward(self, crops: Tensor) -> NetworkOutputs:
        """Predict pose, landmarks, visibility, eyes, mouth, and how far each is to be relied on.

        Args:
            crops: (B, 3, S, S) RGB, normalised as the registry states.

        Returns:
            All outputs but maps and depth, N = 68.
        """
        x = self.stem(crops)
        maps = []
        for step in self.stages:
            x = step(x)
            maps.append(x)
        pooled = torch.cat([self.whole(x).flatten(1), maps[-2].mean(dim=(2, 3))], dim=1)
        points = self.points(pooled).float().unflatten(1, (COUNT, 2))
        centred = (points.to(pooled.dtype) - 0.5).flatten(1) * 4.0
        seen = rotation_from_6d(self.pose(torch.cat([pooled, centred], dim=1)).float())
        # They judge the other heads, which must not learn to make themselves easy to judge.
        trust = self.trust(pooled.detach()).float()
        covariance = covariance_of(trust[:, COUNT:])
        return NetworkOutputs(
            rotation=mean_rotation(seen, self.rotation_of_points(points)),
            points=points,
            log_maps=None,
            visibility=self.visibility(pooled),
            point_error=(trust[:, :COUNT] + _USUAL_LOG_POINT_ERROR).exp(),
            rotation_error=_ANGLE_OF_TRACE * covariance.diagonal(dim1=1, dim2=2).sum(1).sqrt(),
            rotation_covariance=covariance,
            face=self.face(pooled).float()[:, 0],
            **self._features(maps[0], points.detach(), pooled),
        )

    def rotation_of_points(self, points: Tensor) -> Tensor:
        """Return (B, 3, 3) camera-aligned rotations of (B, 68, 2) landmarks, of any place and size.

        Ruiz et al. (CVPRW 2018) have how good a pose from landmarks alone is.
        """
        centred = points - points.mean(dim=1, keepdim=True)
        shape = functional.normalize(centred.flatten(1), dim=1) * 5.0
        return rotation_from_6d(self.pose_of_points(shape.to(self.points.weight.dtype)).float())

    def _features(self, fine: Tensor, points: Tensor, pooled: Tensor) -> dict[str, Tensor]:
        """Return gaze, irises and openness, from samples around eyes and mouth."""
        patches = self._patches(fine, points).unbind(1)
        right, left, mouth = (
            torch.cat([functional.relu(layer(patch)), pooled], dim=1)
            for layer, patch in zip(self.local, patches, strict=True)
        )
        eyes = torch.stack(
            [head(eye) for head, eye in zip(self.eye, (right, left), strict=True)], dim=1
        ).float()
        # Faces look at the camera unless something says otherwise.
        ahead = eyes.new_tensor([0.0, 0.0, -1.0])
        first, last = points[:, _OUTER], points[:, _INNER]
        return {
            'gaze': functional.normalize(eyes[..., :3] + ahead, dim=2),
            'gaze_error': (eyes[..., 3] + _USUAL_LOG_ANGLE).exp(),
            'iris': (first + last) / 2 + in_axes(last - first, eyes[..., 4:6]),
            'eye_seen': eyes[..., 6],
            'openness': torch.cat([eyes[..., 7], self.mouth(mouth).float()], dim=1).sigmoid(),
        }

    def _patches(self, fine: Tensor, points: Tensor) -> Tensor:
        """Return (B, P, C * samples) of features (B, C, h, w) around eyes and mouth."""
        flat = points.flatten(1).to(fine.dtype) @ self.grids.to(fine.dtype) - 1.0
        grid = flat.unflatten(1, (len(_CORNERS), _ROWS * _COLUMNS, 2))
        taken = functional.grid_sample(fine, grid, padding_mode='border', align_corners=False)
        return taken.transpose(1, 2).flatten(2)

    def _begin_with_the_mean_face(self) -> None:
        face = torch.from_numpy(aligned_mean_face()[:, :2]).float()
        low, high = face.amin(dim=0), face.amax(dim=0)
        placed = (face - (low + high) / 2) / (high - low).max() / LANDMARK_BOX_MARGIN + 0.5
        nn.init.normal_(self.points.weight, std=1e-3)
        with torch.no_grad():
            self.points.bias.copy_(placed.flatten())


def in_axes(across: Tensor, offsets: Tensor) -> Tensor:
    """Return (..., 2) offsets that are given along and below a direction, in units of its length.

    Args:
        across: (..., 2) the direction.
        offsets: (..., 2) along it, and a quarter turn clockwise from it.
    """
    below = torch.stack([-across[..., 1], across[..., 0]], dim=-1)
    return offsets[..., :1] * across + offsets[..., 1:] * below


def _grids() -> Tensor:
    """Return (2 N, 2 P samples): from all landmarks to where each patch is sampled.

    A place in the axes of two corners is linear in them, so one product gives them all, in the
    coordinates of grid_sample, which span two sides of the crop.
    """
    columns, rows = torch.linspace(-0.5, 0.5, _COLUMNS), torch.linspace(-0.5, 0.5, _ROWS) * _HIGHER
    places = _WIDER * torch.cartesian_prod(rows, columns).flip(1)
    points = torch.eye(2 * COUNT).unflatten(1, (COUNT, 2))
    parts = []
    for first, last in _CORNERS:
        middle, across = (
            (points[:, first] + points[:, last]) / 2,
            points[:, last] - points[:, first],
        )
        parts.append(middle[:, None] + in_axes(across[:, None].expand(-1, len(places), 2), places))
    return 2.0 * torch.stack(parts, dim=1).flatten(1)


def covariance_of(raw: Tensor) -> Tensor:
    """Return (B, 3, 3) covariances from (B, 6) numbers: a triangular factor times its transpose.

    Args:
        raw: Logarithms of the factor's diagonal over what is usual, then what is below it over
            the same.
    """
    usual = exp(_USUAL_LOG_ANGLE)
    diagonal = raw[:, :3].clamp(-6.0, 6.0).exp() * usual
    below = raw[:, 3:] * usual
    zero = torch.zeros_like(raw[:, 0])
    a, b, c = diagonal.unbind(1)
    p, q, r = below.unbind(1)
    factor = torch.stack([a, zero, zero, p, b, zero, q, r, c], dim=1).unflatten(1, (3, 3))
    return product(factor, factor.transpose(1, 2))
