"""`headpose-train demo-driver`: a rendered drive through real nodes over real topics."""

from __future__ import annotations

# First: from PyPI it starts Python anew, to set the library path.
import rclpy  # isort: skip

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from headpose_ros import DEFAULT_MODEL
from headpose_ros.demo.recording import Recorder, drive_topics, read_messages
from headpose_ros.demo.session import SETTLING, spin_in_thread
from headpose_ros.driver_monitoring.options import DriverOptions
from headpose_ros.driver_monitoring.zones_file import read_zones
from headpose_ros.files import check_new
from headpose_ros.nodes.driver import DriverNode
from headpose_ros.nodes.pose import PoseNode
from headpose_ros.nodes.runner import Signals
from headpose_ros.ros.input.pictures import StampMatcher, annotated
from headpose_ros.ros.node.share import share_file
from headpose_ros.ros.node.transport import prefer_shared_memory
from headpose_ros.sources.video import VideoSource
from headpose_ros.sources.video_writer import VideoWriter
from headpose_ros.tools.drive import Drive, Span, read_drive
from headpose_ros.tools.driver_panel import DriverPanel
from headpose_ros.tools.plot_drive import Truth, plot_drive
from numpy.typing import NDArray
from rclpy.signals import SignalHandlerOptions
from rich.console import Console
from rich.progress import Progress, track

from headpose_training.demo.event_table import compare, table_lines, told_states
from headpose_training.demo.story import story, story_truth, true_signals
from headpose_training.driving.rendered import Film, FilmMaker, render_jpegs
from headpose_training.driving.truth import TruthEvent
from headpose_training.errors import TrainingError
from headpose_training.metrics.tables import write_report

#: Of the files in the output folder.
_NAME = 'driver'
_IMAGES, _FACES, _STATES = '/camera/image_raw/compressed', '/faces', '/driver_state'
_DISCOVERY = 20.0  # s until all nodes must have found each other
_WAITING = 64  # images that wait for their faces as the video is drawn
#: Changes when the same script is drawn differently: then kept films are old.
_FILM_VERSION = 1
#: How many pictures of the drive the sheet has, and from how late in their events.
_STRIP, _LATE = 8, 0.8


def demo_driver(
    out: Path,
    weights: str = DEFAULT_MODEL,
    device: str = 'auto',
    rate: float = 15.0,
    zones: Path | None = None,
    workers: int = 0,
    overwrite: bool = False,
) -> None:
    """Render a drive of two minutes, play it to pose node and driver node, and compare.

    Leaves driver.mp4 (annotated), driver.mcap (all topics), driver_signals.png (signals and events
    over time), driver_sheet.png, driver.md and driver.json (every event with the truth beside it).
    The rendered film is kept in the folder and used again.

    Args:
        out: Folder for the results; it is made.
        weights: Name of a network, or a file.
        device: Where it runs: auto, cpu, cuda or cuda:N.
        rate: Pictures a second.
        zones: Zones file; that of the package without one.
        workers: Processes that render; 0 is one per core.
        overwrite: Replace what an earlier demonstration left in it; else that is an error.

    Raises:
        TrainingError: There is no EGL, the heads are missing, or the nodes do not find each other.
        HeadposeError: Weights, zones or the output folder cannot be used.
    """
    check_new(out / f'{_NAME}.mcap', overwrite)
    out.mkdir(parents=True, exist_ok=True)
    film, options = story(rate), DriverOptions()
    known = read_zones(zones or share_file('config/zones.yaml'))
    clip, person = rendered(film, out, workers or os.cpu_count() or 1)
    played = _play(film, clip, out / f'{_NAME}.mcap', weights, device, zones)
    drive = read_drive(out / f'{_NAME}.mcap')
    # The first state comes some pictures after the film's beginning.
    drive = shifted(drive, drive.start - played['start'])
    truth = story_truth(film, person.neutral, known, options)
    comparisons = compare(truth, drive, options)
    _write_pictures(film, out, drive, truth, options, person.widest)
    content = {
        'weights': weights,
        **played['summary'],
        'states': len(drive.times),
        'pictures': len(film.stamps),
        'events': [comparison.as_dict() for comparison in comparisons],
    }
    said = (
        f'{len(film.stamps)} rendered pictures at {rate:g} Hz, {len(drive.times)} analysed, '
        f'through pose node ({Path(weights).name}) and driver node over DDS.'
    )
    write_report(
        out, _NAME, content, ['# A rendered drive', '', said, '', *table_lines(comparisons)]
    )
    Console().print(
        f'{_NAME}.mp4, {_NAME}.mcap, {_NAME}_signals.png, {_NAME}_sheet.png, {_NAME}.md and '
        f'{_NAME}.json are in {out}'
    )


