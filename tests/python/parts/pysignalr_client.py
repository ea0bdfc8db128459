"""pysignalr: asyncio, WebSockets only."""

import asyncio

from pysignalr.client import SignalRClient
from pysignalr.protocol.json import JSONProtocol
from pysignalr.protocol.messagepack import MessagepackProtocol

from parts.inbox import Inbox, in_time
from parts.token import token


class PySignalR:
    def __init__(self, url, _transport, protocol, user):
        # Its access_token_factory is asked only after the first connection is open, so the header is given.
        headers = {"Authorization": f"Bearer {token(user)}"} if user else {}
        self._protocol = JSONProtocol() if protocol == "json" else MessagepackProtocol()
        self._url, self._headers = url, headers
        self.received, self.states = Inbox(), Inbox()

    async def start(self):
        self._client = SignalRClient(self._url, protocol=self._protocol, headers=self._headers)
        self._client.on("Receive", self._on_receive)
        self._client.on_error(self._on_error)
        self._opened = asyncio.Event()
        self._client.on_open(lambda: _set(self._opened))
        self._running = asyncio.create_task(self._client.run())
        await self._open_or_ended()
        if not self._opened.is_set():
            self._running.result()

    async def _open_or_ended(self):
        waiting = asyncio.create_task(self._opened.wait())
        await asyncio.wait({self._running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    async def _on_receive(self, arguments):
        self.received.add(arguments)

    async def _on_error(self, _completion):
        """Whoever called is told as well, but without this it would end the connection."""

    async def stop(self):
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    def expect_cut(self):
        self._opened.clear()

    async def reconnected(self):
        """It negotiates anew or, where it first tries the id it had, ends: then its user starts it again."""
        await self._open_or_ended()
        if not self._opened.is_set():
            if "404" not in str(self._running.exception()):
                self._running.result()
            await self.start()

    async def invoke(self, method, *arguments):
        answer = asyncio.get_running_loop().create_future()
        await self._client.send(method, list(arguments), on_invocation=lambda message: _answer(answer, message))
        completion = await in_time(answer, method)
        if completion.error:
            raise RuntimeError(completion.error)
        return completion.result

    async def stream(self, method, *arguments):
        items, end = [], asyncio.get_running_loop().create_future()

        async def on_next(item):
            items.append(item)

        await self._client.stream(method, list(arguments), on_next, lambda message: _answer(end, message))
        await in_time(end, method)
        return items

    async def upload(self, method, items):
        async with self._client.client_stream(method) as stream:
            for item in items:
                await stream.send(item)


async def _set(event):
    event.set()


async def _answer(future, message):
    future.set_result(message)
