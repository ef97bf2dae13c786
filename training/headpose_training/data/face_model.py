"""The head of ICT-FaceKit: landmark positions, outward normals, identity and expression modes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from headpose_ros.geometry.face_shape import mean_face
from headpose_ros.geometry.rotations import FRONTAL
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from headpose_training.data.marks import marked
from headpose_training.errors import TrainingError

Array = NDArray[np.float64]

#: Axes of the npz (x to the person's left, y up, z out) seen by the camera of a frontal face:
#: a half turn about x.
ALIGNED_FROM_ICT = np.diag([1.0, -1.0, -1.0])
#: Enough of the 100 identity modes: each of the rest moves landmarks by less than half a mm.
_IDENTITY_MODES = 40
#: How far annotators and model are apart, over the face's height.
_LANDMARK_NOISE = 0.02


@dataclass(frozen=True)
class FaceModel:
    """Landmarks of a head in camera-aligned axes (x right, y down, z into the scene).

    Attributes:
        points: (68, 3) metres, of the neutral head.
        normals: (68, 3) unit, outward.
        modes: (M, 68, 3) metres: identity modes of one standard deviation, and expressions.
    """

    points: Array
    normals: Array
    modes: Array

    @classmethod
    def load(cls, path: Path | str) -> FaceModel:
        """Read `ict_facekit.npz`.

        Raises:
            TrainingError: The file is missing or is another kind of npz.
        """
        try:
            with np.load(path, allow_pickle=False) as data:
                vertices = data['neutral'].astype(np.float64) / 100.0
                quads, indices = data['quads'], data['lmk68']
                parts = [
                    data['identity'][:_IDENTITY_MODES, indices],
                    data['expression'][:, indices],
                ]
        except (OSError, KeyError, ValueError, IndexError) as error:
            raise TrainingError(
                f'{path} is not the ICT-FaceKit npz (neutral, quads, lmk68, identity, '
                f'expression): {error}'
            ) from error
        modes = np.concatenate(parts).astype(np.float64) / 100.0
        normals = _vertex_normals(vertices, quads)
        arrays = (vertices[indices], normals[indices], modes)
        return cls(*(array @ ALIGNED_FROM_ICT for array in arrays))

    def turned(self, rotation: Array) -> FaceModel:
        """Return the model in axes turned by a constant rotation."""
        return FaceModel(*(a @ rotation.T for a in (self.points, self.normals, self.modes)))

    def with_our_zero_pose(self) -> FaceModel:
        """Return the model turned so that its zero pose is that of `geometry.mean_face`."""
        ours, own = mean_face(), marked(self.points @ FRONTAL)
        turn, _ = Rotation.align_vectors(ours - ours.mean(axis=0), own - own.mean(axis=0))
        return self.turned(FRONTAL @ turn.as_matrix() @ FRONTAL.T)

    def visible(self, rotation: Array) -> NDArray[np.bool_]:
        """Return (68,): which landmarks face the camera under a camera-aligned rotation.

        A point counts as seen up to 8° past the limb, since the jaw line is annotated on it.
        """
        toward_camera = -(self.normals @ rotation.T)[:, 2]
        return toward_camera > -np.sin(np.radians(8.0))

    def depth_of(self, landmarks: Array, rotation: Array) -> Array:
        """Fit the model to a face of known rotation and return the depth of its landmarks.

        Ridge regression of identity and expression in a scaled-orthographic camera; the prior is
        the unit variance of the modes.

        Args:
            landmarks: (68, 2) px.
            rotation: (3, 3) camera-aligned.

        Returns:
            (68,) px, larger is farther, zero at their mean.
        """
        basis = np.concatenate([self.points[None], self.modes]) @ rotation.T
        basis -= basis.mean(axis=1, keepdims=True)
        target = (landmarks - landmarks.mean(axis=0)).ravel()
        columns = basis[:, :, :2].reshape(len(basis), -1).T
        scale = columns[:, 0] @ target / (columns[:, 0] @ columns[:, 0])
        # Modes are in units of scale times a standard deviation of one.
        noise = _LANDMARK_NOISE * np.ptp(landmarks[:, 1])
        prior = np.diag([0.0, *np.full(len(self.modes), noise / scale)]) ** 2
        weights = np.linalg.solve(columns.T @ columns + prior, columns.T @ target)
        return np.einsum('m,mn->n', weights, basis[:, :, 2])


def _vertex_normals(vertices: Array, quads: NDArray[np.int32]) -> Array:
    corners = vertices[quads]
    faces = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    normals = np.zeros_like(vertices)
    for corner in range(4):
        np.add.at(normals, quads[:, corner], faces)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def weak_perspective_rotation(points3d: Array, points2d: Array) -> Array:
    """Fit the rotation of a scaled-orthographic camera to (N, 3) and (N, 2) points.

    Least squares for the two rows of the camera, then the nearest rotation.
    """
    centred3d = points3d - points3d.mean(axis=0)
    centred2d = points2d - points2d.mean(axis=0)
    rows = np.linalg.lstsq(centred3d, centred2d, rcond=None)[0].T
    matrix = np.vstack([rows, np.cross(rows[0], rows[1]) / np.linalg.norm(rows[0])])
    left, _, right = np.linalg.svd(matrix)
    nearest = left @ np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))]) @ right
    return Rotation.from_matrix(nearest).as_matrix()
