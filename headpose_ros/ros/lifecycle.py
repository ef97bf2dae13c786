"""Transitions of lifecycle nodes that never fail in silence."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

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


def _place(trace: Any) -> str:
    """Return file and line of where an exception came from."""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f'{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}'
