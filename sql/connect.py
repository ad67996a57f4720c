"""Opening one connection to Postgres, optionally waiting for a server that is starting."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg

VERSION_MIN = 15
"""The oldest PostgreSQL that runs the schema."""

RETRY_PAUSE_S = 0.2
"""The pause between two attempts to reach a server that is starting."""

Connection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"
"""A connection to Postgres, or a pool's proxy of one."""

_STARTING = (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError)


class UnreachableError(Exception):
    """No usable connection. The text says why, and contains no password."""


@asynccontextmanager
async def connect(url: str, *, timeout_s: float, wait_s: float = 0) -> AsyncIterator[asyncpg.Connection]:
    """Open a connection and close it at the end. Retry for `wait_s` while the server is unreachable or starting."""
    connection = await _open(url, timeout_s, time.monotonic() + wait_s)
    try:
        version = connection.get_server_version()
        if version.major < VERSION_MIN:
            raise UnreachableError(f"PostgreSQL {version.major} is too old: {VERSION_MIN} or later is needed")
        yield connection
    finally:
        await connection.close(timeout=timeout_s)


async def _open(url: str, timeout_s: float, deadline: float) -> asyncpg.Connection:
    while True:
        try:
            return await asyncpg.connect(url, timeout=timeout_s)
        except _STARTING as error:
            if time.monotonic() >= deadline:
                raise UnreachableError(f"PostgreSQL does not answer: {error or type(error).__name__}") from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise UnreachableError(f"PostgreSQL refuses the connection: {error}") from error
        await asyncio.sleep(RETRY_PAUSE_S)
