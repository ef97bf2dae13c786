"""Who may be asked for labels, and on whose terms."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import cv2
import numpy as np
from headpose_ros.geometry.crop import apply_affine
from headpose_ros.geometry.landmarks import COUNT, MIRROR
from headpose_ros.geometry.rotations import aligned_from_face
from headpose_ros.models.weights import load_model
from headpose_ros.perception.crop import cut
from headpose_ros.perception.infer import FaceNetwork
from numpy.typing import NDArray

from headpose_training.errors import TrainingError
from headpose_training.labelling.views import View

Array = NDArray[np.float64]

FREE, RESEARCH = 'free', 'research'

#: MediaPipe's mesh shows a face of its own detector best in a window this much wider than ours.
_MESH_WIDER, _MESH_SIZE = 1.5, 256
#: The numbers in the mesh of the 68 points of iBUG, by their place on the face.
MESH_OF_IBUG = np.array(
    [
        *(127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356),
        *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),
        *(168, 197, 5, 4, 98, 97, 2, 326, 327),
        *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
        *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
        *(78, 82, 13, 312, 308, 317, 14, 87),
    ]
)
#: Its first numbers of the irises, the person's right eye first, with four points of the rim each
#: after the centre.
_IRISES = (468, 473)


@dataclass(frozen=True)
class Look:
    """What one teacher sees in one view; what it does not judge is NaN.

    Attributes:
        points: (68, 2) px of the photograph.
        depth: (68,) px, larger is farther, zero at their mean.
        rotation: (3, 3) camera-aligned rotation in the photograph.
        iris: (2, 2) px of the photograph, the person's right eye first.
        visibility: (68,) probability of each landmark being seen.
    """

    points: Array
    depth: Array
    rotation: Array
    iris: Array
    visibility: Array


class Teacher(Protocol):
    """Something that labels faces.

    Attributes:
        name: Short, for files and reports.
        family: `free` or `research`: what its labels may teach.
        terms: Its licence and origin, in a few words.
    """

    name: str
    family: str
    terms: str

    def __call__(self, views: Sequence[View]) -> list[Look | None]:
        """Look at the views of one face; None where no face is found."""
        ...


class NetworkTeacher:
    """One of our own networks.

    Args:
        weights: Released name or path of a `.safetensors` file. Its card says the family; a file
            without a card is for research.
    """

    def __init__(self, weights: str) -> None:
        model = load_model(weights)
        self.name = weights.rsplit('/', 1)[-1].removesuffix('.safetensors')
        self.family = model.card.get('family', RESEARCH)
        self.terms = f'{model.card.get("license", "no card")}; weights {weights}'
        self._network = FaceNetwork(model, 'cpu')

    def __call__(self, views: Sequence[View]) -> list[Look | None]:
        """Look at the views of one face, in one batch."""
        found = self._network.estimate_each([(view.image, view.window) for view in views])
        looks: list[Look | None] = []
        for view, estimate in zip(views, found, strict=True):
            order = MIRROR if view.mirror else np.arange(COUNT)
            looks.append(
                Look(
                    points=view.landmarks_in_photograph(estimate.landmarks),
                    depth=np.full(COUNT, np.nan),
                    rotation=view.rotation_in_photograph(aligned_from_face(estimate.rotation)),
                    iris=np.full((2, 2), np.nan),
                    visibility=estimate.visibility[order],
                )
            )
        return looks


class MeshTeacher:
    """MediaPipe's face mesh with attention: 68 of its points, and the irises.

    Kartynnik et al. (2019) and Grishchenko et al. (2020) have the networks; their model cards say
    Apache-2.0. Its rotation is left to `conventions`: the mesh has a shape, not a pose.

    Raises:
        TrainingError: The package is missing.
    """

    name = 'mediapipe'
    family = FREE
    terms = 'Apache-2.0; MediaPipe Face Mesh with attention'

    def __init__(self) -> None:
        os.environ.setdefault('GLOG_minloglevel', '3')
        os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
        try:
            import mediapipe
        except ImportError as error:
            raise TrainingError(
                f'the teacher mediapipe lacks {error.name}: '
                'pip install --no-deps -r benchmarks/requirements.txt'
            ) from error
        self._mesh = mediapipe.solutions.face_mesh.FaceMesh(
            static_image_mode=True,
            max_num_faces=1,
            refine_landmarks=True,
            min_detection_confidence=0.2,
        )

    def __call__(self, views: Sequence[View]) -> list[Look | None]:
        """Look at the views of one face."""
        return [self._look(view) for view in views]

    def _look(self, view: View) -> Look | None:
        window = view.window.scaled(_MESH_WIDER)
        crop = cut(view.image, window, _MESH_SIZE)
        faces = self._mesh.process(cv2.cvtColor(crop, cv2.COLOR_BGR2RGB)).multi_face_landmarks
        if not faces:
            return None
        mesh = np.array([(mark.x, mark.y, mark.z) for mark in faces[0].landmark], np.float64)
        # Its pixels run from 0 at the image's edge; ours have integer centres.
        flat = mesh[:, :2] * _MESH_SIZE - 0.5
        places = apply_affine(window.to_image(_MESH_SIZE), flat)
        depth = mesh[MESH_OF_IBUG, 2] * window.side
        order = MIRROR if view.mirror else np.arange(COUNT)
        irises = [places[start : start + 5].mean(axis=0) for start in _IRISES]
        return Look(
            points=view.landmarks_in_photograph(places[MESH_OF_IBUG]),
            depth=(depth - depth.mean())[order],
            rotation=np.full((3, 3), np.nan),
            iris=view.places_in_photograph(np.stack(irises), np.array([1, 0], np.intp)),
            visibility=np.full(COUNT, np.nan),
        )


#: Teachers that are not our own weights, by name.
OTHERS: dict[str, Callable[[], Teacher]] = {'mediapipe': MeshTeacher}


def opener(name: str) -> Callable[[], Teacher]:
    """Return what opens the teacher of that name, in the process that asks it."""
    return OTHERS.get(name, partial(NetworkTeacher, name))
