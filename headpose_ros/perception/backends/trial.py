"""What a network must give for its first crop before it is used."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from headpose_ros.models.registry import ModelSpec
from headpose_ros.perception.backends.base import BackendError


def check(readings: Mapping[str, NDArray[np.float32]], spec: ModelSpec) -> None:
    """Check what a backend gives for one crop, see `Backend.run`.

    Weights whose numbers are all finite may still answer with NaN, for one crop or for every one.

    Args:
        readings: Its answer, each array (1, ...).
        spec: The network's line of the registry.

    Raises:
        BackendError: An array is of another shape, or not finite.
    """
    shapes = {'rotation': (1, 3, 3), 'points': (1, spec.landmarks, 2)}
    for name in shapes.keys() & readings.keys():
        if readings[name].shape != shapes[name]:
            raise BackendError(
                f'{spec.name} answers a crop with {name} of {readings[name].shape}: expected '
                f'{shapes[name]}'
            )
    if wrong := [name for name, values in readings.items() if not np.isfinite(values).all()]:
        raise BackendError(f'{spec.name} answers a crop with NaN or infinity: {", ".join(wrong)}')


def example(spec: ModelSpec) -> NDArray[np.uint8]:
    """Return a grey crop, uint8 (1, S, S, 3)."""
    return np.full((1, spec.input_size, spec.input_size, 3), 128, np.uint8)
