"""What a handler can do with its connection, and what it cannot: close it, or end the transaction."""

from contextlib import suppress

import asyncpg
import pytest

from consumers.handlers import Connection, HandlerFailed, Handlers, TransactionEndedError
from contract.event import Event
from tests.support.events import contract_event
from tests.support.handler_calls import TIMEOUT_S, apply, nothing

SUCCEEDED = "payment_intent.succeeded"


@pytest.mark.parametrize("statement", ["COMMIT", "ROLLBACK", "COMMIT; BEGIN", "ROLLBACK; BEGIN", "END AND CHAIN"])
async def test_a_handler_that_ends_the_transaction_has_failed(connection: asyncpg.Connection, statement: str) -> None:
    handlers = Handlers()

    @handlers.on("stripe", SUCCEEDED)
    async def end(given: Connection, __: Event) -> None:
        await given.execute(statement)

    await connection.execute("CREATE TABLE kept ()")

    async def keep() -> None:
        async with connection.transaction():
            await connection.execute("INSERT INTO kept DEFAULT VALUES")
            await handlers.apply(connection, [contract_event()], TIMEOUT_S, nothing)

    with pytest.raises(HandlerFailed) as raised:
        await keep()
    assert isinstance(raised.value.__cause__, TransactionEndedError)
    assert await connection.fetchval("SELECT count(*) FROM kept") == 0


async def test_no_handler_is_called_after_the_transaction_was_ended(connection: asyncpg.Connection) -> None:
    handlers, calls = Handlers(), 0

    @handlers.on("stripe", SUCCEEDED)
    async def end(given: Connection, __: Event) -> None:
        nonlocal calls
        calls += 1
        with suppress(asyncpg.PostgresError):
            await given.execute("COMMIT")

    with pytest.raises(HandlerFailed, match="ended the transaction"):
        await apply(handlers, connection, contract_event("a"), contract_event("b"))
    assert calls == 1


@pytest.mark.parametrize("method", ["close", "terminate", "reset"])
async def test_a_handler_cannot_close_the_connection(connection: asyncpg.Connection, method: str) -> None:
    handlers = Handlers()

    @handlers.on("stripe", SUCCEEDED)
    async def close(given: Connection, __: Event) -> None:
        getattr(given, method)()

    with pytest.raises(HandlerFailed, match=f"no attribute '{method}'") as raised:
        await apply(handlers, connection, contract_event())
    assert not raised.value.connection_lost


async def test_a_handler_can_use_all_other_methods_of_the_connection(connection: asyncpg.Connection) -> None:
    handlers, found = Handlers(), []

    @handlers.on("stripe", SUCCEEDED)
    async def work(given: Connection, _: Event) -> None:
        await given.execute("CREATE TABLE things (n int)")
        await given.executemany("INSERT INTO things VALUES ($1)", [(1,), (2,)])
        await given.copy_records_to_table("things", records=[(3,)])
        found.append(await given.fetchval("SELECT sum(n) FROM things"))
        found.append([row["n"] for row in await given.fetch("SELECT n FROM things ORDER BY n", timeout=5)])
        found.append(tuple(await given.fetchrow("SELECT min(n), max(n) FROM things")))
        found.append([row["n"] async for row in given.cursor("SELECT n FROM things WHERE n > $1 ORDER BY n", 1)])
        found.append(await (await given.prepare("SELECT $1::int")).fetchval(7))

    await apply(handlers, connection, contract_event())
    assert found == [6, [1, 2, 3], (1, 3), [2, 3], 7]


async def test_a_handler_may_survive_an_error_in_a_nested_transaction(connection: asyncpg.Connection) -> None:
    handlers = Handlers()

    @handlers.on("stripe", SUCCEEDED)
    async def survive(given: Connection, __: Event) -> None:
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with given.transaction():
                await given.execute("SELECT 1/0")

    await apply(handlers, connection, contract_event())


async def test_what_a_handler_left_running_cannot_use_the_connection_after_the_calls(
    connection: asyncpg.Connection,
) -> None:
    """The transaction goes on, with other events."""
    handlers, kept = Handlers(), []

    @handlers.on("stripe", SUCCEEDED)
    async def keep(given: Connection, __: Event) -> None:
        kept.append(given)

    async with connection.transaction():
        await handlers.apply(connection, [contract_event()], TIMEOUT_S, nothing)
        with pytest.raises(TransactionEndedError, match="await what a handler begins"):
            await kept[0].execute("SELECT 1")
        assert await connection.fetchval("SELECT 1") == 1
