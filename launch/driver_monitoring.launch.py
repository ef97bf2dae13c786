r"""Driver monitoring: the driver node, and the camera and pose nodes that feed it.

ros2 launch headpose_ros driver_monitoring.launch.py --show-args
ros2 launch headpose_ros driver_monitoring.launch.py source:=/dev/video0 rviz:=true
ros2 launch headpose_ros driver_monitoring.launch.py pose:=false   # a pose node already runs
"""

from __future__ import annotations

from typing import Any

from launch import LaunchContext, LaunchDescription
from launch.actions import IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource

from headpose_ros.launch_arguments import (
    DRIVER_ARGUMENTS,
    POSE_ARGUMENTS,
    Values,
    given,
    our_node,
    rviz,
    share,
)


def start_nodes(context: LaunchContext) -> list[Any]:
    """Turn the arguments, whose values are known by now, into nodes."""
    values = context.launch_configurations
    started: list[Any] = [our_node(values, 'driver', given(values, 'zones', 'drive'))]
    if values['pose'] == 'true':
        started.append(pose_nodes(values))
    if values['rviz'] == 'true':
        started.append(rviz(values, 'driver.rviz'))
    return started


def pose_nodes(values: Values) -> IncludeLaunchDescription:
    """Return pose.launch.py with the arguments as they are; the one RViz is started here."""
    passed = {argument.name: values[argument.name] for argument in POSE_ARGUMENTS}
    source = PythonLaunchDescriptionSource(share('launch', 'pose.launch.py'))
    return IncludeLaunchDescription(source, launch_arguments=(passed | {'rviz': 'false'}).items())


def generate_launch_description() -> LaunchDescription:
    """Return the description that ros2 launch asks for."""
    return LaunchDescription(
        [*DRIVER_ARGUMENTS, *POSE_ARGUMENTS, OpaqueFunction(function=start_nodes)]
    )
