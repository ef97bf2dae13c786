"""Camera node: publishes a video, a device, an image or a folder of images as a ROS camera."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from headpose_ros.nodes.runner import run
from headpose_ros.parameter import ParameterProblem, parameter
from headpose_ros.ros.input.calibration import (
    CalibrationError,
    load_calibration,
    pinhole,
    scaled,
    uncalibrated,
)
from headpose_ros.ros.input.images import encode_bgr
from headpose_ros.ros.node import qos
from headpose_ros.ros.node.callbacks import GuardedNode, describe
from headpose_ros.ros.node.diagnostics import ERROR, SILENT_AFTER, Diagnostics, Finding, status
from headpose_ros.ros.node.parameters import declare, follow
from headpose_ros.ros.node.worker import Worker
from headpose_ros.sources.open import open_stream
from headpose_ros.sources.resize import fit
from headpose_ros.sources.source import Bgr, Source, SourceError

_MAX_SIDE = 16384
#: Pauses before a device that is gone is opened again, s: the first, and the longest.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
#: A device that gave frames for this time is back, s; one that comes and goes is still lost.
_STEADY = 10.0


@dataclass(frozen=True)
class CameraConfig:
    """Parameters of the camera node."""

    source: str = parameter(
        '/dev/video0',
        "Video file, image, folder of images, /dev/videoN, N, or 'astronaut' for a photograph.",
        read_only=True,
        basic=True,
    )
    rate: float = parameter(
        0.0,
        "Frames per second; 0 for the source's own, a film's at the times of its frames.",
        minimum=0.0,
        maximum=1000.0,
        unit='Hz',
        read_only=True,
        basic=True,
    )
    loop: bool = parameter(True, 'Start again at the end of the source.', basic=True)
    frame_id: str = parameter(
        'camera_optical_frame', 'Frame of the messages: x right, y down, z ahead.', read_only=True
    )
    width: int = parameter(
        0,
        "Image width; 0 for the source's own.",
        minimum=0,
        maximum=_MAX_SIDE,
        unit='px',
        read_only=True,
    )
    height: int = parameter(
        0,
        "Image height; 0 for the source's own.",
        minimum=0,
        maximum=_MAX_SIDE,
        unit='px',
        read_only=True,
    )
    calibration: str = parameter(
        '', 'Calibration file of camera_info_manager; empty for none.', read_only=True, basic=True
    )
    horizontal_fov: float = parameter(
        0.0,
        'Full horizontal field of view of an ideal camera; 0 for unknown.',
        minimum=0.0,
        maximum=3.1,
        unit='rad',
        read_only=True,
        basic=True,
    )
    move_still: bool = parameter(
        False,
        'Pan, zoom and roll a single image before a virtual camera; else it stands still.',
        read_only=True,
    )
    reliability: str = parameter(
        'reliable',
        'Reliability of both topics; reliable reaches every subscriber, also RViz as it starts.',
        choices=qos.RELIABILITIES,
        read_only=True,
    )

    def __post_init__(self) -> None:
        """Refuse two calibrations at once."""
        if self.calibration and self.horizontal_fov:
            raise ParameterProblem(
                'parameters calibration and horizontal_fov are both set: expected at most one'
            )


class CameraNode(GuardedNode):
    """Publishes `camera/image_raw` (bgr8), `camera/camera_info` with equal stamps, `/diagnostics`.

    Stamps are the node clock's time of capture. The source is read in a thread of its own: what is
    published of a live device is always its newest frame, and a film plays at its own times. A
    device that is gone is opened again and again, with pauses that grow.

    Args:
        options: Passed to rclpy's Node.

    Raises:
        SourceError: The source cannot be opened or has no frames.
        CalibrationError: The calibration cannot be read or is for another aspect ratio.
        ParameterProblem: A parameter is refused.

    Attributes:
        finished: Whether a film, a folder or an image has come to its end.
    """

    def __init__(self, **options: Any) -> None:
        # First, since a node that fails to start is destroyed like any other.
        self._reader: Worker | None = None
        self._started = False
        super().__init__('camera', **options)
        self.finished = False
        self._config = declare(self, CameraConfig)
        self._calibration = self._load_calibration()
        self._infos: dict[tuple[int, int], CameraInfo] = {}
        self._source = self._open()
        self._first: Bgr | None = self._read_first()
        profile = qos.from_name(self._config.reliability)
        self._images = self.create_publisher(Image, 'camera/image_raw', profile)
        self._camera_infos = self.create_publisher(CameraInfo, 'camera/camera_info', profile)
        follow(self, self._config, self._apply)
        self._closing = threading.Event()
        self._problem = ''
        self._frames = 0
        self._last_frame = time.monotonic()
        self._diagnostics = Diagnostics(self, self._statuses)
        self._start()

    def destroy_node(self) -> None:
        """Stop reading and free the source, then destroy the node."""
        self.stop()
        super().destroy_node()

    def stop(self) -> None:
        """Stop reading and free the source; nothing more is published."""
        if not self._started:
            return
        self._closing.set()
        # A device that still waits for a frame must not lose its buffers under the wait.
        if self._reader is None or self._reader.ends():
            self._source.close()

    def _start(self) -> None:
        """Start the thread that publishes."""
        self._started = True
        self.get_logger().info(
            f'publishing {self._source.name} at {self._announced_rate()}{self._hint()}'
        )
        work = self._follow_device if self._source.is_live else self._play
        self._reader = Worker('source', work)
        self._reader.start()

    def _open(self) -> Source:
        """Open the source that the parameters name."""
        config = self._config
        return open_stream(
            config.source,
            width=config.width,
            height=config.height,
            fps=config.rate,
            move_still=config.move_still,
        )

    def _announced_rate(self) -> str:
        """Return the rate in words."""
        if self._source.is_film and not self._config.rate:
            return 'the times of its frames'
        return f'{self._config.rate or self._source.fps:g} Hz'

    def _hint(self) -> str:
        """Return what to set for positions in metres; empty where there is a calibration."""
        if self._calibration is not None or self._config.horizontal_fov:
            return ''
        return (
            ' without a calibration: poses are rotations only, at the origin of the camera; for '
            'metres set calibration (a file) or horizontal_fov (radians: 1.0 suits many webcams)'
        )

    def _apply(self, config: CameraConfig) -> None:
        """Take over parameters that were changed."""
        self._config = config

    def _load_calibration(self) -> CameraInfo | None:
        """Return the calibration that the parameters name, at its own size."""
        path = self._config.calibration
        return load_calibration(path) if path else None

    def _read_first(self) -> Bgr:
        """Return the first frame; what is wrong with source or calibration shows here."""
        frame = self._source.read()
        if frame is None:
            raise SourceError(f'no frames in {self._source.name}')
        image = fit(frame, self._config.width, self._config.height)
        self._camera_info(image.shape[1], image.shape[0])
        return frame

    def _play(self) -> None:
        """Publish the frames of a film, a folder or an image, each at its time, until closed."""
        timetable = _Timetable(self._config.rate, self._source.fps)
        try:
            while (frame := self._next_frame()) is not None:
                # Steady: playback neither stands still without /clock nor jumps with the system
                # time.
                pause = timetable.pause(self._source.time, time.monotonic())
                if self._closing.wait(pause):
                    return
                with self.barrier(self._images.topic_name):
                    self._publish(frame, self.get_clock().now())
        except Exception as error:  # whatever a reader raises: it would do so again
            self._problem = describe(error)
            self.get_logger().error(self._problem)
        self.finished = True
        self.get_logger().info(f'end of {self._source.name}: nothing more is published')

    def _next_frame(self) -> Bgr | None:
        """Return the next frame, from the start again if the source loops.

        Raises:
            SourceError: the source is gone.
        """
        first, self._first = self._first, None
        if first is not None:
            return first
        frame = self._source.read()
        if frame is None and self._config.loop:
            self._source.rewind()
            frame = self._source.read()
        return frame

    def _follow_device(self) -> None:
        """Publish each new frame of a device, or as many as `rate` allows, until closed."""
        pace, outage = _Pace(self._config.rate), _Outage()
        while not self._closing.is_set():
            frame = self._read_device()
            stamp, now = self.get_clock().now(), time.monotonic()
            if frame is None:
                self._reopen(outage)
                continue
            outage.note_frame(now)
            if pace.due(now):
                with self.barrier(self._images.topic_name):
                    self._publish(frame, stamp)

    def _read_device(self) -> Bgr | None:
        """Return the next frame of the device; None when it is gone, however it reports that."""
        with self.barrier(self._source.name):
            return self._source.read()
        return None

    def _reopen(self, outage: _Outage) -> None:
        """Open a device that is gone, as soon as it is there or the node ends."""
        name, is_new = self._source.name, outage.is_new()
        if is_new:
            self.get_logger().error(f'no more frames from {name}: trying to open it again')
        with self.barrier(name):
            self._source.close()
        while not self._closing.wait(outage.pause()):
            try:
                self._source = self._open()
            except Exception:  # whatever a driver raises; diagnostics say that it is gone
                continue
            if is_new:
                self.get_logger().info(f'opened {name} again')
            return

    def _publish(self, frame: Bgr, stamp: Time) -> None:
        """Publish one frame with its camera_info; one of a wrong shape is dropped."""
        header = Header(stamp=stamp.to_msg(), frame_id=self._config.frame_id)
        try:
            image = fit(frame, self._config.width, self._config.height)
            info = self._camera_info(image.shape[1], image.shape[0])
        except (SourceError, CalibrationError) as error:
            self.fail(self._images.topic_name, error)
            return
        self._frames += 1
        self._last_frame = time.monotonic()
        info.header = header
        self._images.publish(encode_bgr(image, header))
        self._camera_infos.publish(info)

    def _camera_info(self, width: int, height: int) -> CameraInfo:
        """Return the camera_info for an image size; its header is left to the caller."""
        if (width, height) not in self._infos:
            self._infos[width, height] = self._make_camera_info(width, height)
        return self._infos[width, height]

    def _make_camera_info(self, width: int, height: int) -> CameraInfo:
        """Return a new camera_info from the calibration, the field of view or neither."""
        if self._calibration is not None:
            return scaled(self._calibration, width, height)
        if self._config.horizontal_fov:
            return pinhole(width, height, self._config.horizontal_fov)
        return uncalibrated(width, height)

    def _statuses(self) -> list[Any]:
        """Return the node's diagnostics."""
        name, silence = self._source.name, time.monotonic() - self._last_frame
        rate = self._config.rate or self._source.fps
        found = []
        if self._problem:
            found.append(Finding(ERROR, self._problem))
        elif not self.finished and silence > SILENT_AFTER + 2.0 / rate:
            live = self._source.is_live
            what = 'is it plugged in? the node keeps opening it' if live else 'see the log'
            found.append(Finding(ERROR, f'no frames from {name} for {silence:.0f} s: {what}'))
        values = {'source': name, 'frames': self._frames, 'at its end': self.finished}
        return [status(f'{self.get_name()}: source', found, values, self._config.frame_id)]


