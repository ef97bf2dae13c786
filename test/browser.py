"""A headless Chromium, driven over its debugging protocol: pages are tested as people see them."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ('chromium-headless-shell', 'chromium', 'chromium-browser', 'google-chrome')


def find_browser() -> str:
    return next(filter(None, map(shutil.which, NAMES)), '')


class Browser:
    """One page of a browser; used as an asynchronous context."""

    def __init__(self, profile: Path, size: tuple[int, int] = (1280, 800)) -> None:
        words = [find_browser(), '--headless', '--no-sandbox', '--disable-gpu', '--no-first-run']
        words += ['--remote-debugging-port=0', f'--user-data-dir={profile}']
        # Containers have 64 MB of shared memory, and the nodes want it.
        words += ['--disable-dev-shm-usage']
        words += [f'--window-size={size[0]},{size[1]}', 'about:blank']
        # A session of its own, to end all of it: Debian's program is a script that starts another.
        self._process = subprocess.Popen(
            words, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        self._numbers = itertools.count(1)
        self.errors: list[str] = []

    async def __aenter__(self) -> Browser:
        try:
            return await self._opened()
        except BaseException:
            self._end()
            raise

    async def _opened(self) -> Browser:
        port = await asyncio.to_thread(self._port)
        self._session = aiohttp.ClientSession()
        async with self._session.get(f'http://127.0.0.1:{port}/json/list') as answer:
            pages = await answer.json(content_type=None)
        address = next(page['webSocketDebuggerUrl'] for page in pages if page['type'] == 'page')
        self._socket = await self._session.ws_connect(address, max_msg_size=0)
        for domain in ('Page', 'Runtime', 'Log'):
            await self.call(f'{domain}.enable')
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        self._end()

    def _end(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _port(self) -> int:
        for line in self._process.stderr:
            if found := re.search(r'listening on ws://[^:]+:(\d+)/', line):
                return int(found[1])
        raise AssertionError('the browser did not start')

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        await self._socket.send_json({'id': number, 'method': method, 'params': parameters})
        while True:
            message = await self._socket.receive_json(timeout=60)
            if message.get('method') == 'Runtime.exceptionThrown':
                self.errors.append(str(message['params']['exceptionDetails']))
            if message.get('id') == number:
                assert 'error' not in message, message
                return message['result']

    async def value(self, expression: str) -> Any:
        answer = await self.call('Runtime.evaluate', expression=expression, returnByValue=True)
        return answer['result'].get('value')

    async def until(self, expression: str, timeout: float = 60.0) -> None:
        end = time.monotonic() + timeout
        while not await self.value(expression):
            text = await self.value('document.body.innerText')
            assert time.monotonic() < end, f'never true: {expression}; the page says: {text}'
            await asyncio.sleep(0.2)

    async def screenshot(self, path: Path) -> None:
        answer = await self.call('Page.captureScreenshot', format='png')
        path.write_bytes(base64.b64decode(answer['data']))
