"""One run of a subcommand: its arguments, where it prints, and the way to both servers."""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError
from rich.console import Console

from consumers.settings import Settings
from contract.keys import Keys
from runtime.redis_connection import client as redis_client
from sql.connect import UnreachableError
from sql.connect import connect as connect_postgres

if TYPE_CHECKING:
    from sql.connect import Connection

EXIT_WRONG = 1
EXIT_UNREACHABLE = 3

LONG_TIMEOUT_S = 600.0
"""For commands that read or replay all there is, such as one question of the audit to a large database."""


class Command:
    """One run: its arguments, where it prints, and the way to both servers."""

    def __init__(self, arguments: argparse.Namespace, settings: Settings, console: Console) -> None:
        self.arguments = arguments
        self.settings = settings
        self.console = console
        self.keys = Keys(settings.key_prefix)

    @asynccontextmanager
    async def redis(self) -> AsyncIterator[Redis]:
        """A client, closed at the end. Raises UnreachableError for whatever Redis does not do."""
        client = redis_client(
            self.settings.redis_url, timeout_s=self.settings.redis_timeout_s, name="payments-operations"
        )
        try:
            yield client
        except RedisError as error:
            raise UnreachableError(f"Redis does not answer as it should: {_reason(error)}") from error
        finally:
            await client.aclose()

    @asynccontextmanager
    async def postgres(self, timeout_s: float | None = None) -> AsyncIterator["Connection"]:
        """A connection, closed at the end; `timeout_s` is for all that is done with it. Raises UnreachableError."""
        settings = self.settings
        url = settings.database_url.get_secret_value()
        try:
            async with connect_postgres(url, timeout_s=settings.acquire_timeout_s) as connection:
                async with asyncio.timeout(timeout_s or settings.statement_timeout_s):
                    yield connection
        except TimeoutError as error:
            raise UnreachableError("PostgreSQL does not answer in time") from error
        except asyncpg.UndefinedTableError as error:
            raise UnreachableError(f"PostgreSQL has no tables yet ({error}): `python -m sql migrate`") from error
        except (OSError, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
            raise UnreachableError(f"PostgreSQL does not answer as it should: {_reason(error)}") from error

    def print_json(self, document: dict[str, Any]) -> None:
        """To stdout, as one document."""
        self.console.file.write(json.dumps(document, indent=2, default=str) + "\n")


def fail(sentence: str, code: int = EXIT_WRONG) -> int:
    """Says why on stderr, and gives the exit code."""
    sys.stderr.write(sentence + "\n")
    return code


def _reason(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__
