"""Shared fixtures. Tests of the core need no ROS; those of nodes skip themselves without it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture(scope='session')
def ros_domain() -> int:
    """Return the ROS domain of this test process and the processes it starts."""
    pytest.importorskip('rclpy')
    return int(os.environ['ROS_DOMAIN_ID'])


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
