"""What is known about a rendered face."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from headpose_ros.geometry.landmarks import GROUPS, bounding_box
from headpose_ros.geometry.rotations import toward
from numpy.typing import NDArray

from headpose_training.synthesis.annotation import annotated
from headpose_training.synthesis.camera import Camera, depth_from_buffer
from headpose_training.synthesis.heads.eyeball import profile
from headpose_training.synthesis.heads.mesh import HeadMesh
from headpose_training.synthesis.scene import Scene

Array = NDArray[np.float64]

#: A landmark counts as seen when nothing lies farther in front of it than this, metres: lids,
#: lashes and thin glass frames that touch the skin do not hide it.
TOLERANCE = 0.005
#: The edge of the iris lies at this angle from the line of sight, as on the eyes that are drawn.
_LIMBUS = np.radians(29.0)
#: Samples of the depth buffer within this many samples of a landmark count.
_REACH = 1.3


@dataclass(frozen=True)
class Labels:
    """The exact labels of one rendered face.

    Attributes:
        K: (3, 3) intrinsics of the picture, px, pixel centres at integers.
        R: (3, 3) R_optical_face of the REP-155 face frame.
        t: (3,) metres, the sellion in the optical frame.
        facing: (3, 3) R_optical_face as a camera pointed straight at the face would see it: what
            a network can tell from the crop alone.
        landmarks: (68, 2) px, iBUG-68 order, where people mark them: see `annotation`.
        landmarks3d: (68, 3) metres in the face frame, the same places.
        visible: (68,) bool: the landmark's fixed place on the skin is in the picture and nothing
            opaque is before it; a jaw point that is marked on the outline may be hidden.
        eye_openness: (2,) of the person's right and left eye, see `HeadMesh`.
        mouth_openness: () see `HeadMesh`.
        gaze: (2, 3) unit directions of sight in the face frame, the right eye first.
        iris: (2, 2) px of the centres of both irises, hidden or not, the right eye first.
        iris_visible: (2,) bool: the centre lies between the lids and nothing opaque is before it.
        box: (4,) x, y, w, h px around the landmarks.
        seed: (2,) of the dataset and of the face within it.
    """

    K: Array
    R: Array
    t: Array
    facing: Array
    landmarks: Array
    landmarks3d: Array
    visible: NDArray[np.bool_]
    eye_openness: Array
    mouth_openness: Array
    gaze: Array
    iris: Array
    iris_visible: NDArray[np.bool_]
    box: Array
    seed: NDArray[np.int64]


def label(scene: Scene, depth: NDArray[np.float32], seed: tuple[int, int] = (0, 0)) -> Labels:
    """Collect the labels of a scene.

    Args:
        scene: The scene.
        depth: (D, D) depth buffer in 0..1 of all that is opaque, top row first; D is a multiple
            of the picture's side.
        seed: Of the dataset and of the face.
    """
    camera, head = scene.camera, scene.head
    fixed, points = head.landmarks.astype(np.float64), annotated(head, camera)
    pixels, places = camera.project(points), camera.project(fixed)
    inside = in_picture(camera, places)
    centers = iris_centers(head)
    iris = camera.project(centers)
    seen = in_picture(camera, iris) & in_front(camera, centers, depth)
    return Labels(
        K=camera.K,
        R=camera.rotation,
        t=camera.translation,
        facing=facing(camera, fixed),
        landmarks=pixels,
        landmarks3d=points,
        visible=inside & in_front(camera, fixed, depth),
        eye_openness=head.eye_openness.astype(np.float64),
        mouth_openness=np.array(head.mouth_openness),
        gaze=head.gaze.astype(np.float64),
        iris=iris,
        iris_visible=seen & between_lids(iris, camera.project(fixed)),
        box=bounding_box(pixels),
        seed=np.array(seed, np.int64),
    )


def facing(camera: Camera, points: Array) -> Array:
    """Return R_optical_face as a camera turned, without roll, to the middle of (N, 3) points."""
    middle = camera.to_optical(points).mean(axis=0)
    return toward(middle / np.linalg.norm(middle)).T @ camera.rotation


def iris_centers(head: HeadMesh) -> Array:
    """Return (2, 3) metres: the middle of the edge of each iris, the person's right eye first."""
    reach = head.eye_radius * np.cos(_LIMBUS) * float(profile(np.array(_LIMBUS)))
    return head.eye_centers.astype(np.float64) + reach * head.gaze.astype(np.float64)


def between_lids(iris: Array, landmarks: Array) -> NDArray[np.bool_]:
    """Return (2,): which iris centres lie inside the rim of their eye in the picture.

    Args:
        iris: (2, 2) px, the right eye first.
        landmarks: (68, 2) px of the places on the skin.
    """
    rims = (landmarks[list(GROUPS[eye])] for eye in ('right_eye', 'left_eye'))
    return np.array(
        [
            cv2.pointPolygonTest(rim.astype(np.float32)[:, None], center.tolist(), False) > 0
            for rim, center in zip(rims, iris, strict=True)
        ]
    )


def in_picture(camera: Camera, pixels: Array) -> NDArray[np.bool_]:
    """Return (N,): which of (N, 2) px lie in the picture."""
    return np.asarray(((pixels > -0.5) & (pixels < camera.size - 0.5)).all(axis=1))


def in_front(camera: Camera, points: Array, depth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return (N,): which points have nothing opaque farther before them than the tolerance.

    Samples about the point count by how near they are to it: at an outline the point lies on the
    side that has more of the weight, and single strands of hair hide nothing.
    """
    side = depth.shape[0]
    optical = camera.to_optical(points)
    cell = (camera.project(points) + 0.5) * side / camera.size
    nearest = np.clip(np.floor(cell), 1, side - 2).astype(int)
    near = np.arange(-1, 2)
    column, row = (nearest[:, axis, None] + near for axis in (0, 1))
    across, down = (
        np.maximum(_REACH - np.abs(place + 0.5 - cell[:, axis, None]), 0.0)
        for axis, place in ((0, column), (1, row))
    )
    around = depth[row[:, :, None], column[:, None, :]]
    gap = optical[:, 2, None, None] - depth_from_buffer(around)
    # The tolerance holds along the ray.
    slope = np.linalg.norm(optical, axis=1) / optical[:, 2]
    hidden = gap * slope[:, None, None] > TOLERANCE
    weight = down[:, :, None] * across[:, None, :]
    total = np.maximum(weight.sum(axis=(1, 2)), 1e-9)
    return (weight * hidden).sum(axis=(1, 2)) / total < 0.5
