"""An outage of Postgres or Redis is waited out: it counts no attempt, and dead-letters nothing."""

import asyncio
from contextlib import suppress
from functools import partial
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from consumers.handlers import Connection, Handlers
from consumers.handlers.payments import HANDLERS
from contract.event import Event
from contract.keys import GROUP, Keys
from sql.connect import connect
from sql.migrate import migrate
from tests.support.consuming import Running, Workers
from tests.support.database import LOCK_WAIT_S
from tests.support.servers import ValkeyServer
from tests.support.stream_states import Stream, settings_for
from tests.support.wait import until

TRIES = 4
"""How many failures in a row a test watches: with MAX_ATTEMPTS=2, more than enough to dead-letter an event."""

FAILING_TRIGGER = """
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'simulated' USING ERRCODE = '{sqlstate}'; END $$;
    CREATE TRIGGER fail BEFORE INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION fail()
"""


# Postgres refuses to work.


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "55P03", "57014", "53100", "53200", "25006", "XX000", "57P03"])
@pytest.mark.parametrize("table", ["events", "payments"])
async def test_an_infrastructure_error_is_no_attempt(workers: Workers, sqlstate: str, table: str) -> None:
    await workers.connection.execute(FAILING_TRIGGER.format(sqlstate=sqlstate, table=table))
    await workers.publish(2)
    async with workers.working(max_attempts=2, claim_idle_ms=10_000) as running:
        await until(lambda: running.counted("infrastructure_failures_total") + running.counted("events_retried_total")
                    >= TRIES, what="it has failed many times")  # fmt: skip
        pending = await workers.pending()
        assert {deliveries for _, deliveries in pending.values()} <= {0, 1}, pending
        assert await workers.dead() == []
        failures = await workers.redis.hvals(workers.keys.failures)
        assert failures
        assert all(b'"kind": "infrastructure"' in failure and b"simulated" in failure for failure in failures)
        await workers.connection.execute(f"DROP TRIGGER fail ON {table}")
        await workers.drained()
    assert await workers.events() == ["evt_0", "evt_1"]
    await workers.assert_all_acked()


async def test_workers_killed_in_an_outage_dead_letter_no_event(workers: Workers) -> None:
    """A waiting worker has released its entries, so that its death does not count as a delivery of them."""
    await workers.connection.execute(FAILING_TRIGGER.format(sqlstate="53100", table="events"))
    await workers.publish(3)
    for _ in range(4):
        async with workers.working(max_attempts=2) as running:
            await until(partial(running.counted, "infrastructure_failures_total"), what="an outage")
            await until(lambda: undelivered(workers), what="the entries are released")
        for entry_id in workers.stream.ids:
            rows: list[Any] = await workers.redis.xpending_range(workers.keys.events, GROUP, entry_id, entry_id, 1)
            await workers.redis.xclaim(
                workers.keys.events, GROUP, rows[0]["consumer"], 0, [entry_id], idle=60_000, justid=True
            )
    await workers.connection.execute("DROP TRIGGER fail ON events")
    async with workers.working(max_attempts=2):
        await workers.drained()
    assert len(await workers.events()) == 3
    await workers.assert_all_acked()


async def undelivered(workers: Workers) -> bool:
    if not await workers.redis.xinfo_groups(workers.keys.events):
        return False
    pending = await workers.pending()
    return bool(pending) and all(deliveries == 0 for _, deliveries in pending.values())


async def test_workers_wait_for_a_schema_that_is_not_migrated_yet(
    stream: Stream, valkey: ValkeyServer, empty_database_url: str, key_prefix: str
) -> None:
    async with connect(empty_database_url, timeout_s=5) as connection:
        workers = Workers(stream, connection, settings_for(valkey.url, empty_database_url, key_prefix))
        await workers.publish(3)
        async with workers.working(max_attempts=1) as running:
            await until(lambda: running.counted("infrastructure_failures_total") >= TRIES, what="it has tried")
            assert "does not exist" in str(running.progress.reason)
            await migrate(connection, lock_wait_s=LOCK_WAIT_S)
            await workers.drained()
            await until(lambda: running.progress.ready, what="it reports that it works")
        assert len(await workers.events()) == 3
        await workers.assert_all_acked()


