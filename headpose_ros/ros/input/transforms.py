"""Where frames are to each other: tf2_ros where it is installed, a small buffer where not."""

from __future__ import annotations

import re
import threading
import time
from bisect import bisect_left, insort
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy
from tf2_msgs.msg import TFMessage

from headpose_ros.errors import HeadposeError, shortened
from headpose_ros.geometry.rotations import between, matrix_from_quaternion
from headpose_ros.ros.node import qos
from headpose_ros.yaml_files import YamlError, parse

_DEPTH = 100
#: How much of the past is kept, s.
_HISTORY = 10.0
#: Longest chain of frames up to the root; more is a loop.
_LONGEST_CHAIN = 100
#: Names of this package's own frames of faces: nobody's output frame, and always new ones.
_FACES = re.compile(r'(face|gaze)_f\d+')
#: Frames that are remembered; of more, those that moved longest ago are forgotten.
_MOST_FRAMES = 2000
#: Frames that a message names, and characters of what tf2 has to say.
_MOST_NAMED, _LONGEST_REASON = 50, 300
#: How long, s, and how often a transform that is a little late is waited for.
_PATIENCE, _LOOK = 0.1, 0.005


@dataclass(frozen=True)
class Transform:
    """How to turn coordinates of one frame into those of another: `R @ x + t`.

    Attributes:
        rotation: float64 (3, 3).
        translation: float64 (3,) metres.
    """

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]

    def after(self, first: Transform) -> Transform:
        """Return the transform that does `first` and then this one."""
        return Transform(
            self.rotation @ first.rotation, self.rotation @ first.translation + self.translation
        )

    def inverse(self) -> Transform:
        """Return the way back."""
        return Transform(self.rotation.T, -self.rotation.T @ self.translation)


class TransformProblem(HeadposeError, LookupError):  # noqa: N818
    """A transform that is not there; the message names the frame that is missing.

    Args:
        cause: What is wrong, in words that stay the same while it is.
        details: What else is known.
        is_late: Whether it is only the newest stamp that is missing: it may come any moment.
    """

    def __init__(self, cause: str, details: str = '', is_late: bool = False) -> None:
        super().__init__(f'{cause}; {details}' if details else cause)
        self.cause, self.is_late = cause, is_late


class Transforms(Protocol):
    """Knows all frames of /tf and /tf_static."""

    def lookup(self, target: str, source: str, stamp: int) -> Transform:
        """Return what turns coordinates in `source` into those in `target`.

        Args:
            target: Frame of the result.
            source: Frame of what is given.
            stamp: When, ns.

        Raises:
            TransformProblem: There is none; see its message.
        """
        ...

    def destroy(self) -> None:
        """Stop listening."""
        ...


def frame_name(frame: str) -> str:
    """Return the name of a frame as tf2 has it.

    ROS 1's names began with a slash, and some drivers still have them.
    """
    return frame.lstrip('/')


def is_face_frame(name: str) -> bool:
    """Return whether a frame is one that this package publishes for a face."""
    return _FACES.fullmatch(name) is not None


def listen(node: Node) -> Transforms:
    """Return the transforms that a node receives from now on."""
    try:
        import tf2_ros
    except ImportError as error:
        if error.name != 'tf2_ros':
            node.get_logger().warning(
                f'tf2_ros is installed and does not work ({error}): /tf is read without it; '
                'install what it misses'
            )
        return _Listener(node)
    return _Tf2Listener(tf2_ros, node)


