"""The open transaction as a handler gets it: all methods to work in it, and none to end it."""
# ruff: noqa: ANN401 - asyncpg has no types

from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from consumers.handlers.exceptions import TransactionEndedError
from sql import load
from sql.connect import Connection

EVENTS = load("events")


class HandlerConnection:
    """asyncpg's connection without the methods that only the worker may call, such as `close`.

    A closed connection would look like an outage of Postgres, and every event would wait for the outage to end.
    """

    __slots__ = ("_connection", "is_in_sql")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.is_in_sql = False
        """Whether one of the methods below waits for Postgres now."""

    async def execute(self, query: str, *args: Any, **options: Any) -> str:
        """Execute a statement, or several if there are no arguments. Return the last one's status."""
        return str(await self._in_sql(self._connection.execute(query, *args, **options)))

    async def executemany(self, command: str, args: Iterable[Any], **options: Any) -> None:
        """Execute a statement for each tuple of arguments."""
        await self._in_sql(self._connection.executemany(command, args, **options))

    async def fetch(self, query: str, *args: Any, **options: Any) -> list[Any]:
        """Return all rows."""
        return list(await self._in_sql(self._connection.fetch(query, *args, **options)))

    async def fetchrow(self, query: str, *args: Any, **options: Any) -> Any:
        """Return the first row, or None."""
        return await self._in_sql(self._connection.fetchrow(query, *args, **options))

    async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
        """Return a value of the first row, or None."""
        return await self._in_sql(self._connection.fetchval(query, *args, **options))

    async def copy_records_to_table(self, table_name: str, **options: Any) -> str:
        """Copy many rows into a table (COPY)."""
        return str(await self._in_sql(self._connection.copy_records_to_table(table_name, **options)))

    async def prepare(self, query: str, **options: Any) -> Any:
        """Return a prepared statement."""
        return await self._in_sql(self._connection.prepare(query, **options))

    def cursor(self, query: str, *args: Any, **options: Any) -> Any:
        """Return a cursor, for `async for`."""
        return self._connection.cursor(query, *args, **options)

    def transaction(self) -> Any:
        """Return a savepoint: `async with connection.transaction():` rolls the block back if it raises."""
        return self._connection.transaction()

    async def _in_sql(self, statement: Awaitable[Any]) -> Any:
        self.is_in_sql = True
        try:
            return await statement
        finally:
            self.is_in_sql = False


class _TakenBack:
    """Stands for the connection once the calls are over."""

    def __getattr__(self, name: str) -> Any:
        raise TransactionEndedError(f"{name}: this connection's calls are over; await what a handler begins")


def take_back(connection: HandlerConnection) -> None:
    """Let nothing that a handler left running, such as a task, work in what follows in the transaction."""
    connection._connection = _TakenBack()


@asynccontextmanager
async def commit_guard(connection: Connection) -> AsyncIterator[None]:
    """Make Postgres refuse to commit this transaction during the block.

    Raise TransactionEndedError if the transaction was ended in the block, or if a statement failed in it.
    """
    await connection.execute(EVENTS["arm_commit_guard"])
    yield
    try:
        if await connection.fetchval(EVENTS["disarm_commit_guard"]):
            return
    except asyncpg.InFailedSQLTransactionError as error:
        raise _hidden_error() from error
    raise ended_error()


def was_ended(connection: Connection) -> bool:
    """Return whether the transaction was ended, without asking Postgres; False if the connection is lost."""
    return not is_lost(connection) and not connection.is_in_transaction()


def is_lost(connection: Connection) -> bool:
    """Return whether the connection to Postgres is closed."""
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:  # the pool has taken it back already
        return True


async def check_usable(connection: Connection) -> None:
    """Ask Postgres, which also resets its idle timer. Raise TransactionEndedError if COMMIT would roll back."""
    try:
        if await connection.fetchval(EVENTS["is_transaction_open"]):
            return
    except asyncpg.InFailedSQLTransactionError as error:
        raise _hidden_error() from error
    raise ended_error()


def _hidden_error() -> TransactionEndedError:
    return TransactionEndedError("a handler hid an error of its SQL; use a nested transaction to survive one")


def ended_error() -> TransactionEndedError:
    """Return the error to raise if a handler has ended the transaction."""
    return TransactionEndedError("a handler ended the transaction it was given")
