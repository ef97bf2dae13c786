"""Training of `mnn_lite`: landmarks, pose, visibility; then trust, openness and jitter."""

from __future__ import annotations

from typing import Any

import torch
from headpose_ros.models.outputs import NetworkOutputs
from torch import Tensor
from torch.nn import functional

from headpose_training.data.module import Batch
from headpose_training.systems import losses
from headpose_training.systems.base import Optimization, System
from headpose_training.systems.steadiness import next_frames, unsteadiness

#: Landmarks alone cost next to nothing: each face's are seen so often in a batch.
_COPIES = 8
#: Standard deviation of their turns, radians, and the largest of their noise, sides of the crop.
_TURN, _NOISE = 0.4, 0.015
#: Share of a batch that is seen a second time, as the next frame might show it.
_SEEN_AGAIN = 0.25


class MnnLiteSystem(System):
    """Our small student.

    Args:
        pose_weight: Of the geodesic loss (radians) against the wing loss (px of the crop).
            The pose that is said of landmarks alone has the same loss, once more, with the true
            ones, turned and with little noise.
        points_epochs: So many epochs at the start train nothing but the pose of landmarks alone.
        map_weight: Of the map cross-entropy.
        visibility_weight: Of the visibility's binary cross-entropy.
        openness_weight: Of the openness of eyes and mouth.
        error_weight: Of the expected errors of points and rotation.
        face_weight: Of the binary cross-entropy of there being a face.
        steady_weight: Of what changes between two frames of the same face, points (px of the crop)
            and rotation; 0 leaves that out.
        optimization: Optimizer and learning rate.
    """

    model = 'mnn_lite'
    needs = frozenset({'landmarks', 'rotation'})

    def __init__(
        self,
        pose_weight: float = 10.0,
        points_epochs: int = 0,
        map_weight: float = 0.3,
        visibility_weight: float = 1.0,
        openness_weight: float = 5.0,
        error_weight: float = 1.0,
        face_weight: float = 2.0,
        steady_weight: float = 0.0,
        optimization: Optimization = Optimization('adamw', 3e-3, 0.01),  # noqa: B008 - frozen
    ) -> None:
        super().__init__({}, 0, 0.0, optimization, {'points': points_epochs})
        self.pose_weight = pose_weight
        self.map_weight = map_weight
        self.visibility_weight = visibility_weight
        self.openness_weight = openness_weight
        self.error_weight = error_weight
        self.face_weight = face_weight
        self.steady_weight = steady_weight

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted parts of the loss."""
        # The labels of a crop that shows no face are void.
        shown = batch['face'] > 0.5
        faces = {name: label[shown] for name, label in batch.items()}
        if self.phase == 'points':
            return self._of_points(faces)
        images = batch['image']
        # As many in every batch: a compiled network is compiled anew for every other number.
        count = self._seen_again(len(images))
        grey_level = 1 / self.spec.normalization.in_grey_levels[1].to(images)
        frames, moved = next_frames(images[:count], grey_level)
        out = self.run(torch.cat([images, frames]))
        first, later = _chosen(out, slice(0, len(images))), _chosen(out, slice(len(images), None))
        logits: Any = first.face
        face = functional.binary_cross_entropy_with_logits(logits, batch['face'])
        return {
            **self._losses_of_faces(_chosen(first, shown), faces),
            **self._of_points(faces),
            **self._unsteady(_chosen(first, slice(0, count)), later, moved, shown[:count]),
            'face': face * self.face_weight,
        }

    def _seen_again(self, count: int) -> int:
        return round(count * _SEEN_AGAIN) if self.steady_weight else 0

    def _of_points(self, faces: Batch) -> dict[str, Tensor]:
        """Return the weighted loss of the pose that is said of landmarks alone."""
        points, rotation = turned_points(
            faces['points'].repeat(_COPIES, 1, 1), faces['rotation'].repeat(_COPIES, 1, 1)
        )
        network: Any = self.network
        loss = losses.geodesic(network.rotation_of_points(points), rotation)
        return {'points': loss * self.pose_weight}

    def _unsteady(
        self, now: NetworkOutputs, later: NetworkOutputs, moved: Tensor, shown: Tensor
    ) -> dict[str, Tensor]:
        """Return the weighted loss of what jitters, where a face is shown."""
        if not shown.any():
            return {}
        steps, turns = unsteadiness(_chosen(now, shown), _chosen(later, shown), moved[shown])
        loss = steps * self.spec.input_size + turns * self.pose_weight
        return {'steady': loss * self.steady_weight}

    def _losses_of_faces(self, out: Any, batch: Batch) -> dict[str, Tensor]:
        size, points, weight = self.spec.input_size, batch['points'], batch['weight']
        inside = ((points > 0) & (points < 1)).all(dim=2).float() * weight
        visible = functional.binary_cross_entropy_with_logits(out.visibility, batch['visible'])
        distances = (out.points - points).norm(dim=2)
        angles = losses.angles(out.rotation, batch['rotation'])
        errors = losses.expected_error(out.point_error, distances, weight)
        parts = {
            'wing': losses.wing(out.points * size, points * size, 5.0, 1.0, weight),
            'pose': angles.mean() * self.pose_weight,
            'visibility': visible * self.visibility_weight,
            'openness': losses.where_known(out.openness, batch['openness']) * self.openness_weight,
            'errors': errors * self.error_weight,
        }
        if out.log_maps is not None:
            maps = losses.map_cross_entropy(out.log_maps, points, inside)
            parts['maps'] = maps * self.map_weight
        return parts | self._losses_of_trust(out, batch, angles)

    def _losses_of_trust(self, out: Any, batch: Batch, angles: Tensor) -> dict[str, Tensor]:
        """Return the weighted loss of how far the rotation is to be relied on."""
        error = losses.expected_error(out.rotation_error, angles)
        return {'rotation_error': error * self.error_weight}


def turned_points(points: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor]:
    """Return landmarks (B, N, 2) turned in the picture, with noise, and (B, 3, 3) rotations.

    Args:
        points: (B, N, 2) in [0, 1] of the crop.
        rotation: (B, 3, 3) camera-aligned rotations of the heads.
    """
    angle = torch.randn_like(points[:, 0, 0]) * _TURN
    cos, sin = angle.cos(), angle.sin()
    turn = torch.eye(3).to(points).repeat(len(points), 1, 1)
    turn[:, 0, 0], turn[:, 0, 1], turn[:, 1, 0], turn[:, 1, 1] = cos, -sin, sin, cos
    noise = torch.randn_like(points) * torch.rand_like(points[:, :1, :1]) * _NOISE
    return (points - 0.5) @ turn[:, :2, :2].transpose(1, 2) + 0.5 + noise, turn @ rotation


def _chosen(out: NetworkOutputs, rows: Tensor | slice) -> NetworkOutputs:
    """Return the outputs of some of the crops."""
    return NetworkOutputs(*(None if part is None else part[rows] for part in out))
