"""Opening one connection to Postgres, optionally waiting for a server that is starting."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import asyncpg

from runtime.addresses import LivingServers, Server, resolve
from runtime.tls import describe_tls_of_postgres
from sql.pooled_connection import Pooler, connection_options

VERSION_MIN = 15
"""The oldest PostgreSQL that runs the schema."""

RETRY_PAUSE_S = 0.2
"""The pause between two attempts to reach a server that is starting."""

PORT_DEFAULT = 5432

_SERVER_NAME = re.compile(r"(\[.*\]|[^:]*):?(.*)")

Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"
"""A connection to Postgres, or a pool's proxy of one."""

_STARTING = (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError)


class UnreachableError(Exception):
    """No usable connection. The text says why, and contains no password."""


_LIVING = LivingServers()


async def open_connection(url: str, **options: Any) -> asyncpg.Connection:  # noqa: ANN401 - as asyncpg.connect has them
    """Connect as asyncpg does, also where some of the servers that the address names are dead.

    asyncpg would wait for the first one until the time is over. Raises OSError, asyncpg.PostgresError and
    asyncpg.InterfaceError.
    """
    servers = urlsplit(url).netloc.rpartition("@")[2]
    living = await _living(servers, by_name="verify-full" in url) if servers in _LIVING else {}
    try:
        return await asyncpg.connect(url, **{**options, **living})
    except (TimeoutError, asyncio.CancelledError):
        _LIVING.fell_silent(servers)
        raise
    except UnicodeError as error:
        raise OSError(f"the host name cannot be looked up: {error}") from error
    except OSError as error:
        if reason := describe_tls_of_postgres(url, error):
            raise OSError(f"connecting to {servers}: {reason}") from error
        raise


async def _living(servers: str, *, by_name: bool) -> dict[str, Any]:
    """Return asyncpg's options for those servers that accept connections; none where there is only one.

    `by_name`: the certificate's name is verified, so that a name may not be replaced by its address.
    """
    names: dict[Server, Server] = {}
    for server in servers.split(","):
        name, port = _SERVER_NAME.fullmatch(server).groups()  # type: ignore[union-attr] # everything matches
        host = name.strip("[]")
        try:
            addresses = await resolve(host, int(port or PORT_DEFAULT))
        except OSError:
            continue
        names |= {address: (host, address[1]) if by_name else address for address in addresses}
    if len(names) < 2:
        return {}
    living = dict.fromkeys(names[server] for server in await _LIVING.choose(servers, list(names)))
    return {"host": [host for host, _ in living], "port": [port for _, port in living]}


@asynccontextmanager
async def connect(
    url: str, *, timeout_s: float, wait_s: float = 0, pooler: Pooler = "none"
) -> AsyncIterator[asyncpg.Connection]:  # fmt: skip
    """Open a connection and close it at the end. Retry for `wait_s` while the server is unreachable or starting."""
    connection = await _open(url, timeout_s, time.monotonic() + wait_s, pooler)
    try:
        version = connection.get_server_version()
        if version.major < VERSION_MIN:
            raise UnreachableError(f"PostgreSQL {version.major} is too old: {VERSION_MIN} or later is needed")
        yield connection
    finally:
        await connection.close(timeout=timeout_s)


async def _open(url: str, timeout_s: float, deadline: float, pooler: Pooler) -> asyncpg.Connection:
    while True:
        try:
            return await open_connection(url, timeout=timeout_s, **connection_options(pooler))
        except _STARTING as error:
            if time.monotonic() >= deadline:
                raise UnreachableError(f"PostgreSQL does not answer: {error or type(error).__name__}") from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise UnreachableError(f"PostgreSQL refuses the connection: {error}") from error
        await asyncio.sleep(RETRY_PAUSE_S)
