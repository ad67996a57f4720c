"""`applied` does what a worker does, and leaves nothing in the database."""

import asyncpg
import pytest

from consumers.handlers import Connection, Event, Handlers, PaymentFact, Reject
from consumers.handlers.testing import applied
from contract.accounts import PostingRules
from contract.event import Signed
from tests.support.events import contract_event

SUCCEEDED = contract_event()
ROWS = """
    SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM payments), (SELECT count(*) FROM transfers),
           (SELECT count(*) FROM payloads), (SELECT count(*) FROM duplicates)
"""
TABLES = "CREATE TABLE received (kind text); CREATE INDEX received_kind ON received (kind);"

handlers = Handlers()


@handlers.on_fact("captured")
async def write(connection: Connection, _: Event, fact: PaymentFact) -> None:
    await connection.execute("INSERT INTO received VALUES ($1)", fact.kind)


async def test_an_event_is_applied_as_by_a_worker_and_undone(database_url: str, connection: asyncpg.Connection) -> None:
    async with applied(handlers, SUCCEEDED, SUCCEEDED, database_url=database_url, tables=TABLES) as inside:
        assert tuple(await inside.fetchrow(ROWS)) == (1, 1, 1, 1, 1)
        assert await inside.fetchval("SELECT array_agg(kind) FROM received") == ["captured"]
    assert tuple(await connection.fetchrow(ROWS)) == (0, 0, 0, 0, 0)
    assert await connection.fetchval("SELECT to_regclass('received')") is None


async def test_a_database_without_tables_is_migrated(empty_database_url: str) -> None:
    async with applied(Handlers(), SUCCEEDED, database_url=empty_database_url) as inside:
        assert await inside.fetchval("SELECT status FROM payments") == "succeeded"


async def test_what_a_handler_raises_is_raised_unchanged(database_url: str) -> None:
    strict = Handlers()

    @strict.on("stripe", SUCCEEDED.type)
    async def refuse(_: Connection, __: Event) -> None:
        raise Reject("not ours")

    with pytest.raises(Reject, match="not ours"):
        async with applied(strict, SUCCEEDED, database_url=database_url):
            pass


@pytest.mark.parametrize("method", ["close", "terminate"])
async def test_a_closed_connection_is_no_error_at_the_end(database_url: str, method: str) -> None:
    async with applied(Handlers(), SUCCEEDED, database_url=database_url) as inside:
        if (closing := getattr(inside, method)()) is not None:
            await closing


@pytest.mark.parametrize(("signed", "received"), [("body", 1), ("weak", 0)])
async def test_a_source_has_the_given_posting_rules(database_url: str, signed: Signed, received: int) -> None:
    event = contract_event(signed=signed)
    async with applied(handlers, event, database_url=database_url, tables=TABLES) as inside:
        assert await inside.fetchval("SELECT count(*) FROM received") == received
    trusting = {"stripe": PostingRules(trust="all")}
    async with applied(handlers, event, database_url=database_url, tables=TABLES, posting_rules=trusting) as inside:
        assert await inside.fetchval("SELECT count(*) FROM received") == 1
