"""`headpose stream`: the head of one person for avatars (VMC over OSC) and games (opentrack)."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder

from headpose_ros.errors import HeadposeError
from headpose_ros.geometry.rotations import FRONTAL, quaternion_from_matrix
from headpose_ros.perception.analyze import Analyzer
from headpose_ros.perception.faces import Face
from headpose_ros.tools.frames import Frames
from headpose_ros.tools.interruption import interruptible

#: Names of ARKit for what is measured, in the order of `Face.openness`.
_EYES = ('eyeBlinkRight', 'eyeBlinkLeft')
_JAW = 'jawOpen'
#: Axes of a humanoid in Unity, x to its right, y up, z ahead, in those of the face frame.
_UNITY = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])


@dataclass(frozen=True)
class StreamOptions:
    """What is sent where.

    Attributes:
        source: Video, folder of images, device, or a photograph to move before a virtual camera.
        osc: HOST:PORT of a receiver of VMC; empty for none.
        opentrack: HOST:PORT of opentrack's input "UDP over network"; empty for none.
        duration: Seconds to analyse, 0 for all.
        calibration: File of camera_info_manager, for positions in metres; None for none.
    """

    source: str
    osc: str = ''
    opentrack: str = ''
    duration: float = 0.0
    calibration: Path | None = None


@dataclass
class StreamSummary:
    """What was sent.

    Attributes:
        frames: Frames of the source.
        sent: Frames with a face, which was sent.
        lost: Packets that the network refused.
        interrupted: Whether a signal ended it.
    """

    frames: int = 0
    sent: int = 0
    lost: int = 0
    interrupted: bool = False


class Receiver:
    """Sends packets over UDP. Whether anybody receives them is not known.

    Args:
        address: HOST:PORT; an IPv6 address in brackets.
        option: Which option it comes from, for errors.
        packet: Makes a packet of a face.

    Raises:
        HeadposeError: The address is none, or the host is unknown.
    """

    def __init__(self, address: str, option: str, packet: Callable[[Face], bytes]) -> None:
        host, _, port = address.rpartition(':')
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise HeadposeError(f'{option} is {address!r}: expected HOST:PORT')
        try:
            found = socket.getaddrinfo(host.strip('[]'), int(port), type=socket.SOCK_DGRAM)
        except OSError as error:
            raise HeadposeError(f'{option} is {address!r}: {error.strerror or error}') from error
        family, kind, protocol, _, target = found[0]
        self._target: Any = target
        self._socket = socket.socket(family, kind, protocol)
        self._packet = packet
        self.lost = 0

    def send(self, face: Face) -> None:
        """Send a face; a packet that the network refuses is counted and lost."""
        try:
            self._socket.sendto(self._packet(face), self._target)
        except OSError:
            self.lost += 1

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def stream(analyzer: Analyzer, options: StreamOptions) -> StreamSummary:
    """Analyse a source and send the preferred face of every frame, until a signal or its end.

    A video is played at its own speed.

    Raises:
        HeadposeError: There is no receiver, its address is wrong, or the source cannot be read.
    """
    summary = StreamSummary()
    with ExitStack() as stack:
        receivers = _receivers(options)
        for receiver in receivers:
            stack.callback(receiver.close)
        frames = Frames(options.source, options.duration, options.calibration)
        stack.callback(frames.close)
        interruption = stack.enter_context(interruptible())
        start = time.monotonic()
        for stamp, image in frames:
            if interruption.asked:
                summary.interrupted = True
                break
            time.sleep(max(start + stamp - time.monotonic(), 0.0))
            faces = analyzer.track(image, stamp, frames.camera(image))
            summary.frames += 1
            summary.sent += bool(faces)
            for receiver in receivers if faces else []:
                receiver.send(faces[0])
        summary.lost = sum(receiver.lost for receiver in receivers)
    return summary


def opentrack_packet(face: Face) -> bytes:
    """Return a face as opentrack's UDP input takes it: six doubles, little endian.

    x, y, z in cm: the sellion to the right of the camera as the person sees it, above it and away
    from it; zeros where it is unknown. Then yaw, pitch and roll in degrees: to the person's
    right, up, and clockwise as the camera sees it, in the factorisation of AFLW2000.
    """
    x, y, z = (0.0, 0.0, 0.0) if face.position is None else (100.0 * face.position).tolist()
    pitch, yaw, roll = np.degrees(face.pitch_yaw_roll).tolist()
    return struct.pack('<6d', -x, -y, z, yaw, pitch, roll)


def vmc_packet(face: Face) -> bytes:
    """Return a face as an OSC bundle of the Virtual Motion Capture protocol.

    The bone Head, turned from where it looks at the camera, in Unity's axes (x to the person's
    right, y up, z ahead, left-handed), without a place; and of ARKit's blend shapes those that are
    measured: eyeBlinkRight, eyeBlinkLeft and jawOpen, 0..1. What is unknown is left out.
    """
    bundle = OscBundleBuilder(IMMEDIATELY)
    for address, values in _vmc_messages(face):
        message = OscMessageBuilder(address)
        for value in values:
            message.add_arg(value)
        bundle.add_content(message.build())
    return bundle.build().dgram


def head_in_unity(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (4,) quaternion x, y, z, w of the bone Head for a (3, 3) R_optical_face."""
    turn = FRONTAL.T @ rotation
    return quaternion_from_matrix(_UNITY @ turn @ _UNITY.T)


def _vmc_messages(face: Face) -> list[tuple[str, list[str | float | int]]]:
    quaternion = head_in_unity(face.rotation).tolist()
    messages: list[tuple[str, list[str | float | int]]] = [
        ('/VMC/Ext/OK', [1]),
        ('/VMC/Ext/Bone/Pos', ['Head', 0.0, 0.0, 0.0, *quaternion]),
    ]
    shapes = _blend_shapes(face)
    messages += [('/VMC/Ext/Blend/Val', [name, value]) for name, value in shapes.items()]
    return [*messages, ('/VMC/Ext/Blend/Apply', [])]


def _blend_shapes(face: Face) -> dict[str, float]:
    *eyes, mouth = face.openness.tolist()
    shapes = {name: 1.0 - openness for name, openness in zip(_EYES, eyes, strict=True)}
    shapes[_JAW] = mouth
    return {name: float(np.clip(v, 0.0, 1.0)) for name, v in shapes.items() if np.isfinite(v)}


def _receivers(options: StreamOptions) -> list[Receiver]:
    kinds = (
        (options.osc, '--osc', vmc_packet),
        (options.opentrack, '--opentrack', opentrack_packet),
    )
    found = [Receiver(address, option, packet) for address, option, packet in kinds if address]
    if not found:
        raise HeadposeError('nothing to send to: give --osc HOST:PORT or --opentrack HOST:PORT')
    return found
