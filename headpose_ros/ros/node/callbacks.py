"""One barrier round every callback of a node.

What a callback raises is counted, logged and diagnosed, and the next message is answered. Nodes
derive from :class:`GuardedNode`, which puts the barrier round whatever rclpy calls.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.event_handler import EventHandler
from rclpy.node import Node
from rclpy.parameter import Parameter

from headpose_ros.errors import HeadposeError
from headpose_ros.ros.node.parameter_names import ParameterNames, unknown

#: Each place logs a failure at most this often, s.
LOG_PERIOD = 5.0
#: How long a failure is reported on /diagnostics, s.
RECENT = 10.0
#: Texts of errors may quote what a message holds: more than this many characters are cut.
_LONGEST = 300
_NAME = '_place_behind_barrier'


class NodeEnded(HeadposeError):  # noqa: N818
    """A node cannot go on; the process ends with this as its reason."""


#: What passes the barrier; all else, a panic of an extension in Rust among it, is a failure.
PASSES = (NodeEnded, KeyboardInterrupt, SystemExit, GeneratorExit)


@dataclass(frozen=True)
class Failure:
    """The newest failure at one place.

    Attributes:
        place: Topic, service, timer or parameters.
        text: What is wrong, in one line.
        at: When, s of `time.monotonic`.
    """

    place: str
    text: str
    at: float


class Failures:
    """What failed in a node; safe across threads.

    Args:
        log: Called with a line, throttled for every place.
    """

    def __init__(self, log: Callable[[str], object]) -> None:
        self._log = log
        self._counts: Counter[str] = Counter()
        self._newest: dict[str, Failure] = {}
        self._logged: dict[str, float] = {}
        self._lock = threading.Lock()

    def note(self, place: str, error: BaseException) -> None:
        """Count a failure; log it unless this place logged one a moment ago."""
        text, now = describe(error), time.monotonic()
        with self._lock:
            self._counts[place] += 1
            self._newest[place] = Failure(place, text, now)
            due = now - self._logged.get(place, -LOG_PERIOD) >= LOG_PERIOD
            if due:
                self._logged[place] = now
        if due:
            self._log(f'{place}: {text}')

    def counts(self) -> dict[str, int]:
        """Return how often each place failed."""
        with self._lock:
            return dict(self._counts)

    def recent(self) -> list[Failure]:
        """Return the newest failure of every place that failed lately, the last one first."""
        oldest = time.monotonic() - RECENT
        with self._lock:
            newest = [failure for failure in self._newest.values() if failure.at >= oldest]
        return sorted(newest, key=lambda failure: -failure.at)


class GuardedNode(Node):
    """A node whose callbacks stand behind the barrier, however they are created.

    Args:
        name: Of the node.
        options: Passed to rclpy's Node or LifecycleNode.

    Attributes:
        failures: What failed so far.
        ending: Why the node cannot go on; None while it can.
        parameter_names: Former names under which parameters may be set, too.
    """

    def __init__(self, name: str, **options: Any) -> None:
        # First, since rclpy creates services of its own while the node is made.
        self.failures = Failures(lambda text: self.get_logger().warning(text))
        self.ending: NodeEnded | None = None
        self.parameter_names = ParameterNames()
        super().__init__(name, **options)
        # Some services of rclpy, those of the lifecycle among them, come without create_service.
        for service in self.services:
            if behind_barrier(service.callback) is None:
                service.callback = self.guarded(
                    service.callback, service.service_name, _refused_request
                )

    @contextmanager
    def barrier(self, place: str, failed: Callable[[str], None] | None = None) -> Iterator[None]:
        """Note what the block raises and go on behind it.

        Args:
            place: Topic or the like, as it is logged and counted.
            failed: Called with what was wrong, if given.
        """
        try:
            yield
        except PASSES:
            raise
        except BaseException as error:
            self.fail(place, error)
            if failed is not None:
                failed(describe(error))

    def fail(self, place: str, error: BaseException) -> None:
        """Note a failure, unless the context is gone: then everything fails in its own way."""
        if self.context.ok():
            self.failures.note(place, error)

    def end(self, reason: str) -> None:
        """Let the next callback end the process that spins this node; safe across threads."""
        self.ending = NodeEnded(f'{self.get_name()}: {reason}')

    def guarded(
        self,
        callback: Callable[..., Any],
        place: str,
        otherwise: Callable[..., Any] | None = None,
    ) -> Callable[..., Any]:
        """Return a callback behind the barrier.

        Args:
            callback: What is called.
            place: As for :meth:`barrier`.
            otherwise: Makes the result where the callback fails, from what was wrong and the
                arguments; None for the result None.
        """

        # With its signature: rclpy looks at it.
        @functools.wraps(callback)
        def wrapped(*arguments: Any, **named: Any) -> Any:
            if self.ending is not None:
                raise self.ending
            wrong: list[str] = []
            with self.barrier(place, wrong.append):
                return callback(*arguments, **named)
            return None if otherwise is None else otherwise(wrong[0], *arguments)

        setattr(wrapped, _NAME, place)
        return wrapped

    def create_subscription(
        self, msg_type: Any, topic: str, callback: Callable[..., Any], *rest: Any, **options: Any
    ) -> Any:
        """Subscribe behind the barrier."""
        guarded = self.guarded(callback, _resolved(self.resolve_topic_name, topic))
        return super().create_subscription(msg_type, topic, guarded, *rest, **options)

    def create_service(
        self, srv_type: Any, srv_name: str, callback: Callable[..., Any], **options: Any
    ) -> Any:
        """Serve behind the barrier: a request that fails gets an answer that has no success."""
        place = _resolved(self.resolve_service_name, srv_name)
        guarded = self.guarded(callback, place, _refused_request)
        return super().create_service(srv_type, srv_name, guarded, **options)

    def create_timer(
        self, timer_period_sec: float, callback: Any, *rest: Any, **options: Any
    ) -> Any:
        """Create a timer behind the barrier."""
        guarded = None if callback is None else self.guarded(callback, f'timer {_name(callback)}')
        return super().create_timer(timer_period_sec, guarded, *rest, **options)

    def create_guard_condition(self, callback: Callable[[], None], *rest: Any) -> Any:
        """Create a guard condition behind the barrier."""
        guarded = self.guarded(callback, f'guard condition {_name(callback)}')
        return super().create_guard_condition(guarded, *rest)

    def add_waitable(self, waitable: Any) -> None:
        """Add a waitable; the callbacks of QoS events stand behind the barrier."""
        if isinstance(waitable, EventHandler):
            waitable.callback = self.guarded(waitable.callback, 'QoS event')
        super().add_waitable(waitable)

    def set_parameters(self, parameter_list: list[Parameter[Any]]) -> list[SetParametersResult]:
        """Set parameters one by one, under their present or former names."""
        return [self.set_parameters_atomically([one]) for one in parameter_list]

    def set_parameters_atomically(
        self, parameter_list: list[Parameter[Any]]
    ) -> SetParametersResult:
        """Set all parameters or none; a name that no parameter has is refused, with the nearest."""
        renamed = self.parameter_names.renamed(parameter_list, _with_name)
        for item in renamed:
            if not self.has_parameter(item.name):
                return _refused_parameters(
                    unknown(item.name, list(self.get_parameters_by_prefix(''))), renamed
                )
        if not renamed:
            return SetParametersResult(successful=True)
        return super().set_parameters_atomically(renamed)

    def add_pre_set_parameters_callback(self, callback: Callable[..., Any]) -> None:
        """Have parameters changed behind the barrier before they are set, or left as they are."""
        guarded = self.guarded(callback, 'parameters', lambda _, parameters: parameters)
        super().add_pre_set_parameters_callback(guarded)

    def add_on_set_parameters_callback(self, callback: Callable[..., Any]) -> None:
        """Have parameters judged behind the barrier; where that fails, they are refused."""
        guarded = self.guarded(callback, 'parameters', _refused_parameters)
        super().add_on_set_parameters_callback(guarded)

    def add_post_set_parameters_callback(self, callback: Callable[..., Any]) -> None:
        """Have a look at parameters that were set, behind the barrier."""
        super().add_post_set_parameters_callback(self.guarded(callback, 'parameters'))


def behind_barrier(callback: Any) -> str | None:
    """Return the place that a callback behind the barrier is counted for; None for another."""
    return getattr(callback, _NAME, None)


def describe(error: BaseException) -> str:
    """Return what is wrong in one line of bounded length, with its origin if not foreseen."""
    text = ' '.join(str(error).split())
    if len(text) > _LONGEST:
        text = f'{text[:_LONGEST]}...'
    if isinstance(error, HeadposeError):
        return text
    return f'{type(error).__name__}: {text}{_origin(error)}'


def _origin(error: BaseException) -> str:
    """Return file and line of where an exception came from, in brackets."""
    trace = error.__traceback__
    if trace is None:
        return ''
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f' ({os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno})'


def _name(callback: Any) -> str:
    return getattr(callback, '__qualname__', type(callback).__name__)


def _resolved(resolve: Callable[[str], str], name: str) -> str:
    """Return the full name; of a wrong one the name itself, as whoever creates it complains."""
    try:
        return resolve(name)
    except Exception:
        return name


def _with_name(name: str, parameter: Parameter[Any]) -> Parameter[Any]:
    return Parameter(name, parameter.type_, parameter.value)


def _refused_parameters(wrong: str, parameters: list[Parameter[Any]]) -> SetParametersResult:
    return SetParametersResult(successful=False, reason=wrong)


def _refused_request(wrong: str, request: Any, response: Any) -> Any:
    """Return a new response, as the old one may be half filled, with the reason if possible."""
    answer = type(response)()
    if 'message' in answer.get_fields_and_field_types():
        answer.message = wrong
    return answer
