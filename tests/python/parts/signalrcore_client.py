"""signalrcore: threads and callbacks, every transport."""

import asyncio
import logging

from signalrcore.hub_connection_builder import HubConnectionBuilder
from signalrcore.subject import Subject
from signalrcore.types import HttpTransportType, HubProtocolEncoding

from parts.inbox import Inbox, in_time
from parts.token import token


class SignalRCore:
    def __init__(self, url, transport, protocol, user):
        options = {"transport": HttpTransportType(transport)}
        if user:
            options["access_token_factory"] = lambda: token(user)
        encoding = HubProtocolEncoding.text if protocol == "json" else HubProtocolEncoding.binary
        retries = {"type": "raw", "keep_alive_interval": 1, "reconnect_interval": 1, "max_attempts": 20}
        builder = HubConnectionBuilder().with_url(url, options).with_hub_protocol(encoding)
        builder = builder.configure_logging(logging.CRITICAL).with_automatic_reconnect(retries)
        self._connection = builder.build()
        self.received, self.states = Inbox(), Inbox()
        self._loop = asyncio.get_running_loop()
        self._answers = {}
        self._connection.on("Receive", self.received.add)
        self._connection.on_open(lambda: self.states.add("open"))
        self._connection.on_reconnect(lambda: self.states.add("reconnected"))
        self._connection.on_error(lambda message: self._answered(message))

    async def start(self):
        await asyncio.to_thread(self._connection.start)
        await self.states.has("open")

    async def stop(self):
        await asyncio.to_thread(self._connection.stop)

    def expect_cut(self):
        """Nothing to prepare: `states` tells when it is back."""

    async def reconnected(self):
        await self.states.has("reconnected")

    def _answered(self, message):
        """Errors come here, whichever call or stream they belong to."""
        future = self._answers.pop(message.invocation_id, None)
        if future:
            self._loop.call_soon_threadsafe(future.set_result, message)

    async def invoke(self, method, *arguments):
        answer = self._loop.create_future()
        identifier = f"call {id(answer)}"
        self._answers[identifier] = answer
        call = self._connection.invoke
        await asyncio.to_thread(call, method, list(arguments), self._answered, identifier)
        completion = await in_time(answer, method)
        if completion.error:
            raise RuntimeError(completion.error)
        return completion.result

    async def stream(self, method, *arguments):
        items, end = [], self._loop.create_future()

        def ended(message):
            self._loop.call_soon_threadsafe(end.set_result, message)

        def call():
            self._connection.stream(method, list(arguments)).subscribe(
                {"next": items.append, "complete": ended, "error": ended}
            )

        await asyncio.to_thread(call)
        await in_time(end, method)
        return items

    async def upload(self, method, items):
        subject = Subject()
        await asyncio.to_thread(self._connection.send, method, subject)
        for item in items:
            await asyncio.to_thread(subject.next, item)
        await asyncio.to_thread(subject.complete)
