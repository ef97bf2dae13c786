"""A pose node in a process of its own, with a camera and a listener in this one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from headpose_ros.msg import Faces
from headpose_ros.ros.input.images import encode_bgr
from headpose_ros.ros.node import qos
from headpose_ros.ros.node.transport import prefer_shared_memory

ROOT = Path(__file__).parents[1]
FRAME = 'camera_optical_frame'
#: Seconds for a start, for a message, and for a service's answer.
START, WAIT, ANSWER = 120.0, 10.0, 30.0
#: One side knows the other before that one knows it; what it sends then may be lost.
HANDSHAKE = 0.15  # s
TRANSITIONS = {
    'activate': Transition.TRANSITION_ACTIVATE,
    'deactivate': Transition.TRANSITION_DEACTIVATE,
    'cleanup': Transition.TRANSITION_CLEANUP,
    'configure': Transition.TRANSITION_CONFIGURE,
}


class NoAnswerError(RuntimeError):
    """A service that is not there, or does not answer in time."""


def isolate() -> None:
    """Give this run and the processes it starts a ROS domain of their own on this machine."""
    os.environ.setdefault('ROS_DOMAIN_ID', str(os.getpid() % 100 + 1))
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    prefer_shared_memory()


def start_node(
    *arguments: str, program: Sequence[str] = ('-m', 'headpose_ros.nodes.pose')
) -> subprocess.Popen[bytes]:
    """Start the pose node on the CPU; its log goes where HEADPOSE_BENCHMARK_LOG says."""
    words = [sys.executable, *program, '--ros-args', '-p', 'network.device:=cpu', *arguments]
    log = os.environ.get('HEADPOSE_BENCHMARK_LOG', os.devnull)
    with open(log, 'ab') as file:
        return subprocess.Popen(words, cwd=ROOT, stdout=file, stderr=file)


def resident(process: subprocess.Popen[Any]) -> float:
    """Return the MB of memory that a process holds."""
    text = Path(f'/proc/{process.pid}/status').read_text()
    line = next(line for line in text.splitlines() if line.startswith('VmRSS'))
    return int(line.split()[1]) / 1024


class Rig:
    """Camera, listener and clients of one pose node.

    Attributes:
        faces: Answers with the time at which each came, s since the epoch.
        values: Newest diagnostics of the node's camera.
    """

    def __init__(self, compressed: bool = False) -> None:
        self.node = rclpy.create_node('rig')
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.faces: list[tuple[float, Faces]] = []
        self.values: dict[str, str] = {}
        self.compressed = compressed
        self.node.create_subscription(Faces, 'faces', self._answered, qos.reliable(100))
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._diagnosed, 10)
        self._clients: dict[str, Any] = {}
        self.images: Any = None
        self.camera(qos.reliable(1))

    def close(self) -> None:
        self.node.destroy_node()
        self.executor.shutdown()

    def camera(self, profile: Any) -> None:
        """Go on with new publishers of this QoS profile."""
        if self.images is not None:
            self.node.destroy_publisher(self.images)
            self.node.destroy_publisher(self.infos)
        kind, suffix = (CompressedImage, '/compressed') if self.compressed else (Image, '')
        self.images = self.node.create_publisher(kind, f'camera/image_raw{suffix}', profile)
        self.infos = self.node.create_publisher(CameraInfo, 'camera/camera_info', profile)

    def spin(self, seconds: float) -> None:
        self.until(lambda: False, seconds)

    def until(self, predicate: Callable[[], Any], timeout: float = WAIT) -> bool:
        end = time.monotonic() + timeout
        while not (done := predicate()) and (left := end - time.monotonic()) > 0:
            self.executor.spin_once(timeout_sec=min(left, 0.02))
        return bool(done)

    def header(self, age: float = 0.0, frame: str = FRAME) -> Header:
        stamp = rclpy.time.Time(nanoseconds=time.time_ns() - round(age * 1e9)).to_msg()
        return Header(stamp=stamp, frame_id=frame)

    def message(self, picture: Any, **header: Any) -> Any:
        """Return an image message; `picture` may be the bytes of a compressed one."""
        if not self.compressed:
            return encode_bgr(picture, self.header(**header))
        return CompressedImage(header=self.header(**header), format='jpeg', data=picture)

    def answer(self, message: Any, timeout: float = WAIT) -> Faces | None:
        """Publish an image and return the answer to it, None where none comes in time."""
        self.faces.clear()
        self.images.publish(message)

        def found() -> list[Faces]:
            return [faces for _, faces in self.faces if faces.header == message.header]

        return found()[0] if self.until(found, timeout) else None

    def call(self, kind: Any, name: str, request: Any, timeout: float = ANSWER) -> Any:
        """Return a service's answer.

        Raises:
            NoAnswerError: There is no such service, or no answer in time.
        """
        future = self._client(kind, name, timeout).call_async(request)
        if not self.until(future.done, timeout):
            raise NoAnswerError(f'{name} did not answer within {timeout:g} s')
        return future.result()

    def change(self, name: str) -> bool:
        """Make a lifecycle transition; tell whether it succeeded."""
        request = ChangeState.Request(transition=Transition(id=TRANSITIONS[name]))
        return bool(self.call(ChangeState, 'pose/change_state', request).success)

    def state(self) -> str:
        return str(self.call(GetState, 'pose/get_state', GetState.Request()).current_state.label)

    def _client(self, kind: Any, name: str, timeout: float) -> Any:
        """Return the one client of a service, once both sides know each other.

        The middleware drops an answer when the node has not found its reader within 0.1 s, which
        happens to new clients on a busy machine.
        """
        if name not in self._clients:
            client = self.node.create_client(kind, name)
            if not self.until(client.service_is_ready, timeout):
                self.node.destroy_client(client)
                raise NoAnswerError(f'there is no service {name}')
            self.spin(HANDSHAKE)
            self._clients[name] = client
        return self._clients[name]

    def _answered(self, faces: Faces) -> None:
        self.faces.append((time.time(), faces))

    def _diagnosed(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == 'pose: camera':
                self.values = {item.key: item.value for item in status.values}
