r"""Head poses from a camera: the pose node, and on request a camera node and RViz.

ros2 launch headpose_ros pose.launch.py --show-args          # what can be set
ros2 launch headpose_ros pose.launch.py source:=/dev/video0  # a camera of our own
ros2 launch headpose_ros pose.launch.py image_topic:=/front/image_raw \
    camera_info_topic:=/front/camera_info                    # a camera that already runs
"""

from __future__ import annotations

from typing import Any

from launch import LaunchContext, LaunchDescription
from launch.actions import OpaqueFunction

from headpose_ros.launch_arguments import POSE_ARGUMENTS, Values, given, number, our_node, rviz


def start_nodes(context: LaunchContext) -> list[Any]:
    """Turn the arguments, whose values are known by now, into nodes.

    A function and not conditions, because an empty argument must leave its parameter alone, which
    a substitution cannot express.
    """
    values = context.launch_configurations
    # A lifecycle node that configures and activates itself (parameter autostart), so a plain node
    # action is enough and the file works the same on every distribution.
    started: list[Any] = [our_node(values, 'pose', pose_parameters(values))]
    if values['source']:
        started.append(our_node(values, 'camera', camera_parameters(values)))
    if values['overlay'] == 'true':
        started.append(our_node(values, 'overlay', {}))
    if values['rviz'] == 'true':
        started.append(rviz(values, 'pose.rviz'))
    return started


def pose_parameters(values: Values) -> dict[str, Any]:
    """Return what the arguments set in the pose node."""
    return {f'network.{name}': text for name, text in given(values, 'model', 'device').items()}


def camera_parameters(values: Values) -> dict[str, Any]:
    """Return what the arguments set in the camera node."""
    chosen: dict[str, Any] = given(values, 'source')
    chosen |= {name: number(text) for name, text in given(values, 'horizontal_fov').items()}
    chosen |= {name: text == 'true' for name, text in given(values, 'move_still').items()}
    return chosen


def generate_launch_description() -> LaunchDescription:
    """Return the description that ros2 launch asks for."""
    return LaunchDescription([*POSE_ARGUMENTS, OpaqueFunction(function=start_nodes)])
