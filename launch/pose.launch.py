r"""Head poses from a camera: the pose node, and on request a camera node and RViz.

ros2 launch headpose_ros pose.launch.py --show-args          # what can be set
ros2 launch headpose_ros pose.launch.py source:=/dev/video0  # a camera of our own
ros2 launch headpose_ros pose.launch.py image_topic:=/front/image_raw \
    camera_info_topic:=/front/camera_info                    # a camera that already runs
"""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node

CONFIG = Path(get_package_share_directory('headpose_ros')) / 'config'
TRUE_FALSE = ['true', 'false']

ARGUMENTS = [
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
        'camera_info_topic',
        default_value='camera/camera_info',
        description='Topic of the calibration (sensor_msgs/CameraInfo). Without a calibration '
        'poses are rotations only.',
    ),
    DeclareLaunchArgument(
        'model',
        default_value='',
        description='Weights of the network (headpose models). Empty: what params_file says.',
    ),
    DeclareLaunchArgument(
        'device',
        default_value='auto',
        description='Where the network runs: cpu, cuda, or auto for cuda where there is one. '
        'Empty: what params_file says.',
    ),
    DeclareLaunchArgument(
        'params_file',
        default_value=str(CONFIG / 'pose.yaml'),
        description='YAML file with the parameters of all nodes. The other arguments of this '
        'launch file override it.',
    ),
    DeclareLaunchArgument(
        'overlay',
        default_value='false',
        choices=TRUE_FALSE,
        description='Also starts the overlay node: pictures with axes and landmarks drawn in.',
    ),
    DeclareLaunchArgument(
        'rviz',
        default_value='false',
        choices=TRUE_FALSE,
        description='Also starts RViz with image, TF frames and markers.',
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


def start_nodes(context: LaunchContext) -> list[Node]:
    """Turn the arguments, whose values are known by now, into nodes.

    A function and not conditions, because an empty argument must leave its parameter alone, which
    a substitution cannot express. It also keeps every value a string: as a substitution a device
    such as `0` or a folder named `true` would be read as YAML and arrive as another type.
    """
    value = context.launch_configurations
    use_sim_time = {'use_sim_time': value['use_sim_time'] == 'true'}
    common = {
        'package': 'headpose_ros',
        'namespace': value['namespace'],
        'output': 'screen',
        'ros_arguments': ['--log-level', value['log_level']],
        'remappings': [
            ('camera/image_raw', value['image_topic']),
            ('camera/image_raw/compressed', f'{value["image_topic"]}/compressed'),
            ('camera/camera_info', value['camera_info_topic']),
        ],
    }
    chosen = {name: value[name] for name in ('model', 'device') if value[name]}
    nodes = [
        # A lifecycle node that configures and activates itself (parameter autostart), so a plain
        # node action is enough and the file works the same on every distribution.
        Node(
            executable='pose_node',
            parameters=[value['params_file'], {**chosen, **use_sim_time}],
            **common,
        )
    ]
    if value['source']:
        nodes.append(
            Node(
                executable='camera_node',
                parameters=[value['params_file'], {'source': value['source'], **use_sim_time}],
                **common,
            )
        )
    if value['overlay'] == 'true':
        nodes.append(
            Node(
                executable='overlay_node',
                parameters=[value['params_file'], use_sim_time],
                **common,
            )
        )
    if value['rviz'] == 'true':
        nodes.append(
            Node(
                package='rviz2',
                executable='rviz2',
                namespace=value['namespace'],
                arguments=['-d', str(CONFIG / 'pose.rviz')],
                parameters=[use_sim_time],
                remappings=common['remappings'],
            )
        )
    return nodes


def generate_launch_description() -> LaunchDescription:
    """Return the description that ros2 launch asks for."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start_nodes)])
