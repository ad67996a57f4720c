"""Clients over TLS. They count from before the handshake, so that silent ones are limited like all others.

asyncio's own servers call a protocol only after the handshake. So accepting is done here, with documented methods.
"""

import asyncio
import socket
import ssl

import structlog

from gateway.connection import Connection
from gateway.connections import Connections

ACCEPTED_MAX = 128
"""Connections accepted in one turn of the event loop."""

COUNTS_AS = 3
"""A connection over TLS takes the place of three: asyncio's TLS keeps up to 60 KB of buffers for each, in no budget."""

NO_FILE_S = 0.5
"""How long nothing is accepted after the system had no free file."""

SHUTDOWN_S_MIN = 0.1
"""How long a client has at least to confirm the end of TLS."""

log = structlog.get_logger()


class TlsConnection(Connection):
    """One client's connection over TLS, as asyncio has it: no side can be closed alone.

    It reads nothing while a request is under way, so that a client that ends TLS after its request gets the answer. One
    that also closes the connection (FIN) before it gets none: asyncio's TLS drops what is written after that.
    """

    __slots__ = ("_address", "_handshake")

    def __init__(self, connections: Connections, address: str | None) -> None:
        super().__init__(connections)
        self._is_tls = True
        self._address = address
        self._handshake: asyncio.Task[None] | None = None

    @property
    def client(self) -> str | None:
        """The client's address."""
        return self._address

    def accept(self, client: socket.socket, context: ssl.SSLContext) -> None:
        """Begin the handshake, or close the connection where there are too many."""
        if self.is_accepted(self._connections.handshakes):
            self._handshake = asyncio.create_task(self._shake_hands(client, context), name="TLS handshake")
        else:
            self._connections.on_refused(503, "connections_max", self.client)
            client.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Read requests from now on: the handshake is done."""
        self._handshake = None
        self._use(transport)
        if self._is_ending:
            self._transport.abort()
        else:
            self._enter(self._connections.new)

    def abort(self) -> None:
        """End the connection now."""
        if self._handshake is None:
            super().abort()
        else:
            self._is_ending = True
            self._handshake.cancel()

    async def _shake_hands(self, client: socket.socket, context: ssl.SSLContext) -> None:
        settings = self._connections.settings
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self,
                client,
                ssl=context,
                ssl_handshake_timeout=settings.headers_timeout_s,
                ssl_shutdown_timeout=max(settings.linger_s, SHUTDOWN_S_MIN),
            )
        except OSError:  # those of TLS and of time are among them
            self._connections.on_refused(400, "tls_handshake", self.client)
        finally:
            if self._handshake is not None:  # it has failed
                self._handshake = None
                self._is_ending = True
                self._forget()
                client.close()


class TlsListener:
    """Accepts clients over TLS on a listening socket."""

    def __init__(
        self, listening: socket.socket, backlog: int, connections: Connections, context: ssl.SSLContext
    ) -> None:
        self._listening = listening
        self._connections = connections
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        listening.listen(backlog)
        self._resume()

    def close(self) -> None:
        """Accept no more."""
        self._loop.remove_reader(self._listening)
        if self._pause is not None:
            self._pause.cancel()
        self._listening.close()

    def _resume(self) -> None:
        self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTED_MAX):
            try:
                client, address = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.warning("no connection can be accepted now", reason=str(error), again_after_s=NO_FILE_S)
                self._loop.remove_reader(self._listening)
                self._pause = self._loop.call_later(NO_FILE_S, self._resume)
                return
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            TlsConnection(self._connections, str(address[0])).accept(client, self._context)
