"""Jitter penalty: what a network says must not change with noise, or with a step of its window."""

from __future__ import annotations

import torch
from headpose_ros.models.outputs import NetworkOutputs
from torch import Tensor
from torch.nn import functional

from headpose_training.systems import losses

#: A camera's noise from one frame to the next, grey levels: standard deviations of crops.
_NOISE = (1.0, 12.0)
#: Farthest that a tracker's window moves between frames of a still face, px of the crop.
_STEP = 1.5


def next_frames(images: Tensor, grey_level: Tensor) -> tuple[Tensor, Tensor]:
    """Return crops as the next frame might show them: moved by parts of a pixel, with fresh noise.

    Args:
        images: (B, 3, S, S) crops as the network takes them; B may be 0.
        grey_level: What one grey level of 255 is in them, broadcast against them.

    Returns:
        The crops (B, 3, S, S), and how far the faces moved in them, (B, 2) over their side.
    """
    if not len(images):
        return images, images.new_zeros(0, 2)
    moved = (2 * torch.rand_like(images[:, :2, 0, 0]) - 1) * _STEP / images.shape[-1]
    turn = torch.eye(2).to(images).expand(len(images), 2, 2)
    # grid_sample's coordinates span two crop sides, and say where to take from.
    grid = functional.affine_grid(
        torch.cat([turn, -2 * moved[:, :, None]], dim=2), list(images.shape), align_corners=False
    )
    taken = functional.grid_sample(images, grid, padding_mode='border', align_corners=False)
    low, high = _NOISE
    level = low + (high - low) * torch.rand_like(images[:, :1, :1, :1])
    return taken + torch.randn_like(taken) * level * grey_level, moved


def unsteadiness(
    now: NetworkOutputs, later: NetworkOutputs, moved: Tensor
) -> tuple[Tensor, Tensor]:
    """Return what changed between a frame and the next one of the same faces.

    Args:
        now: Of B crops, with points and rotation.
        later: Of the crops that `next_frames` made of them.
        moved: (B, 2) how far the faces moved, over the crop's side.

    Returns:
        () mean absolute step of the points beyond that of the face, over the crop's side; () mean
        angle between the rotations, radians.
    """
    if now.points is None or later.points is None or now.rotation is None or later.rotation is None:
        raise ValueError('steadiness needs a network with landmarks and rotation')
    steps = later.points - now.points - moved[:, None]
    return steps.abs().mean(), losses.geodesic(later.rotation, now.rotation)
