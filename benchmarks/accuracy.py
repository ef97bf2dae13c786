r"""Accuracy beside speed: landmarks on a data set, of ours and of the peers that come with weights.

python benchmarks/accuracy.py --format real_faces --data FOLDER --count 200

Everything starts from the same pictures: ours and MediaPipe detect for themselves, dlib's points
start from its own detector. The error of a landmark is over the larger side of the box of the true
ones; a face that is not found, or found elsewhere, is counted as missed and in no mean. Who was
trained on the pictures looks better than it is: dlib's points were, on those of 300-W.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rows import dlib_points, mesh, set_threads

from headpose_ros.models.released import released

Points = Callable[[np.ndarray], Any]
#: Beyond this mean error another face, or none, was found.
_ELSEWHERE = 0.2
#: iBUG-68 points that every peer has in the same place: eye and mouth corners; and their numbers in
#: MediaPipe's mesh.
COMMON = {36: 33, 39: 133, 42: 362, 45: 263, 48: 61, 54: 291}


def ours(weights: str) -> Points:
    import headpose_ros

    analyze = headpose_ros.load(weights, 'cpu')

    def call(image: np.ndarray) -> Any:
        faces = analyze(image)
        return {i: faces[0].landmarks[i] for i in range(68)} if faces else None

    return call


def by_dlib() -> Points:
    find = dlib_points()

    def call(image: np.ndarray) -> Any:
        found = find(image)
        return None if found is None else dict(enumerate(found))

    return call


def by_mediapipe() -> Points:
    find = mesh(static=True)

    def call(image: np.ndarray) -> Any:
        found = find(image)
        if not found:
            return None
        size, points = np.array(image.shape[1::-1]), found[0].landmark
        # Its pixels run from 0 at the image's edge; ours have integer centres.
        return {i: np.array([points[m].x, points[m].y]) * size - 0.5 for i, m in COMMON.items()}

    return call


PEERS: dict[str, Callable[[], Points]] = {
    **{name: partial(ours, name) for name in released()},
    'dlib HOG + 68 points': by_dlib,
    'MediaPipe Face Mesh': by_mediapipe,
}


def read(format: str, folder: Path, count: int) -> list[Any]:
    """Return `count` labelled faces, evenly out of a data set."""
    try:
        from headpose_training.data.formats import read_faces
    except ImportError as error:
        sys.exit(
            f'{error.name} is missing, data sets are read by it: pip install -e training, then '
            'pip install --no-deps -r benchmarks/requirements.txt, for MediaPipe needs its protobuf'
        )
    faces = [face for face in read_faces(format, folder) if face.landmarks is not None]
    return [faces[i] for i in np.unique(np.linspace(0, len(faces) - 1, count).astype(int))]


def measure(faces: list[Any]) -> dict[str, dict[str, Any]]:
    """Return what every peer reaches on these faces."""
    set_threads(1)
    return {name: _row(make, faces) for name, make in PEERS.items()}


def _row(make: Callable[[], Points], faces: list[Any]) -> dict[str, Any]:
    try:
        find = make()
    except ImportError as error:
        return {'missing': error.name or str(error)}
    except Exception as error:  # a peer that fails must not end the others
        return {'missing': f'{type(error).__name__}: {error}'.splitlines()[0]}
    common, all_points, times = [], [], []
    for face in faces:
        image = face.read_image()
        start = time.perf_counter()
        points = find(image)
        times.append(1e3 * (time.perf_counter() - start))
        error = partial(_error, points, face.landmarks)
        if points is not None and error(tuple(COMMON)) < _ELSEWHERE:
            common.append(error(tuple(COMMON)))
            if len(points) == 68:
                all_points.append(error(tuple(range(68))))
    return {
        'faces': len(faces),
        'missed': 1 - len(common) / len(faces),
        'common': float(np.mean(common)) if common else float('nan'),
        'all': float(np.mean(all_points)) if all_points else None,
        'milliseconds': float(np.median(times)),
    }


def _error(points: Any, truth: np.ndarray, chosen: tuple[int, ...]) -> float:
    side = np.ptp(truth, axis=0).max()
    return float(np.mean([np.linalg.norm(points[i] - truth[i]) for i in chosen]) / side)


HEAD = (
    '| found in single pictures | missed | six points, % | 68 points, % | median ms a picture |',
    '| --- ' * 5 + '|',
)


def line(name: str, row: dict[str, Any]) -> str:
    """Return a row of the table."""
    if 'missing' in row:
        return f'| {name} | not run: {row["missing"]} is missing | | | |'
    every = '' if row['all'] is None else f'{100 * row["all"]:.2f}'
    return (
        f'| {name} | {row["missed"]:.1%} | {100 * row["common"]:.2f} | {every} '
        f'| {row["milliseconds"]:.1f} |'
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, required=True, help='folder of the data set')
    parser.add_argument('--format', default='real_faces', help='its format (%(default)s)')
    parser.add_argument('--count', type=int, default=200, help='faces (%(default)s)')
    options = parser.parse_args()
    print(*HEAD, sep='\n')
    for name, row in measure(read(options.format, options.data, options.count)).items():
        print(line(name, row))
    return 0


if __name__ == '__main__':
    sys.exit(main())
