"""Runs nodes until a signal: the one main function of all node executables."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import Any

import rclpy
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions, install_signal_handlers

from headpose_ros.errors import HeadposeError
from headpose_ros.ros.memory import keep_large_buffers
from headpose_ros.ros.transport import prefer_shared_memory

EXIT_OK = 0
EXIT_ERROR = 2
_WAKE_UP = 0.5  # seconds

Factory = Callable[[], 'Node | Sequence[Node]']


def run(factory: Factory, args: Sequence[str] | None = None) -> int:
    """Spin nodes until SIGINT, SIGTERM or a shutdown of the context, then clean up.

    Further signals do not disturb the clean-up. A HeadposeError, while starting or in a callback,
    becomes one line on stderr.

    Args:
        factory: makes one node or several; called after rclpy.init.
        args: command line with ROS arguments; None for sys.argv.

    Returns:
        Exit code: 0 after a normal end, 2 after a HeadposeError.
    """
    with Signals() as signals:
        try:
            _init(args)
            _serve(factory, signals)
        except HeadposeError as error:
            print(f'headpose_ros: error: {error}', file=sys.stderr, flush=True)
            return EXIT_ERROR
        finally:
            rclpy.try_shutdown()
    return EXIT_OK


def _init(args: Sequence[str] | None) -> None:
    """Initialise rclpy; wrong ROS arguments become a HeadposeError."""
    keep_large_buffers()
    prefer_shared_memory()
    try:
        # Its signal handlers come later: they would take the context away from under nodes that
        # are being made.
        rclpy.init(
            args=None if args is None else list(args),
            signal_handler_options=SignalHandlerOptions.NO,
        )
    except Exception as error:  # rclpy raises several types, some of them private
        raise HeadposeError(f'cannot start ROS: {error}') from error


def _serve(factory: Factory, signals: Signals) -> None:
    """Make the nodes, spin them, destroy them."""
    made = factory()
    nodes = [made] if isinstance(made, Node) else list(made)
    executor = SingleThreadedExecutor()
    try:
        for node in nodes:
            executor.add_node(node)
        install_signal_handlers(SignalHandlerOptions.ALL)
        _spin(executor, signals)
    finally:
        for node in nodes:
            node.destroy_node()
        executor.shutdown()


def _spin(executor: Executor, signals: Signals) -> None:
    """Spin until a signal or a shutdown of the context."""
    try:
        # Not executor.spin(): rclpy's signal thread may wake it just before it shuts the context
        # down, and with no timer or message left to come, it would then wait for ever.
        while rclpy.ok() and not signals.received:
            executor.spin_once(timeout_sec=_WAKE_UP)
    except ExternalShutdownException:
        pass
    except Exception:
        # A call that was under way when the context went, such as publish, fails in its own way.
        if rclpy.ok():
            raise


class Signals:
    """Notes SIGINT and SIGTERM instead of raising inside whatever runs at that moment.

    While nodes spin, rclpy's own handler shuts the context down, which ends spinning, and then
    calls the handler it found. Python's default one would raise KeyboardInterrupt, for a second
    SIGINT in the middle of destroy_node.
    """

    def __init__(self) -> None:
        self.received = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            # After a first signal the process is about to end: a late second one is ignored.
            signal.signal(number, signal.SIG_IGN if self.received else handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = True
