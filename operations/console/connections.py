"""Connections of the console: how many there may be, and how long one may be idle, so that no stranger uses them up.

aiohttp limits neither. Where all are taken, the one that has waited longest for its client gives way: one whose request
is answered is never closed. A request counts as one once its sender is known and its form has arrived.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import structlog
from aiohttp import web

from runtime.tasks import end

FIRST_REQUEST_S = 15.0
"""How long a connection may take until its sender is known: headers, form and password; and sign-in pages and files."""

KEEPALIVE_S = 75.0
"""How long a connection of somebody who is signed in may wait for the next request."""

LOOK_EVERY_S = 1.0
BACKLOG = 128

ACCEPT_AGAIN_S = 0.5
"""How long nothing is accepted after the system has refused to, because it has no more open files."""

log = structlog.get_logger()


@dataclass(slots=True)
class OpenConnection:
    """One connection. `since` is when it began to wait; None while a request of it is answered."""

    since: float | None
    limit_s: float


@dataclass(slots=True)
class Connections:
    """The open connections, by transport."""

    connections_max: int
    _open: dict[asyncio.BaseTransport, OpenConnection] = field(default_factory=dict)

    @contextmanager
    def working(self, transport: asyncio.BaseTransport | None) -> Iterator[None]:
        """Keep a connection open while its request is answered."""
        each = self._open.get(transport) if transport else None
        if each is None:
            yield
            return
        each.since = None
        try:
            yield
        finally:
            each.since, each.limit_s = time.monotonic(), KEEPALIVE_S

    @asynccontextmanager
    async def answering(self, runner: web.AppRunner, listening: socket.socket) -> AsyncIterator[None]:
        """Accept connections for an application that was set up, while the block lasts. Closes the socket."""
        server = runner.server
        if server is None:
            raise RuntimeError("the application was not set up")
        listening.setblocking(False)
        listening.listen(BACKLOG)
        tasks = [asyncio.create_task(self._accept(server, listening)), asyncio.create_task(self._close_idle())]
        try:
            yield
        finally:
            for task in tasks:
                await end(task)
            listening.close()

    async def _accept(self, server: web.Server, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listening)
                if not self._has_place():
                    accepted.close()
                    continue
                transport, _ = await loop.connect_accepted_socket(server, accepted)
            except OSError as error:
                log.warning("the console accepts no connection for a moment", error=str(error))
                await asyncio.sleep(ACCEPT_AGAIN_S)
            else:
                self._open[transport] = OpenConnection(time.monotonic(), FIRST_REQUEST_S)

    def _has_place(self) -> bool:
        """Make place for one more, and return whether there is. Strangers give way first."""
        self._forget_closed()
        if len(self._open) < self.connections_max:
            return True
        waiting = {
            transport: (each.limit_s, each.since) for transport, each in self._open.items() if each.since is not None
        }
        if waiting:
            self._close(min(waiting, key=waiting.__getitem__))
        return bool(waiting)

    async def _close_idle(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self._forget_closed()
            now = time.monotonic()
            for transport, each in list(self._open.items()):
                if each.since is not None and now - each.since > each.limit_s:
                    self._close(transport)

    def _forget_closed(self) -> None:
        self._open = {transport: each for transport, each in self._open.items() if not transport.is_closing()}

    def _close(self, transport: asyncio.BaseTransport) -> None:
        del self._open[transport]
        if isinstance(transport, asyncio.Transport):
            transport.abort()  # without waiting for a client that reads nothing
