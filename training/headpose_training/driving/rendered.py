"""Rendered drives: pictures of a driver whose every movement is known."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from copy import copy
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import get_context
from typing import TYPE_CHECKING

import cv2
import numpy as np
from headpose_ros.driver_monitoring.options import DriverOptions
from headpose_ros.driver_monitoring.report import Report
from headpose_ros.driver_monitoring.zones import Zones
from headpose_ros.geometry.camera import CameraModel
from headpose_ros.perception.analyze import Analyzer
from headpose_ros.perception.faces import Face
from numpy.typing import NDArray

from headpose_training.driving.script import (
    GRID,
    PROFILE,
    Script,
    from_angles,
    smooth_step,
    truth_of,
    write_script,
)
from headpose_training.driving.truth import Drive, Outcome, TruthEvent, watch
from headpose_training.errors import TrainingError
from headpose_training.synthesis.cabin import Act, Cabin, CabinConfig
from headpose_training.synthesis.heads.mesh import HeadSource
from headpose_training.synthesis.heads.sources import load_heads

if TYPE_CHECKING:
    from headpose_training.synthesis.render.renderer import Renderer

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

#: Hands come up and go down in this time, s.
_HANDS = 0.35
#: How far eyes turn in the head, degrees: to a side, up or down.
_EYES = np.array([28.0, 14.0])
#: Pictures that one process makes at a time.
_CHUNK = 25
_QUALITY = 92
#: Attentive driving with which a judged drive begins, s: enough for the neutral pose.
_SETTLING = 9.0

#: Kinds of drives that are judged: what happens, and how it is seen.
KINDS: dict[str, tuple[str, CabinConfig]] = {
    name: (act, replace(CabinConfig(size=400), infrared=infrared, eyewear=eyewear))
    for name, act, infrared, eyewear in (
        ('glances', 'glances', False, ''),
        ('closures', 'closures', False, ''),
        ('yawns and nods', 'yawns and nods', False, ''),
        ('occlusions', 'occlusions', False, ''),
        ('glances at night', 'glances', True, ''),
        ('closures at night', 'closures', True, ''),
        ('sunglasses', 'glances', False, 'sunglasses'),
        ('everything with glasses', 'everything', False, 'glasses'),
        ('attentive', 'attentive', False, ''),
    )
}


@dataclass(frozen=True)
class Film:
    """A drive to be rendered: what picture number i shows, always the same.

    Attributes:
        seed: Of driver and car.
        script: What the driver does.
        rate: Pictures a second.
        takes: From when on, in s, which camera looks; the first one begins at 0.
    """

    seed: int
    script: Script
    rate: float
    takes: tuple[tuple[float, CabinConfig], ...]

    @property
    def stamps(self) -> Array:
        """(N,) times of the pictures, s."""
        return np.arange(int(self.script.seconds * self.rate)) / self.rate

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pictures, px: 4 to 3."""
        side = self.takes[0][1].size
        return side, side * 3 // 4

    @property
    def camera(self) -> CameraModel:
        """The calibrated camera."""
        width, height = self.size
        focal = width / 2 / np.tan(np.radians(self.takes[0][1].fov_deg) / 2)
        K = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
        return CameraModel(K, np.zeros(0))

    @property
    def key(self) -> str:
        """What two films share that show the same."""
        script = self.script
        shown = [script.angles, script.sight, script.lids, script.mouth, script.seen, script.gone]
        digest = hashlib.sha256(repr((self.seed, self.rate, self.takes)).encode())
        for values in shown:
            digest.update(values.tobytes())
        return digest.hexdigest()[:12]

    def take(self, time: float) -> CabinConfig:
        """Return which camera looks at a time."""
        return [config for start, config in self.takes if start <= time][-1]


