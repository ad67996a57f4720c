"""Tests of handlers on a real database, which is rolled back afterwards. docs/handlers.md shows how."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from consumers import store
from consumers.entry import Entry
from consumers.handlers.exceptions import HandlerFailed
from consumers.handlers.payments import builtin
from consumers.handlers.registry import Handlers
from contract.accounts import PostingRules
from contract.event import Event
from providers.testing import recorded
from sql.connect import Connection, connect
from sql.migrate import migrate

__all__ = ["applied", "recorded"]

CONNECT_TIMEOUT_S = 10.0
LOCK_WAIT_S = 60.0
"""How long to wait for another migration of the same database."""


@asynccontextmanager
async def applied(
    handlers: Handlers,
    *events: Event,
    database_url: str,
    tables: str = "",
    posting_rules: Mapping[str, PostingRules] | None = None,
    timeout_s: float = 10.0,
) -> AsyncIterator[Connection]:
    """Apply events in this order as a worker does, and yield the connection; then roll everything back.

    An event given twice is a duplicate the second time. `tables` is your SQL, executed first; `posting_rules` are those
    of sources, by name; `timeout_s` limits each call of a handler. Missing migrations are applied and stay. Raise what
    a handler raises.

    What is recorded to try things out is often of test mode. So a source without rules has the mode of its events.
    """
    modes = {event.source: PostingRules(mode=event.mode) for event in events if event.mode}
    registry = builtin({**modes, **(posting_rules or {})}).joined_with(handlers)
    async with connect(database_url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        await migrate(connection, lock_wait_s=LOCK_WAIT_S)
        transaction = connection.transaction()
        await transaction.start()
        try:
            if tables:
                await connection.execute(tables)
            for number, event in enumerate(events, start=1):
                await _apply(registry, connection, Entry(f"0-{number}", 1, event, {}), timeout_s)
            yield connection
        finally:
            if not connection.is_closed():
                await transaction.rollback()


async def _apply(registry: Handlers, connection: Connection, entry: Entry, timeout_s: float) -> None:
    """Do what the worker does between its lock and its commit."""
    claimed = await store.claim(connection, [entry], registry.is_of_other_mode)
    if not claimed:
        await store.record_duplicates(connection, [entry])
        return
    await store.keep_payloads(connection, claimed)
    try:
        await registry.apply(connection, [entry.event], timeout_s, lambda: None)
    except HandlerFailed as failure:
        raise failure.__cause__ or failure from None
