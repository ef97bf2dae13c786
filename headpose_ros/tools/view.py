"""`headpose view`: a live page in the browser, for machines without RViz or Internet."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import cv2
import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import GetState
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image

from headpose_ros.driver_monitoring.events import KINDS
from headpose_ros.driver_monitoring.options import DriverOptions
from headpose_ros.driver_monitoring.report import EYES, PRESENCES, STATES
from headpose_ros.driver_monitoring.timers import timers
from headpose_ros.errors import HeadposeError
from headpose_ros.msg import DriverState, Faces
from headpose_ros.ros.input.images import Bgr
from headpose_ros.ros.input.pictures import StampMatcher, annotated, pixels_of
from headpose_ros.ros.node import qos
from headpose_ros.ros.node.callbacks import GuardedNode
from headpose_ros.ros.node.diagnostics import Diagnostics
from headpose_ros.ros.node.stamps import seconds
from headpose_ros.ros.node.transport import prefer_shared_memory
from headpose_ros.ros.output.driver_markers import STATE_COLORS
from headpose_ros.tools.view_server import PICTURE_PERIOD, serve

_PICTURE_SIDE = 1280  # px; larger pictures are shrunk
_RATE_WINDOW = 2.0  # seconds
_SILENCE = 2.0  # seconds without messages until the page says why
_ASK_PERIOD = 2.0  # seconds between questions after the states of lifecycle nodes
_SAMPLES = 600  # results that a page shows from the past when it is opened
_ACTIVE = 'active'
#: What a page is sent at most, whatever the messages hold.
_MOST_FACES, _MOST_EVENTS, _MOST_STATUSES, _MOST_NODES = 64, 16, 100, 100
_LONGEST = 300  # characters of a text
_WORST = 3  # level of a status

#: The diagrams of the page: label, keys of a sample, range shown at least, and whose samples. Those
#: of the driver are shown while a driver node runs. A further topic takes a subscription that adds
#: its keys to the samples, and a line here.
PANELS = (
    ('yaw, pitch, roll / °', ('yaw', 'pitch', 'roll'), (-45, 45), 'face'),
    ('openness of eyes and mouth', ('right eye', 'left eye', 'mouth'), (0, 1), 'face'),
    ('eyes off the road / s', ('this glance', 'in all'), (0, 3), 'driver'),
    ('driver', ('eyes', 'PERCLOS'), (0, 1), 'driver'),
)


class Rate:
    """How many messages a second came lately, and how many in all."""

    def __init__(self) -> None:
        self.count = 0
        self._times: deque[float] = deque(maxlen=500)

    def note(self, now: float) -> None:
        """Count a message that came now, in seconds of a steady clock."""
        self.count += 1
        self._times.append(now)

    def hertz(self, now: float) -> float:
        """Return the rate over the last seconds."""
        return sum(now - then < _RATE_WINDOW for then in list(self._times)) / _RATE_WINDOW

    def silent(self, now: float) -> bool:
        """Return whether nothing came for a while."""
        return not self._times or now - self._times[-1] > _SILENCE


class Viewer(GuardedNode):
    """Listens to images, faces, the driver and diagnostics, and keeps what the page shows.

    Args:
        style: One of `perception.draw.AXIS_STYLES`.
        options: Passed to rclpy's Node.
    """

    def __init__(self, style: str = 'tf', **options: Any) -> None:
        super().__init__('view', **options)
        self._style = style
        self.watched = 0
        self.images, self.faces, self.driver = Rate(), Rate(), Rate()
        self._driver: dict[str, Any] = {}
        self._shown: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._samples: deque[dict[str, Any]] = deque(maxlen=_SAMPLES)
        self._sampled = 0
        self._people: list[dict[str, Any]] = []
        self._diagnostics: dict[str, dict[str, Any]] = {}
        self._states: dict[str, str] = {}
        self._askers: dict[str, Any] = {}
        self._asked: dict[str, Any] = {}
        self._age = float('nan')
        self._problem = ''
        self._matcher = StampMatcher()
        self._drawn = 0.0
        self.picture: tuple[int, bytes] = (0, b'')
        camera = qos.sensor_data()
        self._image_topic = self.create_subscription(
            Image, 'camera/image_raw', self._take_image, camera
        ).topic_name
        self._faces_topic = self.create_subscription(
            Faces, 'faces', self._take_faces, qos.reliable()
        ).topic_name
        self.create_subscription(DriverState, 'driver_state', self._take_driver, qos.reliable())
        self.create_subscription(
            DiagnosticArray, '/diagnostics', self._take_diagnostics, qos.reliable()
        )
        self.create_timer(_ASK_PERIOD, self._ask_states)
        self._publisher = Diagnostics(self)

    def status(self, since: int) -> dict[str, Any]:
        """Return what the page shows, ready for JSON, with the samples after number `since`.

        Where it cannot be made, what was shown before stays.
        """
        shown = {**self._shown, 'samples': []}
        with self.barrier('live page'):
            shown = self._status(since)
        self._shown = shown
        return shown

    def _status(self, since: int) -> dict[str, Any]:
        now = time.monotonic()
        with self._lock:
            samples = [sample for sample in self._samples if sample['number'] > since]
            diagnostics = list(self._diagnostics.values())
        return {
            'images': round(self.images.hertz(now), 1),
            'results': round(self.faces.hertz(now), 1),
            'dropped': max(self.images.count - self.faces.count, 0),
            'age': None if self.faces.silent(now) or np.isnan(self._age) else round(self._age),
            'faces': [] if self.faces.silent(now) else self._people,
            'driver': None if self.driver.silent(now) else self._driver,
            'why': self.why(now),
            'diagnostics': diagnostics,
            'samples': samples,
        }

    def why(self, now: float) -> str:
        """Return why nothing is shown, and what to do; empty when all is well."""
        if self.images.silent(now):
            return self._why_silent(self._image_topic, 'images', 'start a camera node')
        if self._problem:
            return self._problem
        if self.faces.silent(now):
            asleep = [f'{n} is {s}' for n, s in sorted(dict(self._states).items()) if s != _ACTIVE]
            if asleep:
                name = asleep[0].split()[0]
                return (
                    f'Images arrive, no results: {", ".join(asleep)}. Try: ros2 lifecycle set '
                    f'{name} {"activate" if "inactive" in asleep[0] else "configure"}'
                )
            return self._why_silent(self._faces_topic, 'results', 'start a pose node')
        return '' if self._people else 'Images are analysed: no face is in sight.'

    def _why_silent(self, topic: str, what: str, remedy: str) -> str:
        count = self.count_publishers(topic)
        if not count:
            return f'No {what}: {topic} has no publisher. To begin, {remedy}.'
        return (
            f'No {what}: {count} publisher(s) on {topic}, but no message arrives. Is it '
            'paused, or of another type or QoS?'
        )

    def _take_image(self, image: Image) -> None:
        self.images.note(time.monotonic())
        self._show(self._matcher.image(image))
        if self.faces.silent(time.monotonic()):
            self._show((image, None))

    def _take_faces(self, faces: Faces) -> None:
        stamp = seconds(faces.header.stamp)
        self.faces.note(time.monotonic())
        self._age = 1e-6 * self.get_clock().now().nanoseconds - 1e3 * stamp
        self._people = [_sample(face) for face in faces.faces[:_MOST_FACES]]
        with self._lock:
            face = self._people[0] if self._people else None
            self._add_sample(stamp, 'face', face)
        self._show(self._matcher.faces(faces))

    def _add_sample(self, at: float, source: str, values: dict[str, Any] | None) -> None:
        """Keep what a page draws at a stamp; None where there is nothing to draw."""
        self._sampled += 1
        self._samples.append({'number': self._sampled, 't': at, source: values})

    def _take_driver(self, state: DriverState) -> None:
        self.driver.note(time.monotonic())
        with self._lock:
            self._driver = _shown_state(state)
            self._add_sample(seconds(state.header.stamp), 'driver', _driver_sample(state))

    def _take_diagnostics(self, array: DiagnosticArray) -> None:
        """Keep the newest statuses; those without news for the longest time make room."""
        with self._lock:
            for status in array.status[:_MOST_STATUSES]:
                name = _text(status.name)
                self._diagnostics.pop(name, None)
                self._diagnostics[name] = {
                    'level': min(int.from_bytes(status.level, 'little'), _WORST),
                    'name': name,
                    'message': _text(status.message),
                }
            for name in list(self._diagnostics)[:-_MOST_STATUSES]:
                del self._diagnostics[name]

    def _show(self, pair: tuple[Image, Faces | None] | None) -> None:
        """Draw what belongs together, while somebody watches."""
        now = time.monotonic()
        if pair is None or not self.watched or now - self._drawn < PICTURE_PERIOD:
            return
        self._drawn = now
        image, faces = pair
        try:
            pixels = pixels_of(image) if faces is None else annotated(image, faces, self._style)
        except HeadposeError as error:
            self._problem = f'The images on {self._image_topic} cannot be shown: {error}.'
            return
        self._problem = ''
        self.picture = (self.picture[0] + 1, _jpeg(pixels))

    def _ask_states(self) -> None:
        """Ask every lifecycle node of this graph for its state; the answers come later."""
        kind = 'lifecycle_msgs/srv/GetState'
        services = [n for n, types in self.get_service_names_and_types() if kind in types]
        self._forget_all_but(services[:_MOST_NODES])
        for service in services[:_MOST_NODES]:
            if service not in self._askers:
                self._askers[service] = self.create_client(GetState, service)
            client, name = self._askers[service], service.rpartition('/')[0]
            if (unanswered := self._asked.get(service)) is not None:
                client.remove_pending_request(unanswered)
            future = self._asked[service] = client.call_async(GetState.Request())
            note = partial(self._note_state, name)
            future.add_done_callback(self.guarded(note, service))

    def _forget_all_but(self, services: list[str]) -> None:
        for service in self._askers.keys() - set(services):
            self.destroy_client(self._askers.pop(service))
            self._asked.pop(service, None)
            self._states.pop(service.rpartition('/')[0], None)

    def _note_state(self, name: str, done: Any) -> None:
        answer = None if done.cancelled() or done.exception() else done.result()
        if answer is not None:
            self._states[name] = _text(answer.current_state.label)


def view(host: str, port: int, style: str, ros_arguments: list[str]) -> None:
    """Serve the page until SIGINT or SIGTERM.

    Args:
        host: Address to listen on; 127.0.0.1 shows the camera to this machine alone.
        port: TCP port.
        style: One of `perception.draw.AXIS_STYLES`.
        ros_arguments: Arguments of ROS, such as remappings, from --ros-args on.

    Raises:
        HeadposeError: The port cannot be used, or a ROS argument is wrong.
    """
    prefer_shared_memory()
    try:
        # The server handles the signals; a page leaves no log in the home folder.
        rclpy.init(
            args=[*ros_arguments, '--ros-args', '--disable-external-lib-logs'],
            signal_handler_options=SignalHandlerOptions.NO,
        )
    except Exception as error:  # rclpy raises several types, some of them private
        raise HeadposeError(f'cannot start ROS: {error}') from error
    viewer = Viewer(style)
    executor = SingleThreadedExecutor()
    executor.add_node(viewer)
    thread = threading.Thread(target=_spin, args=(executor,), daemon=True)
    thread.start()
    try:
        serve(viewer, PANELS, host, port)
    finally:
        executor.shutdown(timeout_sec=2.0)
        thread.join(timeout=1.0)
        rclpy.try_shutdown()


def _spin(executor: SingleThreadedExecutor) -> None:
    with suppress(ExternalShutdownException):
        executor.spin()


def _sample(face: Any) -> dict[str, Any]:
    head = face.head_pose
    angles = np.degrees([head.yaw, head.pitch, head.roll]).round(1).tolist()
    openness = [face.right_eye_openness, face.left_eye_openness, face.mouth_openness]
    known = [round(value, 3) for value in openness]
    place = head.pose.pose.position
    return {
        'id': _text(face.id),
        **dict(zip(PANELS[0][1], angles, strict=True)),
        **dict(zip(PANELS[1][1], known, strict=True)),
        'distance': round(place.z, 2) if head.translation_is_metric else None,
        'confidence': round(face.confidence, 2),
    }


def _driver_sample(state: DriverState) -> dict[str, Any]:
    signals = (state.off_road, state.off_road_accumulated, state.eye_openness, state.perclos)
    keys = (*PANELS[2][1], *PANELS[3][1])
    return {key: _known(signal) for key, signal in zip(keys, signals, strict=True)}


def _shown_state(state: DriverState) -> dict[str, Any]:
    """Return what the page writes about the driver."""
    name, options = _named(STATES, state.state), DriverOptions()
    facts = {
        'zone': _text(state.zone) or None,
        'eyes': _named(EYES, state.eyes),
        'face': _named(PRESENCES, state.presence).replace('_', ' '),
        'blinks / min': _known(state.blink_rate, 0),
        'yawns': _known(state.yawns, 0),
        'nods': _known(state.nods, 0),
    }
    return {
        'state': name.replace('_', ' '),
        'color': STATE_COLORS.get(name, STATE_COLORS[STATES[0]]),
        'reason': _text(state.reason),
        'confidence': round(state.confidence, 2),
        'facts': facts,
        'timers': [
            (t.label, _known(getattr(state, t.signal), 3), t.limit, t.unit, t.scale)
            for t in timers(options)
        ],
        'events': [
            _named(('no_kind', *KINDS), event.kind).replace('_', ' ')
            for event in state.events[:_MOST_EVENTS]
        ],
    }


def _named(names: Sequence[str], number: int) -> str:
    """Return the name of a constant; a message may hold one that there is none for."""
    return names[number] if 0 <= number < len(names) else f'unknown ({number})'


def _text(text: str) -> str:
    return text if len(text) <= _LONGEST else f'{text[:_LONGEST]}...'


def _known(signal: Any, digits: int = 2) -> float | None:
    return round(signal.value, digits) if signal.valid else None


def _jpeg(pixels: Bgr) -> bytes:
    shrink = _PICTURE_SIDE / max(pixels.shape[:2])
    if shrink < 1:
        pixels = np.asarray(cv2.resize(pixels, None, fx=shrink, fy=shrink), np.uint8)
    return bytes(cv2.imencode('.jpg', pixels, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes())
