"""Several views of one face: a teacher's errors differ between them, and their mean is better."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from headpose_ros.geometry.crop import CropWindow
from headpose_ros.geometry.rotations import mirrored
from numpy.typing import NDArray

from headpose_training.data.augment import mirrored_landmarks

Image = NDArray[np.uint8]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Change:
    """How a view differs from the plain window.

    Attributes:
        mirror: Whether left and right are swapped.
        angle: Turn of the window, radians.
        scale: Factor of its side.
        shift: Of its centre to the right and down, over its side.
    """

    mirror: bool = False
    angle: float = 0.0
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)


#: What every teacher sees of a face.
CHANGES = (
    Change(),
    Change(mirror=True),
    Change(angle=0.14, scale=1.08, shift=(0.03, -0.02)),
    Change(mirror=True, angle=0.14, scale=0.94, shift=(0.02, 0.03)),
)


@dataclass(frozen=True)
class View:
    """A window of a picture, which may be the mirror image of the photograph.

    Attributes:
        image: uint8 (H, W, 3) BGR.
        window: Of the face in it.
        mirror: Whether the image is the photograph's mirror image.
    """

    image: Image
    window: CropWindow
    mirror: bool

    def landmarks_in_photograph(self, points: Array) -> Array:
        """Return the (68, 2) px of the photograph from px of this view's image."""
        if not self.mirror:
            return points
        return mirrored_landmarks(points, self.image.shape[1] - 1.0)

    def places_in_photograph(self, points: Array, order: NDArray[np.intp]) -> Array:
        """Return (N, 2) px of the photograph; `order` (N,) names each place's mirror partner."""
        if not self.mirror:
            return points
        return np.asarray(points[order] * [-1.0, 1.0] + [self.image.shape[1] - 1.0, 0.0])

    def rotation_in_photograph(self, rotation: Array) -> Array:
        """Return the (3, 3) camera-aligned rotation in the photograph from the one in this view."""
        return mirrored(rotation) if self.mirror else rotation


def views(image: Image, window: CropWindow) -> list[View]:
    """Return the views of a face by :data:`CHANGES`."""
    flipped = np.ascontiguousarray(image[:, ::-1])
    return [_view(flipped if c.mirror else image, _changed(window, c, image), c) for c in CHANGES]


def _view(image: Image, window: CropWindow, change: Change) -> View:
    return View(image, window, change.mirror)


def _changed(window: CropWindow, change: Change, image: Image) -> CropWindow:
    x, angle = window.center_x, window.angle
    if change.mirror:
        x, angle = image.shape[1] - 1.0 - x, -angle
    dx, dy = np.array(change.shift) * window.side
    return CropWindow(
        x + dx, window.center_y + dy, window.side * change.scale, angle + change.angle
    )
