"""The web server of `headpose view`: one page, and a socket that feeds it.

Who may look: programs on this machine, or whoever has the token where the server listens to others.
A page of another site cannot: its origin and the name that it was reached by are compared. What a
client may cost is bounded: connections, silence, and pictures that it does not take.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import math
import secrets
import signal
import socket as sockets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, cast

from aiohttp import web

from headpose_ros.errors import HeadposeError

PAGE = Path(__file__).with_name('view.html')
PICTURE_PERIOD = 1 / 15  # seconds: enough to follow, and little to send
_STATUS_PERIOD = 0.1
_MOST_PAGES = 16  # that are fed at a time
_MOST_CONNECTIONS = 64
#: Seconds for a client to ask for something, to take what it is sent, and to answer a ping.
_PATIENCE = 5.0
_LONGEST_MESSAGE = 1024  # bytes; pages send none
_SAFE_HEADERS = {
    'Cache-Control': 'no-store',
    'Referrer-Policy': 'no-referrer',  # it would hold the token
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
}


class Shown(Protocol):
    """What is served: the newest picture and the values beside it.

    Attributes:
        watched: How many pages are open.
        picture: Its number and its JPEG.
    """

    watched: int
    picture: tuple[int, bytes]

    def status(self, since: int) -> dict[str, Any]:
        """Return what the page shows, with the samples after number `since`."""


def serve(shown: Shown, panels: Sequence[Any], host: str, port: int) -> None:
    """Serve the page until SIGINT or SIGTERM, and print its address.

    Args:
        shown: What the page shows.
        panels: Its diagrams, ready for JSON.
        host: Address to listen on.
        port: TCP port.

    Raises:
        HeadposeError: The port cannot be used.
    """
    token = '' if is_loopback(host) else secrets.token_urlsafe(16)
    try:
        asyncio.run(_run(application(shown, panels, host, token), host, port, token))
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, 'strerror', None) or error
        raise HeadposeError(
            f'cannot listen on {host}:{port}: {reason}; choose another --port'
        ) from error


def application(shown: Shown, panels: Sequence[Any], host: str, token: str) -> web.Application:
    """Return the page and its socket.

    Args:
        shown: What the page shows.
        panels: Its diagrams, ready for JSON.
        host: Address that is listened on.
        token: What a client must know; empty for nothing.
    """

    @web.middleware
    async def guard(request: web.Request, handler: Any) -> web.StreamResponse:
        if not is_own_name(request.headers.get('Host', ''), host):
            raise web.HTTPForbidden(text='this page may only be opened by an address of its own')
        if not _knows(request, token):
            raise web.HTTPForbidden(text='the token is missing: open the address that was printed')
        return cast(web.StreamResponse, await handler(request))

    async def page(request: web.Request) -> web.FileResponse:
        return web.FileResponse(PAGE, headers=_SAFE_HEADERS)

    async def live(request: web.Request) -> web.WebSocketResponse:
        # A page of another site must not look through this machine's camera.
        origin = request.headers.get('Origin', '')
        if origin and origin.partition('://')[2] != request.host:
            raise web.HTTPForbidden(text='this page may only be opened from its own address')
        if shown.watched >= _MOST_PAGES:
            raise web.HTTPServiceUnavailable(text=f'{_MOST_PAGES} pages are open: close one')
        shown.watched += 1
        try:
            return await _feed(request, shown, panels)
        finally:
            shown.watched -= 1

    made = web.Application(middlewares=[guard], client_max_size=_LONGEST_MESSAGE)
    made.router.add_get('/', page)
    made.router.add_get('/live', live)
    return made


def is_loopback(host: str) -> bool:
    """Return whether an address to listen on can be reached from this machine alone."""
    if host == 'localhost':
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def is_own_name(header: str, host: str) -> bool:
    """Return whether a client reached the server by an address, and not by somebody's name for it.

    A site may let its own name point to this machine, and its page then asks as if it was ours:
    only the name that the browser sends tells them apart.

    Args:
        header: The header `Host`.
        host: Address that is listened on.
    """
    name = header.rpartition(':')[0] if header.rpartition(':')[2].isdecimal() else header
    name = name.strip('[]').lower()
    address = _address(name)
    if is_loopback(host):
        return name == 'localhost' or (address is not None and address.is_loopback)
    own = sockets.gethostname().lower()
    return address is not None or name in ('localhost', own, f'{own}.local')


def to_json(value: Any) -> str:
    """Return JSON that every reader takes: NaN and infinity, which it lacks, become null."""
    return json.dumps(_finite(value), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _knows(request: web.Request, token: str) -> bool:
    given = request.query.get('token', '')
    return not token or hmac.compare_digest(given.encode('utf-8', 'replace'), token.encode())


async def _run(made: web.Application, host: str, port: int, token: str) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with listening(made, host, port):
        query = f'/?token={token}' if token else ''
        print(f'http://{host}:{port}{query}  (Ctrl-C ends it)', flush=True)
        await stopped.wait()


@asynccontextmanager
async def listening(made: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Serve an application inside of a block; the value is the port, for a given one of 0."""
    runner = web.AppRunner(made, access_log=None, keepalive_timeout=_PATIENCE, shutdown_timeout=1.0)
    await runner.setup()
    try:
        gate = Gate(cast(Any, runner.server))
        server = await asyncio.get_running_loop().create_server(gate, host, port)
        try:
            yield int(server.sockets[0].getsockname()[1])
        finally:
            server.close()
    finally:
        # A page that is open shall not hold up the end.
        await runner.cleanup()


