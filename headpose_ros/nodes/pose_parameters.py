"""Parameters of the pose node, and what they mean to the parts that it is made of."""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass

from headpose_ros.geometry.face_shape import INTERPUPILLARY_DISTANCE
from headpose_ros.models import DEFAULT_MODEL
from headpose_ros.perception.backends.choose import BACKENDS
from headpose_ros.perception.camera_view import CameraView
from headpose_ros.perception.smoothing import SmoothingOptions
from headpose_ros.perception.tracking import PREFERENCES, TrackingOptions
from headpose_ros.ros.input.camera_info import RECTIFIED
from headpose_ros.ros.input.camera_input import TRANSPORTS, InputOptions
from headpose_ros.ros.node import qos
from headpose_ros.ros.node.parameters import ParameterProblem, parameter, region
from headpose_ros.ros.output.face_publisher import OutputOptions

_NAMESPACE = re.compile(r'/?[A-Za-z]\w*(/[A-Za-z]\w*)*')
_PREFIX = re.compile(r'[A-Za-z]([A-Za-z0-9_]*[A-Za-z_])?')
_DEFAULT_PREFIX, _DEFAULT_NODE = 'f', '/pose'
_LETTERS_IN_PREFIX = 4
_TRACKING, _SMOOTHING = TrackingOptions(), SmoothingOptions()


