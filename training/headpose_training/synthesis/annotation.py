"""Where people mark the 68 landmarks on a picture of a head.

On photographs the jaw's points lie on the outline that is seen, wherever the head is turned to
(the far cheek of a turned face, not the bone behind it), evenly from each ear to the chin, and the
points between the corners of eyes and lips are spread evenly. The landmarks of a head model are
fixed places on its skin.
"""

from __future__ import annotations

import numpy as np
from headpose_ros.geometry.landmarks import GROUPS
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from headpose_training.synthesis.camera import Camera
from headpose_training.synthesis.heads.jaw_paths import OWN
from headpose_training.synthesis.heads.mesh import HeadMesh

Array = NDArray[np.float64]

_CHIN = 8
_THIRDS = (1 / 3, 2 / 3)
#: Lines of landmarks from one corner to the other, and the shares of their lengths at which those
#: between the corners are marked. The bow of the upper lip has marks of its own.
_EVEN = (
    ((36, 37, 38, 39), _THIRDS),
    ((39, 40, 41, 36), _THIRDS),
    ((42, 43, 44, 45), _THIRDS),
    ((45, 46, 47, 42), _THIRDS),
    ((60, 61, 62, 63, 64), (1 / 3, 1 / 2, 2 / 3)),
    ((64, 65, 66, 67, 60), (1 / 3, 1 / 2, 2 / 3)),
    ((54, 55, 56, 57, 58, 59, 48), (1 / 6, 1 / 3, 1 / 2, 2 / 3, 5 / 6)),
)


def annotated(head: HeadMesh, camera: Camera) -> Array:
    """Return (68, 3) metres in the face frame: the landmarks as marked on the camera's picture."""
    points = evenly_spaced(head.landmarks.astype(np.float64))
    outline = _outline(head, camera)
    points[list(GROUPS['jaw'])] = evenly_seen(outline, camera.project(outline))
    return points


def evenly_spaced(landmarks: Array) -> Array:
    """Return (68, 3) landmarks with even spaces between the corners of eyes and lips."""
    points = landmarks.copy()
    for line, shares in _EVEN:
        marks = landmarks[list(line)]
        length = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(marks, axis=0), axis=1)))
        wanted = np.array(shares) * length[-1]
        points[list(line[1:-1])] = np.stack(
            [np.interp(wanted, length, axis) for axis in marks.T], 1
        )
    return points


def evenly_seen(outline: Array, pixels: Array) -> Array:
    """Spread the jaw's points evenly in the picture, from each end to the chin.

    Args:
        outline: (17, 3) places, from the right ear over the chin to the left one.
        pixels: (17, 2) where they are in the picture.

    Returns:
        (17, 3) places on a smooth curve through the given ones.
    """
    steps = np.maximum(np.linalg.norm(np.diff(pixels, axis=0), axis=1), 1e-6)
    length = np.append(0.0, np.cumsum(steps))
    ends = length[[0, _CHIN, -1]]
    wanted = np.interp(np.arange(len(outline)), [0, _CHIN, len(outline) - 1], ends)
    return np.asarray(PchipInterpolator(length, outline)(wanted))


def _outline(head: HeadMesh, camera: Camera) -> Array:
    """Return (17, 3): where each path across the jaw goes out of the camera's sight.

    From a landmark that the camera sees the path is followed backwards, from one that is turned
    away forwards. Where it stays in sight (the cheek that is turned to the camera, the chin of a
    head thrown back) there is no outline, and the landmark itself is marked.
    """
    paths = head.jaw_paths.astype(np.float64)
    center = -camera.rotation.T @ camera.translation
    facing = np.einsum('jkc,jkc->jk', head.jaw_normals, center - paths)
    return np.stack([_last_in_sight(*path) for path in zip(paths, facing, strict=True)])


def _last_in_sight(path: Array, facing: Array) -> Array:
    """Return where on a path (N, 3), next to the landmark, `facing` (N,) falls below zero."""
    seen = facing >= 0
    if seen[OWN]:
        hidden = OWN + np.flatnonzero(~seen[OWN:])
        if not len(hidden):
            return path[OWN]
        after = hidden[0]
    else:
        before = np.flatnonzero(seen[:OWN])
        if not len(before):
            return path[0]
        after = before[-1] + 1
    share = facing[after - 1] / (facing[after - 1] - facing[after])
    return np.asarray(path[after - 1] + share * (path[after] - path[after - 1]))
