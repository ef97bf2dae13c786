"""Run a network on labelled faces as it would see them on a robot."""

from __future__ import annotations

from headpose_ros.perception.infer import Estimate, FaceNetwork

from headpose_training.data.crops import CROPS
from headpose_training.data.samples import LabelledFace

#: Whatever crop a network was trained with, it gets the window that a node gives it.
window_of = CROPS['landmarks']


def estimate_of(network: FaceNetwork, face: LabelledFace) -> Estimate:
    """Return what a network says about a face."""
    return network.estimate(face.read_image(), [window_of(face)])[0]