class FilmMaker:
    """Renders the pictures of films. It belongs to one process.

    Raises:
        TrainingError: The heads are missing, or there is no EGL.
    """

    def __init__(self) -> None:
        heads = _heads()
        self._renderers: dict[int, Renderer] = {}
        self._cabin = lru_cache(maxsize=4)(lambda seed, config: Cabin(seed, config, heads))

    def picture(self, film: Film, number: int) -> Image:
        """Return uint8 (H, W, 3) BGR."""
        time = float(film.stamps[number])
        config = film.take(time)
        cabin = self._cabin(film.seed, config)
        rendered = self._renderer(config.size).render(cabin.scene(time, act_at(film.script, time)))
        high = film.size[1]
        first = (config.size - high) // 2
        return np.ascontiguousarray(rendered.image[first : first + high])

    def widest(self, seed: int, config: CabinConfig) -> float:
        """Return the widest opening of a driver's mouth."""
        return float(self._cabin(seed, config).widest)

    def neutral(self, seed: int, config: CabinConfig) -> Array:
        """Return (3, 3) R_optical_face of a driver who looks at the road."""
        return np.asarray(self._cabin(seed, config).neutral)

    def _renderer(self, size: int) -> Renderer:
        # Not above: who only plays films needs no OpenGL.
        try:
            from headpose_training.synthesis.render.renderer import Renderer
        except ImportError as error:
            raise TrainingError(
                f'rendering needs what `headpose-training[synthesis]` installs: {error}'
            ) from error
        if size not in self._renderers:
            self._renderers[size] = Renderer(size, supersampling=1.0)
        return self._renderers[size]


@lru_cache(maxsize=1)
def _heads() -> Sequence[HeadSource]:
    # Once for a process: that takes seconds.
    return load_heads()


def act_at(script: Script, time: float) -> Act:
    """Return what the driver does at a time in s."""
    i = min(round(time * GRID), len(script.time) - 1)
    eyes = (script.sight[i] - script.angles[i, :2]).clip(-_EYES, _EYES)
    return Act(
        rotation=from_angles(script.angles[i : i + 1])[0],
        sight=np.radians(eyes),
        lids=float(script.lids[i]),
        mouth=float(script.mouth[i]),
        hands=_hands(script, i),
        gone=float(script.gone[i]),
    )


def _hands(script: Script, i: int) -> float:
    """Return how far the hands are before the face: there while the script hides it."""
    reach = round(_HANDS * GRID)
    first = max(i - reach, 0)
    near = np.flatnonzero(
        ~script.seen[first : i + reach + 1] & (script.gone[first : i + reach + 1] == 0)
    )
    if not len(near):
        return 0.0
    share = 1.0 - np.abs(near + first - i).min() / (reach + 1)
    return float(smooth_step(np.array([share]), 0.0, 1.0)[0])


def film_truth(film: Film, neutral: Array) -> list[TruthEvent]:
    """Return what happens in a film, as far as a camera can see it.

    Args:
        film: The film.
        neutral: (3, 3) R_optical_face of the driver who looks at the road.
    """
    script, stamps = film.script, film.stamps
    index = np.rint(stamps * GRID).astype(int)
    rotations = neutral @ from_angles(script.angles[index])
    found = script.seen[index] & (-rotations[:, 2, 0] > np.cos(np.radians(PROFILE)))
    dark = np.array([film.take(stamp).eyewear == 'sunglasses' for stamp in stamps.tolist()])
    return truth_of(_covered(script), stamps, found, dark)


def _covered(script: Script) -> Script:
    """Return the script whose face is hidden also while hands come and go."""
    reach = 2 * round(_HANDS * GRID) + 1
    hidden = np.convolve(~script.seen, np.ones(reach), 'same') > 0
    wider = copy(script)
    wider.seen = ~hidden
    return wider


def rendered_film(seed: int, index: int, seconds: float, rate: float) -> tuple[str, Film]:
    """Return the kind and the film of one judged drive."""
    name = list(KINDS)[index % len(KINDS)]
    act, config = KINDS[name]
    rng = np.random.default_rng([seed, index, 7])
    script = write_script(rng, act, seconds, _SETTLING)
    return name, Film(int(rng.integers(2**31)), script, rate, ((0.0, config),))


def render_jpegs(film: Film, workers: int) -> Iterator[bytes]:
    """Yield the pictures of a film in order, as JPEG files.

    Args:
        film: The film.
        workers: Processes that render.

    Raises:
        TrainingError: The heads are missing, or there is no EGL.
    """
    count = len(film.stamps)
    if workers == 1:
        maker = FilmMaker()
        yield from (_jpeg(maker.picture(film, number)) for number in range(count))
        return
    chunks = [range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]
    # A forked process would share the parent's threads and OpenGL, and hang.
    context = get_context('spawn')
    with ProcessPoolExecutor(workers, context, _start_film, (film,)) as pool:
        for jpegs in pool.map(_film_chunk, chunks):
            yield from jpegs


