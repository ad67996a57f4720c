"""A TCP proxy that does to a connection what networks do: cut it, stall it, lose the replies, close one half."""

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

HOST = "127.0.0.1"
CHUNK_BYTES_MAX = 65_536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(slots=True, eq=False)
class _Pair:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    is_half_closed: bool = False


class TcpProxy:
    """Stands before `target_port` of loopback at `.port`. A fault holds until `resume()`, also for new connections."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self.connections_total = 0
        self._flows = asyncio.Event()
        self._flows.set()
        self._loses_replies = False
        self._reply_bytes_max: int | None = None
        self.replies_swallowed = 0
        self._pairs: set[_Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None

    async def start(self) -> Self:
        """Listens on a free port, after `refuse()` on the same one as before."""
        self._listener = await asyncio.start_server(self._accept, HOST, self.port)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Cuts everything and stops listening."""
        await self.refuse()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def url(self, url: str) -> str:
        """The same url, through the proxy."""
        return url.replace(f":{self.target_port}", f":{self.port}")

    def cut(self) -> None:
        """Resets every connection, in both directions at once."""
        for pair in list(self._pairs):
            _reset(pair.client)
            _reset(pair.server)

    def stall(self) -> None:
        """Forward nothing any more, either way; neither side notices."""
        self._flows.clear()

    def drop_replies(self) -> None:
        """Requests arrive and are done, their replies are lost."""
        self._loses_replies = True

    def swallow_replies_above(self, size_bytes: int) -> None:
        """Lose each reply whose first part is larger, as a network does whose packets may not be; nobody notices."""
        self._reply_bytes_max = size_bytes

    def half_close(self) -> None:
        """Says goodbye to the clients, while what they send still arrives."""
        for pair in self._pairs:
            pair.is_half_closed = True
            if not pair.client.is_closing():
                with suppress(OSError):  # the client has just gone, and nobody has noticed yet
                    pair.client.write_eof()

    async def refuse(self) -> None:
        """Accepts no new connection; the present ones live on. `start()` accepts again."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def resume(self) -> None:
        """Forwards again what was stalled; what was lost stays lost."""
        self._loses_replies = False
        self._flows.set()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: what asyncio would make of a coroutine function cannot be cancelled without noise.
        self.connections_total += 1
        task = asyncio.create_task(self._connect(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection(HOST, self.target_port)
        except OSError:
            _reset(writer)
            return
        except asyncio.CancelledError:
            _reset(writer)
            raise
        pair = _Pair(writer, server_writer)
        self._pairs.add(pair)
        try:
            await asyncio.gather(
                self._pump(pair, reader, server_writer, replies=False),
                self._pump(pair, server_reader, writer, replies=True),
            )
        finally:
            self._pairs.discard(pair)
            for one in (writer, server_writer):
                one.close()

    async def _pump(
        self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, replies: bool
    ) -> None:
        """One direction, until its end or a reset; a fault of one side is passed on to the other."""
        try:
            while chunk := await reader.read(CHUNK_BYTES_MAX):
                await self._flows.wait()
                if replies and (self._loses_replies or pair.is_half_closed):
                    continue
                if replies and self._reply_bytes_max is not None and len(chunk) > self._reply_bytes_max:
                    self.replies_swallowed += 1
                    continue
                if not writer.is_closing():
                    writer.write(chunk)
                    await writer.drain()
            await self._flows.wait()
            if not writer.is_closing():
                writer.write_eof()
        except OSError:
            _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Closes with RST instead of FIN, dropping what was not sent."""
    if (connected := writer.get_extra_info("socket")) is not None and connected.fileno() >= 0:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
