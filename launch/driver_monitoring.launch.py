r"""Driver monitoring: the driver node, and the camera and pose nodes that feed it.

ros2 launch headpose_ros driver_monitoring.launch.py --show-args
ros2 launch headpose_ros driver_monitoring.launch.py source:=/dev/video0 rviz:=true
ros2 launch headpose_ros driver_monitoring.launch.py pose:=false   # a pose node already runs
"""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node

SHARE = Path(get_package_share_directory('headpose_ros'))
TRUE_FALSE = ['true', 'false']
#: Arguments that are handed to pose.launch.py as they are.
PASSED_ON = ('source', 'image_topic', 'namespace', 'use_sim_time', 'log_level')

ARGUMENTS = [
    DeclareLaunchArgument(
        'pose',
        default_value='true',
        choices=TRUE_FALSE,
        description='Also starts the pose node, and a camera node for source.',
    ),
    DeclareLaunchArgument(
        'source',
        default_value='',
        description='Starts a camera node on this: a video file, an image, a folder of images or '
        'a device such as /dev/video0. Empty: a camera that already runs is used.',
    ),
    DeclareLaunchArgument(
        'image_topic',
        default_value='camera/image_raw',
        description='Topic of the images (sensor_msgs/Image).',
    ),
    DeclareLaunchArgument(
        'zones',
        default_value='',
        description='Zones file of the vehicle. Empty: what params_file says.',
    ),
    DeclareLaunchArgument(
        'drive',
        default_value='',
        choices=['', 'left_hand', 'right_hand'],
        description='On which side the driver sits. Empty: what params_file says.',
    ),
    DeclareLaunchArgument(
        'params_file',
        default_value=str(SHARE / 'config' / 'driver_monitoring.yaml'),
        description='YAML file with the parameters of the driver node.',
    ),
    DeclareLaunchArgument(
        'rviz',
        default_value='false',
        choices=TRUE_FALSE,
        description="Also starts RViz with image, TF frames, markers and the driver's state.",
    ),
    DeclareLaunchArgument(
        'namespace',
        default_value='',
        description='Namespace of all nodes, and so of all topics that do not start with a slash.',
    ),
    DeclareLaunchArgument(
        'use_sim_time',
        default_value='false',
        choices=TRUE_FALSE,
        description='Take the time from /clock: true for simulators and for ros2 bag play --clock.',
    ),
    DeclareLaunchArgument(
        'log_level',
        default_value='info',
        choices=['debug', 'info', 'warn', 'error', 'fatal'],
        description='Least severe log message of our nodes that is shown.',
    ),
]


def start_nodes(context: LaunchContext) -> list[Node | IncludeLaunchDescription]:
    """Turn the arguments, whose values are known by now, into nodes."""
    value = context.launch_configurations
    chosen = {name: value[name] for name in ('zones', 'drive') if value[name]}
    started: list[Node | IncludeLaunchDescription] = [
        Node(
            package='headpose_ros',
            executable='driver_node',
            namespace=value['namespace'],
            output='screen',
            ros_arguments=['--log-level', value['log_level']],
            remappings=[('camera/image_raw', value['image_topic'])],
            parameters=[
                value['params_file'],
                {**chosen, 'use_sim_time': value['use_sim_time'] == 'true'},
            ],
        )
    ]
    if value['pose'] == 'true':
        # Its own params_file: ours would be taken for that of the pose node.
        passed = {name: value[name] for name in PASSED_ON}
        passed['params_file'] = str(SHARE / 'config' / 'pose.yaml')
        source = PythonLaunchDescriptionSource(str(SHARE / 'launch' / 'pose.launch.py'))
        started.append(IncludeLaunchDescription(source, launch_arguments=passed.items()))
    if value['rviz'] == 'true':
        started.append(
            Node(
                package='rviz2',
                executable='rviz2',
                namespace=value['namespace'],
                arguments=['-d', str(SHARE / 'config' / 'driver.rviz')],
                parameters=[{'use_sim_time': value['use_sim_time'] == 'true'}],
                remappings=[('camera/image_raw', value['image_topic'])],
            )
        )
    return started


def generate_launch_description() -> LaunchDescription:
    """Return the description that ros2 launch asks for."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start_nodes)])
