"""`headpose view` in a real browser, with real nodes over real DDS."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('aiohttp', reason='pip install aiohttp')

import aiohttp
from browser import Browser, find_browser

ROOT = Path(__file__).parents[1]
PROGRAM = [sys.executable, '-m', 'headpose_ros.cli']

needs_browser = pytest.mark.skipif(
    not find_browser(), reason='no Chromium: apt install chromium-headless-shell'
)


def start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PROGRAM, *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONUNBUFFERED': '1'},
    )


def end(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGINT)
    try:
        return process.communicate(timeout=60)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        raise


@pytest.fixture
def port(ros_domain: int) -> int:
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


@pytest.fixture
def page(port: int) -> Iterator[str]:
    process = start('view', '--port', str(port))
    try:
        assert process.stdout is not None
        assert f':{port}' in process.stdout.readline()
        yield f'http://127.0.0.1:{port}/'
        text = end(process)
        assert process.returncode == 0, text
        assert 'Traceback' not in text
    finally:
        process.kill()


@needs_browser
def test_the_page_says_why_nothing_is_there_and_then_shows_it(page: str, tmp_path: Path) -> None:
    asyncio.run(_look(page, tmp_path))


async def _look(page: str, tmp_path: Path) -> None:
    async with Browser(tmp_path / 'profile') as browser:
        await browser.call('Page.navigate', url=page)
        why = "document.getElementById('why').textContent"
        await browser.until(f"{why}.includes('/camera/image_raw has no publisher')")
        words = ['--device', 'cpu', '--ros-args', '-p', 'horizontal_fov:=1.0']
        nodes = start('run', '--source', 'astronaut', *words)
        try:
            await browser.until(f"{why} === '' && latest.faces.length === 1")
            await browser.until('samples.length > 60')
            assert await browser.value("document.getElementById('picture').naturalWidth") == 512
            assert await browser.value('latest.results') > 1
            assert abs(await browser.value('latest.faces[0].yaw')) < 30
            assert await browser.value('latest.age') < 5000
            colored = (
                "(() => { const c = panels[0].canvas, d = c.getContext('2d')"
                '.getImageData(0, 0, c.width, c.height).data; let n = 0;'
                'for (let i = 0; i < d.length; i += 4) n += d[i] > 200 && d[i + 1] < 150;'
                'return n; })()'
            )
            assert await browser.value(colored) > 50  # the red line of the first panel
            await _change_state('deactivate')
            await browser.until(
                f"{why}.includes('/pose is inactive') && {why}.includes('activate')"
            )
            await browser.until('latest.images > 1 && latest.results === 0')
            await browser.screenshot(Path(os.environ.get('VIEW_PICTURE', tmp_path / 'why.png')))
        finally:
            end(nodes)
        assert not browser.errors


@needs_browser
def test_the_page_shows_the_driver_while_a_driver_node_runs(page: str, tmp_path: Path) -> None:
    asyncio.run(_watch_driver(page, tmp_path))


async def _watch_driver(page: str, tmp_path: Path) -> None:
    async with Browser(tmp_path / 'profile') as browser:
        await browser.call('Page.navigate', url=page)
        await browser.until('latest !== null && panels.length > 2')
        shown = "document.getElementById('driver').textContent"
        assert await browser.value(shown) == ''
        assert await browser.value('panels.every(p => p.box.hidden === (p.source === "driver"))')
        driver = await asyncio.create_subprocess_exec(sys.executable, '-c', _DRIVER, cwd=ROOT)
        try:
            await browser.until(f"{shown}.includes('distracted')")
            said = await browser.value(shown)
            for words in ('looks at the lap', 'glance off the road: 2.4 of 2 s', 'PERCLOS: –'):
                assert words in said
            await browser.until('panels.every(p => !p.box.hidden)')
        finally:
            driver.kill()
            await driver.wait()
        await browser.until(f"{shown} === ''")  # nothing stale stays
        assert not browser.errors


#: Publishes a distracted driver until it is killed.
_DRIVER = """
import time
import rclpy
from headpose_ros.msg import DriverState
rclpy.init()
node = rclpy.create_node('driver')
publisher = node.create_publisher(DriverState, 'driver_state', 10)
state = DriverState(state=2, confidence=0.9, reason='looks at the lap', zone='lap')
state.off_road.value, state.off_road.valid = 2.4, True
state.perclos.value = float('nan')
while True:
    state.header.stamp = node.get_clock().now().to_msg()
    publisher.publish(state)
    time.sleep(0.05)