@dataclass(frozen=True)
class Person:
    """What the truth needs to know of a rendered driver.

    Attributes:
        neutral: (3, 3) R_optical_face of looking at the road.
        widest: Opening that the mouth does not exceed.
    """

    neutral: NDArray[np.float64]
    widest: float


def rendered(film: Film, out: Path, workers: int) -> tuple[Path, Person]:
    """Return the film as a video file, and its driver; rendered if it is not there yet.

    Args:
        film: The film.
        out: Folder in which it is kept.
        workers: Processes that render.

    Raises:
        TrainingError: The heads are missing, or there is no EGL.
    """
    name = f'film-{film.key}-{_FILM_VERSION}'
    clip, note = out / f'{name}.mp4', out / f'{name}.json'
    if clip.exists() and note.exists():
        known = json.loads(note.read_text(encoding='utf-8'))
        return clip, Person(np.array(known['neutral']), known['widest'])
    for old in out.glob('film-*'):
        old.unlink()
    # First, as it finds out at once whether there is what rendering needs.
    person = _person(film)
    start = time.monotonic()
    _render(film, clip, workers)
    Console().print(
        f'rendered in {time.monotonic() - start:.0f} s by {workers} processes; kept in {clip}'
    )
    known = {'neutral': person.neutral.tolist(), 'widest': person.widest}
    note.write_text(json.dumps(known) + '\n', encoding='utf-8')
    return clip, person


def _person(film: Film) -> Person:
    maker, first = FilmMaker(), film.takes[0][1]
    maker.picture(film, 0)
    return Person(maker.neutral(film.seed, first), maker.widest(film.seed, first))


def _render(film: Film, clip: Path, workers: int) -> None:
    """Write the film; the file has its name only when it is complete."""
    part = clip.with_suffix('.part')
    pictures = track(render_jpegs(film, workers), 'rendering the drive', len(film.stamps))
    with VideoWriter(part) as writer:
        for stamp, data in zip(film.stamps.tolist(), pictures, strict=True):
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            writer.write(np.asarray(picture, np.uint8), stamp)
    part.rename(clip)


def _play(
    film: Film, clip: Path, recording: Path, weights: str, device: str, zones: Path | None
) -> dict[str, Any]:
    """Run the nodes until the film ends; return its start and the pose node's summary."""
    from headpose_training.demo.player import Player

    prefer_shared_memory()
    # A demonstration must not send its pictures into a robot's network, unless told to.
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    reader = VideoSource(clip)
    with Signals() as signals, ExitStack() as cleanup:
        cleanup.callback(reader.close)
        rclpy.init(
            args=['--ros-args', *_parameters(weights, device, zones)],
            signal_handler_options=SignalHandlerOptions.NO,
        )
        cleanup.callback(rclpy.try_shutdown)
        recorder = Recorder(recording, drive_topics())
        cleanup.callback(recorder.close)
        pose = PoseNode()
        fov = np.radians(film.takes[0][1].fov_deg)
        player = Player(reader.timed(), film.size, float(fov))
        for node in (pose, DriverNode(), recorder, player):
            cleanup.callback(node.destroy_node)
            cleanup.callback(spin_in_thread(node))
        _wait_for(player, signals)
        thread = threading.Thread(target=player.play, daemon=True)
        thread.start()
        with Progress() as progress:
            task = progress.add_task('driving', total=film.script.seconds)
            while thread.is_alive() and not signals.received:
                if pose.ending is not None:
                    raise pose.ending
                time.sleep(0.2)
                progress.update(task, completed=player.played)
            progress.update(task, completed=film.script.seconds)
        player.close()
        thread.join(timeout=5.0)
        time.sleep(SETTLING)
        if signals.received:
            raise TrainingError('interrupted: the recording holds the beginning of the drive')
        return {'start': player.start, 'summary': pose.summary()}


