"""What the launch files of this package share: their arguments, and the nodes made of them.

An argument that is not given is empty and changes nothing: then the nodes have what `params_file`,
or SetParameter in a launch file that includes ours, gives them. Imported by launch files alone:
nothing else of the package needs the launch system.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ament_index_python.packages import (
    PackageNotFoundError,
    get_package_prefix,
    get_package_share_directory,
)
from launch.actions import DeclareLaunchArgument, ExecuteLocal, LogInfo, Shutdown
from launch_ros.actions import Node

#: A node that ended is restarted after this time, s, and this often.
RESPAWN_DELAY, RESPAWN_RETRIES = 2.0, 100

_TRUE_FALSE = ('true', 'false')

Values = Mapping[str, str]


def _argument(
    name: str, description: str, default: str = '', choices: tuple[str, ...] = ()
) -> DeclareLaunchArgument:
    return DeclareLaunchArgument(
        name, default_value=default, description=description, choices=list(choices) or None
    )


def _switch(name: str, description: str, default: str = 'false') -> DeclareLaunchArgument:
    return _argument(name, description, default, _TRUE_FALSE)


#: Of pose.launch.py, and passed on by driver_monitoring.launch.py.
POSE_ARGUMENTS = (
    _argument(
        'source',
        'Starts a camera node on this: a video file, an image, a folder of images or a device '
        'such as /dev/video0. Empty: a running camera is used.',
    ),
    _argument('image_topic', 'Topic of the images (sensor_msgs/Image).', 'camera/image_raw'),
    _argument(
        'camera_info_topic',
        'Topic of the calibration (sensor_msgs/CameraInfo). Without a calibration poses are '
        'rotations only.',
        'camera/camera_info',
    ),
    _argument(
        'horizontal_fov',
        'Full horizontal field of view of the camera that source starts, in radians: an ideal '
        'calibration, for positions in metres. Empty: as in params_file, else none.',
    ),
    _argument(
        'move_still',
        'Pans, zooms and rolls a single image that source names. Empty: as in params_file, else it '
        'stands still.',
        choices=('', *_TRUE_FALSE),
    ),
    _argument('model', 'Weights of the network (headpose models). Empty: as in params_file.'),
    _argument(
        'device',
        'Where the network runs: cpu, cuda, or auto for cuda where there is one. Empty: as '
        'in params_file, else auto.',
    ),
    _argument(
        'params_file',
        'YAML file with parameters of any of the nodes; the other arguments override it. Empty: '
        'the defaults, which stand in the files in config.',
    ),
    _switch('overlay', 'Also starts the overlay node: images with axes and landmarks drawn in.'),
    _switch('rviz', 'Also starts RViz with image, TF frames and markers.'),
    _argument(
        'namespace',
        'Namespace of all nodes, and so of all topics that do not start with a slash.',
    ),
    _argument(
        'use_sim_time',
        'Takes the time from /clock: true for simulators and for ros2 bag play --clock. Empty: '
        'as in params_file, or as SetParameter around this launch file sets it.',
        choices=('', *_TRUE_FALSE),
    ),
    _switch(
        'respawn',
        f'Restarts a node of this package {RESPAWN_DELAY:g} s after it ended, at most '
        f'{RESPAWN_RETRIES} times: for unattended robots.',
    ),
    _switch(
        'required',
        'Ends the launch with the first node of this package that ends, with an error where it '
        'failed; with respawn only when it is no longer restarted.',
    ),
    _argument(
        'log_level',
        'Least severe log message that the nodes print. Empty: info.',
        choices=('', 'debug', 'info', 'warn', 'error', 'fatal'),
    ),
)

#: What driver_monitoring.launch.py has beside them.
DRIVER_ARGUMENTS = (
    _switch('pose', 'Also starts the pose node, and a camera node for source.', 'true'),
    _argument('zones', 'Zones file of the vehicle. Empty: as in params_file.'),
    _argument(
        'drive',
        'On which side the driver sits. Empty: as in params_file, else left_hand.',
        choices=('', 'left_hand', 'right_hand'),
    ),
)


def share(*parts: str) -> str:
    """Return the path of an installed file of this package."""
    return str(Path(get_package_share_directory('headpose_ros'), *parts))


def given(values: Values, *names: str) -> dict[str, str]:
    """Return those of the named arguments that were given."""
    return {name: values[name] for name in names if values[name]}


def number(text: str) -> float | str:
    """Return a number, or the text where it is none: then the node reports what it expects."""
    try:
        return float(text)
    except ValueError:
        return text


def our_node(values: Values, name: str, parameters: Mapping[str, Any]) -> Node:
    """Return the action that starts a node of this package.

    Args:
        values: The launch arguments.
        name: Name of the node.
        parameters: Those that arguments chose; texts stay texts, whatever YAML makes of them.
    """
    respawn = values['respawn'] == 'true'
    limit = _retries() if respawn else {}
    lives = 1 + limit.get('respawn_max_retries', math.inf) if respawn else 1
    return Node(
        package='headpose_ros',
        executable=f'{name}_node',
        # Without a name launch_ros writes parameters for any node, which those for a name, and
        # those of SetParameter, beat.
        name=name,
        namespace=values['namespace'],
        output='screen',
        ros_arguments=['--log-level', values['log_level']] if values['log_level'] else None,
        remappings=_remappings(values),
        parameters=_parameters(values, parameters),
        respawn=respawn,
        respawn_delay=RESPAWN_DELAY,
        on_exit=_end_of_launch(lives) if values['required'] == 'true' else None,
        **limit,
    )


def rviz(values: Values, layout: str) -> Node | LogInfo:
    """Return the action that starts RViz, or one that logs why there is none.

    Args:
        values: The launch arguments.
        layout: Name of the layout in config.
    """
    try:
        get_package_prefix('rviz2')
    except PackageNotFoundError:
        return LogInfo(
            msg='rviz:=true, but the package rviz2 is not installed: install '
            'ros-$ROS_DISTRO-rviz2. Everything else starts.'
        )
    return Node(
        package='rviz2',
        executable='rviz2',
        name='rviz2',
        namespace=values['namespace'],
        arguments=['-d', share('config', layout)],
        parameters=[sim_time] if (sim_time := _sim_time(values)) else None,
        remappings=_remappings(values),
    )


def _remappings(values: Values) -> list[tuple[str, str]]:
    image = values['image_topic']
    return [
        ('camera/image_raw', image),
        ('camera/image_raw/compressed', f'{image}/compressed'),
        ('camera/camera_info', values['camera_info_topic']),
    ]


def _parameters(values: Values, own: Mapping[str, Any]) -> list[Any] | None:
    """Return files and values, the later ones stronger; None for neither."""
    chosen = {**own, **_sim_time(values)}
    file = values['params_file']
    return [*([file] if file else []), *([chosen] if chosen else [])] or None


def _sim_time(values: Values) -> dict[str, bool]:
    return {name: value == 'true' for name, value in given(values, 'use_sim_time').items()}


def _retries() -> dict[str, int]:
    """Return the limit of restarts as an argument; Humble's launch has none."""
    known = inspect.signature(ExecuteLocal.__init__).parameters
    return {'respawn_max_retries': RESPAWN_RETRIES} if 'respawn_max_retries' in known else {}


def _end_of_launch(lives: float) -> Callable[[Any, Any], Shutdown | None]:
    """Return what ends the launch when a node has ended for the last time.

    Args:
        lives: How often the node is started.
    """
    ended = itertools.count(1)

    def end(event: Any, context: Any) -> Shutdown | None:
        if context.is_shutdown or next(ended) < lives:
            return None
        if event.returncode:
            # Nothing but an exception makes ros2 launch end with a code other than 0.
            raise RuntimeError(
                f'{event.process_name} ended with code {event.returncode}, and required is true'
            )
        return Shutdown(reason=f'{event.process_name} has ended, and required is true')

    return end
