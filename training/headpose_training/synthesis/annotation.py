"""Where people mark the 68 landmarks on a picture of a head.

On photographs the jaw's points lie on the outline that is seen, wherever the head is turned to
(the far cheek of a turned face, not the bone behind it), evenly from each ear to the chin. The
landmarks of a head model are fixed places on its skin. The others' places were measured:
`headpose-train study-annotation` has a network that learned from photographs look at rendered
faces, and says how far its points lie from those marked here, mean over many faces.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from headpose_ros.geometry.landmarks import COUNT, GROUPS, MIRROR
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from headpose_training.synthesis.camera import Camera
from headpose_training.synthesis.heads.jaw_paths import OWN
from headpose_training.synthesis.heads.mesh import HeadMesh

Array = NDArray[np.float64]

_CHIN = 8
#: Lines of landmarks, and the shares of their lengths at which people mark them. Of the lids, from
#: the outer corner, those of the right eye: the corner is marked inside of where the lids meet.
_LIDS = (((36, 37, 38, 39), (0.08, 0.42, 0.70, 1.0)), ((36, 41, 40, 39), (0.08, 0.40, 0.70, 1.0)))
_LIPS = (
    ((48, 59, 58, 57, 56, 55, 54), (0.0, 0.205, 0.39, 0.5, 0.61, 0.795, 1.0)),
    ((60, 61, 62, 63, 64), (0.04, 0.38, 0.5, 0.62, 0.96)),
    ((60, 67, 66, 65, 64), (0.04, 0.37, 0.5, 0.63, 0.96)),
)
_LINES = [
    *((np.array(line), shares) for line, shares in _LIDS + _LIPS),
    *((MIRROR[list(line)], shares) for line, shares in _LIDS),
]
#: What is marked beside its place on the skin: towards the middle of the face and up, in shares of
#: the distance between the outer corners of the eyes; of the right half and the middle.
_ASIDE = {
    **{0: (-0.006, -0.048), 1: (0.001, -0.046), 2: (-0.002, -0.040), 3: (0.003, -0.036)},
    **{4: (0.004, -0.036), 5: (0.015, -0.034), 6: (0.017, -0.029), 7: (0.007, -0.031)},
    **{8: (0.0, -0.015), 17: (-0.007, -0.023), 18: (0.004, -0.003), 19: (0.016, 0.006)},
    **{20: (0.016, 0.008), 21: (0.021, -0.015), 29: (0.0, -0.011)},
    **{31: (-0.006, 0.030), 32: (-0.006, 0.020), 33: (0.0, 0.003)},
    **{49: (0.008, -0.024), 50: (0.002, -0.010), 51: (0.0, -0.022)},
}


def annotated(head: HeadMesh, camera: Camera) -> Array:
    """Return (68, 3) metres in the face frame: the landmarks as marked on the camera's picture."""
    landmarks = head.landmarks.astype(np.float64)
    points = spread(landmarks)
    outline = _outline(head, camera)
    points[list(GROUPS['jaw'])] = evenly_seen(outline, camera.project(outline))
    return points + _aside(float(np.linalg.norm(landmarks[45] - landmarks[36])))


def spread(landmarks: Array) -> Array:
    """Return (68, 3) landmarks, those of lids and lips where people mark them along their lines."""
    total, count = np.zeros_like(landmarks), np.zeros((COUNT, 1))
    for line, shares in _LINES:
        total[line] += _along(landmarks[line], shares)
        count[line] += 1
    # A corner is on two lines.
    return np.where(count > 0, total / np.maximum(count, 1), landmarks)


def _along(marks: Array, shares: Sequence[float]) -> Array:
    """Return the places at shares of the length of the line through (N, 3) marks."""
    length = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(marks, axis=0), axis=1)))
    wanted = np.array(shares) * length[-1]
    return np.stack([np.interp(wanted, length, axis) for axis in marks.T], 1)


def _aside(eyes: float) -> Array:
    """Return the (68, 3) steps aside in the face frame, metres; `eyes` as for `_ASIDE`."""
    steps = np.zeros((COUNT, 3))
    for mark, (inward, up) in _ASIDE.items():
        steps[mark] = [0.0, inward * eyes, up * eyes]
        steps[MIRROR[mark]] = [0.0, -inward * eyes, up * eyes]
    return steps


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