async def test_a_handler_s_own_bug_is_an_attempt_even_if_it_looks_like_an_outage(workers: Workers) -> None:
    handlers = HANDLERS.joined_with(Handlers())

    @handlers.on("stripe", "payment_intent.succeeded")
    async def misspelt(connection: Connection, event: Event) -> None:
        if event.event_id == "evt_0":
            await connection.execute("SELECT * FROM a_table_nobody_has_made")

    await workers.publish(3)
    async with workers.working(handlers, max_attempts=2):
        await workers.drained()
    assert await workers.events() == ["evt_1", "evt_2"]
    ((event_id, _, attempts, reason),) = await workers.dead()
    assert (event_id, attempts) == ("evt_0", 2)
    assert "a_table_nobody_has_made" in reason
    await workers.assert_all_acked()


async def test_handlers_that_hang_one_after_the_other_count_as_progress(workers: Workers) -> None:
    """Each uses its whole time limit and fails. That is slow, but the watchdog must not end the worker for it."""
    handlers = Handlers()
    running: Running
    ages: list[float] = []

    @handlers.on("stripe", "payment_intent.succeeded")
    async def hang(_: Connection, __: Event) -> None:
        ages.append(running.progress.age_s)
        await asyncio.Event().wait()

    await workers.publish(8)
    async with workers.working(handlers, handler_timeout_s=0.3, max_attempts=1) as running:
        await workers.drained()
    assert max(ages) < 4 * 0.3, "of 9 in a row"
    assert len(await workers.dead()) == 8


async def test_handlers_that_leave_the_transaction_idle_are_no_outage(workers: Workers) -> None:
    """Each is quick enough, but a whole batch takes longer than Postgres keeps an idle transaction open."""
    handlers = HANDLERS.joined_with(Handlers())

    @handlers.on("stripe", "payment_intent.succeeded")
    async def call_somebody(_: Connection, __: Event) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await asyncio.Event().wait()

    await workers.publish(20)
    async with workers.working(handlers, transaction_idle_s=1, handler_timeout_s=0.5) as running:
        await workers.drained()
        assert running.counted("infrastructure_failures_total") == 0
    await workers.assert_all_acked()


# Redis loses its data.


async def test_workers_continue_after_redis_was_wiped(workers: Workers) -> None:
    async with workers.working() as running:
        await workers.publish(3)
        await workers.drained()
        await workers.redis.flushall()
        await workers.publish(5)
        await workers.drained()
        await until(lambda: running.counted("group_recreated_total") == 1, what="the incident is counted")
        await until(lambda: is_recorded(workers), what="the audit shows it until a person acknowledges it")
    assert len(await workers.events()) == 5
    assert len(await workers.rows("SELECT FROM duplicates")) == 3
    await workers.assert_all_acked(but=("restore_not_acknowledged",))


async def is_recorded(workers: Workers) -> bool:
    return await workers.finding_names() == ["restore_not_acknowledged"]


async def test_a_lost_group_reads_everything_again_and_applies_nothing_twice(workers: Workers) -> None:
    async with workers.working() as running:
        await workers.publish(3)
        await workers.drained()
        await workers.redis.xgroup_destroy(workers.keys.events, GROUP)
        await until(lambda: running.counted("group_recreated_total") == 1, what="the group is made again")
        await workers.publish(4)
        await workers.drained()
    assert len(await workers.events()) == 4
    await workers.assert_all_acked()


async def test_entries_in_flight_survive_the_loss_of_their_stream(workers: Workers) -> None:
    """The stream is deleted while the worker waits for Postgres; it applies the entries it has read."""
    await workers.connection.execute(FAILING_TRIGGER.format(sqlstate="53100", table="events"))
    await workers.publish(3)
    async with workers.working() as running:
        await until(lambda: running.counted("infrastructure_failures_total") >= 1, what="an outage")
        await workers.redis.delete(workers.keys.events)
        await workers.connection.execute("DROP TRIGGER fail ON events")
        await until(lambda: workers.has_applied(3), what="all are applied")


async def test_a_worker_waits_for_a_redis_that_starts_later(
    private_valkey: ValkeyServer, connection: asyncpg.Connection, database_url: str, key_prefix: str
) -> None:
    private_valkey.stop()
    async with Redis.from_url(private_valkey.url, protocol=3) as redis:
        settings = settings_for(private_valkey.url, database_url, key_prefix)
        workers = Workers(Stream(redis, Keys(key_prefix)), connection, settings)
        async with workers.working() as running:
            await until(lambda: running.progress.reason, what="it reports that it waits")
            await private_valkey.restart()
            await workers.publish(3)
            await workers.drained()
        assert len(await workers.events()) == 3
