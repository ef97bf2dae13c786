"""Services of the driver node: reset the neutral pose, calibrate a zone, store a driver."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node
from std_srvs.srv import Trigger

from headpose_ros.driver_monitoring.learning.profiles import profile_path, write_profile
from headpose_ros.driver_monitoring.monitor import DriverMonitor
from headpose_ros.errors import HeadposeError
from headpose_ros.nodes.driver_parameters import LONGEST_LOOK, SHORTEST_LOOK, DriverConfig
from headpose_ros.srv import CalibrateZone, StoreDriver


class DriverServices:
    """Serves requests about what is learned.

    Args:
        node: Creates the services.
        monitor: Learns.
        config: Returns the present parameters.
        is_active: Returns whether the node is active.
    """

    def __init__(
        self,
        node: Node,
        monitor: DriverMonitor,
        config: Callable[[], DriverConfig],
        is_active: Callable[[], bool],
    ) -> None:
        self._node, self._monitor = node, monitor
        self._config, self._is_active = config, is_active
        self._offered = [
            node.create_service(Trigger, '~/reset_neutral', self._reset_neutral),
            node.create_service(StoreDriver, '~/store_driver', self._store_driver),
            node.create_service(CalibrateZone, '~/calibrate_zone', self._calibrate_zone),
        ]

    def close(self) -> None:
        """Destroy the services."""
        for service in self._offered:
            self._node.destroy_service(service)

    def _reset_neutral(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        """Forget the neutral pose."""
        self._monitor.reset_neutral()
        response.success = True
        response.message = 'the neutral pose is being learned again: look at the road'
        return response

    def _store_driver(
        self, request: StoreDriver.Request, response: StoreDriver.Response
    ) -> StoreDriver.Response:
        """Write what was learned."""
        profile = self._monitor.profile()
        try:
            if profile is None:
                raise HeadposeError('the neutral pose is not known yet: look at the road')
            path = profile_path(self._config().profiles, request.driver)
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
            seconds = _looking_time(request.duration) or self._config().calibration_seconds
            if not self._is_active():
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
    if not (duration == 0 or SHORTEST_LOOK <= duration <= LONGEST_LOOK):
        raise HeadposeError(
            f'duration is {duration:g} s: expected {SHORTEST_LOOK:g} to {LONGEST_LOOK:g}, or 0 '
            'for the parameter calibration_seconds'
        )
    return duration
