"""Driver node: faces in; the driver's state and events out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from headpose_ros.driver_monitoring.learning.profiles import profile_path, read_profile
from headpose_ros.driver_monitoring.monitor import DriverMonitor
from headpose_ros.driver_monitoring.report import Report
from headpose_ros.driver_monitoring.zones import Zones
from headpose_ros.driver_monitoring.zones_file import read_zones
from headpose_ros.errors import HeadposeError
from headpose_ros.msg import DriverEvent, DriverState, Faces
from headpose_ros.nodes.driver_parameters import DriverConfig
from headpose_ros.nodes.driver_services import DriverServices
from headpose_ros.nodes.runner import run
from headpose_ros.perception.faces import Face
from headpose_ros.ros.input.picture_check import PictureCheck
from headpose_ros.ros.node import qos
from headpose_ros.ros.node.diagnostics import NOT_ACTIVE, WARN, Diagnostics, Finding, status
from headpose_ros.ros.node.lifecycle import AutostartNode, log_failures
from headpose_ros.ros.node.parameters import declare, follow
from headpose_ros.ros.node.share import share_file
from headpose_ros.ros.node.stamps import seconds, time_message
from headpose_ros.ros.output.driver_markers import DriverMarkers
from headpose_ros.ros.output.driver_messages import event_message, state_message
from headpose_ros.ros.output.messages import FaceMessageError, face_from_message


class DriverNode(AutostartNode):
    """Reports the state of the driver from `faces`; parameters: :class:`DriverConfig`.

    Subscribes: `faces` (headpose_ros/Faces), `camera/image_raw` (sensor_msgs/Image, only to find a
    covered or frozen camera). Publishes: `driver_state` (headpose_ros/DriverState, one for every
    Faces), `driver_events` (headpose_ros/DriverEvent), `/diagnostics`, and `driver_markers`
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
        self._offered = DriverServices(
            self, self._monitor, lambda: self._config, lambda: self._active
        )
        return TransitionCallbackReturn.SUCCESS

    @log_failures
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe."""
        self._taken = 0
        self._logged_calibration = ''
        self._frame = ''
        self._pictures = PictureCheck()
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
        self._offered.close()

    def _apply(self, config: DriverConfig) -> None:
        """Take over parameters that were changed; events under way are lost."""
        self._config = config
        if self._active:
            self.destroy_timer(self._silence)
            self._watch_silence()
        if self._monitor is not None:
            self._end_stream()
            self._monitor.configure(config)

    def _make_monitor(self) -> DriverMonitor:
        """Return a monitor with the zones and the driver that the parameters name."""
        config = self._config
        monitor = DriverMonitor(self._read_zones(), config)
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
        stream = self._config.stream
        covered = self._pictures.is_covered(stamp, stream.gap)
        still = self._pictures.is_still(stamp, stream.gap, stream.still_seconds)
        report = monitor.update(stamp, faces, size, covered, still)
        self._publish(message.header, report)
        self._show(message.header, report, faces)
        if monitor.calibration_status != self._logged_calibration:
            self._logged_calibration = monitor.calibration_status
            if self._logged_calibration:
                self.get_logger().info(f'calibration: {self._logged_calibration}')

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
        try:
            self._pictures.update(seconds(image.header.stamp), image)
        except HeadposeError as error:
            self.fail('camera/image_raw', error)

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
            'calibration': monitor.calibration_status,
        }
        return [status(name, [Finding(WARN, problem)] if problem else [], values, '')]


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
