"""Stands between a client and a server, to break their connections as a network does."""

import asyncio
import socket
import struct


class Proxy:
    def __init__(self, port):
        self._port = port
        self._writers = set()

    async def start(self):
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"
        return self

    async def _accept(self, client_reader, client_writer):
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._port)
        both = {client_writer, server_writer}
        self._writers |= both
        await asyncio.gather(_copy(client_reader, server_writer), _copy(server_reader, client_writer))
        self._writers -= both

    def cut(self):
        """Resets every connection; new ones are let through."""
        for writer in self._writers:
            if writer.is_closing():
                continue
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()

    async def end(self):
        self._listener.close()
        self.cut()


async def _copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
