"""Lifecycle nodes that can start themselves, and whose transitions never fail in silence."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from headpose_ros.errors import HeadposeError
from headpose_ros.parameter import parameter
from headpose_ros.ros.node.callbacks import PASSES, GuardedNode, describe

Transition = Callable[[Any, LifecycleState], TransitionCallbackReturn]


@dataclass(frozen=True)
class AutostartOptions:
    """How a lifecycle node starts."""

    autostart: bool = parameter(
        True, 'Configure and activate without a lifecycle manager.', read_only=True
    )


def log_failures(transition: Transition) -> Transition:
    """Log what a transition raises in one line and keep it, then let it be ERROR.

    rclpy turns an exception into ErrorProcessing and drops its text.
    """

    @functools.wraps(transition)
    def wrapped(node: Any, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except PASSES:
            raise
        except BaseException as error:
            text = f'{transition.__name__.removeprefix("on_")} failed: {describe(error)}'
            node.failure = HeadposeError(text)
            node.get_logger().error(text)
            return TransitionCallbackReturn.ERROR

    return wrapped


class AutostartNode(GuardedNode, LifecycleNode):
    """A lifecycle node that can start without a manager.

    Subclasses take what they need in `on_configure` and `on_activate`.

    Attributes:
        failure: Why the last transition that failed did so; None before any.
    """

    failure: HeadposeError | None = None

    def stop(self) -> None:
        """Undo on_activate; harmless when nothing runs."""
        raise NotImplementedError

    def release(self) -> None:
        """Undo on_configure; harmless when nothing is there."""
        raise NotImplementedError

    def start(self) -> None:
        """Configure and activate.

        Raises:
            HeadposeError: A transition fails: what was given to :meth:`refuse`, or what it raised.
        """
        for trigger in (self.trigger_configure, self.trigger_activate):
            if trigger() != TransitionCallbackReturn.SUCCESS:
                raise self.failure or HeadposeError('the node cannot be started')

    def refuse(self, error: HeadposeError) -> TransitionCallbackReturn:
        """Log why the node cannot be configured; return FAILURE."""
        self.release()
        self.failure = error
        self.get_logger().error(f'cannot configure: {error}')
        return TransitionCallbackReturn.FAILURE

    @log_failures
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop what runs; what was loaded or learned stays."""
        self.stop()
        return super().on_deactivate(state)

    @log_failures
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything."""
        self.release()
        return TransitionCallbackReturn.SUCCESS

    @log_failures
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop whatever runs."""
        self.stop()
        self.release()
        return TransitionCallbackReturn.SUCCESS

    @log_failures
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Undo everything after a transition that failed; the node can be configured again."""
        self.stop()
        self.release()
        self.get_logger().error('back to unconfigured after the failed transition')
        return TransitionCallbackReturn.SUCCESS
