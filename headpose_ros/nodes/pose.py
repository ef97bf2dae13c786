"""Pose node: camera images in; faces, TF frames, markers and the main head's pose out."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.time import Time

from headpose_ros.errors import HeadposeError
from headpose_ros.models.released import find_weights
from headpose_ros.nodes.pose_parameters import (
    PoseConfig,
    id_prefix,
    views,
)
from headpose_ros.nodes.runner import run
from headpose_ros.perception.analyze import Analyzer, load_analyzer
from headpose_ros.perception.device import gpu_memory, has_gpu, why_no_gpu
from headpose_ros.perception.faces import Face
from headpose_ros.perception.frame import Frame, check_image
from headpose_ros.perception.infer import FaceNetwork
from headpose_ros.perception.threads import limit_cpu_threads
from headpose_ros.ros.input.camera_input import CameraInput
from headpose_ros.ros.input.latest import LatestPerSender
from headpose_ros.ros.node.callbacks import PASSES
from headpose_ros.ros.node.diagnostics import (
    ERROR,
    NOT_ACTIVE,
    RESTING,
    SILENT_AFTER,
    WARN,
    Diagnostics,
    Finding,
    Rates,
    camera_findings,
    camera_values,
    status,
)
from headpose_ros.ros.node.lifecycle import AutostartNode, log_failures
from headpose_ros.ros.node.parameters import declare, follow
from headpose_ros.ros.node.stamps import seconds
from headpose_ros.ros.node.statistics import summarize
from headpose_ros.ros.node.worker import JOIN, Watch, Worker
from headpose_ros.ros.output.attention import AttentionPublisher
from headpose_ros.ros.output.face_publisher import FacePublisher
from headpose_ros.ros.output.hri import HriFaces
from headpose_ros.ros.output.hri_persons import HriPersons

#: A worker that has images and gives no result for this time has stalled, s.
STALLED_AFTER = 4.0

#: How often a lazy node counts its subscribers, s: less than a frame of most cameras.
_AUDIENCE_PERIOD = 0.03


@dataclass(frozen=True)
class _Waiting:
    """An image that is decoded and waits for the network.

    Attributes:
        camera: Where it comes from.
        header: Of its message.
        frame: The image as the analyzer takes it.
        decode: How long decoding took, ms.
    """

    camera: CameraInput
    header: Any
    frame: Frame
    decode: float


@contextmanager
def _refusing(*cameras: CameraInput) -> Iterator[None]:
    """Refuse the frames of these cameras if something fails with them.

    One bad frame must not end the thread that all later frames need.
    """
    try:
        yield
    except PASSES:
        raise
    except BaseException as error:
        for camera in cameras:
            camera.refuse(error)


class PoseNode(AutostartNode):
    """Finds heads in the images of one or several cameras; parameters: :class:`PoseConfig`.

    Subscribes for every camera: `<camera>/image_raw` (sensor_msgs/Image) or
    `<camera>/image_raw/compressed` (sensor_msgs/CompressedImage), `<camera>/camera_info`
    (sensor_msgs/CameraInfo); and `<camera>/depth_registered/image_raw` (sensor_msgs/Image) if
    asked to. Publishes the topics of `ros.output.face_publisher` and `/diagnostics`
    (diagnostic_msgs/DiagnosticArray). All stamps are the images'.

    Of every camera the newest image waits, and one thread works on all that wait: nothing queues,
    and no camera starves another.

    Args:
        options: Passed to rclpy's LifecycleNode.

    Raises:
        HeadposeError: With `autostart`, anything that keeps the node from running.
    """

    def __init__(self, **options: Any) -> None:
        # First, since a node that fails to start is destroyed like any other.
        self._analyzer: Analyzer | None = None
        self._next_network: FaceNetwork | None = None
        self._worker: Worker | None = None
        self._patience = STALLED_AFTER
        self._outputs: dict[str, FacePublisher] = {}
        self._hri: HriFaces | None = None
        self._attention: list[AttentionPublisher] = []
        self._cameras: dict[str, CameraInput] = {}
        super().__init__('pose', **options)
        self._config = declare(self, PoseConfig)
        self._prefix = id_prefix(self._config.id_prefix, self.get_fully_qualified_name())
        for name in self._config.cameras:
            self._cameras[name] = CameraInput(self, name, self._config.input, self._take_image)
        self._rates = {name: Rates() for name in self._cameras}
        self._resting = False
        if self._config.lazy:
            # On a steady clock: simulated time may stand still.
            clock = Clock(clock_type=ClockType.STEADY_TIME)
            self.create_timer(_AUDIENCE_PERIOD, self._rest_or_wake, clock=clock)
        self._diagnostics = Diagnostics(self, self._statuses)
        follow(self, self._config, self._apply)
        if self._config.autostart:
            self.start()

    def summary(self) -> dict[str, Any]:
        """Return counts and times over all cameras; see `ros.node.statistics`."""
        return summarize(camera.statistics for camera in self._cameras.values())

    @log_failures
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the network and the detector, create the publishers."""
        config = self._config
        limit_cpu_threads(config.network.threads)
        try:
            self._analyzer = load_analyzer(
                config.network.model,
                config.network.device,
                backend=config.network.backend,
                detector_model=config.detection.model,
                detector_threshold=config.detection.threshold,
                tracking=config.tracking,
                smoothing=config.smoothing,
                id_prefix=self._prefix,
            )
            self._create_outputs(config)
        except HeadposeError as error:
            return self.refuse(error)
        self._analyzer.interpupillary_distance = config.metric.interpupillary_distance
        self._set_views(config)
        self._log_model(self._analyzer.network)
        return TransitionCallbackReturn.SUCCESS

    @log_failures
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take the device, start the worker, then subscribe to the cameras."""
        assert self._analyzer is not None
        self._analyzer.network.wake()
        self._waiting: LatestPerSender[Any] = LatestPerSender()
        self._watch = Watch()
        self._worker = Worker('inference', partial(self._work, self._waiting, self._watch))
        self._worker.start()
        for camera in self._cameras.values():
            camera.start()
        self._resting = False
        return super().on_activate(state)

    def destroy_node(self) -> None:
        """Stop the worker, then destroy the node."""
        self._patience = JOIN
        with self.barrier('shutdown'):
            self.stop()
        super().destroy_node()

    def _rest_or_wake(self) -> None:
        """Take in images only while the results have subscribers."""
        if self._worker is None:
            return
        resting = not any(outputs.has_audience for outputs in self._outputs.values())
        if resting != self._resting:
            self._resting = resting
            for camera in self._cameras.values():
                camera.stop() if resting else camera.resume()

    def stop(self) -> None:
        """Undo on_activate; harmless when nothing runs.

        Raises:
            HeadposeError: The worker does not end: it and its network are left to themselves.
        """
        worker, self._worker = self._worker, None
        if worker is None:
            return
        self._resting = False
        for camera in self._cameras.values():
            camera.stop()
        for name in self._waiting.close():
            self._cameras[name].statistics.frames_dropped += 1
        if not worker.ends(self._patience):
            self._waiting = LatestPerSender()  # what the worker may still find is not published
            self._stalled('the network does not return')
            raise HeadposeError('the network does not return; it is abandoned')
        if self._analyzer is not None:
            self._change_network(self._analyzer)
            self._analyzer.reset()
            self._analyzer.network.rest()
        if self._hri is not None:
            self._hri.clear()

    def _create_outputs(self, config: PoseConfig) -> None:
        several = len(self._cameras) > 1
        if config.output.hri:
            self._hri = HriFaces(self, config.hri, self._create_persons(config))
        for name in self._cameras:
            prefix = f'{name}/' if several else ''
            attention = None
            if config.output.attention:
                attention = AttentionPublisher(self, config.attention, prefix)
                self._attention.append(attention)
            self._outputs[name] = FacePublisher(self, config.output, prefix, self._hri, attention)

    def _create_persons(self, config: PoseConfig) -> HriPersons | None:
        if not config.hri.persons:
            return None
        return HriPersons(self, config.tracking.retain, config.attention)

    def release(self) -> None:
        """Undo on_configure; harmless when nothing is there."""
        self._analyzer = self._next_network = None
        for outputs in self._outputs.values():
            outputs.destroy()
        self._outputs, self._attention = {}, []
        if self._hri is not None:
            self._hri.destroy()
            self._hri = None

    def _apply(self, config: PoseConfig) -> None:
        """Take over parameters that were changed, all of them or none."""
        analyzer, network = self._analyzer, config.network
        if analyzer is not None and network.model != self._config.network.model:
            weights = find_weights(network.model)
            self._next_network = FaceNetwork(weights, network.device, network.backend)
        self._config = config
        for camera in self._cameras.values():
            camera.options = config.input
        if analyzer is None:
            return
        analyzer.configure(config.tracking, config.smoothing)
        analyzer.interpupillary_distance = config.metric.interpupillary_distance
        analyzer.detector.require(config.detection.threshold)
        self._set_views(config)
        for outputs in self._outputs.values():
            outputs.options = config.output
        if self._hri is not None:
            self._hri.options = config.hri
            if (persons := self._hri.persons) is not None:
                persons.memory, persons.attention = config.tracking.retain, config.attention
        for attention in self._attention:
            attention.configure(config.attention)
        if self._worker is None:
            self._change_network(analyzer)
            analyzer.network.rest()

    def _set_views(self, config: PoseConfig) -> None:
        """Set how the cameras are mounted and which part of their images is searched."""
        assert self._analyzer is not None
        for name, view in views(config).items():
            self._analyzer.set_view(view, name)

    def _change_network(self, analyzer: Analyzer) -> None:
        """Go on with a network that was loaded meanwhile."""
        network, self._next_network = self._next_network, None
        if network is not None:
            analyzer.use(network)
            self._log_model(network)

    def _log_model(self, network: FaceNetwork) -> None:
        logger = self.get_logger()
        licence = network.card.get('license', 'unknown')
        weights = f'weights {self._config.network.model} of the network {network.spec.name}'
        logger.info(f'{weights}; terms of use: {licence}')
        network.backends.warn = self._warn_of_backend
        log = logger.warning if network.backends.degraded else logger.info
        log(f'the network runs on {network.backends.reason}')

    def _warn_of_backend(self, text: str) -> None:
        self.get_logger().warning(text)

    def _statuses(self) -> list[Any]:
        """Return the node's and the cameras' diagnostics; log what is silent."""
        found = [status(f'{self.get_name()}: node', *self._node_findings())]
        active = self._worker is not None and not self._resting
        now = self.get_clock().now()
        for name, camera in self._cameras.items():
            publishers = self.count_publishers(camera.image_topic) if active else 0
            findings = camera_findings(camera, now, publishers) if active else []
            if active and camera.seconds_since_image() > SILENT_AFTER:
                camera.warn('silence', findings[0].text)
            findings += self._output_findings(name) if active else []
            values = camera_values(camera, self._rates[name])
            frame = camera.header.frame_id if camera.header is not None else ''
            found.append(status(f'{self.get_name()}: {name}', findings, values, frame))
        return found

    def _output_findings(self, camera: str) -> list[Finding]:
        """Return why nothing is published of the images of a camera."""
        problem = self._outputs[camera].problem if camera in self._outputs else None
        if problem is None:
            return []
        advice = 'publish that transform, or set output.frame to a frame that exists'
        level = WARN if problem.is_late else ERROR
        return [Finding(level, f'no poses are published: {problem}; {advice}')]

    def _node_findings(self) -> tuple[list[Finding], dict[str, Any], str]:
        analyzer = self._analyzer
        if analyzer is None or self._worker is None:
            return [NOT_ACTIVE], {}, ''
        network = analyzer.network
        device = str(network.device)
        values = {
            'model': self._config.network.model,
            'network': network.spec.name,
            'device': device,
            'device asked for': self._config.network.device,
            'device memory (MB)': round(gpu_memory(network.device) / 1e6, 1),
        }
        found = [RESTING] if self._resting else []
        found += self._stall_findings()
        if device == 'cpu' and self._config.network.device == 'auto' and has_gpu():
            text = f'the network runs on the CPU although the machine has a GPU: {why_no_gpu()}'
            found.append(Finding(WARN, text))
        return found, values, device

    def _stall_findings(self) -> list[Finding]:
        """Return whether images come and the worker gives no answer; then the node may end."""
        silence = self._watch.silence()
        if silence < STALLED_AFTER:
            return []
        text = f'no result for {silence:.0f} s although images arrive'
        self._stalled(text)
        return [Finding(ERROR, f'{text}: the network may hang; restart the node')]

    def _stalled(self, text: str) -> None:
        """End the process over a worker that has stalled, unless exit_on_stall is false."""
        if self._config.exit_on_stall:
            self.end(f'{text}: the process ends (set exit_on_stall to false to keep it)')

    def _take_image(self, camera: str, message: Any, depth: Any) -> None:
        """Let an image wait for the worker, in place of an older one of its camera."""
        self._watch.given()
        waiting = self._waiting.put(camera, (message, depth))
        self._cameras[camera].statistics.frames_dropped += waiting

    def _work(self, slots: LatestPerSender[Any], watch: Watch) -> None:
        """Analyse what waits again and again until the slots close."""
        while (waiting := slots.take()) is not None:
            watch.given()
            with self.barrier('inference'):
                self._work_on(slots, waiting)
            del waiting  # the last images are not kept while none comes
            watch.answered()

    def _work_on(self, slots: LatestPerSender[Any], waiting: dict[str, Any]) -> None:
        """Decode, analyse and publish the newest image of each camera that has one."""
        analyzer = self._analyzer
        assert analyzer is not None
        with self.barrier('model'):
            self._change_network(analyzer)
        decoded = [self._decoded(self._cameras[name], *m) for name, m in waiting.items()]
        items = [item for item in decoded if item is not None]
        found = self._analysed(analyzer, items)
        if slots is not self._waiting:
            return  # the node has gone on without this worker
        for item, faces in found:
            with _refusing(item.camera):
                self._publish(analyzer, item, faces)

    def _decoded(self, camera: CameraInput, message: Any, depth: Any) -> _Waiting | None:
        """Decode an image and its depth; None where the image cannot be used."""
        start = time.perf_counter()
        with _refusing(camera):
            if late := camera.is_late(message.header, self.get_clock().now()):
                camera.statistics.frames_late += 1
                camera.warn('late', f'{camera.image_topic}: frame dropped: {late}')
                return None
            pixels = camera.decode(message)
            camera.size = (pixels.shape[1], pixels.shape[0])
            stamp = seconds(message.header.stamp)
            check_image(pixels)
            distances = camera.decode_depth(depth)
            calibration = camera.calibration(message.header, camera.size)
            frame = Frame(pixels, stamp, calibration, camera.name, distances)
            return _Waiting(camera, message.header, frame, 1e3 * (time.perf_counter() - start))
        return None

    def _analysed(
        self, analyzer: Analyzer, items: list[_Waiting]
    ) -> list[tuple[_Waiting, list[Face]]]:
        """Return each image with its faces; none where the analysis fails."""
        with _refusing(*(item.camera for item in items)):
            found = analyzer.track_together([item.frame for item in items]) if items else []
            return list(zip(items, found, strict=True))
        return []

    def _publish(self, analyzer: Analyzer, item: _Waiting, faces: list[Face]) -> None:
        """Publish what was found in an image, and count it."""
        start = time.perf_counter()
        image = item.frame.image
        size = (image.shape[1], image.shape[0])
        publisher = self._outputs[item.camera.name]
        if not publisher.publish(item.header, size, faces, item.frame.camera, image):
            item.camera.statistics.frames_refused += 1
            return
        age = (self.get_clock().now() - Time.from_msg(item.header.stamp)).nanoseconds * 1e-6
        item.camera.note_out(
            faces,
            analyzer.left_out(item.camera.name),
            age=age,
            decode=item.decode,
            detect=analyzer.times.detect,
            infer=analyzer.times.infer,
            publish=1e3 * (time.perf_counter() - start),
        )


def main(args: Sequence[str] | None = None) -> int:
    """Run the pose node and return its exit code."""
    return run(PoseNode, args)


if __name__ == '__main__':
    sys.exit(main())