def _parameters(weights: str, device: str, zones: Path | None) -> list[str]:
    values = {
        'pose:network.model': json.dumps(weights),
        'pose:network.device': json.dumps(device),
    }
    if zones is not None:
        values['driver:zones'] = json.dumps(str(zones))
    return [word for name, value in values.items() for word in ('-p', f'{name}:={value}')]


def _wait_for(player: Any, signals: Signals) -> None:
    end = time.monotonic() + _DISCOVERY
    while not (player.is_heard or signals.received):
        if time.monotonic() > end:
            raise TrainingError(
                f'the nodes did not find each other within {_DISCOVERY:g} s: does DDS work here? '
                'headpose doctor tells'
            )
        time.sleep(0.1)


def shifted(drive: Drive, seconds: float) -> Drive:
    """Return a drive whose times count from so much earlier."""

    def later(spans: list[Span]) -> list[Span]:
        return [
            replace(s, onset=s.onset + seconds, end=s.end + seconds, known=s.known + seconds)
            for s in spans
        ]

    return replace(
        drive,
        start=drive.start - seconds,
        times=drive.times + seconds,
        states=later(drive.states),
        presences=later(drive.presences),
        eyes=later(drive.eyes),
        zones=later(drive.zones),
        events=later(drive.events),
    )


def spans_of(truth: list[TruthEvent]) -> list[Span]:
    """Return the truth as the tools draw it."""
    return [Span(e.kind, e.onset, e.end, e.zone, e.onset) for e in truth]


def _write_pictures(
    film: Film,
    out: Path,
    drive: Drive,
    truth: list[TruthEvent],
    options: DriverOptions,
    widest: float,
) -> None:
    true = spans_of(truth)
    signals = true_signals(film, widest)
    title = 'A rendered drive: what the driver node told, and what is true (grey, black)'
    told = replace(drive, events=[*drive.events, *told_states(drive)])
    plot_drive(told, out / f'{_NAME}_signals.png', title, Truth(true, film.stamps, signals), True)
    panel = DriverPanel(film.size, told.events, true, film.script.seconds, options)
    wanted = _telling(truth, drive)
    frames = track(_frames(out / f'{_NAME}.mcap'), 'writing the video', total=len(drive.times))
    kept = []
    with VideoWriter(out / f'{_NAME}.mp4') as writer:
        for number, (stamp, picture, state) in enumerate(frames):
            drawn = panel.draw(picture, state, stamp - drive.start)
            writer.write(drawn, stamp - drive.start)
            if number in wanted:
                kept.append(drawn)
    _write_sheet(kept, out / f'{_NAME}_sheet.png')


def _write_sheet(pictures: list[NDArray[np.uint8]], sheet: Path) -> None:
    """Write pictures in two columns; an odd one is left out."""
    rows = [np.hstack(pictures[i : i + 2]) for i in range(0, len(pictures) - 1, 2)]
    if rows:
        small = cv2.resize(np.vstack(rows), None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(sheet), small)


def _telling(truth: list[TruthEvent], drive: Drive) -> set[int]:
    """Return which pictures go into the sheet: from the first event of each kind."""
    first: dict[str, TruthEvent] = {}
    for event in truth:
        first.setdefault(event.kind, event)
    late = [event.onset + _LATE * event.duration for event in first.values()]
    return {int(np.abs(drive.times - moment).argmin()) for moment in sorted(late)[:_STRIP]}


def _frames(recording: Path) -> Iterator[tuple[float, NDArray[np.uint8], Any]]:
    """Yield stamp in s, annotated picture, and the state, of every picture with a result."""
    states: dict[int, Any] = {}
    for _, state in read_messages(recording, _STATES):
        states[_nanoseconds(state)] = state
    matcher = StampMatcher(_WAITING)
    for topic, message in read_messages(recording, _IMAGES, _FACES):
        pair = matcher.image(message) if topic == _IMAGES else matcher.faces(message)
        if pair is not None:
            stamp = _nanoseconds(message)
            yield stamp * 1e-9, annotated(*pair), states.get(stamp)


def _nanoseconds(message: Any) -> int:
    return int(message.header.stamp.sec * 10**9 + message.header.stamp.nanosec)
