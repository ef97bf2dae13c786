"""A miniature of the real data: drawn faces with exact landmarks and poses, genuine formats."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from headpose_ros.geometry.face_shape import mean_face
from headpose_ros.geometry.landmarks import CLOSED_GROUPS, GROUPS
from headpose_ros.geometry.rotations import FRONTAL, matrix_from_aflw

SIDE = 288


def project(rotation: np.ndarray) -> np.ndarray:
    """Return (68, 2) px of the mean face under a camera-aligned rotation, scaled to half a crop."""
    turned = (mean_face() - mean_face().mean(axis=0)) @ (rotation @ FRONTAL).T
    return turned[:, :2] * 900 + SIDE / 2


def draw(points: np.ndarray) -> np.ndarray:
    """Return a drawn face (SIDE, SIDE, 3): enough that a network can find the points."""
    image = np.full((SIDE, SIDE, 3), 90, np.uint8)
    hull = cv2.convexHull(points.astype(np.float32)).round().astype(np.int32)
    cv2.fillConvexPoly(image, hull, (150, 180, 220))
    for name, indices in GROUPS.items():
        line = points[list(indices)].round().astype(np.int32)
        cv2.polylines(image, [line], name in CLOSED_GROUPS, (40, 40, 60), 2)
    return image


@pytest.fixture(scope='session')
def real_faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a packed folder of 24 drawn faces: 16 to train, 8 to judge."""
    folder = tmp_path_factory.mktemp('real_faces')
    (folder / 'images').mkdir()
    rng, rows, landmarks = np.random.default_rng(1), [], []
    for index in range(24):
        angles = rng.uniform(-25, 25, 3)
        points = project(matrix_from_aflw(np.radians(angles)))
        name = f'face_{index}.jpg'
        cv2.imwrite(str(folder / 'images' / name), draw(points))
        rows.append([name, ('lfpw_train', 'helen_train', 'afw')[index % 3], *angles.tolist()])
        landmarks.append(points)
    with (folder / 'index.csv').open('w', newline='') as stream:
        writer = csv.writer(stream)
        angle_names = [f'pseudo_{name}_deg' for name in ('pitch', 'yaw', 'roll')]
        writer.writerow(['image', 'set', *angle_names])
        writer.writerows(rows)
    np.save(folder / 'landmarks68.npy', np.array(landmarks, np.float32))
    return folder


@pytest.fixture(scope='session')
def head_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write an npz in ICT-FaceKit's layout: a small quad around each landmark, facing outwards."""
    points = mean_face() @ FRONTAL.T @ np.diag([1.0, -1.0, -1.0]) * 100.0
    outward = points - points.mean(axis=0) + np.array([0.0, 0.0, 3.0])
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    across = np.cross(outward, [0.1, 0.9, 0.3])
    along = np.cross(outward, across)
    corners = [
        points + 0.05 * (a * across + b * along) for a, b in ((1, 0), (0, 1), (-1, 0), (0, -1))
    ]
    vertices = np.concatenate([points, *corners])
    quads = np.arange(68)[:, None] + 68 * np.arange(1, 5)[None]
    # The landmark itself is no corner: let the quad's first corner stand for it.
    path = tmp_path_factory.mktemp('head') / 'head.npz'
    np.savez(
        path,
        neutral=vertices.astype(np.float32),
        quads=quads.astype(np.int32),
        lmk68=np.arange(68, 136).astype(np.int32),
    )
    return path
