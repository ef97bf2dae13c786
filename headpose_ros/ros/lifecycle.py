"""Lifecycle nodes that can start themselves, and whose transitions never fail in silence."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from headpose_ros.errors import HeadposeError

Transition = Callable[[Any, LifecycleState], TransitionCallbackReturn]


def reporting(transition: Transition) -> Transition:
    """Log what a transition raises in one line, then let it be ERROR.

    rclpy turns an exception into ErrorProcessing and drops its text.
    """

    @functools.wraps(transition)
    def wrapped(node: Any, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except Exception as error:
            name = transition.__name__.removeprefix('on_')
            where = _place(sys.exc_info()[2])
            text = ' '.join(str(error).split())
            node.get_logger().error(f'{name} failed: {type(error).__name__}: {text} ({where})')
            return TransitionCallbackReturn.ERROR

    return wrapped


class AutostartNode(LifecycleNode):
    """A lifecycle node that can start without a manager.

    Subclasses take what they need in `on_configure` and `on_activate`.
    """

    _failure: HeadposeError | None = None

    def stop(self) -> None:
        """Undo on_activate; harmless when nothing runs."""
        raise NotImplementedError

    def release(self) -> None:
        """Undo on_configure; harmless when nothing is there."""
        raise NotImplementedError

    def start(self) -> None:
        """Configure and activate.

        Raises:
            HeadposeError: What was given to :meth:`refuse`.
        """
        self.trigger_configure()
        if self._failure is not None:
            raise self._failure
        self.trigger_activate()

    def refuse(self, error: HeadposeError) -> TransitionCallbackReturn:
        """Log why the node cannot be configured; return FAILURE."""
        self.release()
        self._failure = error
        self.get_logger().error(f'cannot configure: {error}')
        return TransitionCallbackReturn.FAILURE

    @reporting
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop what runs; what was loaded or learned stays."""
        self.stop()
        return super().on_deactivate(state)

    @reporting
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything."""
        self.release()
        return TransitionCallbackReturn.SUCCESS

    @reporting
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop whatever runs."""
        self.stop()
        self.release()
        return TransitionCallbackReturn.SUCCESS

    @reporting
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Undo everything after a transition that failed; the node can be configured again."""
        self.stop()
        self.release()
        self.get_logger().error('back to unconfigured after the failed transition')
        return TransitionCallbackReturn.SUCCESS


def _place(trace: Any) -> str:
    """Return file and line of where an exception came from."""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f'{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}'
