"""An entry never has two outcomes: it is applied or in the dead letters, whatever interrupts its worker."""

from contextlib import suppress

import asyncpg
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from consumers import store
from consumers.entry import Entry, read_entry
from consumers.handlers import Connection, Handlers, Reject, Retry
from consumers.handlers.payments import HANDLERS
from consumers.hooks import Hook
from contract.event import Event, to_entry
from contract.keys import COMMITTED, GROUP
from sql.connect import connect
from tests.support.consuming import POISON, Workers, failing, in_thread, once_at
from tests.support.events import contract_event
from tests.support.proxy import TcpProxy
from tests.support.servers import ValkeyServer
from tests.support.stream_states import Stream
from tests.support.wait import until


async def test_an_entry_dead_lettered_by_another_worker_is_not_applied(workers: Workers) -> None:
    """Its worker was stopped between the lock and the transaction; meanwhile another dead-lettered the entry."""
    entry_id = await workers.stream.publish(contract_event())

    async def dead_letter() -> None:
        async with connect(workers.settings.database_url.get_secret_value(), timeout_s=5) as connection:
            entry = read_entry(entry_id.encode(), 2, (await entries_elsewhere(workers))[entry_id])
            assert await store.dead_letter(connection, entry, "no", "")

    async with workers.working(hooks=once_at("locked", dead_letter)):
        await workers.drained()
    assert await workers.events() == []
    assert [row[0] for row in await workers.dead()] == ["evt_1"]
    assert await workers.redis.get(workers.keys.seen("stripe", "evt_1")) is None
    await workers.assert_all_acked()


async def entries_elsewhere(workers: Workers) -> dict[str, dict[bytes, bytes]]:
    async with Redis.from_url(workers.settings.redis_url.get_secret_value(), protocol=3) as redis:
        return await Stream(redis, workers.keys).entries()


async def test_an_entry_applied_by_another_worker_is_not_dead_lettered(workers: Workers) -> None:
    """Its handler rejects it here, but before it is dead-lettered another worker has applied it."""
    handlers = HANDLERS.joined_with(Handlers())
    elsewhere = failing(times=0)
    calls = 0

    @handlers.on("stripe", "payment_intent.succeeded")
    async def refuse(_: Connection, __: Event) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise Retry("again", after=0)
        raise Reject("not here")

    async def apply_elsewhere() -> None:
        """Do what another worker does, up to its commit."""
        async with connect(workers.settings.database_url.get_secret_value(), timeout_s=5) as connection:
            fields = await entries_elsewhere(workers)
            (entry_id,) = fields
            entry = read_entry(entry_id.encode(), 2, fields[entry_id])
            assert isinstance(entry, Entry)
            async with connection.transaction():
                await store.claim(connection, [entry], Handlers().is_of_other_mode)
                await store.keep_payloads(connection, [entry])
                await elsewhere.apply(connection, [entry.event], 5, lambda: None)

    done = False

    def hooks(reached: Hook) -> None:
        nonlocal done
        if reached == "locked" and calls == 1 and not done:
            done = True
            in_thread(apply_elsewhere)

    await workers.stream.publish(contract_event())
    async with workers.working(handlers, hooks):
        await workers.drained()
    assert await workers.events() == ["evt_1"]
    assert await workers.dead() == []
    assert await workers.redis.get(workers.keys.seen("stripe", "evt_1")) == COMMITTED
    await workers.assert_all_acked()


async def test_a_poison_message_that_is_applied_is_acked_and_not_dead_lettered(workers: Workers) -> None:
    """It was applied, but its workers always died before they could acknowledge it, so it counts as poison."""
    await workers.stream.publish(contract_event())
    async with workers.working():
        await workers.drained()
    entry_id = workers.stream.ids[0]
    fields = to_entry(contract_event())
    await workers.redis.delete(workers.keys.events)
    await workers.redis.xadd(workers.keys.events, dict(zip(fields[::2], fields[1::2], strict=True)), id=entry_id)
    await workers.redis.xgroup_create(workers.keys.events, GROUP, "0")
    await workers.stream.read("worker-5")
    await workers.begun("worker-5", entry_id, attempt=99)
    async with workers.working():
        await workers.drained()
    assert await workers.dead() == []
    assert await workers.redis.get(workers.keys.seen("stripe", "evt_1")) == COMMITTED


async def test_a_dead_letter_whose_ack_failed_is_final(workers: Workers, valkey: ValkeyServer) -> None:
    """Redis does not answer the ack of the dead letter; the handler would accept the event the next time."""
    await workers.stream.publish(contract_event(POISON))
    async with TcpProxy(valkey.port) as wire:
        handlers = HANDLERS.joined_with(Handlers())
        refused = False

        @handlers.on("stripe", "payment_intent.succeeded")
        async def refuse_once(_: Connection, __: Event) -> None:
            nonlocal refused
            if not refused:
                refused = True
                wire.drop_replies()
                raise Reject("not now")

        async with workers.working(handlers, redis_url=SecretStr(wire.url(valkey.url)), redis_timeout_s=0.3):
            await until(workers.dead, what="the dead letter is written")
            wire.resume()
            wire.cut()
            await workers.drained()
    assert await workers.events() == []
    await workers.assert_all_acked()


# Handlers that break their transaction.


@pytest.mark.parametrize("statement", ["SELECT 1/0", "COMMIT", "ROLLBACK"])
async def test_a_handler_that_hides_a_broken_transaction_loses_nothing(workers: Workers, statement: str) -> None:
    handlers = Handlers()

    @handlers.on("stripe", "payment_intent.succeeded")
    async def swallow(connection: Connection, _: Event) -> None:
        with suppress(asyncpg.PostgresError):
            await connection.execute(statement)

    await workers.stream.publish(contract_event())
    async with workers.working(handlers, max_attempts=2):
        await workers.drained()
    outcomes = [*await workers.events(), *(row[0] for row in await workers.dead())]
    assert outcomes == ["evt_1"]


@pytest.mark.parametrize("swallowed", ["SELECT 1/0", "VACUUM"])
async def test_a_handler_that_continues_in_a_failed_transaction_is_no_outage(workers: Workers, swallowed: str) -> None:
    handlers = Handlers()

    @handlers.on("stripe", "payment_intent.succeeded")
    async def go_on(connection: Connection, event: Event) -> None:
        if event.event_id == POISON:
            with suppress(asyncpg.DataError):
                await connection.execute(swallowed)
            await connection.execute("SELECT 1")

    await workers.stream.publish(contract_event(POISON))
    await workers.publish(3, first=1)
    async with workers.working(handlers, max_attempts=2):
        await workers.drained()
    assert await workers.events() == ["evt_1", "evt_2", "evt_3"]
    assert [row[:3] for row in await workers.dead()] == [(POISON, "open", 2)]
    await workers.assert_all_acked()
