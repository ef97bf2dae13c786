"""Run a network on the faces of an image: windows in, rotations and landmarks out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headpose_ros.geometry.crop import LANDMARK_BOX_MARGIN, CropWindow, apply_affine
from headpose_ros.geometry.landmarks import SCHEMES, can_judge_openness, complete
from headpose_ros.geometry.rotations import (
    aligned_from_face,
    face_from_aligned,
    in_plane,
    in_plane_angle,
)
from headpose_ros.models import DEFAULT_MODEL
from headpose_ros.models.registry import ModelSpec
from headpose_ros.parameter import parameter
from headpose_ros.perception.backends.base import Model
from headpose_ros.perception.backends.choose import BACKENDS, Fallbacks
from headpose_ros.perception.crop import cut
from headpose_ros.perception.device import Device, choose_device

_QUARTER_TURNS = (0.0, np.pi / 2, np.pi, -np.pi / 2)


@dataclass(frozen=True)
class Estimate:
    """What the network estimates from one window; further fields as in `faces.Face`.

    Attributes:
        rotation: float64 (3, 3) R_optical_face as a camera pointed straight at the face sees it.
        depth: float64 (68,) depth of the landmarks in px of the image, larger is farther, zero at
            their mean; (0,) for networks without.
        rotation_error: Expected angle to the true rotation, radians; NaN where unknown.
        face_score: Probability that the window shows a face that can be recognised; NaN where
            unknown.
    """

    rotation: NDArray[np.float64]
    landmarks: NDArray[np.float64]
    visibility: NDArray[np.float64]
    landmark_confidence: NDArray[np.float64]
    depth: NDArray[np.float64]
    landmark_error: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    rotation_error: float = np.nan
    openness: NDArray[np.float64] = field(default_factory=lambda: np.full(3, np.nan))
    face_score: float = np.nan

    @property
    def window(self) -> CropWindow:
        """Return the window of the next image: around the landmarks, with the head upright."""
        # Not by the line through the eyes: in profile it points anywhere.
        angle = in_plane_angle(aligned_from_face(self.rotation))
        return CropWindow.around_landmarks(self.landmarks, angle)

    @property
    def sureness(self) -> float:
        """Return the mean confidence of the landmarks."""
        return float(self.landmark_confidence.mean())


@dataclass(frozen=True)
class NetworkOptions:
    """Which network is used, and where it runs."""

    model: str = parameter(
        DEFAULT_MODEL,
        'Network: a released model or the path of a .safetensors file. May be changed while the '
        'node runs: one that cannot be loaded is refused, and the old one goes on.',
        basic=True,
        former='model',
    )
    device: str = parameter(
        'auto',
        'Where the network runs: auto (cuda where there is one), cpu, cuda or cuda:N.',
        read_only=True,
        basic=True,
        former='device',
    )
    backend: str = parameter(
        'auto',
        'What runs the network; auto takes the fastest that works here. One that does not work is '
        'replaced, with a warning.',
        choices=BACKENDS,
        read_only=True,
        former='backend',
    )
    threads: int = parameter(
        1,
        'CPU threads of the network; small networks are fastest on one.',
        minimum=1,
        maximum=256,
        read_only=True,
        former='threads',
    )


class FaceNetwork:
    """A network on a device.

    Args:
        model: Weights as `released.find_weights` finds them, or a network in PyTorch.
        device: As in :func:`device.choose_device`.
        backend: One of `backends.choose.BACKENDS`; one that does not work here is replaced.

    Attributes:
        backends: What runs the network, and why.

    Raises:
        DeviceError: The device is unknown or not there.
        BackendError: The backend is unknown, or nothing can run the network here.
        WeightsError: The weights are damaged, or of another network.
    """

    def __init__(self, model: Model, device: str = 'auto', backend: str = 'auto') -> None:
        self.card = model.card
        self.backends = Fallbacks(model, choose_device(device), backend)
        self.spec = self.backends.spec

    @property
    def device(self) -> Device:
        """Return where the network runs now."""
        return self.backends.device

    def rest(self) -> None:
        """Give the memory of a GPU back; :meth:`wake` comes before the next estimate."""
        self.backends.rest()

    def wake(self) -> None:
        """Take the device's memory again after :meth:`rest`.

        Raises:
            BackendError: Nothing can run the network any more.
        """
        self.backends.wake()

    def estimate(self, image: NDArray[np.uint8], windows: Sequence[CropWindow]) -> list[Estimate]:
        """Estimate all windows of one uint8 (H, W, 3) BGR image in one batch.

        Args:
            image: The image.
            windows: As around landmarks; a network that was trained on wider crops gets wider ones.
        """
        return self.estimate_each([(image, window) for window in windows])

    def estimate_each(
        self, views: Sequence[tuple[NDArray[np.uint8], CropWindow]]
    ) -> list[Estimate]:
        """Estimate windows, each of its own image, in one batch; see :meth:`estimate`."""
        if not views:
            return []
        spec = self.spec
        scale = spec.margin / LANDMARK_BOX_MARGIN
        fitted = [(image, window.scaled(scale)) for image, window in views]
        crops = np.stack([cut(image, window, spec.input_size) for image, window in fitted])
        return _estimates(self.backends.run(crops), [window for _, window in fitted], spec)


def best_quarter_turn(
    network: FaceNetwork, image: NDArray[np.uint8], window: CropWindow, about: NDArray[np.float64]
) -> Estimate:
    """Estimate a window of unknown roll in four quarter turns; return the best.

    A network with landmarks is sure of them only where the head is about upright. One that expects
    an error of its rotation, too, is sure where that is small: landmarks alone mistake the turn of
    more faces in profile or behind glasses.

    Args:
        network: The network.
        image: uint8 (H, W, 3) BGR.
        window: As around landmarks.
        about: (2,) px that it is turned about.
    """
    windows = [window.turned_about(about, turn) for turn in _QUARTER_TURNS]
    return max(network.estimate(image, windows), key=_sureness_of_turn)


def _sureness_of_turn(estimate: Estimate) -> float:
    error = estimate.rotation_error
    return estimate.sureness / (1.0 if np.isnan(error) else error)


def _estimates(
    readings: Mapping[str, NDArray[np.float32]], windows: Sequence[CropWindow], spec: ModelSpec
) -> list[Estimate]:
    """Bring the readings of a backend from the crops back into the image."""
    arrays = {name: values.astype(np.float64) for name, values in readings.items()}
    rotations = [
        face_from_aligned(in_plane(window.angle) @ aligned)
        for window, aligned in zip(windows, arrays['rotation'], strict=True)
    ]
    if not {'points', 'confidence', 'visibility'} <= arrays.keys():
        return [Estimate(rotation, np.zeros((0, 2)), *np.zeros((3, 0))) for rotation in rotations]
    chances = np.stack([arrays['visibility'], arrays['confidence']], axis=2)
    # The crop's pixel p lies at (p + 0.5) / size.
    points = arrays['points'] * spec.input_size - 0.5
    depths = arrays.get('depth')
    trust = _trust(arrays, windows, spec)
    estimates = []
    for i, window in enumerate(windows):
        visibility, certainty = _measured(chances[i], spec.scheme).T
        estimates.append(
            Estimate(
                rotation=rotations[i],
                landmarks=apply_affine(
                    window.to_image(spec.input_size), complete(points[i], spec.scheme)
                ),
                visibility=visibility,
                landmark_confidence=certainty,
                depth=np.zeros(0) if depths is None else _in_px(depths[i], window, spec),
                **trust[i],
            )
        )
    return estimates


def _trust(
    arrays: Mapping[str, NDArray[np.float64]], windows: Sequence[CropWindow], spec: ModelSpec
) -> list[dict[str, Any]]:
    """Return what a network with these heads expects of its own errors, and of eyes and mouth."""
    if 'face' not in arrays:
        return [{} for _ in windows]
    points, judged = arrays['point_error'], map(can_judge_openness, arrays['visibility'])
    return [
        {
            'landmark_error': _in_px(points[i], window, spec),
            'rotation_error': float(arrays['rotation_error'][i]),
            'openness': np.where(can, arrays['openness'][i], np.nan),
            'face_score': float(arrays['face'][i]),
        }
        for i, (window, can) in enumerate(zip(windows, judged, strict=True))
    ]


def _in_px(sides: NDArray[np.float64], window: CropWindow, spec: ModelSpec) -> NDArray[np.float64]:
    """Return (68,) px of the image from (N,) sides of the crop."""
    return complete(sides[:, None], spec.scheme)[:, 0] * window.side


def _measured(chances: NDArray[np.float64], scheme: str) -> NDArray[np.float64]:
    """Return (68, 2) from (N, 2); points that the scheme lacks have no chance to be relied on."""
    full = np.zeros((len(SCHEMES['ibug68']), chances.shape[1]))
    full[list(SCHEMES[scheme])] = chances
    return full
