"""Notices that the address of Redis or Postgres leads to another server, and closes the connections to the old one.

A failover may leave the old server alive, as a replica or as a second primary, and the connections to it open. Errors
that the old server answers close them at once (runtime/redis_connection.py, `Failures.handle_outage`); this watch
covers an old server that raises no error.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable

import asyncpg
import structlog
from redis.exceptions import RedisError, ResponseError

from consumers.retry import describe
from consumers.settings import Settings
from runtime.redis_connection import single_connection
from runtime.redis_wire import exchange
from sql import load
from sql.connect import open_connection
from sql.pooled_connection import connection_options

WATCH_S = 3.0
"""The pause between two looks. Each makes one connection to Redis and one to Postgres."""

SERVER = load("server")

_RUN_ID = re.compile(rb"^run_id:(\w+)", re.MULTILINE)

log = structlog.get_logger()


class AddressWatch:
    """Asks a server's identity over a new connection, again and again; `on_move` is called when it changes."""

    def __init__(
        self, server: str, identity: Callable[[], Awaitable[str]], on_move: Callable[[], Awaitable[None]]
    ) -> None:
        self._server = server
        self._identity = identity
        self._on_move = on_move
        self._known = ""
        self._refusal = ""

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(WATCH_S)

    async def look(self) -> None:
        """Compare the server's identity with the last one. A server that does not answer changes nothing.

        One that answers and refuses is reported once: work may go on over old connections, and nothing would follow it.
        """
        try:
            identity = await self._identity()
        except (
            RedisError,
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
            OSError,
        ) as error:
            self._report(error)
            return
        self._refusal = ""
        if self._known and identity != self._known:
            log.warning("the address leads to another server; connections to the old one are closed",
                        server=self._server)  # fmt: skip
            await self._on_move()
        self._known = identity

    def _report(self, error: Exception) -> None:
        is_answer = isinstance(error, ResponseError | asyncpg.PostgresError)
        refusal = describe(error) if is_answer else ""
        if refusal and refusal != self._refusal:
            log.warning("the server refuses to say which it is: should its address move, this worker may not notice",
                        server=self._server, reason=refusal)  # fmt: skip
        else:
            log.debug("the server's identity cannot be read now", server=self._server, reason=type(error).__name__)
        self._refusal = refusal or self._refusal


async def redis_identity(settings: Settings) -> str:
    """Return the run id of the server that Redis' address leads to now. Raises RedisError, OSError."""
    connection = single_connection(settings.redis_url, connect_timeout_s=settings.redis_timeout_s)
    try:
        async with asyncio.timeout(settings.redis_timeout_s):
            await connection.connect()  # type: ignore[no-untyped-call]
            (info,) = await exchange(connection, [("INFO", "server")])
    finally:
        await connection.disconnect(nowait=True)
    if isinstance(info, RedisError):
        raise info
    run_id = _RUN_ID.search(info)
    return run_id[1].decode() if run_id else ""


async def postgres_identity(settings: Settings) -> str:
    """Return the start time, to the microsecond, of the server that Postgres' address leads to now.

    Raises OSError, asyncpg.PostgresError, asyncpg.InterfaceError.
    """
    url, timeout_s = settings.database_url.get_secret_value(), settings.acquire_timeout_s
    options = connection_options(settings.database_pooler)
    connection = await open_connection(url, timeout=timeout_s, command_timeout=timeout_s, **options)
    try:
        return str(await connection.fetchval(*SERVER.bind("read_server_start")))
    finally:
        await connection.close(timeout=timeout_s)