class _Outage:
    """How long to wait before a device that is gone is opened again."""

    def __init__(self) -> None:
        self._pause = _FIRST_PAUSE
        self._since: float | None = None

    def is_new(self) -> bool:
        """Return whether the device was there until now, rather than come for a moment."""
        return self._pause == _FIRST_PAUSE

    def pause(self) -> float:
        """Return the next pause, s; each is twice the last one."""
        pause, self._since = self._pause, None
        self._pause = min(2 * pause, _LONGEST_PAUSE)
        return pause

    def note_frame(self, now: float) -> None:
        """Note that a frame came at a time, s of a steady clock."""
        if self._since is None:
            self._since = now
        elif now - self._since > _STEADY:
            self._pause = _FIRST_PAUSE


class _Timetable:
    """When each frame of a film is due."""

    def __init__(self, rate: float, fps: float) -> None:
        """Set the wanted rate in Hz, 0 for the film's own times, and its average rate in Hz."""
        self._period = 1.0 / rate if rate else 0.0
        self._usual = 1.0 / fps
        self._shown = math.inf
        self._due = -math.inf

    def pause(self, shown: float, now: float) -> float:
        """Return how long to wait for a frame, in seconds.

        Args:
            shown: its presentation time in seconds; one that is not later than the last one begins
                another round.
            now: steady time in seconds.
        """
        own = shown - self._shown if shown > self._shown else self._usual
        step = self._period or own
        self._shown = shown
        self._due += step
        # A picture that came late stands for its full time: no burst follows.
        if now - self._due > step:
            self._due = now
        return max(self._due - now, 0.0)


class _Pace:
    """Picks frames so that no more than a wanted rate remains."""

    def __init__(self, rate: float) -> None:
        """Set the rate in Hz, 0 for every frame."""
        self._period = 1.0 / rate if rate else 0.0
        self._next = float('-inf')

    def due(self, now: float) -> bool:
        """Return whether the frame that came at `now` (seconds, steady) is published."""
        # A quarter of a period early is in time: a device of about the wanted rate loses nothing.
        late = now - self._next
        if late < -0.25 * self._period:
            return False
        # The beat is kept through jitter; after a gap it starts anew rather than catch up.
        self._next = (now if late > self._period else self._next) + self._period
        return True


def main(args: Sequence[str] | None = None) -> int:
    """Run the camera node and return its exit code."""
    return run(CameraNode, args)


if __name__ == '__main__':
    sys.exit(main())
