"""Landmarks of all faces in space as one point cloud."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField

from headpose_ros.ros.output.messages import LocatedFace

#: One landmark: metres in the frame of the header, probability that it is not hidden, and the
#: position of its face in the Faces message of the same stamp. All have four bytes.
_FIELDS = {
    **dict.fromkeys(('x', 'y', 'z', 'visibility'), PointField.FLOAT32),
    'face': PointField.UINT32,
}
_TYPES = {PointField.FLOAT32: '<f4', PointField.UINT32: '<u4'}
_POINT = np.dtype([(name, _TYPES[kind]) for name, kind in _FIELDS.items()])


def landmark_cloud(header: Any, faces: Sequence[LocatedFace]) -> PointCloud2:
    """Return the landmarks of the faces that have a place; an empty cloud where none has."""
    clouds = [_points(number, located) for number, located in enumerate(faces)]
    return _create_cloud(header, np.concatenate([np.zeros(0, _POINT), *clouds]))


def _points(number: int, located: LocatedFace) -> NDArray[np.void]:
    points = located.points
    if points is None:
        return np.zeros(0, _POINT)
    cloud = np.zeros(len(points), _POINT)
    cloud['x'], cloud['y'], cloud['z'] = points.T
    cloud['visibility'] = located.face.visibility
    cloud['face'] = number
    return cloud


def _create_cloud(header: Any, points: NDArray[np.void]) -> PointCloud2:
    """Return an unorganised cloud of structured points.

    Not by sensor_msgs_py, which calls every cloud sparse: is_dense is for the points to decide.
    """
    fields = [
        PointField(name=name, offset=4 * number, datatype=kind, count=1)
        for number, (name, kind) in enumerate(_FIELDS.items())
    ]
    step = points.dtype.itemsize
    return PointCloud2(
        header=header,
        height=1,
        width=len(points),
        fields=fields,
        is_bigendian=False,
        point_step=step,
        row_step=step * len(points),
        data=array('B', points.tobytes()),
        is_dense=all(bool(np.isfinite(points[axis]).all()) for axis in ('x', 'y', 'z')),
    )
