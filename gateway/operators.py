"""The operators' port: metrics, health and the documentation with all sources, whatever strangers do to the public one.

Its connections do not count among those of the public port. Where the port is taken, the gateway works without it and
tries again: what is only for operators must not stop webhooks.
"""

import asyncio
import socket
from functools import partial

import structlog
from aiohttp import web

from gateway.connection import Connection
from gateway.connections import Connections, OnRefused
from gateway.settings import Settings
from runtime.tasks import end

CONNECTIONS_MAX = 64
BODY_BYTES_MAX = 1024
RETRY_S = 2.0
BACKLOG = 64

log = structlog.get_logger()


def listening_socket(settings: Settings, *, is_first_try: bool = True) -> socket.socket | None:
    """Return the socket of the operators' port, which several processes may share; None where it cannot be had now."""
    host, port = settings.gateway_operators_host, settings.gateway_operators_port
    if port == 0:
        return None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(BACKLOG)  # only now the port is known to be free
        except OSError:
            listening.close()
            raise
    except OSError as error:
        if is_first_try:
            log.error(  # noqa: TRY400 -- the reason is all there is to know
                "the operators' port cannot be used; the gateway works without /metrics and tries again",
                host=host, port=port, reason=str(error), again_after_s=RETRY_S,
            )  # fmt: skip
        return None
    listening.setblocking(False)
    return listening


class OperatorsPort:
    """Serves an application for operators."""

    def __init__(self, application: web.Application, settings: Settings, on_refused: OnRefused) -> None:
        self._settings = settings
        self._on_refused = on_refused
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=RETRY_S)
        self._connections: Connections | None = None
        self._server: asyncio.Server | None = None
        self._retrying: asyncio.Task[None] | None = None

    async def start(self, listening: socket.socket | None) -> None:
        """Answer on this socket, or on one that is tried again and again; on none where the setting says 0."""
        await self._runner.setup()
        if listening is not None:
            await self._serve(listening)
        elif self._settings.gateway_operators_port:
            self._retrying = asyncio.create_task(self._retry(), name="operators' port")

    async def stop(self) -> None:
        """End at once: there is nothing to lose."""
        if self._retrying is not None:
            await end(self._retrying)
        if self._server is not None:
            self._server.close()
        if self._connections is not None:
            self._connections.stop()
        await self._runner.cleanup()

    async def _serve(self, listening: socket.socket) -> None:
        server = self._runner.server
        if server is None:
            raise RuntimeError("the runner has no server after its set-up")
        self._connections = Connections(
            server,
            self._settings,
            self._on_refused,
            lambda _connections, _bytes: None,
            body_bytes_max=BODY_BYTES_MAX,
            connections_max=CONNECTIONS_MAX,
        )
        make_connection = partial(Connection, self._connections)
        self._server = await asyncio.get_running_loop().create_server(make_connection, sock=listening, backlog=BACKLOG)
        host, port = listening.getsockname()[:2]
        log.info("operators are answered", host=host, port=port)

    async def _retry(self) -> None:
        listening = None
        while listening is None:
            await asyncio.sleep(RETRY_S)
            listening = listening_socket(self._settings, is_first_try=False)
        await self._serve(listening)
