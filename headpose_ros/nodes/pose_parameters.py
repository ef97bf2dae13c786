"""Parameters of the pose node: its own, and those of the parts that it is made of."""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass, field

from headpose_ros.parameter import ParameterProblem, parameter, region
from headpose_ros.people.attention import AttentionOptions
from headpose_ros.perception.camera_view import CameraView, ViewOptions
from headpose_ros.perception.detect import DetectionOptions
from headpose_ros.perception.infer import NetworkOptions
from headpose_ros.perception.metric import MetricOptions
from headpose_ros.perception.smoothing import SmoothingOptions
from headpose_ros.perception.tracking import TrackingOptions
from headpose_ros.ros.input.camera_input import InputOptions
from headpose_ros.ros.node.lifecycle import AutostartOptions
from headpose_ros.ros.output.face_publisher import OutputOptions
from headpose_ros.ros.output.hri import HriOptions

_NAMESPACE = re.compile(r'/?[A-Za-z]\w*(/[A-Za-z]\w*)*')
_PREFIX = re.compile(r'[A-Za-z]([A-Za-z0-9_]*[A-Za-z_])?')
_DEFAULT_PREFIX, _DEFAULT_NODE = 'f', '/pose'
_LETTERS_IN_PREFIX = 4


@dataclass(frozen=True)
class PoseConfig(AutostartOptions):
    """Parameters of the pose node.

    Raises:
        ParameterProblem: Cameras are named wrongly, or their views do not fit them.
    """

    cameras: tuple[str, ...] = parameter(
        ('camera',),
        'Namespaces of the cameras, each with image_raw and camera_info. Of several cameras the '
        'outputs stand below their namespaces, too, such as left/faces.',
        read_only=True,
        basic=True,
    )
    network: NetworkOptions = field(default_factory=NetworkOptions)
    input: InputOptions = field(default_factory=InputOptions)
    view: ViewOptions = field(default_factory=ViewOptions)
    detection: DetectionOptions = field(default_factory=DetectionOptions)
    tracking: TrackingOptions = field(default_factory=TrackingOptions)
    smoothing: SmoothingOptions = field(default_factory=SmoothingOptions)
    metric: MetricOptions = field(default_factory=MetricOptions)
    output: OutputOptions = field(default_factory=OutputOptions)
    hri: HriOptions = field(default_factory=HriOptions)
    attention: AttentionOptions = field(default_factory=AttentionOptions)
    id_prefix: str = parameter(
        '',
        'What the ids of faces begin with, before a number: letters, digits and underscores, a '
        'letter first, no digit last. Empty: f, and for a node that is not /pose four letters '
        'made of its full name besides, so that two nodes never give the same id.',
        read_only=True,
    )
    lazy: bool = parameter(
        False,
        'Rest, without taking in images, while nobody subscribes to anything but /tf and '
        '/diagnostics. Who listens to /tf cannot be known: leave it off where only the frames of '
        'faces are used.',
        read_only=True,
    )
    exit_on_stall: bool = parameter(
        True,
        'End the process with exit code 2 when images come and the network gives no answer for '
        '4 s, so that it is started again by whoever watches it. Diagnostics show an error anyway.',
    )

    def __post_init__(self) -> None:
        """Refuse cameras and views that do not fit."""
        check_cameras(self.cameras)
        views(self)


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
    count, numbers, turns = len(config.cameras), config.view.region, config.view.quarter_turns
    if len(numbers) not in (4, 4 * count):
        raise ParameterProblem(
            f'parameter view.region is {list(numbers)}: expected x, y, width, height, once or for '
            f'each of {count} cameras'
        )
    if len(turns) not in (1, count):
        raise ParameterProblem(
            f'parameter view.quarter_turns is {list(turns)}: expected one number or one for each '
            f'of {count} cameras'
        )
    regions = [
        region('view.region', numbers[first : first + 4]) for first in range(0, len(numbers), 4)
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
