"""Shared fixtures. Tests of the core need no ROS; those of nodes skip themselves without it."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Import rclpy while the terminal is connected.

    rclpy from PyPI starts Python anew at its first import, to set the library path. Under pytest's
    capture the new process would write into a temporary file that nobody reads.
    """
    if importlib.util.find_spec('rclpy') is None:
        return
    capture = config.pluginmanager.getplugin('capturemanager')
    if capture is not None:
        # Not resumed here: pytest does so itself before each test, and mostly nothing is captured
        # yet. Resumed too early, the first lines of the report would be lost.
        capture.suspend_global_capture(in_=True)
    import rclpy  # noqa: F401


@pytest.fixture(scope='session')
def ros_domain() -> Iterator[int]:
    """Set a ROS domain of this test process for itself and the processes it starts."""
    pytest.importorskip('rclpy')
    domain = os.getpid() % 100 + 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('ROS_DOMAIN_ID', str(domain))
        # Nothing outside this machine takes part in a test.
        patch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
        yield domain


@pytest.fixture
def ros(ros_domain: int) -> Iterator[int]:
    """Keep rclpy initialised on the test's own domain during one test."""
    import rclpy

    rclpy.init(args=[])
    yield ros_domain
    rclpy.try_shutdown()


@pytest.fixture(scope='session')
def spin_until() -> Callable[..., bool]:
    """Return the function below: fixtures need no import path."""
    return _spin_until


def _spin_until(node: Any, predicate: Callable[[], bool], timeout: float = 60.0) -> bool:
    """Spin a node until a condition holds.

    Args:
        node: rclpy node.
        predicate: the condition.
        timeout: seconds to wait at most; generous, since a loaded machine is no failure.

    Returns:
        Whether the condition holds.
    """
    from rclpy.executors import SingleThreadedExecutor

    executor = SingleThreadedExecutor()
    executor.add_node(node)
    end = time.monotonic() + timeout
    try:
        while not predicate() and time.monotonic() < end:
            executor.spin_once(timeout_sec=0.1)
        return predicate()
    finally:
        executor.remove_node(node)
        executor.shutdown()
