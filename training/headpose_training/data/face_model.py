"""The neutral head of ICT-FaceKit: landmark positions and outward normals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from headpose_training.errors import TrainingError

#: Axes of the npz (x to the person's left, y up, z out) seen by the camera of a frontal face:
#: a half turn about x.
ALIGNED_FROM_ICT = np.diag([1.0, -1.0, -1.0])


@dataclass(frozen=True)
class FaceModel:
    """Landmarks of a neutral head in camera-aligned axes (x right, y down, z into the scene).

    Attributes:
        points: (68, 3) metres.
        normals: (68, 3) unit, outward.
    """

    points: NDArray[np.float64]
    normals: NDArray[np.float64]

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
        except (OSError, KeyError, ValueError) as error:
            raise TrainingError(
                f'{path} is not the ICT-FaceKit npz (neutral, quads, lmk68): {error}'
            ) from error
        normals = _vertex_normals(vertices, quads)
        return cls(vertices[indices] @ ALIGNED_FROM_ICT, normals[indices] @ ALIGNED_FROM_ICT)

    def turned(self, rotation: NDArray[np.float64]) -> FaceModel:
        """Return the model in axes turned by a constant rotation."""
        return FaceModel(self.points @ rotation.T, self.normals @ rotation.T)

    def visible(self, rotation: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return (68,): which landmarks face the camera under a camera-aligned rotation.

        A point counts as seen up to 8° past the limb, since the jaw line is annotated on it.
        """
        toward_camera = -(self.normals @ rotation.T)[:, 2]
        return toward_camera > -np.sin(np.radians(8.0))


def _vertex_normals(vertices: NDArray[np.float64], quads: NDArray[np.int32]) -> NDArray[np.float64]:
    corners = vertices[quads]
    faces = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    normals = np.zeros_like(vertices)
    for corner in range(4):
        np.add.at(normals, quads[:, corner], faces)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def weak_perspective_rotation(
    points3d: NDArray[np.float64], points2d: NDArray[np.float64]
) -> NDArray[np.float64]:
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
