"""How right are poses in the camera's frame when the network is exact? Asked of rendered faces.

A crop shows a head as a camera pointed straight at it would. The node turns that into the frame of
the real camera, and finds the distance from the size of a mean face. Rendered heads have both the
pose of the crop and that of the camera exactly, so what is left is the error of this step alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from headpose_ros.files import check_new
from headpose_ros.geometry.camera import CameraModel
from headpose_ros.geometry.crop import CropWindow
from headpose_ros.geometry.rotations import geodesic
from headpose_ros.perception.metric import pose_in_camera
from numpy.typing import NDArray

from headpose_training.data.readers.rendered import read_labels
from headpose_training.metrics.intervals import measure
from headpose_training.metrics.tables import cell, markdown_table, write_report

Array = NDArray[np.float64]
Row = dict[str, Any]

#: Bounds of the lines of the table: how far off the optical axis a face is, degrees.
_OFF_AXIS = ((0, 10), (10, 20), (20, 30), (30, 60))
_NOTES = (
    'Exact crops and landmarks of rendered faces, with every expression. The rotation in the '
    "camera's frame against the true one, corrected for the viewing ray and left as the crop shows "
    'it; the distance from the size of a mean face, so the spread of real sizes is in it. In '
    'brackets: bootstrap over faces, 95 %.',
)
_COLUMNS = {
    'corrected': 'rotation, corrected (deg)',
    'uncorrected': 'rotation, as in the crop (deg)',
    'distance': 'error of the distance (%)',
    'bias': 'distance too far by (%)',
}


def viewing_ray(rendered: Path, out: Path, overwrite: bool = False) -> None:
    """Measure the step from crop to camera; write viewing_ray.md and .json.

    Args:
        rendered: Folder of `headpose-train render`.
        out: Folder for the results.
        overwrite: Replace the results that an earlier call left in it; else that is an error.
    """
    check_new(out / 'viewing_ray.json', overwrite)
    labels = read_labels(rendered)
    count = len(labels['R'])
    errors = np.array([_errors({name: v[i] for name, v in labels.items()}) for i in range(count)])
    sight = labels['t'] / np.linalg.norm(labels['t'], axis=1, keepdims=True)
    off_axis = np.degrees(np.arccos(sight[:, 2]))
    rows = [
        _row(f'{low} to {high}', errors[(off_axis >= low) & (off_axis < high)])
        for low, high in _OFF_AXIS
    ]
    rows.append(_row('all', errors))
    lines = [f'# From crop to camera: {count} rendered faces', '', *_NOTES, '']
    header = ['off the optical axis (deg)', 'faces', *_COLUMNS.values()]
    table = [
        [row['off axis'], str(row['faces']), *(cell(row[key]) for key in _COLUMNS)] for row in rows
    ]
    write_report(out, 'viewing_ray', {'rows': rows}, [*lines, *markdown_table(header, table)])


def _errors(label: dict[str, Array]) -> tuple[float, float, float]:
    """Return degrees with and without correction, and the share by which it is too far."""
    window = CropWindow.around_landmarks(label['landmarks'])
    center = np.array([window.center_x, window.center_y])
    camera = CameraModel(label['K'], np.zeros(5))
    pose = pose_in_camera(label['landmarks'], label['facing'], center, camera)
    far = np.nan
    if pose.position is not None:
        far = float(np.linalg.norm(pose.position) / np.linalg.norm(label['t']) - 1)
    turned = [
        float(geodesic(rotation, label['R'])) for rotation in (pose.rotation, label['facing'])
    ]
    return (*np.degrees(turned).tolist(), far)


def _row(name: str, errors: Array) -> Row:
    corrected, uncorrected, far = errors.T
    return {
        'off axis': name,
        'faces': len(errors),
        'corrected': measure(corrected),
        'uncorrected': measure(uncorrected),
        'distance': measure(100 * abs(far)),
        'bias': measure(100 * far),
    }
