"""Long films in parts: where they are split, and how the parts are joined again.

A part begins some seconds before its own first frame, so that its tracks, filters and windows are
those of a film that was never split. Faces of both parts in these seconds that lie on each other
are one: the later part's ids become those of the earlier one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headpose_ros.batch.images import Span
from headpose_ros.batch.look import Names, Seen
from headpose_ros.batch.rows import face_of, face_row
from headpose_ros.batch.tables import TableWriter, read_rows
from headpose_ros.perception.faces import Face

#: A face that left is searched for two seconds, and filters forget in one; s.
WARM_UP = 10.0
#: Share of the common area in the area of both boxes from which two faces are one.
_SAME = 0.3


def spans(path: Path, length: float) -> list[Span]:
    """Return the parts of a film; a single one for a film that is short or cannot be split.

    Args:
        path: The film.
        length: Of a part, s; 0: films are not split.

    Raises:
        SourceError: It is no film that can be read.
    """
    from headpose_ros.sources.video import VideoSource

    film = VideoSource(path)
    with film:
        if not length or film.seconds < 1.5 * length:
            return [Span()]
        keys = film.key_frames()
    begins = [0.0]
    for key in keys:
        if key - begins[-1] >= length and keys[-1] - key >= length / 2:
            begins.append(key)
    edges = [*begins, np.inf]
    return [Span(_before(keys, begin - WARM_UP), begin, end) for begin, end in pairwise(edges)]


def _before(keys: list[float], time: float) -> float:
    """Return the last key frame up to a time."""
    return keys[max(bisect_right(keys, time) - 1, 0)] if keys else 0.0


def write_part(folder: Path, seen: Iterable[Seen]) -> int:
    """Write what was seen in a part, its warm-up included; return the number of images.

    Raises:
        OutputError: It cannot be written.
    """
    with (
        TableWriter(folder / 'images.parquet', 'images') as images,
        TableWriter(folder / 'faces.parquet', 'faces') as faces,
    ):
        for one in seen:
            images.add(_image_row(one))
            for face in one.faces:
                faces.add(face_row(face, ''))
        return images.count


def _image_row(seen: Seen) -> dict[str, Any]:
    return {
        'topic': seen.topic,
        'stamp': seen.stamp,
        'offset': seen.offset,
        'width': seen.size[0],
        'height': seen.size[1],
        'covered': seen.covered,
        'faces': len(seen.faces),
        'crowded': seen.crowded,
    }


def joined(folders: Iterable[Path], parts: Iterable[Span]) -> Iterator[Seen]:
    """Yield what was seen in a film from its parts, with one set of ids.

    Args:
        folders: Of the parts, in order.
        parts: Which they are.
    """
    names = Names()
    tail: deque[Seen] = deque()
    for number, (folder, part) in enumerate(zip(folders, parts, strict=True)):
        ids = _Ids(number, names)
        for seen in _read(folder):
            if seen.stamp < part.begin:
                ids.compare(seen, tail)
                continue
            renamed = replace(seen, faces=tuple(ids.renamed(face) for face in seen.faces))
            tail.append(renamed)
            while tail[0].stamp < renamed.stamp - 2 * WARM_UP:
                tail.popleft()
            yield renamed


def _read(folder: Path) -> Iterator[Seen]:
    faces = read_rows(folder / 'faces.parquet')
    for row in read_rows(folder / 'images.parquet'):
        yield Seen(
            row['topic'],
            row['stamp'],
            row['offset'],
            (row['width'], row['height']),
            row['covered'],
            tuple(face_of(face) for face in islice(faces, row['faces'])),
            row['crowded'],
        )


class _Ids:
    """The ids of one part in terms of those of the film.

    Args:
        number: Of the part.
        names: Of the film.
    """

    def __init__(self, number: int, names: Names) -> None:
        self._number, self._names = number, names
        self._votes: Counter[tuple[str, str]] = Counter()
        self._known: dict[str, str] | None = None

    def compare(self, seen: Seen, tail: deque[Seen]) -> None:
        """Look which faces of the warm-up are those of the part before."""
        before = tail[_at(tail, seen.stamp)] if tail else None
        if before is None or before.stamp != seen.stamp:
            return
        for face in seen.faces:
            for other in before.faces:
                if _overlap(face.box, other.box) > _SAME:
                    self._votes[face.id, other.id] += 1

    def renamed(self, face: Face) -> Face:
        """Return a face with its id in the film."""
        if self._known is None:
            self._known = self._chosen()
        name = self._known.get(face.id) or self._names.of(f'{self._number} {face.id}')
        return replace(face, id=name)

    def _chosen(self) -> dict[str, str]:
        """Return pairs of ids, those that most images speak for first."""
        pairs: dict[str, str] = {}
        for (new, old), _ in self._votes.most_common():
            if new not in pairs and old not in pairs.values():
                pairs[new] = old
        return pairs


def _at(tail: deque[Seen], stamp: float) -> int:
    """Return the place of the image with a stamp, or of one beside it."""
    return min(bisect_left(tail, stamp, key=lambda seen: seen.stamp), len(tail) - 1)


def _overlap(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the common area of two boxes (x, y, w, h) as a share of the area of both."""
    low = np.maximum(one[:2], other[:2])
    high = np.minimum(one[:2] + one[2:], other[:2] + other[2:])
    common = float(np.prod(np.maximum(high - low, 0.0)))
    return common / max(float(one[2] * one[3] + other[2] * other[3]) - common, 1e-9)
