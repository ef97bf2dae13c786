"""The driver node in a process of its own, over real DDS: faces in, states and events out."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')

import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from test_driver import LAP, MIRROR, a_face, alive

from headpose_ros.msg import DriverEvent, DriverState, Faces
from headpose_ros.ros.input.images import encode_bgr
from headpose_ros.ros.node import qos
from headpose_ros.ros.output.messages import faces_message, located
from headpose_ros.srv import CalibrateZone, StoreDriver

ROOT = Path(__file__).parents[1]
FRAME = 'cabin_optical_frame'
SIZE = (640, 480)
TIMEOUT = 60.0
RATE = 20


def start(*arguments: str) -> subprocess.Popen[str]:
    parameters = ['neutral.learning_seconds:=2.0', 'silence_seconds:=30.0', *arguments]
    words = [word for parameter in parameters for word in ('-p', parameter)]
    return subprocess.Popen(
        [sys.executable, '-m', 'headpose_ros.nodes.driver', '--ros-args', *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


class Rig:
    """A pose node's stand-in and a listener in the test's process, and the node in another."""

    def __init__(self, spin_until: Any, *arguments: str) -> None:
        self.process = start(*arguments)
        self.node = rclpy.create_node('rig')
        self._spin_until = spin_until
        self._sent = 100 * RATE
        self._rng = np.random.default_rng(2)
        self.faces = self.node.create_publisher(Faces, 'faces', qos.reliable(200))
        self.images = self.node.create_publisher(Image, 'camera/image_raw', qos.reliable())
        self.states: list[Any] = []
        self.events: list[Any] = []
        self.diagnostics: list[Any] = []
        self._listeners = [
            self.node.create_subscription(kind, topic, store.append, qos.reliable(200))
            for kind, topic, store in (
                (DriverState, 'driver_state', self.states),
                (DriverEvent, 'driver_events', self.events),
                (DiagnosticArray, '/diagnostics', self.diagnostics),
            )
        ]
        assert self.until(lambda: self.faces.get_subscription_count() == 1), 'no node'
        assert self.until(lambda: self.node.count_publishers('driver_events') == 1)

    def until(self, predicate: Any) -> bool:
        return self._spin_until(self.node, predicate, TIMEOUT)

    def message(self, *faces: Any) -> Faces:
        """Return the next image's faces, a twentieth of a second later."""
        self._sent += 1
        stamp = Time(sec=self._sent // RATE, nanosec=self._sent % RATE * (10**9 // RATE))
        header = Header(stamp=stamp, frame_id=FRAME)
        living = (alive(face, self._rng) for face in faces)
        return faces_message(header, SIZE, [located(face, None) for face in living])

    def send(self, message: Faces) -> Any:
        """Send one message and return the state that answers it."""
        before = len(self.states)
        self.faces.publish(message)
        stamp = message.header.stamp
        assert self.until(lambda: any(s.header.stamp == stamp for s in self.states[before:]))
        return next(s for s in reversed(self.states) if s.header.stamp == stamp)

    def hold(self, seconds: float, *look: float, **face: Any) -> Any:
        """Show a face that looks somewhere for some seconds of stamps; return the last state."""
        for _ in range(round(seconds * RATE)):
            state = self.send(self.message(a_face(*look, **face)))
        return state

    def call(self, kind: Any, name: str, request: Any) -> Any:
        client = self.node.create_client(kind, name)
        assert self.until(client.service_is_ready)
        future = client.call_async(request)
        assert self.until(future.done)
        return future.result()

    def set_parameter(self, name: str, value: Any) -> None:
        parameter = Parameter(name, value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[parameter])
        result = self.call(SetParameters, 'driver/set_parameters', request).results[0]
        assert result.successful, result.reason

    def told(self, kind: int) -> list[int]:
        return [event.transition for event in self.events if event.kind == kind]

    def close(self) -> None:
        """End both; once more does no harm."""
        if self.process.stdout is not None and not self.process.stdout.closed:
            self.node.destroy_node()
            self.process.kill()
            self.process.communicate()


@pytest.fixture
def rig(ros: int, spin_until: Any, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(spin_until, f'profiles:={tmp_path}')
    try:
        rig.hold(3.0)
        yield rig
    finally:
        rig.close()


def test_a_long_look_at_the_lap_becomes_state_and_events(rig: Rig) -> None:
    state = rig.hold(0.5)
    assert (state.state, state.zone, state.on_road) == (DriverState.STATE_ATTENTIVE, 'road', True)
    assert state.header.frame_id == FRAME
    assert (state.presence, state.eyes) == (DriverState.PRESENCE_VISIBLE, DriverState.EYES_OPEN)
    assert state.driver_id == 'f1' and state.neutral_known
    state = rig.hold(2.4, *LAP)
    assert (state.state, state.zone) == (DriverState.STATE_DISTRACTED, 'lap')
    assert state.off_road.valid and state.off_road.value == pytest.approx(2.4, abs=0.2)
    assert math.degrees(state.elevation.value) == pytest.approx(LAP[1], abs=1.0)
    assert {e.kind for e in state.events} == {
        DriverEvent.KIND_GLANCE,
        DriverEvent.KIND_LONG_GLANCE,
    }
    rig.hold(0.5)
    over = [DriverEvent.TRANSITION_STARTED, DriverEvent.TRANSITION_ENDED]
    assert rig.until(lambda: rig.told(DriverEvent.KIND_LONG_GLANCE) == over)
    event = rig.events[-1]
    assert event.zone == 'lap' and event.onset.sec < event.end.sec <= event.header.stamp.sec


def test_unknown_is_nan_and_marked_and_not_a_guess(rig: Rig) -> None:
    state = rig.hold(3.5, eyes=math.nan)
    assert state.eyes == DriverState.EYES_HIDDEN
    assert not state.eye_openness.valid and math.isnan(state.eye_openness.value)
    assert not state.perclos.valid
    state = rig.send(rig.message())
    assert (state.state, state.presence) == (
        DriverState.STATE_UNKNOWN,
        DriverState.PRESENCE_HIDDEN,
    )


def test_broken_faces_cost_only_themselves(rig: Rig) -> None:
    for break_it in (
        lambda face: setattr(face.head_pose.pose.pose.orientation, 'w', math.nan),
        lambda face: setattr(face.head_pose.pose.pose, 'orientation', _zero(face)),
        lambda face: setattr(face.landmarks, 'image_points', [1.0, 2.0, 3.0]),
        lambda face: setattr(face.landmarks, 'visibility', [0.5]),
    ):
        message = rig.message(a_face())
        break_it(message.faces[0])
        rig.send(message)
        assert rig.send(rig.message(a_face())).driver_id == 'f1'
    assert rig.process.poll() is None


def _zero(face: Any) -> Any:
    orientation = face.head_pose.pose.pose.orientation
    orientation.x = orientation.y = orientation.z = orientation.w = 0.0
    return orientation


def test_a_stream_that_stops_loses_the_event(rig: Rig) -> None:
    rig.hold(1.5, eyes=0.0)
    last = rig.states[-1].header.stamp
    rig.set_parameter('silence_seconds', 0.3)
    assert rig.until(
        lambda: rig.told(DriverEvent.KIND_MICROSLEEP)[-1:] == [DriverEvent.TRANSITION_LOST]
    )
    assert rig.events[-1].end == last
    assert rig.until(lambda: rig.states[-1].state == DriverState.STATE_UNKNOWN)
    assert rig.hold(0.5).state == DriverState.STATE_ATTENTIVE


def test_silence_is_noticed_after_the_time_that_was_set_last(rig: Rig) -> None:
    rig.set_parameter('silence_seconds', 0.5)
    # Setting it ended whatever was under way, so all that follows is due to the new time.
    rig.hold(1.5, eyes=0.0)
    last = rig.states[-1].header.stamp
    over = [DriverEvent.TRANSITION_STARTED, DriverEvent.TRANSITION_LOST]
    assert rig.until(lambda: rig.told(DriverEvent.KIND_MICROSLEEP) == over)
    assert rig.events[-1].end == last


def test_silence_alone_loses_the_event(ros: int, spin_until: Any) -> None:
    rig = Rig(spin_until, 'silence_seconds:=3.0')
    try:
        rig.hold(3.0)
        rig.hold(1.5, eyes=0.0)
        over = [DriverEvent.TRANSITION_STARTED, DriverEvent.TRANSITION_LOST]
        assert rig.until(lambda: rig.told(DriverEvent.KIND_MICROSLEEP) == over)
        assert rig.until(lambda: rig.states[-1].state == DriverState.STATE_UNKNOWN)
    finally:
        rig.close()


def test_thresholds_are_checked_at_run_time(rig: Rig) -> None:
    def set_to(name: str, value: Any) -> Any:
        parameter = Parameter(name, value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[parameter])
        return rig.call(SetParameters, 'driver/set_parameters', request).results[0]

    for name, bad in (
        ('glances.limit', -1.0),
        ('lids.closed_below', 0.4),
        ('seat.region', [0.0, 1.0]),
        ('closures.microsleep', 4.0),
    ):
        refused = set_to(name, bad)
        assert not refused.successful
        assert name.rpartition('.')[2] in refused.reason
    assert set_to('glances.limit', 0.8).successful
    assert rig.hold(1.2, *MIRROR).state == DriverState.STATE_DISTRACTED


def test_services_reset_calibrate_and_store(rig: Rig, spin_until: Any, tmp_path: Path) -> None:
    request = CalibrateZone.Request(zone='left_mirror', duration=1.0)
    assert rig.call(CalibrateZone, 'driver/calibrate_zone', request).success
    rig.hold(1.5, 36, 25)
    assert rig.hold(0.2, 36, 25).zone == 'left_mirror'
    for zone, said in (('trunk', 'no zone'), ('road', 'is the road')):
        refused = rig.call(CalibrateZone, 'driver/calibrate_zone', CalibrateZone.Request(zone=zone))
        assert not refused.success and said in refused.message
    for duration in (math.inf, -math.inf, math.nan, -1.0, 1e30, 0.1):
        request = CalibrateZone.Request(zone='left_mirror', duration=duration)
        refused = rig.call(CalibrateZone, 'driver/calibrate_zone', request)
        assert not refused.success and 'expected 0.5 to 60' in refused.message
    rig.hold(1.0)
    stored = rig.call(StoreDriver, 'driver/store_driver', StoreDriver.Request(driver='anna'))
    assert stored.success, stored.message
    assert not rig.call(
        StoreDriver, 'driver/store_driver', StoreDriver.Request(driver='a/b')
    ).success
    assert rig.call(Trigger, 'driver/reset_neutral', Trigger.Request()).success
    assert not rig.hold(0.2).neutral_known
    rig.close()
    again = Rig(spin_until, f'profiles:={tmp_path}', 'driver:=anna')
    try:
        assert again.hold(0.5, 36, 25).zone == 'left_mirror'
    finally:
        again.close()


def test_of_two_drivers_the_one_at_the_wheel_stays_and_the_next_is_learned_anew(rig: Rig) -> None:
    passenger = a_face(name='f2', x=420.0, side=120)
    for _ in range(5):
        state = rig.send(rig.message(passenger, a_face(*LAP)))
    assert (state.driver_id, state.candidates) == ('f1', 2)
    # The driver gets out in the middle of a glance: it is lost, and nobody else has looked away.
    rig.hold(0.7, *LAP)
    for _ in range(round(3.0 * RATE)):
        state = rig.send(rig.message(passenger))
    assert (state.driver_id, state.neutral_known) == ('f2', False)
    over = [DriverEvent.TRANSITION_STARTED, DriverEvent.TRANSITION_LOST]
    assert rig.until(lambda: rig.told(DriverEvent.KIND_GLANCE) == over)


def test_a_covered_camera_is_told_and_diagnosed(rig: Rig) -> None:
    black = np.zeros((48, 64, 3), np.uint8)

    def covered() -> bool:
        message = rig.message()
        rig.images.publish(encode_bgr(black, message.header))
        return rig.send(message).presence == DriverState.PRESENCE_COVERED

    assert rig.until(covered)
    assert rig.until(lambda: rig.diagnostics and 'covered' in rig.diagnostics[-1].status[0].message)
    bad = Image(header=rig.message().header, encoding='no_such_encoding', width=3, height=3)
    rig.images.publish(bad)
    assert rig.hold(0.5).state == DriverState.STATE_ATTENTIVE


def test_a_picture_that_stands_still_says_nothing_whatever_its_face_does(rig: Rig) -> None:
    picture = np.random.default_rng(3).integers(0, 255, (48, 64, 3), np.uint8)

    def show() -> Any:
        message = rig.message(a_face())
        rig.images.publish(encode_bgr(picture, message.header))
        return rig.send(message)

    assert rig.until(lambda: show().state == DriverState.STATE_UNKNOWN)
    assert rig.states[-1].reason == 'the picture stands still'
    picture[10:20] += 7
    assert rig.until(lambda: show().state == DriverState.STATE_ATTENTIVE)


def test_lifecycle_stops_and_starts_again_with_what_was_learned(rig: Rig) -> None:
    def change(transition: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        return rig.call(ChangeState, 'driver/change_state', request).success

    assert change(Transition.TRANSITION_DEACTIVATE)
    assert change(Transition.TRANSITION_ACTIVATE)
    assert rig.until(lambda: rig.faces.get_subscription_count() == 1)
    assert rig.hold(0.3).neutral_known
    assert change(Transition.TRANSITION_DEACTIVATE)
    assert change(Transition.TRANSITION_CLEANUP)
    assert change(Transition.TRANSITION_CONFIGURE)
    assert change(Transition.TRANSITION_ACTIVATE)
    assert rig.until(lambda: rig.faces.get_subscription_count() == 1)
    assert not rig.hold(0.3).neutral_known


def test_a_signal_ends_it_cleanly(rig: Rig) -> None:
    rig.process.send_signal(signal.SIGINT)
    text, _ = rig.process.communicate(timeout=TIMEOUT)
    assert rig.process.returncode == 0, text
    assert 'Traceback' not in text


@pytest.mark.parametrize(
    ('parameter', 'said'),
    [
        ('zones:=/nowhere.yaml', 'cannot read the zones file /nowhere.yaml'),
        ('zones:=BROKEN', "zones.yaml:2: zone 'road'"),
        ('drive:=middle', 'drive'),
        ('driver:=anna', 'parameter profiles is empty'),
        ('glance_limit:=0.1', 'glances.limit'),
        ('seat.region:=[0.1, 0.2]', 'seat.region'),
    ],
)
def test_wrong_configuration_ends_it_with_one_line(
    ros_domain: int, tmp_path: Path, parameter: str, said: str
) -> None:
    broken = tmp_path / 'zones.yaml'
    broken.write_text('drive: left_hand\nzones: {road: {boxes: []}}\n')
    process = start(parameter.replace('BROKEN', str(broken)))
    text, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 2, text
    errors = [line for line in text.splitlines() if line.startswith('headpose_ros: error:')]
    assert len(errors) == 1, text
    assert said in errors[0]
    assert 'Traceback' not in text
