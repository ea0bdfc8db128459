"""What happened to a connection, for tests to wait for."""

import asyncio

PATIENCE_SECONDS = 20


async def in_time(awaitable, what):
    """The result of something that has to come; otherwise an error that says what did not."""
    try:
        return await asyncio.wait_for(awaitable, PATIENCE_SECONDS)
    except asyncio.TimeoutError:
        raise AssertionError(f"{what} did not come within {PATIENCE_SECONDS} s") from None


class Inbox:
    """Entries in the order they came; `add` may be called from any thread."""

    def __init__(self):
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Condition()
        self.entries = []

    def add(self, entry):
        self._loop.call_soon_threadsafe(lambda: self._loop.create_task(self._append(entry)))

    async def _append(self, entry):
        async with self._changed:
            self.entries.append(entry)
            self._changed.notify_all()

    async def has(self, entry):
        """Waits until an entry equals this one."""
        async with self._changed:
            wanted = self._changed.wait_for(lambda: entry in self.entries)
            await in_time(wanted, f"{entry!r} among {self.entries!r}")
