"""A photograph in front of a virtual camera: a live stream whose in-plane motion is known.

Pixels: x right, y down, centres at integers. Roll is positive clockwise in the picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from headpose_ros.sources.source import DEFAULT_FPS, Bgr, Source

PERIOD = 12.0
"""Seconds after which the default motion repeats."""

MAX_ROLL = math.radians(25.0)
"""Largest roll of the default motion in radians."""

MAX_ZOOM = 1.6
"""Largest zoom of the default motion."""

MAX_PAN = 0.12
"""Largest pan of the default motion in widths of the output."""


class Motion(NamedTuple):
    """Where the photograph is at one time.

    Attributes:
        pan_x: shift to the right in widths of the output image.
        pan_y: shift downwards in widths of the output image.
        zoom: magnification, 1 for none.
        roll: clockwise rotation about the focus in radians.
    """

    pan_x: float
    pan_y: float
    zoom: float
    roll: float


@dataclass(frozen=True)
class VirtualFrame:
    """One picture of the virtual camera and how it came about.

    Attributes:
        image: uint8 (H, W, 3) BGR.
        time: seconds since the start.
        motion: the motion at that time.
        matrix: float64 (2, 3), maps photograph pixels (x, y, 1) to image pixels.
    """

    image: Bgr
    time: float
    motion: Motion
    matrix: npt.NDArray[np.float64]

    @property
    def roll(self) -> float:
        """Return the known clockwise in-plane rotation in radians."""
        return self.motion.roll


def sway(time: float) -> Motion:
    """Return the default motion: a smooth loop of PERIOD seconds that starts upright.

    Args:
        time: seconds; any finite number.
    """
    phase = 2.0 * math.pi * time / PERIOD
    return Motion(
        pan_x=MAX_PAN * math.sin(2.0 * phase),
        pan_y=MAX_PAN * math.sin(phase + 0.5),
        zoom=1.0 + 0.5 * (MAX_ZOOM - 1.0) * (1.0 - math.cos(phase)),
        roll=MAX_ROLL * math.sin(phase),
    )


class VirtualCamera:
    """Looks at a photograph that pans, zooms and rolls about a point of interest.

    At zoom 1 the photograph just covers the output. What lies outside is its own edge, blurred more
    and more: a mirrored border would show a second face.
    """

    def __init__(
        self,
        photo: Bgr,
        width: int = 640,
        height: int = 480,
        motion: Callable[[float], Motion] = sway,
        *,
        focus: tuple[float, float] | None = None,
    ) -> None:
        """Prepare the photograph.

        Args:
            photo: uint8 (H, W, 3) BGR.
            width: output width in pixels.
            height: output height in pixels.
            motion: where the photograph is at each time in seconds.
            focus: point of the photograph (x, y) in pixels that is kept in view; None: its middle.
        """
        rows, columns = photo.shape[:2]
        self.size = (width, height)
        self.motion = motion
        self.focus = ((columns - 1) / 2, (rows - 1) / 2) if focus is None else focus
        self._cover = max(width / columns, height / rows)
        self._canvas, self._to_canvas = self._prepare(photo)

    def frame(self, time: float) -> VirtualFrame:
        """Return what the camera sees at a time in seconds."""
        motion = self.motion(time)
        matrix = self._matrix(motion)
        from_canvas = _compose(matrix, _inverse(self._to_canvas))
        image = cv2.warpAffine(
            self._canvas, from_canvas, self.size, borderMode=cv2.BORDER_REPLICATE
        )
        return VirtualFrame(image, time, motion, matrix)  # type: ignore[arg-type]

    def _matrix(self, motion: Motion) -> npt.NDArray[np.float64]:
        """Return the map from photograph to output pixels, float64 (2, 3)."""
        scale = self._cover * motion.zoom
        cos, sin = scale * math.cos(motion.roll), scale * math.sin(motion.roll)
        # With y down this matrix turns the picture clockwise.
        turn = np.array([[cos, -sin], [sin, cos]])
        width, height = self.size
        pan = width * np.array([motion.pan_x, motion.pan_y])
        target = np.array([(width - 1) / 2, (height - 1) / 2]) + pan
        return np.column_stack([turn, target - turn @ np.array(self.focus)])

    def _prepare(self, photo: Bgr) -> tuple[Bgr, npt.NDArray[np.float64]]:
        """Return the photograph with its margin, and the map from photograph to canvas pixels.

        A photograph larger than the output is shrunk to what zoom MAX_ZOOM shows at full
        resolution: `warpAffine` does not filter and would alias.
        """
        scale = min(1.0, self._cover * MAX_ZOOM)
        if scale < 1.0:
            photo = _resize(photo, scale)
        margin = round(0.5 * math.hypot(*self.size) * scale / self._cover)
        shift = 0.5 * (scale - 1.0) + margin
        return _with_soft_margin(photo, margin), np.array(
            [[scale, 0.0, shift], [0.0, scale, shift]]
        )


class VirtualCameraSource(Source):
    """The frames of a virtual camera over one period; after `rewind` motion and time go on."""

    def __init__(self, camera: VirtualCamera, fps: float = DEFAULT_FPS, name: str = '') -> None:
        """Play a virtual camera.

        Args:
            camera: what is seen.
            fps: frames per second of the motion.
            name: what the user asked for, for messages.
        """
        self.name = name
        self.fps = fps
        self.camera = camera
        self.last: VirtualFrame | None = None
        self._next = 0
        self._end = self._period = round(PERIOD * fps)

    def read(self) -> Bgr | None:
        """Return the next picture, or None after each period; `last` has its motion."""
        if self._next >= self._end:
            return None
        self.time = self._next / self.fps
        self.last = self.camera.frame(self.time % PERIOD)
        self._next += 1
        return self.last.image

    def rewind(self) -> None:
        """Let another period follow."""
        self._end = self._next + self._period


def _resize(photo: Bgr, scale: float) -> Bgr:
    """Shrink a picture by one factor for both axes."""
    size = (max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[0] * scale)))
    return cv2.resize(photo, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _with_soft_margin(photo: Bgr, margin: int) -> Bgr:
    """Return a picture with `margin` pixels of its own blurred edge around it.

    The edge is repeated outwards and blurred at a sixteenth of the size, where it is cheap, so no
    streaks are left.
    """
    wide = cv2.copyMakeBorder(photo, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    size = (wide.shape[1], wide.shape[0])
    small = cv2.resize(
        wide, (max(1, size[0] // 16), max(1, size[1] // 16)), interpolation=cv2.INTER_AREA
    )
    blurred = cv2.GaussianBlur(small, (0, 0), 3.0, borderType=cv2.BORDER_REPLICATE)
    canvas = cv2.resize(blurred, size, interpolation=cv2.INTER_LINEAR)
    rows, columns = photo.shape[:2]
    canvas[margin : margin + rows, margin : margin + columns] = photo
    return canvas  # type: ignore[return-value]


def _compose(
    outer: npt.NDArray[np.float64], inner: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the affine map (2, 3) that applies `inner` first."""
    return outer @ np.vstack([inner, [0.0, 0.0, 1.0]])


def _inverse(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the inverse of an affine map (2, 3)."""
    return np.asarray(cv2.invertAffineTransform(matrix), np.float64)