@dataclass(frozen=True)
class PoseConfig:
    """Parameters of the pose node."""

    model: str = parameter(
        DEFAULT_MODEL,
        'Network: a released model or the path of a .safetensors file. May be changed while the '
        'node runs: one that cannot be loaded is refused, and the old one goes on.',
    )
    device: str = parameter(
        'auto', 'Where the network runs: auto, cpu, cuda or cuda:N.', read_only=True
    )
    backend: str = parameter(
        'auto',
        'What runs the network; auto takes the fastest that works here. One that does not work is '
        'replaced, with a warning.',
        choices=BACKENDS,
        read_only=True,
    )
    threads: int = parameter(
        1,
        'CPU threads of the network; small networks are fastest on one.',
        minimum=1,
        maximum=256,
        read_only=True,
    )
    detector_model: str = parameter(
        '', "YuNet's ONNX file; empty for the one in this package.", read_only=True
    )
    detector_threshold: float = parameter(
        0.6,
        'Least score of a detected face.',
        minimum=0.05,
        maximum=0.99,
    )
    detect_every: int = parameter(
        _TRACKING.detect_every,
        'Look for new faces every so many frames.',
        minimum=1,
        maximum=1000,
        unit='frames',
    )
    max_faces: int = parameter(
        _TRACKING.max_faces,
        'Most faces followed at a time; see prefer.',
        minimum=1,
        maximum=64,
    )
    prefer: str = parameter(
        _TRACKING.prefer,
        'Faces to follow when there are more, the first of them in head_pose: the largest, the '
        'nearest to the centre of the image, or those in preferred_region.',
        choices=PREFERENCES,
    )
    preferred_region: list[float] = parameter(  # noqa: RUF009
        _TRACKING.region,
        'Where faces are preferred, such as the seat of the driver: x, y, width and height as '
        "shares of the image's. Used when prefer is 'region'.",
        minimum=0.0,
        maximum=1.0,
    )
    confirm_hits: int = parameter(
        _TRACKING.confirm_hits,
        'Report a face once it was seen in so many frames.',
        minimum=1,
        maximum=100,
        unit='frames',
    )
    retain: float = parameter(
        _TRACKING.retain,
        'A face that comes back within this time keeps its id.',
        minimum=0.0,
        maximum=60.0,
        unit='s',
    )
    id_prefix: str = parameter(
        '',
        'What the ids of faces begin with, before a number: letters, digits and underscores, a '
        'letter first, no digit last. Empty: f, and for a node that is not /pose four letters '
        'made of its full name besides, so that two nodes never give the same id.',
        read_only=True,
    )
    smooth: bool = parameter(_SMOOTHING.enabled, 'Smooth the poses over time.')
    rotation_noise: float = parameter(
        _SMOOTHING.rotation_noise,
        'Standard deviation of a measured rotation about each axis; more smooths more.',
        minimum=0.0001,
        maximum=1.0,
        unit='rad',
    )
    rotation_agility: float = parameter(
        _SMOOTHING.rotation_agility,
        'How far the angular velocity of a calm head wanders in a second; less smooths more.',
        minimum=0.001,
        maximum=100.0,
        unit='rad/s',
    )
    position_noise: float = parameter(
        _SMOOTHING.position_noise,
        'Standard deviation of a measured position as a share of its distance; more smooths more.',
        minimum=0.0001,
        maximum=1.0,
    )
    position_agility: float = parameter(
        _SMOOTHING.position_agility,
        'How far the velocity of a calm head wanders in a second; less smooths more.',
        minimum=0.001,
        maximum=100.0,
        unit='m/s',
    )
    cameras: list[str] = parameter(  # noqa: RUF009
        ['camera'],
        'Namespaces of the cameras, each with image_raw and camera_info. Of several cameras the '
        'outputs stand below their namespaces, too, such as left/faces.',
        read_only=True,
    )
    image_transport: str = parameter(
        'raw',
        'Images to subscribe to: image_raw, or image_raw/compressed with JPEG or PNG.',
        choices=TRANSPORTS,
        read_only=True,
    )
    rectified: str = parameter(
        'auto',
        'Whether the images are rectified: P of the camera_info is their calibration then, not K '
        'and D; auto: where the topic is called so, as image_rect is.',
        choices=RECTIFIED,
    )
    image_region: list[float] = parameter(  # noqa: RUF009
        [0.0, 0.0, 1.0, 1.0],
        'Part of the images in which faces are followed: x, y, width and height as shares of the '
        "image's; four numbers for all cameras or four per camera.",
        minimum=0.0,
        maximum=1.0,
    )
    quarter_turns: list[float] = parameter(  # noqa: RUF009
        [0.0],
        'Clockwise quarter turns that bring the images of a camera mounted sideways upright; one '
        'number for all cameras or one per camera. Results stay in the frame of the images.',
        choices=(0, 1, 2, 3),
    )
    max_age: float = parameter(
        0.0,
        'Drop images that are older than this when their turn comes; 0 for no limit.',
        minimum=0.0,
        maximum=3600.0,
        unit='s',
    )
    image_reliability: str = parameter(
        'best_effort',
        'Reliability asked of the camera; best_effort connects to every camera.',
        choices=qos.RELIABILITIES,
        read_only=True,
    )
    interpupillary_distance: float = parameter(
        INTERPUPILLARY_DISTANCE,
        'Distance between the pupils of the people to expect; the distance to a face that no depth '
        'image has measured is proportional to it. The default is the mean of adults; '
        'children have less.',
        minimum=0.04,
        maximum=0.08,
        unit='m',
    )
    use_depth: bool = parameter(
        False,
        'Take distances from <camera>/depth_registered/image_raw: depth that is aligned with the '
        'colour image, 16UC1 in millimetres or 32FC1 in metres.',
        read_only=True,
    )
    output_frame: str = parameter(
        '',
        "Frame of the poses on all topics but /tf, such as base_link; empty for the camera's "
        'optical frame. Found by tf2 at the stamp of the image.',
        read_only=True,
    )
    publish_tf: bool = parameter(
        True, 'Publish TF frames face_<id> and gaze_<id> (the direction of the head) of every face.'
    )
    publish_markers: bool = parameter(True, 'Publish RViz markers.')
    publish_landmarks: bool = parameter(
        True, 'Publish the landmarks of all faces in space as a point cloud.'
    )
    publish_hri: bool = parameter(
        False,
        'Publish /humans/faces of ROS4HRI (REP 155); needs the package hri_msgs.',
        read_only=True,
    )
    exit_on_stall: bool = parameter(
        True,
        'End the process with exit code 2 when images come and the network gives no answer for '
        '4 s, so that it is started again by whoever watches it. Diagnostics show an error anyway.',
    )
    lazy: bool = parameter(
        False,
        'Rest, without taking in images, while nobody subscribes to anything but /tf and '
        '/diagnostics. Who listens to /tf cannot be known: leave it off where only the frames of '
        'faces are used.',
        read_only=True,
    )
    autostart: bool = parameter(
        True, 'Configure and activate without a lifecycle manager.', read_only=True
    )


