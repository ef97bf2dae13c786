"""Run camera and pose node over real topics for a while; leave video, sheet, bag and numbers."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rich.console import Console
from rich.live import Live
from rich.table import Table

from headpose_ros.demo.pictures import write_pictures
from headpose_ros.demo.recording import Recorder, demo_topics
from headpose_ros.errors import HeadposeError
from headpose_ros.files import check_new, make_folder, write_whole
from headpose_ros.models import DEFAULT_MODEL
from headpose_ros.msg import Faces
from headpose_ros.nodes.camera import CameraNode
from headpose_ros.nodes.pose import PoseNode
from headpose_ros.nodes.runner import Signals
from headpose_ros.ros.node.callbacks import NodeEnded
from headpose_ros.ros.node.transport import prefer_shared_memory
from headpose_ros.sources.open import ASTRONAUT

_ANGLES = ('yaw', 'pitch', 'roll')
SETTLING = 1.0  # seconds from the last frame until its result has surely come
_LONGEST_SETTLING = 20.0  # seconds
_REFRESH = 4  # of the live table, per second


@dataclass(frozen=True)
class DemoOptions:
    """What to demonstrate.

    Attributes:
        out: Folder for the results.
        source: As the camera node's parameter.
        duration: Seconds, 0 for the whole video; a photograph or a device never ends by itself.
        model: Network.
        device: Where it runs.
        horizontal_fov: Full field of view of the camera in radians, 0 for unknown. The virtual
            camera in front of a photograph has the one that it is given.
        overwrite: Whether the results of an earlier demonstration are replaced.
    """

    out: Path
    source: str = ASTRONAUT
    duration: float = 12.0
    model: str = DEFAULT_MODEL
    device: str = 'auto'
    horizontal_fov: float = 0.0
    overwrite: bool = False


class _Observer:
    """Remembers what the live table and the report show."""

    def __init__(self) -> None:
        self.latest: Faces | None = None
        self.arrivals: deque[float] = deque(maxlen=60)
        self.angles: list[tuple[float, float, float]] = []

    def take(self, faces: Faces) -> None:
        """Note a Faces message, in the recorder's thread."""
        self.latest = faces
        self.arrivals.append(time.monotonic())
        self.angles += [(f.head_pose.yaw, f.head_pose.pitch, f.head_pose.roll) for f in faces.faces]

    @property
    def rate(self) -> float:
        """Faces messages per second over the last ones."""
        times = list(self.arrivals)
        return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0

    def ranges(self) -> dict[str, list[float]]:
        """Return least and largest angle in degrees over all faces."""
        degrees = np.degrees(np.array(self.angles).reshape(-1, 3))
        if not len(degrees):
            return {}
        low, high = degrees.min(axis=0).round(1).tolist(), degrees.max(axis=0).round(1).tolist()
        return {name: [low[i], high[i]] for i, name in enumerate(_ANGLES)}


def run_demo(options: DemoOptions) -> dict[str, Any]:
    """Run the demonstration and write `demo.mp4`, `demo.png`, `demo.mcap` and `demo.json`.

    Returns:
        What `demo.json` holds.

    Raises:
        HeadposeError: The source, the model or the output folder cannot be used, or no frame came.
    """
    make_folder(options.out)
    for kind in ('mp4', 'png', 'mcap', 'json'):
        check_new(options.out / f'demo.{kind}', options.overwrite)
    prefer_shared_memory()
    # A demonstration must not send its pictures into a robot's network, unless told to.
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    report = _run_nodes(options)
    console = Console()
    frames = write_pictures(
        options.out / 'demo.mcap',
        options.out / 'demo.mp4',
        options.out / 'demo.png',
        '/camera/image_raw',
        '/faces',
    )
    if not frames:
        raise HeadposeError(f'no result came for {options.source}: see the log above')
    text = json.dumps(report, indent=2)
    write_whole(options.out / 'demo.json', f'{text}\n'.encode(), overwrite=True)
    console.print_json(text)
    console.print(
        f'{frames} frames: demo.mp4, demo.png, demo.mcap, demo.json in {options.out}',
        markup=False,  # a folder may have brackets in its name
    )
    return report


