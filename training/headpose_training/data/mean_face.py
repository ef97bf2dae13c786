"""Make `headpose_ros/geometry/mean_face_68.csv` from the neutral head of ICT-FaceKit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from headpose_ros.files import check_new
from headpose_ros.geometry.landmarks import MIRROR, SELLION
from headpose_ros.geometry.rotations import (
    FRONTAL,
    aflw_from_matrix,
    constant_offset,
    matrix_from_aflw,
)
from scipy.spatial.transform import Rotation

from headpose_training.data.face_model import FaceModel, weak_perspective_rotation
from headpose_training.data.formats import read_faces
from headpose_training.data.marks import marked
from headpose_training.data.readers.real_faces import TRAIN_SETS

_HEADER = """Mean face: 68 iBUG landmarks in the REP-155 face frame, metres: x out, y left, z up.
Origin: sellion. Source: neutral head of ICT-FaceKit, MIT licence, (c) 2020 USC Institute for
Creative Technologies; marked as annotators of photographs do. Made by: headpose-train mean-face"""


def aligned_head(head_model: Path, data: Path) -> FaceModel:
    """Return the neutral head turned so that its zero pose is that of the pose labels.

    Which pitch of a head is "zero" differs between the scan-based model and the AFLW2000
    annotations. The difference is the constant rotation between the labels and the poses of the
    model fitted to the same faces' landmarks.
    """
    head = symmetric(FaceModel.load(head_model))
    labelled = [
        (face.landmarks, face.rotation)
        for face in read_faces('real_faces', data, TRAIN_SETS)
        if face.landmarks is not None and face.rotation is not None
    ]
    fitted = np.stack([weak_perspective_rotation(head.points, points) for points, _ in labelled])
    labels = np.stack([rotation for _, rotation in labelled])
    pitch = aflw_from_matrix(constant_offset(fitted, labels))[0]
    # A symmetric head has no zero yaw or roll to disagree about: only pitch is a definition.
    return head.turned(matrix_from_aflw([pitch, 0.0, 0.0]).T)


def symmetric(head: FaceModel) -> FaceModel:
    """Average a head in camera-aligned axes with its mirror image."""
    flip = np.array([-1.0, 1.0, 1.0])
    normals = head.normals + head.normals[MIRROR] * flip
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return replace(head, points=(head.points + head.points[MIRROR] * flip) / 2, normals=normals)


def write_mean_face(head_model: Path, data: Path, out: Path, overwrite: bool = False) -> None:
    """Write the mean face as CSV and print the pitch offset that was removed.

    Args:
        head_model: `ict_facekit.npz`.
        data: Packed `real_faces` folder.
        out: CSV file to write.
        overwrite: Replace a file that exists; else that is an error.
    """
    check_new(out, overwrite)
    before, after = symmetric(FaceModel.load(head_model)), aligned_head(head_model, data)
    centred = after.points - after.points[SELLION]
    np.savetxt(out, marked(centred @ FRONTAL), '%.5f', ',', header=_HEADER)
    turn, _ = Rotation.align_vectors(after.normals, before.normals)
    print(f'{out}: zero pose turned by {np.degrees(turn.magnitude()):.2f} degrees of pitch')
