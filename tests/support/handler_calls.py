"""Calling handlers in an open transaction, as a worker does."""

import asyncpg

from consumers.handlers import Handlers
from contract.event import Event

TIMEOUT_S = 5.0


def nothing() -> None:
    """Do nothing after each call."""


async def apply(
    handlers: Handlers, connection: asyncpg.Connection, *events: Event, timeout_s: float = TIMEOUT_S
) -> None:
    async with connection.transaction():
        await connection.execute("CREATE TEMP TABLE touched () ON COMMIT DROP")
        await handlers.apply(connection, events, timeout_s, nothing)
