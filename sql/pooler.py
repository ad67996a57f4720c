"""Recognising a pooler, such as PgBouncer, that takes away from a session what its program asked for."""

from collections.abc import Mapping
from typing import Any

import asyncpg

from sql import load
from sql.connect import open_connection
from sql.pooled_connection import PooledConnection

NEEDED = ("synchronous_commit", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
"""What workers rely on: a commit that survives a crash, and an end of each wait."""

PASSED = ("application_name", "timezone")
"""What a pooler lets a session begin with."""

STATEMENTS_LOST = (asyncpg.DuplicatePreparedStatementError, asyncpg.InvalidSQLStatementNameError)
"""The errors of a prepared statement where a pooler changes the session between two statements."""

REMEDY = "set DATABASE_POOLER=transaction, or let DATABASE_URL lead to PostgreSQL itself (docs/deploying.md, Poolers)"

_SERVER = load("server")


class PoolerError(asyncpg.InterfaceError):  # type: ignore[misc] # asyncpg has no types
    """A pooler is between the program and Postgres, and the session is not what was asked for."""


async def open_session(url: str, *, server_settings: Mapping[str, str], **options: Any) -> asyncpg.Connection:  # noqa: ANN401 - as asyncpg.connect has them
    """Connect, and make sure that the session has those of the settings that workers rely on.

    Raise PoolerError where it has not, and what `open_connection` raises. A PooledConnection brings them with each
    transaction.
    """
    needed = {name: server_settings[name] for name in NEEDED if name in server_settings}
    if options.get("connection_class") is PooledConnection:
        passed = {name: server_settings[name] for name in PASSED if name in server_settings}
        pooled = await open_connection(url, server_settings=passed, **options)
        pooled.begin_with(needed)
        return pooled
    try:
        connection = await open_connection(url, server_settings=dict(server_settings), **options)
    except asyncpg.ProtocolViolationError as error:
        if "startup parameter" not in str(error):
            raise
        raise PoolerError(f"a pooler refuses what workers set for their session ({error}): {REMEDY}") from error
    try:
        await _check(connection, needed)
    except BaseException:
        connection.terminate()
        raise
    return connection


async def _check(connection: asyncpg.Connection, wanted: Mapping[str, str]) -> None:
    try:
        lost = await connection.fetch(
            *_SERVER.bind("find_lost_settings", names=list(wanted), wanted=list(wanted.values()))
        )
    except STATEMENTS_LOST as error:
        raise PoolerError(f"a pooler changes the session between two statements: {REMEDY}") from error
    if lost:
        texts = ", ".join(f"{row['name']} is {row['present']} instead of {row['wanted']}" for row in lost)
        raise PoolerError(f"a pooler drops what workers set for their session ({texts}): {REMEDY}")
