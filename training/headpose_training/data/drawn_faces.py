"""Drawn faces: a miniature of the real data with exact labels, for smoke runs and tests."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
from headpose_ros.geometry.face_shape import aligned_mean_face
from headpose_ros.geometry.landmarks import CLOSED_GROUPS, GROUPS
from headpose_ros.geometry.rotations import matrix_from_aflw
from numpy.typing import NDArray

from headpose_training.data.face_model import ALIGNED_FROM_ICT

Array = NDArray[np.float64]
SIDE = 288
_PX_PER_METRE = 900
_LARGEST_ANGLE = 25.0
_SETS = ('lfpw_train', 'helen_train', 'afw')


def project(rotation: Array) -> Array:
    """Return (68, 2) px of the mean face under a camera-aligned rotation, scaled to half a crop."""
    shape = aligned_mean_face()
    turned = (shape - shape.mean(axis=0)) @ rotation.T
    return turned[:, :2] * _PX_PER_METRE + SIDE / 2


def draw(points: Array) -> NDArray[np.uint8]:
    """Return a drawn face (SIDE, SIDE, 3): enough that a network can find the points."""
    image = np.full((SIDE, SIDE, 3), 90, np.uint8)
    hull = cv2.convexHull(points.astype(np.float32)).round().astype(np.int32)
    cv2.fillConvexPoly(image, hull, (150, 180, 220))
    for name, indices in GROUPS.items():
        line = points[list(indices)].round().astype(np.int32)
        cv2.polylines(image, [line], name in CLOSED_GROUPS, (40, 40, 60), 2)
    return image


def write_real_faces(folder: Path, count: int = 24, seed: int = 1) -> Path:
    """Write a packed `real_faces` folder: two thirds to train, one third to judge.

    Args:
        folder: Where; it is made.
        count: Number of faces.
        seed: Of the poses.

    Returns:
        The folder.
    """
    (folder / 'images').mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    rows, landmarks = [], []
    for index in range(count):
        angles = rng.uniform(-_LARGEST_ANGLE, _LARGEST_ANGLE, 3)
        points = project(matrix_from_aflw(np.radians(angles)))
        name = f'face_{index}.jpg'
        cv2.imwrite(str(folder / 'images' / name), draw(points))
        rows.append([name, _SETS[index % len(_SETS)], *angles.tolist()])
        landmarks.append(points)
    with (folder / 'index.csv').open('w', newline='') as stream:
        writer = csv.writer(stream)
        angle_names = [f'pseudo_{name}_deg' for name in ('pitch', 'yaw', 'roll')]
        writer.writerow(['image', 'set', *angle_names])
        writer.writerows(rows)
    np.save(folder / 'landmarks68.npy', np.array(landmarks, np.float32))
    return folder


def write_head_model(path: Path) -> Path:
    """Write an npz in ICT-FaceKit's layout: a small quad around each landmark, facing outwards.

    Returns:
        The path.
    """
    points = aligned_mean_face() @ ALIGNED_FROM_ICT * 100.0
    outward = points - points.mean(axis=0) + np.array([0.0, 0.0, 3.0])
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    across = np.cross(outward, [0.1, 0.9, 0.3])
    along = np.cross(outward, across)
    corners = [
        points + 0.05 * (a * across + b * along) for a, b in ((1, 0), (0, 1), (-1, 0), (0, -1))
    ]
    vertices = np.concatenate([points, *corners])
    quads = np.arange(68)[:, None] + 68 * np.arange(1, 5)[None]
    rng = np.random.default_rng(1)
    # The landmark itself is no corner: let the quad's first corner stand for it.
    np.savez(
        path,
        neutral=vertices.astype(np.float32),
        quads=quads.astype(np.int32),
        lmk68=np.arange(68, 136).astype(np.int32),
        identity=(0.1 * rng.standard_normal((5, *vertices.shape))).astype(np.float16),
        expression=np.zeros((2, *vertices.shape), np.float16),
    )
    return path
