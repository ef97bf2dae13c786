"""Make `headpose_ros/geometry/mean_face_68.csv` from the neutral head of ICT-FaceKit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from headpose_ros.geometry.landmarks import SELLION
from headpose_ros.geometry.rotations import FRONTAL, aflw_from_matrix, constant_offset

from headpose_training.data.face_model import FaceModel, weak_perspective_rotation
from headpose_training.data.real_faces import TRAIN_SETS, read_real_faces

_HEADER = """Mean face: 68 iBUG landmarks in the REP-155 face frame, metres: x out, y left, z up.
Origin: sellion. Source: neutral head of ICT-FaceKit, MIT licence, (c) 2020 USC Institute for
Creative Technologies. Made by: headpose-train mean-face"""


def aligned_head(head_model: Path, data: Path) -> FaceModel:
    """Return the neutral head turned so that its zero pose is that of the pose labels.

    Which pitch of a head is "zero" differs between the scan-based model and the AFLW2000
    annotations. The difference is the constant rotation between the labels and the poses of the
    model fitted to the same faces' landmarks.
    """
    head = FaceModel.load(head_model)
    faces = read_real_faces(data, TRAIN_SETS)
    fitted = np.stack([weak_perspective_rotation(head.points, f.landmarks) for f in faces])
    labels = np.stack([face.rotation for face in faces])
    offset = constant_offset(fitted, labels)
    return head.turned(offset.T)


def write_mean_face(head_model: Path, data: Path, out: Path) -> None:
    """Write the mean face as CSV and print the pitch offset that was removed.

    Args:
        head_model: `ict_facekit.npz`.
        data: Packed `real_faces` folder.
        out: CSV file to write.
    """
    before, after = FaceModel.load(head_model), aligned_head(head_model, data)
    turn = weak_turn(before.points, after.points)
    centred = after.points - after.points[SELLION]
    np.savetxt(out, centred @ FRONTAL, '%.5f', ',', header=_HEADER)
    pitch, yaw, roll = np.degrees(aflw_from_matrix(turn))
    print(f'{out}: zero pose turned by pitch {pitch:.2f}, yaw {yaw:.2f}, roll {roll:.2f} degrees')


def weak_turn(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return the rotation (3, 3) that turns one (N, 3) point set into the other (Kabsch)."""
    left, _, right = np.linalg.svd((after - after.mean(0)).T @ (before - before.mean(0)))
    return left @ np.diag([1.0, 1.0, np.linalg.det(left @ right)]) @ right