#: Signals that are compared with the truth.
SIGNALS = ('azimuth', 'elevation', 'eye_openness', 'mouth_openness')


@dataclass(frozen=True)
class Judged:
    """One rendered drive, judged.

    Attributes:
        outcome: Its events.
        signals: (N, 4, 2) true and measured values of `SIGNALS`, degrees and shares; NaN for not
            known, and true ones only where nothing hides the face.
    """

    outcome: Outcome
    signals: Array


def judge_films(
    seed: int, sequences: int, seconds: float, rate: float, weights: str, zones: Zones, workers: int
) -> Iterator[Judged]:
    """Yield how the monitor did on rendered drives, through detector, network and tracker.

    Args:
        seed: Of the drives.
        sequences: How many.
        seconds: Length of each.
        rate: Pictures a second.
        weights: Name of a network, or a file.
        zones: What there is to look at.
        workers: Processes that render and judge.

    Raises:
        TrainingError: The heads are missing, or there is no EGL.
        HeadposeError: The weights cannot be used.
    """
    tasks = [(seed, index, seconds, rate, zones) for index in range(sequences)]
    if workers == 1:
        _start_judge(weights)
        yield from map(_judge_film, tasks)
        return
    context = get_context('spawn')
    with ProcessPoolExecutor(workers, context, _start_judge, (weights,)) as pool:
        yield from pool.map(_judge_film, tasks)


def analysed(
    film: Film, maker: FilmMaker, analyzer: Analyzer
) -> Iterator[tuple[float, list[Face]]]:
    """Yield stamps and the faces that are found in each picture of a film."""
    for number, stamp in enumerate(film.stamps.tolist()):
        picture = _decoded(_jpeg(maker.picture(film, number)))
        yield stamp, analyzer.track(picture, stamp, film.camera)


#: What a worker process works with.
_FILM: list[Film] = []
_WEIGHTS: list[str] = []


def _start_film(film: Film) -> None:
    _alone()
    _FILM[:] = [film]


def _film_chunk(numbers: range) -> list[bytes]:
    return [_jpeg(_maker().picture(_FILM[0], number)) for number in numbers]


def _start_judge(weights: str) -> None:
    _alone()
    _WEIGHTS[:] = [weights]


# Not as the process starts: what fails there breaks the pool, and nobody learns why.
@lru_cache(maxsize=1)
def _maker() -> FilmMaker:
    return FilmMaker()


@lru_cache(maxsize=1)
def _analyzer(weights: str) -> Analyzer:
    import headpose_ros

    return headpose_ros.load(weights, 'cpu')


def _judge_film(task: tuple[int, int, float, float, Zones]) -> Judged:
    seed, index, seconds, rate, zones = task
    name, film = rendered_film(seed, index, seconds, rate)
    maker, analyzer = _maker(), _analyzer(_WEIGHTS[0])
    truth = film_truth(film, maker.neutral(film.seed, film.takes[0][1]))
    # Another video: nobody is known any more.
    analyzer.reset()
    frames = analysed(film, maker, analyzer)
    drive = Drive(name, film.size, truth, frames, attentive=name == 'attentive')
    widest, signals = maker.widest(film.seed, film.takes[0][1]), list[Array]()
    outcome = watch(
        drive,
        zones,
        DriverOptions(),
        lambda report: signals.append(compared(film.script, widest, report)),
    )
    return Judged(outcome, np.array(signals))


def compared(script: Script, widest: float, report: Report) -> Array:
    """Return (4, 2) true and measured values of `SIGNALS` at the stamp of a report."""
    i = min(round(report.stamp * GRID), len(script.time) - 1)
    true = np.array([*script.angles[i, :2], script.lids[i], min(script.mouth[i], widest)])
    if not script.seen[i]:
        true[:] = np.nan
    measured = np.array([report.signals[name].value for name in SIGNALS])
    measured[:2] = np.degrees(measured[:2])
    return np.stack([true, measured], axis=1)


def _alone() -> None:
    """Let each process use one core: there are as many processes as there should be."""
    os.environ['OMP_NUM_THREADS'] = '1'
    cv2.setNumThreads(1)


def _jpeg(picture: Image) -> bytes:
    return bytes(cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1])


def _decoded(data: bytes) -> Image:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)
