"""Connections to Redis and Postgres for one operation, with every failure to reach them as one exception."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from consumers.settings import Settings
from contract.keys import Keys
from runtime.redis_connection import client as redis_client
from sql.connect import UnreachableError
from sql.connect import connect as connect_postgres
from sql.pooler import REMEDY, STATEMENTS_LOST

if TYPE_CHECKING:
    from sql.connect import Connection

LONG_TIMEOUT_S = 600.0
"""Limit of an operation that reads or replays everything, such as the audit of a large database."""


class Servers:
    """The Redis and the Postgres that the workers use, reached with the workers' settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.keys = Keys(settings.key_prefix)
        self.replica_rests_until = 0.0
        """When a replica that did not answer is tried again, on the monotonic clock."""

    @asynccontextmanager
    async def redis(self) -> AsyncIterator[Redis]:
        """Open a client, close it at the end. Raise UnreachableError for every error of Redis."""
        settings = self.settings
        client = redis_client(settings.redis_url, timeout_s=settings.redis_timeout_s, name="payments-operations")
        try:
            yield client
        except RedisError as error:
            raise UnreachableError(f"Redis does not answer as it should: {_reason(error)}") from error
        finally:
            await client.aclose()

    @asynccontextmanager
    async def postgres(self, timeout_s: float | None = None) -> AsyncIterator["Connection"]:
        """Open a connection, close it at the end. `timeout_s` limits the whole block. Raise UnreachableError."""
        url = self.settings.database_url.get_secret_value()
        async with self.open_postgres(url, self.settings.acquire_timeout_s, timeout_s) as connection:
            yield connection

    @asynccontextmanager
    async def open_postgres(
        self, url: str, connect_s: float, timeout_s: float | None = None
    ) -> AsyncIterator["Connection"]:  # fmt: skip
        """Open a connection to this address, which may be a replica's, as `postgres` does."""
        settings = self.settings
        try:
            async with connect_postgres(url, timeout_s=connect_s, pooler=settings.database_pooler) as connection:
                async with asyncio.timeout(timeout_s or settings.statement_timeout_s):
                    yield connection
        except TimeoutError as error:
            raise UnreachableError("PostgreSQL does not answer in time") from error
        except asyncpg.UndefinedTableError as error:
            raise UnreachableError(f"PostgreSQL has no tables yet ({error}): `python -m sql migrate`") from error
        except STATEMENTS_LOST as error:
            raise UnreachableError(f"A pooler changes the session between two statements: {REMEDY}") from error
        except (OSError, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
            raise UnreachableError(f"PostgreSQL does not answer as it should: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__