def patient_lookup(transforms: Transforms, target: str, source: str, stamp: int) -> Transform:
    """Look up like :meth:`Transforms.lookup`, but wait a moment for a transform that is late."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return transforms.lookup(target, source, stamp)
        except TransformProblem as problem:
            if not problem.is_late or time.monotonic() > end:
                raise
        time.sleep(_LOOK)


@dataclass
class _Link:
    """Where a frame was in its parent: stamps in ns, ascending, and the transforms."""

    parent: str
    static: bool
    stamps: list[int] = field(default_factory=list)
    transforms: dict[int, Transform] = field(default_factory=dict)

    def add(self, stamp: int, transform: Transform) -> None:
        if self.static or (self.stamps and stamp < self.stamps[-1] - _HISTORY * 1e9):
            # Only the last one of a static frame counts; and a clock that jumps back far starts a
            # history anew.
            self.stamps, self.transforms = [], {}
        if stamp not in self.transforms:
            insort(self.stamps, stamp)
        self.transforms[stamp] = transform
        oldest = self.stamps[-1] - _HISTORY * 1e9
        while self.stamps[0] < oldest:
            del self.transforms[self.stamps.pop(0)]

    def at(self, stamp: int) -> Transform | None:
        """Return the transform at a time, between two known ones in between; None outside."""
        if self.static:
            return self.transforms[self.stamps[-1]]
        if stamp in self.transforms:
            return self.transforms[stamp]
        after = bisect_left(self.stamps, stamp)
        if not 0 < after < len(self.stamps):
            return None
        return self._between(self.stamps[after - 1], self.stamps[after], stamp)

    def _between(self, before: int, after: int, stamp: int) -> Transform:
        first, second = self.transforms[before], self.transforms[after]
        share = (stamp - before) / (after - before)
        rotation = between(first.rotation, second.rotation, share)
        translation = (1 - share) * first.translation + share * second.translation
        return Transform(rotation, translation)


class TransformBuffer:
    """Remembers the last seconds of a tree of frames; safe across threads."""

    def __init__(self) -> None:
        self._links: dict[str, _Link] = {}
        self._lock = threading.Lock()

    def add(self, messages: Iterable[Any], static: bool) -> None:
        """Take in geometry_msgs/TransformStamped messages; those that are not finite are left."""
        with self._lock:
            for message in messages:
                self._add(message, static)

    def _add(self, message: Any, static: bool) -> None:
        child, parent = frame_name(message.child_frame_id), frame_name(message.header.frame_id)
        transform = _transform(message.transform)
        if transform is None or not (child and parent) or child == parent or is_face_frame(child):
            return
        link = self._links.pop(child, None)
        if link is None or (link.parent, link.static) != (parent, static):
            link = _Link(parent, static)
        self._links[child] = link  # behind those that moved before
        self._forget()
        stamp = message.header.stamp
        link.add(int(stamp.sec) * 10**9 + int(stamp.nanosec), transform)

    def _forget(self) -> None:
        if len(self._links) > _MOST_FRAMES:
            moving = (name for name, link in self._links.items() if not link.static)
            self._links.pop(next(moving, next(iter(self._links))))

    def lookup(self, target: str, source: str, stamp: int) -> Transform:
        """Return the transform; see :meth:`Transforms.lookup`."""
        target, source = frame_name(target), frame_name(source)
        with self._lock:
            self._check_known(target, source)
            up, down = self._chain(source), self._chain(target)
            common = next((name for name in up if name in down), None)
            if common is None:
                source, target, *roots = map(shortened, (source, target, up[-1], down[-1]))
                raise TransformProblem(
                    f'no transform from {source} to {target}: their trees are not connected, '
                    f'{source} hangs below {roots[0]} and {target} below {roots[1]}'
                )
            there = self._upward(up[: up.index(common)], target, source, stamp)
            back = self._upward(down[: down.index(common)], target, source, stamp)
        return back.inverse().after(there)

    def _check_known(self, target: str, source: str) -> None:
        known = set(self._links) | {link.parent for link in self._links.values()}
        _check_known(known, target, source)

    def _chain(self, frame: str) -> list[str]:
        """Return the names from a frame up to its root."""
        chain = [frame]
        while (link := self._links.get(chain[-1])) is not None:
            if len(chain) > _LONGEST_CHAIN:
                raise TransformProblem(f'the tree of frames has a loop at {shortened(chain[-1])}')
            chain.append(link.parent)
        return chain

    def _upward(self, names: list[str], target: str, source: str, stamp: int) -> Transform:
        """Return the transform from the first of these frames to the parent of the last."""
        total = Transform(np.eye(3), np.zeros(3))
        for name in names:
            link = self._links[name]
            step = link.at(stamp)
            if step is None:
                raise _untimely(target, source, name, stamp, link.stamps[0], link.stamps[-1])
            total = step.after(total)
        return total


def _check_known(known: set[str], target: str, source: str) -> None:
    """Raise TransformProblem that names the frame that is not in the tree."""
    for frame in (target, source):
        if frame not in known:
            source, target, frame = map(shortened, (source, target, frame))
            names = ', '.join(map(shortened, sorted(known)[:_MOST_NAMED])) or 'none'
            more = len(known) - _MOST_NAMED
            raise TransformProblem(
                f'no transform from {source} to {target}: {frame} is not in the tree',
                f'known frames: {names}' + (f' and {more} more' if more > 0 else ''),
            )


def _untimely(
    target: str, source: str, frame: str, stamp: int, first: int, last: int
) -> TransformProblem:
    source, target, frame = map(shortened, (source, target, frame))
    late = stamp > last
    gap = (stamp - last if late else first - stamp) * 1e-9
    when = f'the last of {frame} is {gap:.3f} s older'
    if not late:
        when = f'the first of {frame} is {gap:.3f} s newer'
    cause = f'no transform from {source} to {target} at the time of the image'
    return TransformProblem(cause, when, late)


def _transform(message: Any) -> Transform | None:
    """Return a geometry_msgs/Transform; None if it is none."""
    t, q = message.translation, message.rotation
    place, turn = np.array([t.x, t.y, t.z]), np.array([q.x, q.y, q.z, q.w])
    if not (np.isfinite(place).all() and np.isfinite(turn).all() and turn.any()):
        return None
    return Transform(matrix_from_quaternion(turn), place)


class _Listener:
    """Fills a :class:`TransformBuffer` from /tf and /tf_static, with the profiles of tf2_ros."""

    def __init__(self, node: Node) -> None:
        self._node, self._buffer = node, TransformBuffer()
        static = qos.reliable(_DEPTH)
        static.durability = DurabilityPolicy.TRANSIENT_LOCAL
        self._subscriptions = [
            node.create_subscription(TFMessage, '/tf', self._hear, qos.reliable(_DEPTH)),
            node.create_subscription(TFMessage, '/tf_static', self._hear_static, static),
        ]

    def _hear(self, message: TFMessage) -> None:
        self._buffer.add(message.transforms, static=False)

    def _hear_static(self, message: TFMessage) -> None:
        self._buffer.add(message.transforms, static=True)

    def lookup(self, target: str, source: str, stamp: int) -> Transform:
        return self._buffer.lookup(target, source, stamp)

    def destroy(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)


class _Tf2Listener:
    """The buffer and the listener of tf2_ros."""

    def __init__(self, tf2_ros: Any, node: Node) -> None:
        self._tf2_ros = tf2_ros
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    def lookup(self, target: str, source: str, stamp: int) -> Transform:
        from rclpy.time import Time

        target, source = frame_name(target), frame_name(source)
        try:
            found = self._buffer.lookup_transform(target, source, Time(nanoseconds=stamp))
        except self._tf2_ros.ExtrapolationException as error:
            # It says which way, and by how much, in words only.
            late = 'future' in str(error)
            raise TransformProblem(
                f'no transform from {shortened(source)} to {shortened(target)} at the time of the '
                'image',
                shortened(str(error), _LONGEST_REASON),
                late,
            ) from None
        except self._tf2_ros.TransformException as error:
            # Names of frames are anybody's, and tf2 does not quote them.
            with suppress(YamlError):
                _check_known(_names(parse(self._buffer.all_frames_as_yaml())), target, source)
            raise TransformProblem(
                f'no transform from {shortened(source)} to {shortened(target)}: '
                f'{shortened(str(error), _LONGEST_REASON)}'
            ) from None
        transform = _transform(found.transform)
        assert transform is not None  # tf2 refuses transforms that are none
        return transform

    def destroy(self) -> None:
        self._listener.unregister()


def _names(frames: Any) -> set[str]:
    """Return all frames of tf2's listing: by child, the `parent` among what is known of it."""
    known = frames if isinstance(frames, dict) else {}
    entries = [entry for entry in known.values() if isinstance(entry, dict)]
    return {str(name) for name in (*known, *(entry.get('parent') for entry in entries))}
