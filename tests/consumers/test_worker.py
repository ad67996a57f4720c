"""The ritual on real servers: what becomes of events, of their copies, and of those that fail."""

from contextlib import suppress

import asyncpg
import pytest

from consumers.handlers import Connection, Handlers
from consumers.handlers.payments import HANDLERS
from contract.event import Event, to_fields
from contract.keys import COMMITTED
from tests.support.consuming import Workers
from tests.support.events import contract_event

POISON = "evt_poison"
PAYMENTS = "SELECT payment_id, status, amount, captured, currency FROM payments ORDER BY payment_id"


def failing(error: Exception | None = None, *, times: int = 1_000_000) -> Handlers:
    """The built-in handlers, and one that fails for the poisonous event only, `times` times."""
    handlers, left = HANDLERS.joined_with(Handlers()), times

    @handlers.on("stripe", "payment_intent.succeeded")
    async def fail(_: Connection, event: Event) -> None:
        nonlocal left
        if event.event_id == POISON and left > 0:
            left -= 1
            raise error or ValueError("the moon is in the wrong house")

    return handlers


async def publish(workers: Workers, n: int, *, first: int = 1) -> list[str]:
    """`n` events of `n` payments; their entry ids."""
    return [await workers.stream.publish(contract_event(f"evt_{i}", f"pi_{i}")) for i in range(first, first + n)]


# New events, and copies of known ones.


async def test_a_batch_of_new_events_becomes_rows(workers: Workers) -> None:
    entry_ids = await publish(workers, 30)
    async with workers.working():
        await workers.drained()
    rows = await workers.rows("SELECT entry_id, event_id FROM events")
    assert sorted(rows) == sorted((entry_id, f"evt_{i}") for i, entry_id in enumerate(entry_ids, 1))
    assert len(await workers.rows(PAYMENTS)) == 30
    assert (await workers.rows(PAYMENTS))[0] == ("pi_1", "succeeded", 1999, 1999, "EUR")
    assert await workers.redis.get(workers.keys.seen("stripe", "evt_7")) == COMMITTED
    assert 0 < await workers.redis.ttl(workers.keys.seen("stripe", "evt_7")) <= workers.settings.committed_ttl_s
    await workers.assert_settled()


async def test_the_exact_bytes_are_kept(workers: Workers) -> None:
    body = b'{"id":"evt_1", "odd":  "\xff\x00 bytes"}'
    await workers.stream.publish(contract_event(body=body, type="thing.unknown", headers={"a": "b"}))
    async with workers.working():
        await workers.drained()
    assert await workers.row("SELECT body, headers FROM payloads") == (body, '{"a": "b"}')
    assert await workers.rows(PAYMENTS) == []


@pytest.mark.parametrize("batch_size", [1, 500])
async def test_a_copy_is_recorded_and_moves_nothing(workers: Workers, batch_size: int) -> None:
    for _ in range(3):
        await workers.stream.publish(contract_event())
    async with workers.working(batch_size=batch_size):
        await workers.drained()
    assert await workers.events() == ["evt_1"]
    assert len(await workers.rows("SELECT FROM duplicates")) == 2
    await workers.assert_settled()


async def test_copies_are_told_apart_across_workers(workers: Workers) -> None:
    for n in range(200):
        await workers.stream.publish(contract_event(f"evt_{n % 20}", f"pi_{n % 5}"))
    async with workers.working(batch_size=7), workers.working(batch_size=11), workers.working(batch_size=3):
        await workers.drained()
    assert len(await workers.events()) == 20
    assert len(await workers.rows("SELECT FROM duplicates")) == 180
    await workers.assert_settled()


async def test_an_entry_read_again_after_its_own_commit_is_no_duplicate(workers: Workers) -> None:
    events = [contract_event(f"evt_{i}", f"pi_{i}") for i in range(3)]
    async with workers.working():
        for event in events:
            await workers.stream.publish(event)
        await workers.drained()
    for entry_id, event in zip(workers.stream.ids, events, strict=True):
        await again(workers, entry_id, event)
    async with workers.working():
        await workers.drained()
    assert await workers.rows("SELECT FROM duplicates") == []


async def again(workers: Workers, entry_id: str, event: Event) -> None:
    """The very same entry, as after a group that was lost and made again."""
    fields = to_fields(event)
    await workers.redis.delete(workers.keys.events) if entry_id == workers.stream.ids[0] else None
    await workers.redis.xadd(workers.keys.events, dict(zip(fields[::2], fields[1::2], strict=True)), id=entry_id)


# Handlers that break the transaction they are given.


@pytest.mark.parametrize("statement", ["SELECT 1/0", "COMMIT", "ROLLBACK"])
async def test_a_handler_that_breaks_the_transaction_silently_loses_nothing(workers: Workers, statement: str) -> None:
    handlers = Handlers()

    @handlers.on("stripe", "payment_intent.succeeded")
    async def swallow(connection: Connection, _: Event) -> None:
        with suppress(asyncpg.PostgresError):
            await connection.execute(statement)

    await workers.stream.publish(contract_event())
    async with workers.working(handlers, max_attempts=2):
        await workers.drained()
    fates = [*await workers.events(), *(row[0] for row in await workers.dead())]
    assert fates == ["evt_1"]


@pytest.mark.parametrize("swallowed", ["SELECT 1/0", "VACUUM"])
async def test_a_handler_that_goes_on_in_a_failed_transaction_is_no_outage(workers: Workers, swallowed: str) -> None:
    handlers = Handlers()

    @handlers.on("stripe", "payment_intent.succeeded")
    async def go_on(connection: Connection, event: Event) -> None:
        if event.event_id == POISON:
            with suppress(asyncpg.DataError):
                await connection.execute(swallowed)
            await connection.execute("SELECT 1")

    await workers.stream.publish(contract_event(POISON))
    await publish(workers, 3)
    async with workers.working(handlers, max_attempts=2):
        await workers.drained()
    assert await workers.events() == ["evt_1", "evt_2", "evt_3"]
    assert [row[:3] for row in await workers.dead()] == [(POISON, "open", 2)]
    await workers.assert_settled()
