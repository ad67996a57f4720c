"""The open transaction as handlers get it: all they need to work in it, and nothing to end it with."""
# ruff: noqa: ANN401 - asyncpg has no types

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from consumers.handlers.exceptions import TransactionEndedError
from sql import load
from sql.connect import Connection

EVENTS = load("events")


class GuestConnection:
    """asyncpg's connection with the methods of the same names, without those that are the worker's: whoever closed it
    would look like an outage of Postgres, and every event would wait for that to end.
    """

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def execute(self, query: str, *args: Any, **options: Any) -> str:
        """Executes a statement, or several where there are no arguments; returns the last one's status."""
        return str(await self._connection.execute(query, *args, **options))

    async def executemany(self, command: str, args: Iterable[Any], **options: Any) -> None:
        """Executes a statement for each tuple of arguments."""
        await self._connection.executemany(command, args, **options)

    async def fetch(self, query: str, *args: Any, **options: Any) -> list[Any]:
        """All rows."""
        return list(await self._connection.fetch(query, *args, **options))

    async def fetchrow(self, query: str, *args: Any, **options: Any) -> Any:
        """The first row, None where there is none."""
        return await self._connection.fetchrow(query, *args, **options)

    async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
        """A value of the first row, None where there is none."""
        return await self._connection.fetchval(query, *args, **options)

    async def copy_records_to_table(self, table_name: str, **options: Any) -> str:
        """Puts many rows into a table (COPY)."""
        return str(await self._connection.copy_records_to_table(table_name, **options))

    async def prepare(self, query: str, **options: Any) -> Any:
        """A prepared statement."""
        return await self._connection.prepare(query, **options)

    def cursor(self, query: str, *args: Any, **options: Any) -> Any:
        """A cursor, for `async for`."""
        return self._connection.cursor(query, *args, **options)

    def transaction(self) -> Any:
        """A savepoint: `async with connection.transaction():` undoes what is in the block where it raises."""
        return self._connection.transaction()


@asynccontextmanager
async def unfinished(connection: Connection) -> AsyncIterator[None]:
    """While the block lasts Postgres refuses to commit this transaction, whoever asks for it.

    Raises TransactionEndedError where it is not the same transaction at the end, or one in which a statement failed.
    """
    await connection.execute(EVENTS["begin_handling"])
    yield
    try:
        if await connection.fetchval(EVENTS["end_handling"]):
            return
    except asyncpg.InFailedSQLTransactionError as error:
        raise _hidden() from error
    raise ended()


def was_ended(connection: Connection) -> bool:
    """Whether somebody has ended the transaction; Postgres need not be asked. Not where the connection is lost."""
    return not is_lost(connection) and not connection.is_in_transaction()


def is_lost(connection: Connection) -> bool:
    """Whether Postgres is gone from the other end."""
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:  # the pool has taken it back already
        return True


async def check_usable(connection: Connection) -> None:
    """Asks Postgres, which so hears of the transaction. Raises TransactionEndedError where COMMIT would undo it all."""
    try:
        if await connection.fetchval(EVENTS["is_transaction_open"]):
            return
    except asyncpg.InFailedSQLTransactionError as error:
        raise _hidden() from error
    raise ended()


def _hidden() -> TransactionEndedError:
    return TransactionEndedError("a handler hid an error of its SQL; use a nested transaction to survive one")


def ended() -> TransactionEndedError:
    """What to raise then."""
    return TransactionEndedError("a handler ended the transaction it was given")
