"""Runs nodes until a signal: the one main function of all node executables."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import FrameType, TracebackType
from typing import Any

import rclpy
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions, install_signal_handlers

from headpose_ros.errors import HeadposeError
from headpose_ros.ros.node.memory import keep_large_buffers
from headpose_ros.ros.node.transport import prefer_shared_memory
from headpose_ros.ros.node.worker import hanging

EXIT_OK = 0
EXIT_ERROR = 2
#: Seconds from a signal or an error until the process is gone, whatever still runs.
GRACE = 4.0
_WAKE_UP = 0.5  # seconds

Factory = Callable[[], Node]


def run(factory: Factory | Sequence[Factory], args: Sequence[str] | None = None) -> int:
    """Spin nodes until SIGINT, SIGTERM or a shutdown of the context, then clean up.

    Further signals do not disturb the clean-up. A HeadposeError, while starting or in a callback,
    ends all nodes and becomes one line on stderr. What does not end in time is left behind: then
    the process ends here.

    Args:
        factory: Makes a node, or several that do so; called after rclpy.init.
        args: Command line with ROS arguments; None for sys.argv.

    Returns:
        Exit code: 0 after a normal end, 2 after a HeadposeError.
    """
    factories = [factory] if callable(factory) else factory
    with Deadline() as deadline, Signals(deadline) as signals, ExitStack() as cleanup:
        cleanup.callback(rclpy.try_shutdown)
        try:
            _init(args)
            _serve(factories, signals, cleanup)
        except HeadposeError as error:
            deadline.start(EXIT_ERROR)
            print(f'headpose_ros: error: {error}', file=sys.stderr, flush=True)
        cleanup.close()
        if left := hanging():
            # A thread that computes in C can be neither joined nor killed.
            deadline.leave(f'{", ".join(left)} did not end')
        return deadline.code


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


def _serve(factories: Sequence[Factory], signals: Signals, cleanup: ExitStack) -> None:
    """Make the nodes and spin them; `cleanup` destroys those that could be made."""
    executor = SingleThreadedExecutor()
    cleanup.callback(executor.shutdown)
    for make in factories:
        node = make()
        cleanup.callback(node.destroy_node)
        executor.add_node(node)
    install_signal_handlers(SignalHandlerOptions.ALL)
    _spin(executor, signals)


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


class Deadline:
    """Ends the process GRACE seconds after its end began, whatever its threads do.

    Attributes:
        code: Exit code of the process.
        file: Descriptor of a file; a byte that is written there begins the end.
    """

    def __init__(self) -> None:
        self.code = EXIT_OK
        self._wake_up, self.file = os.pipe()
        os.set_blocking(self.file, False)
        self._over = threading.Event()

    def __enter__(self) -> Deadline:
        self._thread = threading.Thread(target=self._watch, name='deadline', daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        os.close(self.file)
        self._thread.join()
        os.close(self._wake_up)

    def start(self, code: int) -> None:
        """Begin the end with an exit code."""
        self.code = code
        os.write(self.file, b'\0')

    def leave(self, why: str) -> None:
        """End the process at once."""
        print(f'headpose_ros: ended by force: {why}', file=sys.stderr, flush=True)
        os._exit(self.code)

    def _watch(self) -> None:
        if os.read(self._wake_up, 1) and not self._over.wait(GRACE):
            self.leave(f'not done after {GRACE:g} s; {", ".join(hanging())}'.rstrip('; '))


class Signals:
    """Notes SIGINT and SIGTERM instead of raising inside whatever runs at that moment.

    While nodes spin, rclpy's own handler shuts the context down, which ends spinning, and then
    calls the handler it found. Python's default one would raise KeyboardInterrupt, for a second
    SIGINT in the middle of destroy_node.

    Args:
        deadline: Begins with the first signal, even while the main thread is busy in C code.
    """

    def __init__(self, deadline: Deadline | None = None) -> None:
        self.received = False
        self._deadline = deadline
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
            if self._deadline is not None:
                signal.set_wakeup_fd(self._deadline.file, warn_on_full_buffer=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._previous and self._deadline is not None:
            signal.set_wakeup_fd(-1)
        for number, handler in self._previous.items():
            # After a first signal the process is about to end: a late second one is ignored.
            signal.signal(number, signal.SIG_IGN if self.received else handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = True