def tracking_options(config: PoseConfig) -> TrackingOptions:
    """Return how the node follows faces.

    Raises:
        ParameterProblem: The preferred region is none.
    """
    return TrackingOptions(
        max_faces=config.max_faces,
        detect_every=config.detect_every,
        confirm_hits=config.confirm_hits,
        retain=config.retain,
        prefer=config.prefer,
        region=region('preferred_region', config.preferred_region),
    )


def id_prefix(chosen: str, node: str) -> str:
    """Return what the ids of a node's faces begin with, the same after every start.

    A digit at its end would make ids of two nodes equal: `a1` and 2 as `a` and 12.

    Args:
        chosen: The parameter; empty for one made of the node's name.
        node: Full name of the node.

    Raises:
        ParameterProblem: REP 155 and TF allow no such ids, or a digit is the last.
    """
    if chosen:
        if not _PREFIX.fullmatch(chosen):
            raise ParameterProblem(
                f'parameter id_prefix is {chosen!r}: expected letters, digits and underscores, a '
                'letter first, no digit last'
            )
        return chosen
    if node == _DEFAULT_NODE:
        return _DEFAULT_PREFIX
    digest = hashlib.sha256(node.encode()).digest()[:_LETTERS_IN_PREFIX]
    letters = string.ascii_lowercase
    return _DEFAULT_PREFIX + ''.join(letters[byte % len(letters)] for byte in digest)


def views(config: PoseConfig) -> dict[str, CameraView]:
    """Return how each camera looks at the scene.

    Raises:
        ParameterProblem: Regions or turns are too few or too many, or a region is empty.
    """
    count, numbers, turns = len(config.cameras), config.image_region, config.quarter_turns
    if len(numbers) not in (4, 4 * count):
        raise ParameterProblem(
            f'parameter image_region is {numbers}: expected x, y, width, height, once or for each '
            f'of {count} cameras'
        )
    if len(turns) not in (1, count):
        raise ParameterProblem(
            f'parameter quarter_turns is {turns}: expected one number or one for each of {count} '
            'cameras'
        )
    regions = [
        region('image_region', numbers[first : first + 4]) for first in range(0, len(numbers), 4)
    ]
    return {
        name: CameraView(regions[index % len(regions)], int(turns[index % len(turns)]))
        for index, name in enumerate(config.cameras)
    }


def check_cameras(names: Sequence[str]) -> None:
    """Raise ParameterProblem unless these are different namespaces, at least one."""
    if not names or len(set(names)) < len(names) or not all(map(_NAMESPACE.fullmatch, names)):
        raise ParameterProblem(
            f'parameter cameras is {list(names)}: expected different namespaces such as '
            "'camera' or '/front/left', at least one"
        )


def input_options(config: PoseConfig) -> InputOptions:
    """Return how the node listens to its cameras."""
    return InputOptions(
        transport=config.image_transport,
        reliability=config.image_reliability,
        max_age=config.max_age,
        depth=config.use_depth,
        rectified=config.rectified,
    )


def smoothing_options(config: PoseConfig) -> SmoothingOptions:
    """Return how the node smooths poses."""
    return SmoothingOptions(
        enabled=config.smooth,
        rotation_noise=config.rotation_noise,
        rotation_agility=config.rotation_agility,
        position_noise=config.position_noise,
        position_agility=config.position_agility,
    )


def output_options(config: PoseConfig) -> OutputOptions:
    """Return what the node publishes."""
    return OutputOptions(
        tf=config.publish_tf,
        markers=config.publish_markers,
        landmark_cloud=config.publish_landmarks,
        output_frame=config.output_frame,
    )
