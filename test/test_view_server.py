"""The web server of `headpose view` before strangers, slow clients and numbers that are none."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip('aiohttp', reason="pip install '.[tools]'")

import aiohttp

from headpose_ros.tools import view_server
from headpose_ros.tools.view_server import application, is_loopback, is_own_name, to_json


class Showing:
    """A page's content: a large picture, new each time, and a status that may fail."""

    def __init__(self, size=100):
        self.watched = 0
        self.size = size
        self.fails = False
        self._number = 0

    @property
    def picture(self):
        self._number += 1
        return self._number, bytes(self.size)

    def status(self, since):
        if self.fails:
            raise ValueError('a bad message')
        return {'samples': [{'number': since + 1, 'yaw': float('nan')}], 'age': float('inf')}


def serve(test, shown=None, host='127.0.0.1', token=''):
    """Run a test beside a server; it gets the port."""

    async def run():
        made = application(shown or Showing(), [['yaw', ['yaw']]], host, token)
        async with view_server.listening(made, '127.0.0.1', 0) as port:
            await asyncio.wait_for(test(port), 60)

    asyncio.run(run())


async def ask(port, path='/', host='127.0.0.1', version='1.1'):
    """Return the code of an answer, with a header of our own making."""
    reader, writer = await asyncio.open_connection('127.0.0.1', port)
    named = '' if host is None else f'Host: {host}\r\n'
    writer.write(f'GET {path} HTTP/{version}\r\n{named}Connection: close\r\n\r\n'.encode())
    answer = await reader.read()
    writer.close()
    return int(answer.split()[1]) if answer else 0


async def gone(reader):
    """Wait until the server ends a connection."""
    with contextlib.suppress(ConnectionError):
        while await reader.read(65536):
            pass


@pytest.mark.parametrize(
    ('name', 'code'),
    [
        *[('127.0.0.1', 200), ('127.0.0.1:9000', 200), ('localhost:8642', 200), ('[::1]:1', 200)],
        *[('LOCALHOST', 200), ('evil.example', 403), ('evil.example:8642', 403), ('', 403)],
        *[('127.0.0.1.evil.example', 403), ('localhost.evil.example', 403), ('10.0.0.7', 403)],
        *[('127.0.0.1@evil.example', 403), ('0x7f000001', 403), ('[', 403)],
    ],
)
def test_a_foreign_name_is_refused(name, code):
    async def test(port):
        assert await ask(port, host=name) == code
        assert await ask(port, '/live', host=name) != 200

    serve(test)


def test_no_name_at_all_is_refused():
    async def test(port):
        assert await ask(port, host=None, version='1.0') == 403

    serve(test)


def test_names_of_this_machine_are_known_to_the_network():
    assert is_own_name('192.168.0.5:8642', '0.0.0.0')
    assert not is_own_name('evil.example', '0.0.0.0')
    assert not is_own_name('192.168.0.5', '127.0.0.1')
    assert [is_loopback(host) for host in ('127.0.0.1', '::1', 'localhost', '127.9.9.9')] == [
        True
    ] * 4
    assert not any(map(is_loopback, ('0.0.0.0', '::', '', '10.0.0.1', 'robot', 'localhost.evil')))


def test_beyond_the_machine_the_token_is_needed():
    async def test(port):
        for path, code in {
            '/': 403,
            '/?token=': 403,
            '/?token=x': 403,
            '/?token=secret': 200,
        }.items():
            assert await ask(port, path) == code
        assert await ask(port, '/live') == 403
        assert await ask(port, '/live?token=%C3%A4') == 403
        async with aiohttp.ClientSession() as session:
            url = f'http://127.0.0.1:{port}/live?token=secret'
            async with session.ws_connect(url) as live:
                assert 'panels' in await live.receive_json()

    serve(test, host='0.0.0.0', token='secret')


def test_what_a_page_gets_is_json_without_nan():
    def refuse(name):
        raise AssertionError(name)

    async def test(port):
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f'http://127.0.0.1:{port}/live') as live,
        ):
            texts = []
            while len(texts) < 3:
                message = await live.receive()
                if message.type == aiohttp.WSMsgType.TEXT:
                    texts.append(json.loads(message.data, parse_constant=refuse))
            assert texts[1]['age'] is None
            assert texts[1]['samples'][0]['yaw'] is None

    serve(test)


parts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


@given(parts)
@settings(deadline=None)
def test_every_status_is_valid_json(value):
    json.loads(to_json(value), parse_constant=lambda name: pytest.fail(name))


def test_a_status_that_fails_costs_that_page_only(caplog):
    shown = Showing()

    async def test(port):
        shown.fails = True
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(f'http://127.0.0.1:{port}/live') as live:
                while not (await live.receive()).type.name.startswith('CLOS'):
                    pass
            shown.fails = False
            async with session.ws_connect(f'http://127.0.0.1:{port}/live') as live:
                assert 'panels' in await live.receive_json()
        assert await ask(port) == 200

    serve(test, shown)
    assert 'a bad message' in caplog.text


def test_who_does_not_take_the_pictures_is_cut_off(monkeypatch):
    monkeypatch.setattr(view_server, '_PATIENCE', 0.5)
    shown = Showing(size=2_000_000)

    async def test(port):
        _, writer = await asyncio.open_connection('127.0.0.1', port, limit=1024)
        writer.write(
            b'GET /live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n'
            b'Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n'
            b'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
        )
        while not shown.watched:
            await asyncio.sleep(0.01)
        while shown.watched:
            await asyncio.sleep(0.01)
        writer.close()

    serve(test, shown)


@pytest.mark.parametrize('begin', [b'', b'GET / HT', b'GET / HTTP/1.1\r\nHost: localhost\r\nX: '])
def test_who_does_not_say_what_he_wants_is_cut_off(monkeypatch, begin):
    monkeypatch.setattr(view_server, '_PATIENCE', 0.5)

    async def test(port):
        reader, writer = await asyncio.open_connection('127.0.0.1', port)
        writer.write(begin)
        await gone(reader)
        writer.close()

    serve(test)


def test_who_speaks_is_cut_off():
    async def test(port):
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f'http://127.0.0.1:{port}/live') as live,
        ):
            await live.send_str('hello')
            while not (await live.receive()).type.name.startswith('CLOS'):
                pass

    serve(test)


def test_connections_and_pages_are_bounded(monkeypatch):
    monkeypatch.setattr(view_server, '_MOST_CONNECTIONS', 3)
    monkeypatch.setattr(view_server, '_MOST_PAGES', 1)

    async def test(port):
        url = f'http://127.0.0.1:{port}/live'
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as live:
            assert 'panels' in await live.receive_json()
            with pytest.raises(aiohttp.WSServerHandshakeError, match='503'):
                await session.ws_connect(url)
        idle = [await asyncio.open_connection('127.0.0.1', port) for _ in range(3)]
        assert await refused(port)
        for _, writer in idle:
            writer.close()
        while await refused(port):
            await asyncio.sleep(0.05)

    async def refused(port):
        try:
            return not await ask(port)
        except ConnectionError:
            return True

    serve(test)