"""


async def _change_state(name: str) -> None:
    code = (
        'import rclpy\n'
        'from lifecycle_msgs.srv import ChangeState\n'
        'rclpy.init()\n'
        "node = rclpy.create_node('manager')\n"
        "client = node.create_client(ChangeState, '/pose/change_state')\n"
        'assert client.wait_for_service(60)\n'
        'request = ChangeState.Request()\n'
        f"request.transition.label = '{name}'\n"
        # An answer is lost where the node does not know the client's reader yet: ask again. Only
        # what was asked for before may be refused, since the node did it the first time.
        'for again in range(6):\n'
        '    future = client.call_async(request)\n'
        '    rclpy.spin_until_future_complete(node, future, timeout_sec=10)\n'
        '    if future.done():\n'
        '        break\n'
        'assert future.done() and (future.result().success or again)\n'
    )
    process = await asyncio.create_subprocess_exec(sys.executable, '-c', code, cwd=ROOT)
    assert await process.wait() == 0


def test_another_site_cannot_look(page: str) -> None:
    async def ask(origin: str) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f'{page}live', origin=origin) as live,
        ):
            return await live.receive_json(timeout=60)

    assert 'panels' in asyncio.run(ask(page.rstrip('/')))
    with pytest.raises(aiohttp.WSServerHandshakeError, match='403'):
        asyncio.run(ask('http://elsewhere.example'))


def test_what_a_page_is_told_is_bounded_whatever_the_messages_hold(ros: int) -> None:
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

    from headpose_ros.msg import DriverEvent, DriverState, Face, Faces
    from headpose_ros.tools.view import Viewer
    from headpose_ros.tools.view_server import to_json

    viewer = Viewer()
    try:
        for begin in range(0, 1000, 250):
            names = [f'{i} ' + 'x' * 10_000 for i in range(begin, begin + 250)]
            statuses = [DiagnosticStatus(name=n, message=n, level=b'\xff') for n in names]
            viewer._take_diagnostics(DiagnosticArray(status=statuses))
        face = Face(id='f' * 10_000, right_eye_openness=float('inf'), confidence=float('nan'))
        face.head_pose.yaw, face.head_pose.pitch = float('inf'), float('nan')
        face.head_pose.pose.pose.position.z = float('-inf')
        face.head_pose.translation_is_metric = True
        viewer._take_faces(Faces(faces=[face] * 500))
        state = DriverState(state=250, eyes=250, presence=250, reason='r' * 10_000)
        state.events = [DriverEvent(kind=0), DriverEvent(kind=255)] * 500
        state.confidence = float('nan')
        state.perclos.value, state.perclos.valid = float('inf'), True
        viewer._take_driver(state)
        told = viewer.status(0)
        assert len(told['diagnostics']) == 100
        assert told['driver']['state'] == 'unknown (250)'
        assert len(told['faces']) == 64
        assert len(to_json(told)) < 150_000
    finally:
        viewer.destroy_node()


def test_without_an_option_the_page_is_for_this_machine_alone(page: str) -> None:
    port = int(page.rstrip('/').rpartition(':')[2])
    assert _listening(port) == {'127.0.0.1'}


def test_an_address_of_the_network_needs_the_token(port: int) -> None:
    process = start('view', '--port', str(port), '--host', '0.0.0.0')
    try:
        assert process.stdout is not None
        printed = process.stdout.readline().split()[0]
        token = printed.rpartition('?token=')[2]
        assert len(token) >= 20
        assert _listening(port) == {'0.0.0.0'}

        async def ask(query: str) -> int:
            url = f'http://127.0.0.1:{port}/{query}'
            async with aiohttp.ClientSession() as session, session.get(url) as answer:
                return answer.status

        codes = [asyncio.run(ask(query)) for query in ('', '?token=x', f'?token={token}')]
        assert codes == [403, 403, 200]
        end(process)
    finally:
        process.kill()


def _listening(port: int) -> set[str]:
    """Return the addresses that something listens on with this port, by the kernel's own table."""
    found = set()
    for line in Path('/proc/net/tcp').read_text().splitlines()[1:]:
        address, state = line.split()[1], line.split()[3]
        host, _, number = address.partition(':')
        if state == '0A' and int(number, 16) == port:
            found.add(socket.inet_ntoa(bytes.fromhex(host)[::-1]))
    return found


def test_a_taken_port_is_one_line(port: int) -> None:
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', port))
        taken.listen()
        process = start('view', '--port', str(port))
        text = process.communicate(timeout=60)[0]
    assert process.returncode == 2
    assert 'choose another --port' in text
    assert 'Traceback' not in text


def test_the_page_asks_nothing_of_other_machines() -> None:
    page = (ROOT / 'headpose_ros' / 'tools' / 'view.html').read_text(encoding='utf-8')
    assert 'http://' not in page and 'https://' not in page and '//cdn' not in page
