"""A connection that works through a pooler in transaction mode: nothing of it outlives its transaction.

Between two transactions such a pooler gives the session to others. So no statement is prepared for later, a statement
outside a transaction gets one of its own, and settings begin with each transaction, in the same exchange as BEGIN.
"""
# ruff: noqa: ANN401 - asyncpg has no types

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeAlias

import asyncpg

Pooler: TypeAlias = Literal["none", "transaction"]
"""What is between a program and Postgres."""


class PooledConnection(asyncpg.Connection):  # type: ignore[misc] # asyncpg has no types
    """asyncpg's connection, of which each transaction may be in another session.

    `execute` without arguments and outside a transaction is one exchange, and passed on as it is.
    """

    __slots__ = ("_settings",)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._settings = ""

    def begin_with(self, settings: Mapping[str, str]) -> None:
        """Let each transaction begin with these settings, which end with it."""
        self._settings = "".join(f" SET LOCAL {name} = '{value}';" for name, value in settings.items())

    def get_reset_query(self) -> str:
        """Return what the session needs when the pool takes the connection back: nothing, it is others' by then."""
        return ""

    async def execute(self, query: str, *args: Any, **options: Any) -> Any:
        """Execute a statement. BEGIN brings the settings with it."""
        if not args:
            is_begin = query.startswith("BEGIN") and not self.is_in_transaction()
            return await super().execute(query + self._settings if is_begin else query, **options)
        async with self._in_transaction():
            return await super().execute(query, *args, **options)

    async def executemany(self, command: str, args: Any, **options: Any) -> Any:
        """Execute a statement for each tuple of arguments."""
        async with self._in_transaction():
            return await super().executemany(command, args, **options)

    async def fetch(self, query: str, *args: Any, **options: Any) -> Any:
        """Return all rows."""
        async with self._in_transaction():
            return await super().fetch(query, *args, **options)

    async def fetchrow(self, query: str, *args: Any, **options: Any) -> Any:
        """Return the first row, or None."""
        async with self._in_transaction():
            return await super().fetchrow(query, *args, **options)

    async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
        """Return a value of the first row, or None."""
        async with self._in_transaction():
            return await super().fetchval(query, *args, **options)

    async def fetchmany(self, query: str, args: Any, **options: Any) -> Any:
        """Return the rows of a statement for all tuples of arguments."""
        async with self._in_transaction():
            return await super().fetchmany(query, args, **options)

    async def prepare(self, query: str, **options: Any) -> Any:
        """Return a prepared statement, for this transaction only. No other client of the session has its name."""
        return await super().prepare(query, **{"name": f"payments_{secrets.token_hex(8)}", **options})

    @asynccontextmanager
    async def _in_transaction(self) -> AsyncIterator[None]:
        """Keep the exchanges of one statement in one session."""
        if self.is_in_transaction():
            yield
            return
        await super().execute("BEGIN;" + self._settings)
        try:
            yield
        except BaseException:
            if not self.is_closed():
                await super().execute("ROLLBACK;")
            raise
        await super().execute("COMMIT;")


def connection_options(pooler: Pooler) -> dict[str, Any]:
    """Return asyncpg's options for a connection through it."""
    if pooler == "none":
        return {}
    return {"connection_class": PooledConnection, "statement_cache_size": 0}