def _run_nodes(options: DemoOptions) -> dict[str, Any]:
    """Run the nodes until the source ends, time is up or a signal comes; return the report."""
    with Signals() as signals, ExitStack() as cleanup:
        # No handlers of its own: signals are noted, and the nodes end in order.
        rclpy.init(
            args=['--ros-args', *_parameters(options)],
            signal_handler_options=SignalHandlerOptions.NO,
        )
        cleanup.callback(rclpy.try_shutdown)
        observer = _Observer()
        recorder = Recorder(options.out / 'demo.mcap', demo_topics(), observer.take)
        cleanup.callback(recorder.close)
        pose = PoseNode()
        cleanup.callback(pose.destroy_node)
        camera = CameraNode()
        cleanup.callback(camera.destroy_node)
        # A thread each: the recorder's compression must not delay the camera's timer.
        for node in (pose, recorder, camera):
            cleanup.callback(spin_in_thread(node))
        _watch(options, signals, observer, pose, camera)
        camera.stop()
        _settle(pose, recorder)
        recorder.check()
        return _report(options, observer, pose)


def _parameters(options: DemoOptions) -> list[str]:
    """Return the ROS arguments that set the nodes' parameters."""
    fov = options.horizontal_fov
    values = {
        'camera:source': json.dumps(options.source),
        'camera:loop': 'false',
        'camera:move_still': 'true',
        'camera:horizontal_fov': str(float(fov)),
        'pose:network.model': json.dumps(options.model),
        'pose:network.device': json.dumps(options.device),
    }
    return [word for name, value in values.items() for word in ('-p', f'{name}:={value}')]


def spin_in_thread(node: Node) -> Callable[[], None]:
    """Spin a node in a thread of its own; return what ends it."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)

    def spin() -> None:
        with suppress(ExternalShutdownException, NodeEnded):
            executor.spin()

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()

    def stop() -> None:
        executor.shutdown(timeout_sec=2.0)
        thread.join(timeout=5.0)

    return stop


def _watch(
    options: DemoOptions, signals: Signals, observer: _Observer, pose: PoseNode, camera: CameraNode
) -> None:
    """Show the live table until the end."""
    start = time.monotonic()
    with Live(_table(observer, pose), refresh_per_second=_REFRESH) as live:
        while not (camera.finished or signals.received):
            if pose.ending is not None:
                raise pose.ending
            if options.duration and time.monotonic() - start > options.duration:
                return
            time.sleep(1 / _REFRESH)
            live.update(_table(observer, pose))


def _settle(pose: PoseNode, recorder: Recorder) -> None:
    """Wait until the last frames have results and nothing more is recorded."""
    end, recorded = time.monotonic() + _LONGEST_SETTLING, -1
    while recorder.recorded > recorded or _is_at_work(pose.summary()):
        if time.monotonic() > end:
            return
        recorded = recorder.recorded
        time.sleep(SETTLING)


def _is_at_work(summary: dict[str, Any]) -> bool:
    done = ('frames_out', 'frames_dropped', 'frames_late', 'frames_refused')
    return bool(summary['frames_in'] > sum(summary[name] for name in done))


def _table(observer: _Observer, pose: PoseNode) -> Table:
    summary = pose.summary()
    age = summary['milliseconds'].get('age', {}).get('median', float('nan'))
    table = Table(
        title=f'{observer.rate:.1f} Hz   age {age:.0f} ms   in {summary["frames_in"]}   '
        f'out {summary["frames_out"]}   dropped {summary["frames_dropped"]}   '
        f'refused {summary["frames_refused"]}'
    )
    for name in ('face', 'yaw °', 'pitch °', 'roll °', 'distance m', 'confidence'):
        table.add_column(name, justify='right')
    for face in observer.latest.faces if observer.latest else []:
        head = face.head_pose
        angles = [f'{np.degrees(value):+.1f}' for value in (head.yaw, head.pitch, head.roll)]
        distance = f'{head.pose.pose.position.z:.2f}' if head.translation_is_metric else '-'
        table.add_row(face.id, *angles, distance, f'{face.confidence:.2f}')
    return table


def _report(options: DemoOptions, observer: _Observer, pose: PoseNode) -> dict[str, Any]:
    return {
        'source': options.source,
        'model': options.model,
        **pose.summary(),
        'rate_hz': round(observer.rate, 2),
        'angle_ranges_deg': observer.ranges(),
    }
