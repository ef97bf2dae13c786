"""Run what may do harm once in a process of its own, within bounds of memory and time."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import astuple, dataclass
from importlib import import_module
from pathlib import Path

from headpose_ros.errors import HeadposeError

_LONGEST = 300  # characters of a reason
_FAILED = 3  # exit code


class ConfinedError(HeadposeError):
    """What was tried failed, or went beyond its bounds; the message is the reason."""


@dataclass(frozen=True)
class Bounds:
    """What a process may take.

    Attributes:
        memory: Bytes beyond what it has once its modules are imported.
        memory_each: Bytes more for each byte of the content.
        core: Seconds of a core.
        clock: Seconds of the clock; on a busy machine a process gets only part of a core.
    """

    memory: int = 2**30
    memory_each: int = 4
    core: int = 10
    clock: float = 40.0


def run_confined(
    function: Callable[[bytes], None], content: bytes, bounds: Bounds | None = None
) -> None:
    """Call a function in a process of its own, which can write into no file.

    Args:
        function: Of a module's top level, imported anew by its name. What it raises is the reason.
        content: Its argument.
        bounds: What it may take; None for the defaults.

    Raises:
        ConfinedError: It failed, or went beyond the bounds.
    """
    bounds = bounds or Bounds()
    try:
        done = subprocess.run(
            [sys.executable, '-I', '-c', _program(function, bounds)],
            input=content,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=bounds.clock,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ConfinedError(f'does not end within {bounds.clock:g} s') from error
    except (OSError, ValueError) as error:  # no interpreter, or no memory for one
        raise ConfinedError(f'cannot be tried in a process of its own: {error}') from error
    if done.returncode:
        raise ConfinedError(_reason(done.returncode, done.stdout, bounds))


def main(module: str, name: str, bounds: tuple[int, int, int, float]) -> None:
    """Call a function with the standard input, in the process that `run_confined` starts."""
    function = getattr(import_module(module), name)
    content = sys.stdin.buffer.read()
    answer = os.dup(1)
    os.dup2(2, 1)  # so that what a library prints is no answer
    _bind(Bounds(*bounds), len(content))
    try:
        function(content)
    except MemoryError:
        _leave(answer, 'needs too much memory')
    except BaseException as error:
        _leave(answer, str(error) or type(error).__name__)
    os._exit(0)  # what a library does at its end is of no interest


def _program(function: Callable[[bytes], None], bounds: Bounds) -> str:
    """Return Python for a process that is isolated, but imports from where this one does."""
    path = [os.path.abspath(entry) for entry in sys.path]
    arguments = f'{function.__module__!r}, {function.__qualname__!r}, {astuple(bounds)!r}'
    return f'import sys; sys.path[:] = {path!r}; from {__name__} import main; main({arguments})'


def _bind(bounds: Bounds, size: int) -> None:
    """Set the bounds of this process, for a content of `size` bytes."""
    pages = int(Path('/proc/self/statm').read_text().split()[0])
    memory = pages * resource.getpagesize() + bounds.memory + bounds.memory_each * size
    for kind, limit in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, bounds.core),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        most = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (most, most))


def _leave(answer: int, reason: str) -> None:
    os.write(answer, reason.encode(errors='replace')[: 4 * _LONGEST])
    os._exit(_FAILED)


def _reason(code: int, said: bytes, bounds: Bounds) -> str:
    if code == _FAILED:
        return said.decode(errors='replace')[:_LONGEST]
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return f'takes more than {bounds.core} s of a core, or all memory'
    return f'ends its process (exit code {code})'
