"""Faces with known truth, and a detector and a network that see them as real ones do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from headpose_ros.geometry.crop import LANDMARK_BOX_MARGIN, CropWindow
from headpose_ros.geometry.face_shape import aligned_mean_face
from headpose_ros.geometry.landmarks import bounding_box
from headpose_ros.geometry.rotations import face_from_aligned
from headpose_ros.perception.analyze import Analyzer
from headpose_ros.perception.detect import Detection
from headpose_ros.perception.infer import Estimate
from headpose_ros.perception.tracking.matching import iou

IMAGE = np.zeros((720, 1280, 3), np.uint8)
#: Share of a face that may be covered until neither detector nor network sees it.
COVERED = 0.5
_FACE = aligned_mean_face()[:, :2] / np.ptp(aligned_mean_face()[:, :2], axis=0).max()
_FACE = _FACE - bounding_box(_FACE)[:2] - bounding_box(_FACE)[2:] / 2


@dataclass
class Head:
    """A head on a straight way; of two the one with the larger side is in front.

    Attributes:
        start: (2,) px of the box's centre at time 0.
        velocity: (2,) px/s.
        side: Larger side of the landmarks' box, px.
        away: Times (from, to) in s in which something hides it.
    """

    start: Any
    velocity: Any
    side: float
    away: tuple[float, float] = (np.inf, np.inf)

    def center(self, time):
        return np.array(self.start) + np.array(self.velocity) * time

    def landmarks(self, time):
        return self.center(time) + self.side * _FACE

    def box(self, time):
        return bounding_box(self.landmarks(time))


@dataclass
class Scene:
    """Heads before a camera, and what is wrong with detector and network.

    Attributes:
        heads: The heads.
        rng: Source of randomness.
        misses: Chance that the detector misses a visible face.
        ghosts: Mean number of false detections in a look.
        noise: Standard deviation of boxes and landmarks over the side of the face.
        landmarks: Points of the network, 68 or 0.
    """

    heads: list[Head]
    rng: np.random.Generator
    misses: float = 0.1
    ghosts: float = 0.05
    noise: float = 0.015
    landmarks: int = 68
    time: float = 0.0
    looks: int = 0
    spec: Any = field(init=False)

    def __post_init__(self):
        self.spec = SimpleNamespace(landmarks=self.landmarks)

    def visible(self):
        return [h for h in self.heads if self._is_visible(h)]

    def _is_visible(self, head):
        if head.away[0] <= self.time < head.away[1]:
            return False
        x, y = head.center(self.time)
        if not (0 <= x < IMAGE.shape[1] and 0 <= y < IMAGE.shape[0]):
            return False
        fronts = [h for h in self.heads if h.side > head.side]
        return all(_covered(head.box(self.time), h.box(self.time)) < COVERED for h in fronts)

    def detect(self, image, quarter_turns=(0,)):
        self.looks += 1
        seen = [h for h in self.visible() if self.rng.random() > self.misses]
        found = [self._detection(h.center(self.time), h.side) for h in seen]
        for _ in range(self.rng.poisson(self.ghosts)):
            place = self.rng.uniform([0, 0], IMAGE.shape[1::-1])
            found.append(self._detection(place, self.rng.uniform(40, 200)))
        return found

    def require(self, confidence):
        pass

    def _detection(self, center, side):
        x, y = center + self.rng.normal(0, 2 * self.noise * side, 2)
        side = side * np.exp(self.rng.normal(0, 0.07))
        window = CropWindow(x, y, side * LANDMARK_BOX_MARGIN)
        box = np.array([x - side / 2, y - side / 2, side, side])
        return Detection(box, window, 0.9)

    def estimate(self, image, windows):
        return [self._estimate(window) for window in windows]

    def estimate_each(self, views):
        return [self._estimate(window) for _, window in views]

    def _estimate(self, window):
        """Return the landmarks of the face nearest to the middle of the window."""
        ones = np.ones(self.landmarks)
        frontal = face_from_aligned(np.eye(3))
        if not self.landmarks:
            return Estimate(frontal, np.zeros((0, 2)), ones, ones, ones)
        side = window.side / LANDMARK_BOX_MARGIN
        middle = np.array([window.center_x, window.center_y])
        near = {
            np.linalg.norm(h.center(self.time) - middle): h
            for h in self.visible()
            if 0.5 < h.side / side < 2.0
        }
        away = min(near, default=np.inf)
        if away > 0.5 * side:
            nowhere = middle + side * _FACE
            return Estimate(frontal, nowhere, 0 * ones, 0.1 * ones, 0 * ones)
        points = near[away].landmarks(self.time)
        noise = self.rng.normal(0, 0.5 * self.noise * side, 2)
        return Estimate(frontal, points + noise, ones, 0.9 * ones, 0 * ones)


def _covered(box, front):
    """Return which share of a box (4,) another one covers."""
    overlap = float(iou(box, front)[0, 0])
    areas = box[2:].prod() + front[2:].prod()
    return overlap / (1 + overlap) * areas / box[2:].prod()


def score(scene, seconds, rate=30.0, settling=0.2, **options):
    """Track a scene and compare with the truth.

    Args:
        scene: The scene.
        seconds: How long.
        rate: Frames per second.
        settling: A face in sight for less than this may be missed, s.
        **options: Passed to Analyzer.

    Returns:
        Counter of `faces` (truth, in sight for long enough), `misses` among them, `switches` of
        ids, `false` reported faces that are nobody, `frames`, and `looks` of the detector.
    """
    analyzer = Analyzer(scene, scene, **options)
    count, last, since = Counter(), {}, {}
    for frame in range(int(seconds * rate)):
        scene.time = frame / rate
        faces = analyzer.track(IMAGE, 100.0 + scene.time)
        truth = scene.visible()
        since = {id(h): since.get(id(h), scene.time) for h in truth}
        owner = {face.id: _owner(face, truth, scene.time) for face in faces}
        count['frames'] += 1
        count['false'] += sum(head is None for head in owner.values())
        for head in truth:
            ids = [name for name, whose in owner.items() if whose is head]
            if scene.time - since[id(head)] >= settling:
                count['faces'] += 1
                count['misses'] += not ids
            for name in ids:
                count['switches'] += last.setdefault(id(head), name) != name
                last[id(head)] = name
    count['looks'] = scene.looks
    return count


def _owner(face, truth, time):
    middle = face.box[:2] + face.box[2:] / 2
    away = {np.linalg.norm(h.center(time) - middle) / h.side: h for h in truth}
    return away[min(away)] if away and min(away) < 0.5 else None
