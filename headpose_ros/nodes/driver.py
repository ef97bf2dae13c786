"""Driver node: faces in; the driver's state and events out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from visualization_msgs.msg import MarkerArray

from headpose_ros.driver_monitoring.cover import shows_nothing
from headpose_ros.driver_monitoring.monitor import DriverMonitor, Report
from headpose_ros.driver_monitoring.options import DriverOptions
from headpose_ros.driver_monitoring.profiles import profile_path, read_profile, write_profile
from headpose_ros.driver_monitoring.zones import DRIVES, Zones, read_zones
from headpose_ros.errors import HeadposeError
from headpose_ros.msg import DriverEvent, DriverState, Faces
from headpose_ros.nodes.runner import run
from headpose_ros.perception.faces import Face
from headpose_ros.ros.input.images import decode
from headpose_ros.ros.input.still import StillPicture
from headpose_ros.ros.node import qos
from headpose_ros.ros.node.diagnostics import NOT_ACTIVE, WARN, Diagnostics, Finding, status
from headpose_ros.ros.node.lifecycle import AutostartNode, log_failures
from headpose_ros.ros.node.parameters import ParameterProblem, declare, follow, parameter, region
from headpose_ros.ros.node.share import share_file
from headpose_ros.ros.node.stamps import seconds, time_message
from headpose_ros.ros.output.driver_markers import DriverMarkers
from headpose_ros.ros.output.driver_messages import event_message, state_message
from headpose_ros.ros.output.messages import FaceMessageError, face_from_message
from headpose_ros.srv import CalibrateZone, StoreDriver

#: Images are looked at for a cover so often, s of their stamps.
_COVER_PERIOD = 0.2
#: Bounds of the time in which a zone is calibrated, s.
_SHORTEST_LOOK, _LONGEST_LOOK = 0.5, 60.0


@dataclass(frozen=True)
class DriverConfig(DriverOptions):
    """Parameters of the driver node, beside the thresholds of the monitor."""

    zones: str = parameter(
        '', 'Zones file; empty for config/zones.yaml of the package.', read_only=True
    )
    drive: str = parameter(
        'left_hand', 'On which side the driver sits.', choices=DRIVES, read_only=True
    )
    profiles: str = parameter(
        '', 'Folder for profiles of drivers; empty: nothing is stored.', read_only=True
    )
    driver: str = parameter(
        '', 'Name of a stored driver to start with; empty: start without a profile.', read_only=True
    )
    calibration_seconds: float = parameter(
        3.0,
        'How long the driver looks at a zone to calibrate it.',
        minimum=_SHORTEST_LOOK,
        maximum=_LONGEST_LOOK,
        unit='s',
        source='ours',
    )
    watch_images: bool = parameter(
        True,
        'Also subscribe to the camera images, to distinguish a covered camera from an empty seat, '
        'and to detect a frozen picture.',
        read_only=True,
    )
    silence_seconds: float = parameter(
        2.0,
        'After this time without messages, by a steady clock, the events under way are lost.',
        minimum=0.2,
        maximum=60.0,
        unit='s',
        source='ours',
    )
    autostart: bool = parameter(
        True, 'Configure and activate without a lifecycle manager.', read_only=True
    )


class DriverNode(AutostartNode):
    """Reports the state of the driver from `faces`; parameters: :class:`DriverConfig`.

    Subscribes: `faces` (headpose_ros/Faces), `camera/image_raw` (sensor_msgs/Image, only to detect
    a covered camera). Publishes: `driver_state` (headpose_ros/DriverState, one for every Faces),
    `driver_events` (headpose_ros/DriverEvent), `/diagnostics`, and `driver_markers`
    (visualization_msgs/MarkerArray) while somebody subscribes. Serves: `~/reset_neutral`
    (std_srvs/Trigger), `~/store_driver` (headpose_ros/StoreDriver), `~/calibrate_zone`
    (headpose_ros/CalibrateZone).

    Args:
        options: Passed to rclpy's LifecycleNode.

    Raises:
        HeadposeError: With `autostart`, anything that keeps the node from running.
    """

    def __init__(self, **options: Any) -> None:
        # First, since a node that fails to start is destroyed like any other.
        self._monitor: DriverMonitor | None = None
        self._active = False
        self._report: Report | None = None
        super().__init__('driver', **options)
        self._config = declare(self, DriverConfig)
        self._diagnostics = Diagnostics(self, self._statuses)
        follow(self, self._config, self._apply)
        if self._config.autostart:
            self.start()

    @log_failures
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read zones and driver, create publishers and services."""
        try:
            self._monitor = self._make_monitor()
        except HeadposeError as error:
            return self.refuse(error)
        self._states = self.create_publisher(DriverState, 'driver_state', qos.reliable())
        self._events = self.create_publisher(DriverEvent, 'driver_events', qos.reliable(50))
        self._markers = self.create_publisher(MarkerArray, 'driver_markers', qos.reliable())
        self._marker_maker = DriverMarkers()
        self._offered = [
            self.create_service(Trigger, '~/reset_neutral', self._reset_neutral),
            self.create_service(StoreDriver, '~/store_driver', self._store_driver),
            self.create_service(CalibrateZone, '~/calibrate_zone', self._calibrate_zone),
        ]
        return TransitionCallbackReturn.SUCCESS

    @log_failures
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe."""
        self._taken = 0
        self._said_calibration = ''
        self._frame = ''
        self._covered: tuple[float, bool] | None = None
        self._still = StillPicture()
        self._report = None
        self._faces = self.create_subscription(Faces, 'faces', self._take_faces, qos.reliable())
        self._images = None
        if self._config.watch_images:
            self._images = self.create_subscription(
                Image, 'camera/image_raw', self._take_image, qos.sensor_data()
            )
        self._watch_silence()
        self._active = True
        return super().on_activate(state)

    def stop(self) -> None:
        """Undo on_activate; harmless when nothing runs."""
        if not self._active:
            return
        self._active = False
        self.destroy_timer(self._silence)
        for subscription in (self._faces, self._images):
            if subscription is not None:
                self.destroy_subscription(subscription)
        self._end_stream()

    def release(self) -> None:
        """Undo on_configure; harmless when nothing is there."""
        if self._monitor is None:
            return
        self._monitor = None
        for publisher in (self._states, self._events, self._markers):
            self.destroy_publisher(publisher)
        for service in self._offered:
            self.destroy_service(service)

    def _apply(self, config: DriverConfig) -> None:
        """Take over parameters that were changed; events under way are lost."""
        options = monitor_options(config)
        self._config = config
        if self._active:
            self.destroy_timer(self._silence)
            self._watch_silence()
        if self._monitor is not None:
            self._end_stream()
            self._monitor.configure(options)

    def _make_monitor(self) -> DriverMonitor:
        """Return a monitor with the zones and the driver that the parameters name."""
        config = self._config
        monitor = DriverMonitor(self._read_zones(), monitor_options(config))
        if config.driver:
            monitor.load(read_profile(profile_path(config.profiles, config.driver)))
        self.get_logger().info(f'zones: {", ".join(monitor.zones.names)}; {config.drive} drive')
        return monitor

    def _read_zones(self) -> Zones:
        path = self._config.zones or share_file('config/zones.yaml')
        return read_zones(path, self._config.drive)

    def _take_faces(self, message: Faces) -> None:
        """Turn one Faces message into a state and its events; a bad one costs only itself."""
        monitor = self._monitor
        if monitor is None:
            return
        stamp = seconds(message.header.stamp)
        self._taken += 1
        self._silence.reset()
        self._frame = message.header.frame_id
        size = (message.image_width, message.image_height)
        faces = self._usable(message)
        covered, still = self._is_covered(stamp), self._is_still(stamp)
        report = monitor.update(stamp, faces, size, covered, still)
        self._publish(message.header, report)
        self._show(message.header, report, faces)
        if monitor.calibration_said != self._said_calibration:
            self._said_calibration = monitor.calibration_said
            if self._said_calibration:
                self.get_logger().info(f'calibration: {self._said_calibration}')

    def _usable(self, message: Faces) -> list[Face]:
        """Return the faces that can be read."""
        faces = []
        for face in message.faces:
            try:
                faces.append(face_from_message(face))
            except FaceMessageError as error:
                self.fail(self._faces.topic_name, error)
        return faces

    def _take_image(self, image: Image) -> None:
        """Note whether a picture stands still or shows nothing; a bad one is ignored."""
        stamp = seconds(image.header.stamp)
        if self._covered is not None and 0 <= stamp - self._covered[0] < _COVER_PERIOD:
            return
        self._still.update(stamp, image)
        try:
            self._covered = (stamp, shows_nothing(decode(image)))
        except HeadposeError as error:
            self._covered = None
            self.fail('camera/image_raw', error)

    def _is_covered(self, stamp: float) -> bool | None:
        """Whether the camera is covered; None without an image of about this stamp."""
        covered = self._covered
        if covered is None or abs(stamp - covered[0]) > self._config.stream_gap:
            return None
        return covered[1]

    def _is_still(self, stamp: float) -> bool:
        """Whether the picture of about this stamp has stood still for too long."""
        return (
            self._is_covered(stamp) is not None
            and self._still.seconds >= self._config.still_seconds
        )

    def _publish(self, header: Any, report: Report) -> None:
        self._report = report
        self._states.publish(state_message(header, report))
        for event in report.events:
            self._events.publish(event_message(header, event))

    def _show(self, header: Any, report: Report, faces: Sequence[Face]) -> None:
        """Publish markers while somebody looks."""
        if not self._markers.get_subscription_count():
            return
        driver = next((face for face in faces if face.id == report.driver_id), None)
        array = self._marker_maker.message(header, driver, report)
        if array.markers:
            self._markers.publish(array)

    def _watch_silence(self) -> None:
        """End the events under way when no faces come for `silence_seconds`."""
        # Steady: silence is no matter of stamps, and /clock may stand still with the camera.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        period = self._config.silence_seconds
        self._silence = self.create_timer(period, self._end_stream, clock=steady)

    def _end_stream(self) -> None:
        """Publish an unknown state, with the stamp of the last message."""
        report = None if self._monitor is None else self._monitor.stop()
        if report is None:
            return
        header = Header(stamp=time_message(report.stamp), frame_id=self._frame)
        self._publish(header, report)
        self._show(header, report, [])

    def _statuses(self) -> list[Any]:
        """Return the node's diagnostics."""
        monitor, report = self._monitor, self._report
        name = f'{self.get_name()}: driver monitoring'
        if monitor is None or not self._active:
            return [status(name, [NOT_ACTIVE], {}, '')]
        problem = _problem(self._faces.topic_name, report)
        values = {
            'faces messages': self._taken,
            'state': '' if report is None else report.state,
            'presence': '' if report is None else report.presence,
            'eyes': '' if report is None else report.eyes,
            'candidates': '' if report is None else report.candidates,
            'calibration': monitor.calibration_said,
        }
        return [status(name, [Finding(WARN, problem)] if problem else [], values, '')]

    def _reset_neutral(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        """Forget the neutral pose."""
        if self._monitor is not None:
            self._monitor.reset_neutral()
        response.success = self._monitor is not None
        response.message = 'the neutral pose is being learned again: look at the road'
        return response

    def _store_driver(
        self, request: StoreDriver.Request, response: StoreDriver.Response
    ) -> StoreDriver.Response:
        """Write what was learned."""
        profile = None if self._monitor is None else self._monitor.profile()
        try:
            if profile is None:
                raise HeadposeError('the neutral pose is not known yet: look at the road')
            path = profile_path(self._config.profiles, request.driver)
            write_profile(path, profile)
            response.success, response.message = True, str(path)
        except HeadposeError as error:
            response.success, response.message = False, str(error)
        return response

    def _calibrate_zone(
        self, request: CalibrateZone.Request, response: CalibrateZone.Response
    ) -> CalibrateZone.Response:
        """Begin to learn where a zone is."""
        try:
            seconds = _looking_time(request.duration) or self._config.calibration_seconds
            if self._monitor is None or not self._active:
                raise HeadposeError('the node is not active')
            self._monitor.calibrate(request.zone, seconds)
            response.success = True
            response.message = f'look at {request.zone} for {seconds:g} s'
        except HeadposeError as error:
            response.success, response.message = False, str(error)
        return response


def _looking_time(duration: float) -> float:
    """Return the seconds that a request asks for; 0 for none.

    Raises:
        HeadposeError: It is out of these bounds, or not a number.
    """
    # Written so that NaN fails too.
    if not (duration == 0 or _SHORTEST_LOOK <= duration <= _LONGEST_LOOK):
        raise HeadposeError(
            f'duration is {duration:g} s: expected {_SHORTEST_LOOK:g} to {_LONGEST_LOOK:g}, or 0 '
            'for the parameter calibration_seconds'
        )
    return duration


def monitor_options(config: DriverConfig) -> DriverOptions:
    """Return the thresholds of the monitor.

    Raises:
        ParameterProblem: The region of the seat is none, or two thresholds contradict each other.
    """
    region('seat_region', config.seat_region)
    for low, high in (
        ('closed_below', 'open_above'),
        ('yawn_below', 'yawn_above'),
        ('perclos_release', 'perclos_limit'),
        ('glance_minimum', 'glance_limit'),
        ('closure_minimum', 'microsleep_minimum'),
        ('microsleep_minimum', 'sleep_minimum'),
    ):
        if getattr(config, low) > getattr(config, high):
            raise ParameterProblem(
                f'parameter {low} is {getattr(config, low)}: expected at most that of {high}, '
                f'{getattr(config, high)}'
            )
    return DriverOptions(**{f.name: getattr(config, f.name) for f in fields(DriverOptions)})


def _problem(topic: str, report: Report | None) -> str:
    """Return what keeps the driver from being monitored, empty for nothing."""
    if report is None:
        return f'no faces on {topic}'
    if report.presence != 'visible':
        return report.reason or f'the driver is {report.presence}'
    if not report.neutral_known:
        return 'the neutral pose is not known yet'
    if report.eyes == 'hidden':
        return 'the eyes are hidden: nothing that needs them is judged'
    return ''


def main(args: Sequence[str] | None = None) -> int:
    """Run the driver node and return its exit code."""
    return run(DriverNode, args)


if __name__ == '__main__':
    sys.exit(main())
