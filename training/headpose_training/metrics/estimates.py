"""Run a network on labelled faces as it would see them on a robot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from headpose_ros.geometry.crop import LANDMARK_BOX_MARGIN, CropWindow, apply_affine
from headpose_ros.perception.crop import cut
from headpose_ros.perception.infer import Estimate, FaceNetwork
from numpy.typing import NDArray

from headpose_training.data.crops import CROPS
from headpose_training.data.samples import LabelledFace

#: Whatever crop a network was trained with, it gets the window that a node gives it.
window_of = CROPS['landmarks']


def estimate_of(network: FaceNetwork, face: LabelledFace) -> Estimate:
    """Return what a network says about a face."""
    return network.estimate(face.read_image(), [window_of(face)])[0]


def estimate_of_changed(
    network: FaceNetwork,
    face: LabelledFace,
    change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
) -> Estimate:
    """Return what a network says about a face whose crop was changed, such as blurred.

    Args:
        network: The network.
        face: The face; its window is that of :func:`estimate_of`.
        change: From the network's uint8 (S, S, 3) crop to the one that it sees instead.
    """
    size, margin = network.spec.input_size, network.spec.margin / LANDMARK_BOX_MARGIN
    seen = window_of(face).scaled(margin)
    crop = change(cut(face.read_image(), seen, size))
    # The network enlarges what it is given by its margin: what it then sees is this crop exactly.
    middle = (size - 1) / 2
    estimate = network.estimate(crop, [CropWindow(middle, middle, size).scaled(1 / margin)])[0]
    points = apply_affine(seen.to_image(size), estimate.landmarks)
    return replace(
        estimate, landmarks=points, landmark_error=estimate.landmark_error * seen.side / size
    )
