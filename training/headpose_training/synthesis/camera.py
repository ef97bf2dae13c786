"""The virtual camera: a frame of some field of view, and the square part of it that is rendered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from headpose_ros.geometry.landmarks import bounding_box
from headpose_ros.geometry.rotations import toward
from numpy.random import Generator
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: A head is drawn no nearer to the lens than this, metres: the nose would meet the camera.
_NEAREST = 0.28
#: Near and far planes, metres.
_NEAR, _FAR = 0.05, 30.0
#: Diameter of the head with hair, metres.
_HEAD = 0.26


@dataclass(frozen=True)
class CameraConfig:
    """Ranges of the camera.

    Attributes:
        size: Side of the rendered picture, px.
        fov_deg: Horizontal field of view of the whole frame, degrees: least and most.
        head_share: Width of the head over the width of the frame: least and most.
        off_center: How far from the frame's centre heads may be; 1 reaches the border.
        margin: Side of the picture over the larger side of the landmarks' box: least and most.
        shift: Largest shift of the face in the picture over its side.
    """

    size: int = 256
    fov_deg: tuple[float, float] = (12.0, 100.0)
    head_share: tuple[float, float] = (0.08, 0.6)
    off_center: float = 1.0
    margin: tuple[float, float] = (1.6, 2.2)
    shift: float = 0.06


@dataclass(frozen=True)
class Camera:
    """A pinhole camera whose picture is a square part of a larger frame.

    Attributes:
        K: float64 (3, 3) intrinsics of the picture in px, pixel centres at integers. The principal
            point may lie far outside the picture.
        size: Side of the picture, px.
        rotation: float64 (3, 3) R_optical_face of the REP-155 face frame.
        translation: float64 (3,) metres, the face frame's origin in the optical frame.
    """

    K: Array
    size: int
    rotation: Array
    translation: Array

    def to_optical(self, points: Array) -> Array:
        """Turn (N, 3) metres in the face frame into the optical frame."""
        return np.asarray(points, np.float64) @ self.rotation.T + self.translation

    def project(self, points: Array) -> Array:
        """Project (N, 3) metres in the face frame to (N, 2) px."""
        homogeneous = self.to_optical(points) @ self.K.T
        return homogeneous[:, :2] / homogeneous[:, 2:]

    def rays(self, pixels: Array) -> Array:
        """Return unit viewing rays (N, 3) in the optical frame through (N, 2) px."""
        flat = (pixels - self.K[:2, 2]) / np.diag(self.K)[:2]
        rays = np.column_stack([flat, np.ones(len(flat))])
        return rays / np.linalg.norm(rays, axis=1, keepdims=True)

    def clip_matrix(self) -> Array:
        """Return (4, 4) from the face frame to OpenGL's clip space.

        Rows of the picture go up in clip space, so that the first row read back is the top one;
        front faces are clockwise then.
        """
        fx, fy, side = self.K[0, 0], self.K[1, 1], self.size
        # The centre of pixel 0 lies half a pixel inside the border.
        cx, cy = self.K[0, 2] + 0.5, self.K[1, 2] + 0.5
        projection = np.array(
            [
                [2 * fx / side, 0.0, 2 * cx / side - 1, 0.0],
                [0.0, 2 * fy / side, 2 * cy / side - 1, 0.0],
                [0.0, 0.0, (_FAR + _NEAR) / (_FAR - _NEAR), -2 * _FAR * _NEAR / (_FAR - _NEAR)],
                [0.0, 0.0, 1.0, 0.0],
            ]
        )
        view = np.eye(4)
        view[:3, :3], view[:3, 3] = self.rotation, self.translation
        return projection @ view


def depth_from_buffer(values: Array) -> Array:
    """Turn values of the depth buffer in 0..1 into metres along the optical axis."""
    ndc = 2.0 * np.asarray(values, np.float64) - 1.0
    return 2 * _FAR * _NEAR / (_FAR + _NEAR - ndc * (_FAR - _NEAR))


def sample_camera(
    rng: Generator, config: CameraConfig, facing: Array, landmarks: Array, center: Array
) -> Camera:
    """Place a head before a random camera and frame its face.

    Args:
        rng: Source of randomness.
        config: Ranges.
        facing: (3, 3) R_optical_face that a camera pointed straight at the head would see.
        landmarks: (68, 3) metres in the face frame.
        center: (3,) metres in the face frame, the middle of the head.
    """
    half = np.tan(np.radians(rng.uniform(*config.fov_deg)) / 2)
    share = np.exp(rng.uniform(*np.log(config.head_share)))
    distance = max(_HEAD / (2 * half * share), _NEAREST)
    # In units of the focal length; frames are 4:3.
    reach = np.maximum(np.array([half, 0.75 * half]) - 0.5 * _HEAD / distance, 0.0)
    place = np.array([*(rng.uniform(-1, 1, 2) * config.off_center * reach), 1.0])
    sight = place / np.linalg.norm(place)
    rotation = toward(sight) @ facing
    # The distance holds along the line of sight; the face frame's origin is the sellion.
    translation = sight * distance - rotation @ center
    margin, shift = rng.uniform(*config.margin), rng.uniform(-config.shift, config.shift, 2)
    unit = Camera(np.eye(3), config.size, rotation, translation)
    return framed(unit, landmarks, margin, shift)


def framed(camera: Camera, landmarks: Array, margin: float, shift: Array) -> Camera:
    """Return the camera whose picture is a square about the face.

    Args:
        camera: Its rotation, translation and size count.
        landmarks: (68, 3) metres in the face frame.
        margin: Side of the picture over the larger side of the landmarks' box.
        shift: (2,) of the face in the picture over its side.
    """
    unit = Camera(np.eye(3), camera.size, camera.rotation, camera.translation)
    box = bounding_box(unit.project(landmarks))
    focal = camera.size / (margin * box[2:].max())
    corner = (box[:2] + box[2:] / 2) * focal - camera.size * (0.5 + np.asarray(shift))
    K = np.array([[focal, 0.0, -corner[0] - 0.5], [0.0, focal, -corner[1] - 0.5], [0.0, 0.0, 1.0]])
    return Camera(K, camera.size, camera.rotation, camera.translation)
