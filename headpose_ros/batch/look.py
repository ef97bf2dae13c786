"""Images in, faces out, with one network for all recordings of a process."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache

from headpose_ros.batch.images import Image
from headpose_ros.batch.options import BatchOptions
from headpose_ros.driver_monitoring.signals.cover import PERIOD, shows_nothing
from headpose_ros.errors import HeadposeError
from headpose_ros.models.released import find_weights
from headpose_ros.perception.analyze import Analyzer, load_analyzer
from headpose_ros.perception.faces import Face
from headpose_ros.perception.threads import limit_cpu_threads
from headpose_ros.perception.tracking import TrackingOptions


@dataclass(frozen=True)
class Seen:
    """The faces of one image.

    Attributes:
        topic: As of :class:`images.Image`, like the next two.
        stamp: s.
        offset: s.
        size: Width and height of the image, px.
        covered: Whether the picture shows nothing; None for not known.
        faces: In the order of preference.
        crowded: Whether there are more faces than are taken.
    """

    topic: str
    stamp: float
    offset: float
    size: tuple[int, int]
    covered: bool | None
    faces: tuple[Face, ...] = field(default=())
    crowded: bool = False


@lru_cache(maxsize=1)
def analyzer(options: BatchOptions) -> Analyzer:
    """Return the analyzer of this process, on one core: workers are as many as the cores.

    Raises:
        HeadposeError: The weights are not those that the run began with, or cannot be loaded.
    """
    import cv2

    found = find_weights(options.model).sha256
    if options.model_sha256 and found != options.model_sha256:
        raise HeadposeError(
            f'the weights {options.model} of this machine have the sha256 {found}, expected '
            f'{options.model_sha256}: install the same release everywhere'
        )
    limit_cpu_threads(1)
    cv2.setNumThreads(1)
    tracking = TrackingOptions(max_faces=options.max_faces)
    return load_analyzer(options.model, options.device, tracking=tracking)


def look(analyze: Analyzer, pictures: Iterable[Image]) -> Iterator[Seen]:
    """Yield the faces of images: followed within a topic, where the images have stamps.

    Ids are `f1`, `f2`, ... in the order of appearance, whatever the analyzer saw before.
    """
    topic: str | None = None
    for picture in pictures:
        if picture.topic != topic:
            topic, names, cover = picture.topic, Names(), _Cover()
            analyze.reset()
        if math.isnan(picture.stamp):
            faces = analyze(picture.pixels, picture.camera)
            crowded = analyze.left_out() > 0
        else:
            faces = analyze.track(picture.pixels, picture.stamp, picture.camera)
            crowded = analyze.left_out('') > 0
        yield Seen(
            picture.topic,
            picture.stamp,
            picture.offset,
            picture.size,
            cover.of(picture),
            tuple(replace(face, id=names.of(face.id)) for face in faces),
            crowded,
        )


class Names:
    """New ids for ids, in the order of appearance."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def of(self, name: str) -> str:
        """Return the new id of an id."""
        return self._names.setdefault(name, f'f{len(self._names) + 1}')


class _Cover:
    """Whether the camera is covered, looked at now and then."""

    def __init__(self) -> None:
        self._stamp = -math.inf
        self._covered: bool | None = None

    def of(self, picture: Image) -> bool | None:
        if not 0.0 <= picture.stamp - self._stamp < PERIOD:
            self._stamp, self._covered = picture.stamp, shows_nothing(picture.pixels)
        return self._covered