class Gate:
    """Makes the protocol of each connection, and bounds what the connections cost.

    Args:
        make: Makes the protocol of one connection.
    """

    def __init__(self, make: Callable[[], asyncio.Protocol]) -> None:
        self._make = make
        self.open = 0

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        return _Connection(self, self._make())


class _Connection(asyncio.Protocol):
    """Passes a connection on, unless there are too many, or the first request does not come."""

    def __init__(self, gate: Gate, inner: asyncio.Protocol) -> None:
        self._gate, self._inner = gate, inner
        self._head = b''
        self._deadline: asyncio.TimerHandle | None = None
        self._taken = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if self._gate.open >= _MOST_CONNECTIONS:
            transport.abort()
            return
        self._taken = True
        self._gate.open += 1
        self._deadline = asyncio.get_running_loop().call_later(_PATIENCE, transport.abort)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if not self._taken:
            return
        if self._deadline is not None:
            # Until the first head is there: keep-alive and heartbeat bound what follows.
            self._head = (self._head + data)[-_LONGEST_MESSAGE:]
            if b'\r\n\r\n' in self._head:
                self._deadline.cancel()
                self._deadline, self._head = None, b''
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._taken else None

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._taken:
            return
        self._gate.open -= 1
        if self._deadline is not None:
            self._deadline.cancel()
        self._inner.connection_lost(error)


async def _feed(request: web.Request, shown: Shown, panels: Sequence[Any]) -> web.WebSocketResponse:
    """Send to a page until it goes, speaks, or does not take what it is sent."""
    socket = web.WebSocketResponse(
        heartbeat=_PATIENCE, timeout=_PATIENCE, max_msg_size=_LONGEST_MESSAGE
    )
    await socket.prepare(request)
    listener = asyncio.create_task(_listen(socket))
    sender = asyncio.create_task(_send(socket, shown, panels))
    try:
        await asyncio.wait([listener, sender], return_when=asyncio.FIRST_COMPLETED)
        if sender.done():
            sender.result()  # raises what there was to raise, for the log
    finally:
        for task in (listener, sender):
            task.cancel()
        with suppress(asyncio.TimeoutError, ConnectionError):
            await asyncio.wait_for(socket.close(), 0.5)
        if request.transport is not None:
            # What a client has not taken is not kept for it.
            request.transport.abort()
    return socket


async def _listen(socket: web.WebSocketResponse) -> None:
    """Return when the page closes the socket, or sends anything: pages have nothing to say."""
    await socket.receive()


async def _send(socket: web.WebSocketResponse, shown: Shown, panels: Sequence[Any]) -> None:
    """Send status and pictures; the next only when the last has gone, so that none queues."""
    sent, due, since = 0, 0.0, 0
    with suppress(ConnectionError, asyncio.TimeoutError):
        await _within(socket.send_str(to_json({'panels': panels})))
        while not socket.closed:
            number, jpeg = shown.picture
            if number != sent:
                sent = number
                await _within(socket.send_bytes(jpeg))
            if time.monotonic() >= due:
                due = time.monotonic() + _STATUS_PERIOD
                status = shown.status(since)
                since = max([since, *(sample['number'] for sample in status['samples'])])
                await _within(socket.send_str(to_json(status)))
            await asyncio.sleep(PICTURE_PERIOD / 2)


async def _within(sending: Any) -> None:
    """Wait for a client to take what it is sent, but not for ever."""
    await asyncio.wait_for(sending, _PATIENCE)
