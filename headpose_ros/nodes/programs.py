"""What the node executables call: their modules load with signals already taken care of.

Loading takes seconds. A Ctrl-C in that time would raise KeyboardInterrupt in the middle of some
import, with a page of traceback; from `nodes.runner` on signals are noted and end a node in order.
"""

from __future__ import annotations

import os
import signal
from importlib import import_module
from types import FrameType


def camera_node() -> int:
    """Run the camera node and return its exit code."""
    return _run('camera')


def driver_node() -> int:
    """Run the driver node and return its exit code."""
    return _run('driver')


def overlay_node() -> int:
    """Run the overlay node and return its exit code."""
    return _run('overlay')


def pose_node() -> int:
    """Run the pose node and return its exit code."""
    return _run('pose')


def _run(module: str) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    return int(import_module(f'headpose_ros.nodes.{module}').main())


def _leave(number: int, frame: FrameType | None) -> None:
    """End at once, as after any signal with code 0: nothing is there yet that must be ended."""
    os._exit(0)
