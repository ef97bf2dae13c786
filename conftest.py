"""Isolation: each process that runs tests has a ROS domain and a home folder of its own.

Neither DDS traffic nor files of two such processes meet, be they the workers of one run or runs in
two checkouts. Processes that tests start inherit all of it.
"""

from __future__ import annotations

import importlib.util
import os
import random
import re
import site
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

#: What would lead out of the home folder; everything below has its default there.
_FOLDERS = ('CACHE', 'CONFIG', 'DATA', 'STATE')
_LEAVES_HOME = ('ROS_HOME', 'ROS_LOG_DIR', *(f'XDG_{name}_HOME' for name in _FOLDERS))


def pytest_configure(config: pytest.Config) -> None:
    """Isolate this process, before any test module imports torch or rclpy."""
    _import_rclpy(config)
    if config.getoption('dist', 'no') == 'no':  # the controller of workers runs no test itself
        config.pluginmanager.register(Isolation(worker=hasattr(config, 'workerinput')))


class Isolation:
    """The home folder, ROS domain and shared memory of one process that runs tests.

    Args:
        worker: Whether this process is one of several that share the machine's cores.
    """

    def __init__(self, worker: bool) -> None:
        self._stack = ExitStack()
        if worker:
            # As many workers as cores, each with a thread per core, would wait for one another.
            os.environ.setdefault('OMP_NUM_THREADS', '1')
        _move_home(self._stack)
        domain = _claim_domain(self._stack)
        os.environ['ROS_DOMAIN_ID'] = str(domain)
        # Nothing outside this machine takes part in a test. Humble knows only the older variable.
        if os.environ.get('ROS_DISTRO') == 'humble':
            os.environ['ROS_LOCALHOST_ONLY'] = '1'
        else:
            os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
        self._stack.callback(_free_shared_memory, _abandoned(), domain)

    # Last, as fixtures of the session end here; not in unconfigure, before which workers are ended.
    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Give everything back."""
        self._stack.close()


@pytest.fixture
def own_domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Give one test a ROS domain in which nobody is, nor was.

    In the domain of the test process, the graph holds nodes of earlier tests: killed ones for the
    time of their lease, those of this process until the garbage collector finds them.
    """
    with ExitStack() as stack:
        domain = _claim_domain(stack)
        monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
        yield domain
        _free_ports(domain)


def _import_rclpy(config: pytest.Config) -> None:
    """Import rclpy while the terminal is connected.

    rclpy from PyPI starts Python anew at its first import, to set the library path. Under pytest's
    capture the new process would write into a temporary file that nobody reads. Workers inherit
    the path from their controller.
    """
    if importlib.util.find_spec('rclpy') is None:
        return
    capture = config.pluginmanager.getplugin('capturemanager')
    if capture is not None:
        # Not resumed here: pytest does so itself before each test, and mostly nothing is captured
        # yet. Resumed too early, the first lines of the report would be lost.
        capture.suspend_global_capture(in_=True)
    import rclpy  # noqa: F401


def _move_home(stack: ExitStack) -> None:
    """Give this process and its children an empty home and folder for temporary files."""
    home = Path(
        stack.enter_context(
            tempfile.TemporaryDirectory(prefix='headpose_home_', ignore_cleanup_errors=True)
        )
    )
    (home / 'tmp').mkdir()
    # Packages of `pip install --user` stay importable.
    os.environ.setdefault('PYTHONUSERBASE', site.getuserbase())
    os.environ.update(HOME=str(home), TMPDIR=str(home / 'tmp'))
    for name in _LEAVES_HOME:
        os.environ.pop(name, None)


def _claim_domain(stack: ExitStack) -> int:
    """Return a ROS domain that nobody on this machine uses, ours for as long as this process lives.

    The claim is a TCP socket on the number of the domain's first UDP port: it reaches as far as DDS
    on the loopback does, across checkouts and users, and ends with the process. Above 101 the
    ports of a domain are those that Linux lends to anyone.
    """
    for domain in random.sample(range(1, 102), 101):
        claim = socket.socket()
        try:
            claim.bind(('127.0.0.1', _ports(domain)[0]))
        except OSError:
            claim.close()
            continue
        stack.enter_context(claim)
        if not _has_participants(domain):
            return domain
    raise pytest.UsageError('every ROS domain from 1 to 101 is in use: end some of its nodes')


def _ports(domain: int) -> range:
    """Return the UDP ports of a ROS domain; Fast DDS names shared memory after them, too."""
    return range(7400 + 250 * domain, 7400 + 250 * (domain + 1))


def _has_participants(domain: int) -> bool:
    with socket.socket(type=socket.SOCK_DGRAM) as discovery:
        try:
            discovery.bind(('', _ports(domain)[0]))
        except OSError:
            return True
    return False


def _abandoned() -> set[Path]:
    from headpose_ros.ros.node.shared_memory import abandoned_segments

    return set(abandoned_segments())


def _free_shared_memory(before: set[Path], domain: int) -> None:
    """Remove the shared memory of nodes that tests killed: nobody else gives it back.

    Args:
        before: Segments without a living owner that lay there when the tests began; they stay.
        domain: The claimed ROS domain, whose ports are removed unless somebody came all the same.
    """
    for segment in _abandoned() - before:
        for file in segment, segment.with_name(f'{segment.name}_el'):
            file.unlink(missing_ok=True)
    _free_ports(domain)


def _free_ports(domain: int) -> None:
    if not _has_participants(domain):
        for file in Path('/dev/shm').glob('*fastdds_port*'):
            if int(re.sub('[^0-9]', '', file.name)) in _ports(domain):
                file.unlink(missing_ok=True)
