"""Of any number of workers that claim the same event, one applies it and the others record a duplicate."""

import asyncio
import random

import asyncpg

from sql import load
from sql.audit import audit
from sql.connect import connect
from tests.support.batches import Row, claim, keep_payloads, lock, record_duplicates

CONNECT_TIMEOUT_S = 10.0
WORKERS = 6
EVENTS = 200

COUNTS = "SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM payloads), (SELECT count(*) FROM duplicates)"


async def work(url: str, rows: list[Row], *, locked: bool) -> set[str]:
    """Do what a worker does in Postgres. Return the entries it has applied."""
    async with connect(url, timeout_s=CONNECT_TIMEOUT_S) as connection, connection.transaction():
        if locked:
            await lock(connection, rows)
        ours = await claim(connection, rows)
        await keep_payloads(connection, [row for row in rows if row.entry_id in ours])
        await record_duplicates(connection, [row for row in rows if row.entry_id not in ours])
    return ours


def shuffled(worker: int) -> list[Row]:
    """The same events for every worker, in an order and in entries of its own."""
    rows = [Row(f"evt_{number}", f"{worker}-{number}", f"pi_{number % 20}") for number in range(EVENTS)]
    random.Random(worker).shuffle(rows)
    return rows


async def test_each_event_is_applied_by_one_of_many_workers(connection: asyncpg.Connection, database_url: str) -> None:
    batches = [shuffled(worker) for worker in range(WORKERS)]
    # Half of them take no lock on the resources: what keeps an event from being applied twice is its key alone.
    ours = await asyncio.gather(*(work(database_url, rows, locked=n % 2 == 0) for n, rows in enumerate(batches)))
    assert sum(len(one) for one in ours) == EVENTS
    applied = {row.event_id for rows, one in zip(batches, ours, strict=True) for row in rows if row.entry_id in one}
    assert len(applied) == EVENTS
    assert tuple(await connection.fetchrow(COUNTS)) == (EVENTS, EVENTS, (WORKERS - 1) * EVENTS)
    assert await audit(connection) == []


async def test_one_event_many_times_in_one_batch_is_claimed_once(connection: asyncpg.Connection) -> None:
    rows = [Row("evt_1", f"{number}-0") for number in range(10)]
    assert len(await claim(connection, rows)) == 1


async def test_an_entry_read_again_after_its_commit_is_not_a_duplicate(connection: asyncpg.Connection) -> None:
    rows = [Row("evt_1", "1-0"), Row("evt_2", "2-0")]
    assert await claim(connection, rows) == {"1-0", "2-0"}
    again = [*rows, Row("evt_1", "3-0")]
    for _ in range(2):
        assert await claim(connection, again) == set()
        await record_duplicates(connection, again)
    recorded = await connection.fetch("SELECT entry_id, event_id FROM duplicates")
    assert [tuple(row) for row in recorded] == [("3-0", "evt_1")]


async def test_one_id_in_two_namespaces_is_two_events(connection: asyncpg.Connection) -> None:
    rows = [Row("evt_1", "1-0", namespace="a"), Row("evt_1", "2-0", namespace="b")]
    assert await claim(connection, rows) == {"1-0", "2-0"}


async def test_a_claim_rolled_back_leaves_the_event_to_others(connection: asyncpg.Connection) -> None:
    rows = [Row("evt_1", "1-0")]
    transaction = connection.transaction()
    await transaction.start()
    assert await claim(connection, rows) == {"1-0"}
    await transaction.rollback()
    assert await claim(connection, [Row("evt_1", "2-0")]) == {"2-0"}


async def test_a_locked_resource_waits_for_the_end_of_the_transaction(
    connection: asyncpg.Connection, database_url: str
) -> None:
    held, free = Row("evt_1", "1-0", "pi_held"), Row("evt_2", "2-0", "pi_free")
    async with connect(database_url, timeout_s=CONNECT_TIMEOUT_S) as another:
        async with connection.transaction():
            await lock(connection, [held, held])
            await another.execute("SET lock_timeout = '100ms'")
            await lock(another, [free])
            try:
                await lock(another, [free, held])
            except asyncpg.LockNotAvailableError:
                waited = True
            else:
                waited = False
        assert waited
        await lock(another, [free, held])


async def test_batches_that_share_resources_in_any_order_never_deadlock(database_url: str) -> None:
    async def hold(worker: int) -> None:
        async with connect(database_url, timeout_s=CONNECT_TIMEOUT_S) as one:
            for _ in range(10):
                async with one.transaction():
                    await lock(one, shuffled(worker))

    await asyncio.gather(*(hold(worker) for worker in range(WORKERS)))


async def test_dead_letters_are_closed_when_their_event_is_applied(connection: asyncpg.Connection) -> None:
    letters = load("dead_letters")
    for number, event in ((1, "evt_1"), (2, "evt_2")):
        await connection.execute(
            *letters.bind(
                "insert_dead_letter",
                entry_id=f"{number}-0",
                namespace="stripe",
                event_id=event,
                source="stripe",
                type="t",
                resource="pi_1",
                reason="r",
                traceback="tb",
                attempts=1,
                field_names=[b"v"],
                field_values=[b"1"],
            )
        )
    await connection.execute(*letters.bind("close_replayed_dead_letters", namespace=["stripe"], event_id=["evt_1"]))
    open_letters = letters.bind("list_dead_letters", limit=10)
    assert [row["event_id"] for row in await connection.fetch(*open_letters)] == ["evt_2"]
    assert await connection.fetchval(letters["count_open_dead_letters"]) == 1
