"""Compare estimates with labels, face by face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np
from headpose_ros.geometry.landmarks import COUNT
from headpose_ros.geometry.rotations import aligned_from_face
from headpose_ros.perception.infer import Estimate
from numpy.typing import NDArray

from headpose_training.data.samples import LabelledFace
from headpose_training.metrics.depth import cvgtce, gte
from headpose_training.metrics.landmarks import nme
from headpose_training.metrics.pose import (
    PoseErrors,
    align,
    geodesic_deg,
    mean_pose,
    pose_errors,
    upright_angles_deg,
    within_published_range,
)

Array = NDArray[np.float64]
_Pair = tuple[LabelledFace, Estimate]


@dataclass(frozen=True)
class Judgement:
    """Errors of N faces; NaN where the face lacks the label or the network lacks the output.

    Attributes:
        yaw: (N,) label yaw in degrees, as :func:`pose.upright_angles_deg` gives it.
        kept: (N,) whether published tables would keep the face: all label angles within 99°.
        turned: (N, 3, 3) predicted camera-aligned rotation, one constant rotation removed.
        as_predicted: Errors of the predicted rotations.
        aligned: Errors after removing one constant rotation.
        baseline: (N,) geodesic error in degrees of the mean pose of the labels.
        nme: (N,) fractions, for each of :data:`landmarks.SIZES`.
        gte: (N,) fractions.
        cvgtce: (N,) fractions.
        confidence: (N,) mean confidence of the landmarks that the network has.
        visibility: (K, P) predicted, of the K faces with labels of it and the network's landmarks.
        visible: (K, P) labels.
    """

    yaw: Array
    kept: NDArray[np.bool_]
    turned: Array
    as_predicted: PoseErrors
    aligned: PoseErrors
    baseline: Array
    nme: dict[str, Array]
    gte: Array
    cvgtce: Array
    confidence: Array
    visibility: Array
    visible: NDArray[np.bool_]


def judge(faces: Sequence[LabelledFace], estimates: Sequence[Estimate]) -> Judgement:
    """Compare estimates with the labels that the faces have."""
    pairs = list(zip(faces, estimates, strict=True))
    return Judgement(
        **_judge_pose(pairs),
        **_judge_landmarks(pairs),
        **_judge_depth(pairs),
        **_judge_visibility(pairs),
        confidence=np.array([_confidence(estimate) for estimate in estimates]),
    )


def _judge_pose(pairs: Sequence[_Pair]) -> dict[str, Any]:
    labelled = np.array([face.rotation is not None for face, _ in pairs])
    chosen = list(compress(pairs, labelled))
    target = _stack([face.rotation for face, _ in chosen], (3, 3))
    predicted = aligned_from_face(_stack([estimate.rotation for _, estimate in chosen], (3, 3)))
    turned = align(predicted, target) if len(target) else predicted
    constant = np.broadcast_to(mean_pose(target) if len(target) else np.eye(3), target.shape)
    return {
        'yaw': _spread(upright_angles_deg(target)[:, 1], labelled),
        'kept': _spread(within_published_range(target).astype(np.float64), labelled) == 1,
        'turned': _spread(turned, labelled),
        'as_predicted': _spread_errors(pose_errors(predicted, target), labelled),
        'aligned': _spread_errors(pose_errors(turned, target), labelled),
        'baseline': _spread(geodesic_deg(constant, target), labelled),
    }


def _judge_landmarks(pairs: Sequence[_Pair]) -> dict[str, Any]:
    labelled = np.array([f.landmarks is not None and len(e.landmarks) > 0 for f, e in pairs])
    chosen = list(compress(pairs, labelled))
    predicted = _stack([estimate.landmarks for _, estimate in chosen], (COUNT, 2))
    target = _stack([face.landmarks for face, _ in chosen], (COUNT, 2))
    return {'nme': {name: _spread(v, labelled) for name, v in nme(predicted, target).items()}}


def _judge_depth(pairs: Sequence[_Pair]) -> dict[str, Any]:
    labelled = np.array(
        [
            face.landmarks is not None and face.depth is not None and len(estimate.depth) > 0
            for face, estimate in pairs
        ]
    )
    chosen = list(compress(pairs, labelled))
    predicted = _stack([_solid(estimate) for _, estimate in chosen], (COUNT, 3))
    target = _stack([_solid(face) for face, _ in chosen], (COUNT, 3))
    return {
        'gte': _spread(gte(predicted, target), labelled),
        'cvgtce': _spread(cvgtce(predicted, target), labelled),
    }


def _judge_visibility(pairs: Sequence[_Pair]) -> dict[str, Any]:
    chosen = [(f, e) for f, e in pairs if f.visible is not None and len(e.visibility)]
    predicted = _stack([estimate.visibility for _, estimate in chosen], (COUNT,))
    label = _stack([face.visible for face, _ in chosen], (COUNT,)) == 1
    confidence = _stack([estimate.landmark_confidence for _, estimate in chosen], (COUNT,))
    # Points that the network's landmark scheme lacks are filled in with no confidence at all.
    own = (confidence > 0).any(axis=0)
    return {'visibility': predicted[:, own], 'visible': label[:, own]}


def _confidence(estimate: Estimate) -> float:
    own = estimate.landmark_confidence[estimate.landmark_confidence > 0]
    return float(own.mean()) if len(own) else float('nan')


def _solid(points: LabelledFace | Estimate) -> Array:
    assert points.landmarks is not None and points.depth is not None
    return np.column_stack([points.landmarks, points.depth])


def _stack(values: Sequence[Any], shape: tuple[int, ...]) -> Array:
    """Return (K, *shape), also for no values at all."""
    return np.array(values, np.float64).reshape(-1, *shape)


def _spread(values: Array, labelled: NDArray[np.bool_]) -> Array:
    """Spread the values of the labelled faces over all faces, NaN elsewhere."""
    everywhere = np.full((len(labelled), *values.shape[1:]), np.nan)
    everywhere[labelled] = values
    return everywhere


def _spread_errors(errors: PoseErrors, labelled: NDArray[np.bool_]) -> PoseErrors:
    columns = (errors.geodesic, errors.angles, errors.columns, errors.yaw)
    return PoseErrors(*(_spread(values, labelled) for values in columns))
