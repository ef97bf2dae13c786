"""A followed face: where it was seen, how it moves, and how often it was seen or missed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from headpose_ros.geometry.crop import CropWindow
from headpose_ros.perception.detect import Detection

#: A velocity is the mean over about this time, and fades in about this time unseen, s.
_VELOCITY_MEMORY, _VELOCITY_FADING = 0.15, 1.0
#: The usual side of a window is the mean over about this time, s.
_SIDE_MEMORY = 0.5


@dataclass(frozen=True)
class Motion:
    """Where a face was seen last, how it moves and how large it is.

    Attributes:
        center: float64 (2,) px.
        stamp: When it was there, s.
        velocity: float64 (2,) px/s.
        side: Usual side of its window, px.
    """

    center: NDArray[np.float64]
    stamp: float
    velocity: NDArray[np.float64]
    side: float

    def at(self, stamp: float) -> NDArray[np.float64]:
        """Return the (2,) px where the face is expected: it goes on, ever slower."""
        unseen = (stamp - self.stamp) / _VELOCITY_FADING
        return self.center + self.velocity * _VELOCITY_FADING * (1.0 - np.exp(-unseen))

    def moved(self, window: CropWindow, stamp: float, crowded: bool) -> Motion:
        """Return the motion of a face that was seen in a window."""
        dt, center = stamp - self.stamp, center_of(window)
        if crowded or dt <= 0.0:
            return replace(self, center=center, stamp=stamp)
        measured = (center - self.center) / dt
        velocity = self.velocity + _share(dt, _VELOCITY_MEMORY) * (measured - self.velocity)
        side = self.side + _share(dt, _SIDE_MEMORY) * (window.side - self.side)
        return Motion(center, stamp, velocity, side)


@dataclass(frozen=True)
class Track:
    """A face that is followed.

    Attributes:
        id: A prefix and a number; never reused.
        box: float64 (4,) x, y, w, h px where it was last seen.
        window: Crop that the network sees of it next.
        confidence: Detector's score of its last detection.
        motion: How it moves.
        detected: When the detector last found it, s.
        hits: Frames in which it was seen.
        misses: Consecutive runs of the detector that did not find it.
        hidden: Whether it is out of sight: no window shows it.
    """

    id: str
    box: NDArray[np.float64]
    window: CropWindow
    confidence: float
    motion: Motion
    detected: float
    hits: int = 0
    misses: int = 0
    hidden: bool = False

    @classmethod
    def begin(cls, name: str, detection: Detection, stamp: float, hits: int) -> Track:
        """Return the track of a face that the detector found for the first time."""
        window = detection.window
        motion = Motion(center_of(window), stamp, np.zeros(2), window.side)
        return cls(name, detection.box, window, detection.confidence, motion, stamp, hits)

    @property
    def middle(self) -> NDArray[np.float64]:
        """The (2,) px in the middle of the box."""
        return self.box[:2] + self.box[2:] / 2

    def detected_again(self, detection: Detection, stamp: float, keep_window: bool) -> Track:
        """Return the track of a face that the detector found once more.

        Args:
            detection: What it found.
            stamp: When, s.
            keep_window: Whether a face in sight keeps its box and its window.
        """
        track = replace(self, confidence=detection.confidence, detected=stamp, misses=0)
        if keep_window and not self.hidden:
            return track
        return replace(track, box=detection.box, window=detection.window, hidden=False)

    def missed(self) -> Track:
        """Return the track after a run of the detector that did not find the face."""
        return replace(self, misses=self.misses + 1)

    def seen(self, stamp: float, crowded: bool) -> Track:
        """Return the track of a face that is in its window in the image of this stamp.

        Args:
            stamp: Time of the image, s.
            crowded: Whether another face is so near that velocity and size are not measured.
        """
        motion = self.motion.moved(self.window, stamp, crowded)
        return replace(self, motion=motion, hits=self.hits + 1)


def center_of(window: CropWindow) -> NDArray[np.float64]:
    """Return the (2,) px in the middle of a window."""
    return np.array([window.center_x, window.center_y])


def _share(dt: float, memory: float) -> float:
    """Return the share of a new value in a mean over about `memory` seconds."""
    return float(1.0 - np.exp(-dt / memory))
