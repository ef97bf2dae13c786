"""The crops of the papers: where each takes its square out of the image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from headpose_ros.geometry.crop import CropWindow
from headpose_ros.geometry.rotations import in_plane_angle
from numpy.typing import NDArray

from headpose_training.data.samples import LabelledFace

_HOPENET_K = 0.2
_MNN_MARGIN = 1.3


def _landmarks(face: LabelledFace) -> CropWindow:
    """Crop as this package does; an annotated box, which frames the whole face, as it is."""
    if face.landmarks is not None:
        return CropWindow.around_landmarks(face.landmarks)
    return _square(face.box)


def _tracked(face: LabelledFace) -> CropWindow:
    """Crop as the tracker does: turned until the head stands upright."""
    if face.landmarks is None or face.rotation is None:
        return _landmarks(face)
    return CropWindow.around_landmarks(face.landmarks, in_plane_angle(face.rotation))


def _hopenet(face: LabelledFace) -> CropWindow:
    """Crop as the code of Hopenet (Ruiz et al., CVPR Workshops 2018) does for AFLW2000-3D.

    The sides move one after the other, so the right and the lower one by a share of the already
    grown box. The published code then resizes the rectangle to a square picture, which changes
    its aspect ratio; here the larger side makes the square.
    """
    low, high = face.box[:2].copy(), face.box[:2] + face.box[2:]
    low -= 2 * _HOPENET_K * (high - low)
    high += np.array([2.0, 0.6]) * _HOPENET_K * (high - low)
    return _square(np.concatenate([low, high - low]))


def _mnn(face: LabelledFace) -> CropWindow:
    """Crop as MNN (Valle et al., TPAMI 2020): the face's box enlarged by 30 %."""
    return _square(face.box, _MNN_MARGIN)


def _ccr(face: LabelledFace) -> CropWindow:
    """Crop as CCR: the box that the dataset gives, else that of the landmarks, as it is."""
    return _square(face.box if face.annotated_box is None else face.annotated_box)


def _square(box: NDArray[np.float64], margin: float = 1.0) -> CropWindow:
    x, y = box[:2] + box[2:] / 2
    return CropWindow(float(x), float(y), float(max(box[2:].max(), 1.0) * margin))


#: Crop protocol by name: from a face to its square window; upright, but for `tracked`.
CROPS: dict[str, Callable[[LabelledFace], CropWindow]] = {
    'landmarks': _landmarks,
    'tracked': _tracked,
    'hopenet': _hopenet,
    'mnn': _mnn,
    'ccr': _ccr,
}
#: The protocols of this package: the network's margin applies to them.
OUR_CROPS = ('landmarks', 'tracked')
