"""What is nobody's fault is waited out: it is no attempt, it kills nothing, and it says why."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, get_args

import asyncpg
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from consumers.handlers import Connection, Handlers
from consumers.handlers.payments import HANDLERS
from consumers.hooks import Hook
from contract.event import Event
from contract.keys import GROUP, Keys
from sql.connect import connect
from sql.migrate import migrate
from tests.support.consuming import Running, Workers, once_at
from tests.support.database import LOCK_WAIT_S
from tests.support.events import contract_event
from tests.support.proxy import TcpProxy
from tests.support.servers import PostgresServer, ValkeyServer
from tests.support.stream_states import Stream, settings_for
from tests.support.wait import until

TRIES = 4
"""How many failures in a row a test watches: with MAX_ATTEMPTS=2, more than enough to kill an event."""

FAILING_TRIGGER = """
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'simulated' USING ERRCODE = '{sqlstate}'; END $$;
    CREATE TRIGGER fail BEFORE INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION fail()
"""
WAITING_TRIGGER = """
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION wait()
"""
TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND "
OF_WORKERS = "application_name LIKE 'payments worker-%'"


async def publish(workers: Workers, n: int) -> None:
    for i in range(n):
        await workers.stream.publish(contract_event(f"evt_{i}", f"pi_{i}"))


async def applied(workers: Workers, n: int) -> bool:
    return len(await workers.events()) == n


def counted(running: Running, metric: str) -> float:
    """The sum of a counter over its labels."""
    lines = running.metrics.render().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(f"webhook_consumer_{metric}"))


@asynccontextmanager
async def terminated_backends(url: str) -> AsyncIterator[Callable[[], Any]]:
    """What ends the connections of all workers on this database, from any thread."""

    async def terminate() -> None:
        async with connect(url, timeout_s=5) as connection:
            await connection.execute(TERMINATE + OF_WORKERS)

    yield terminate


# Postgres refuses.


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "55P03", "57014", "53100", "53200", "25006", "XX000", "57P03"])
@pytest.mark.parametrize("table", ["events", "payments"])
async def test_an_error_that_is_nobodys_fault_is_no_attempt(workers: Workers, sqlstate: str, table: str) -> None:
    await workers.connection.execute(FAILING_TRIGGER.format(sqlstate=sqlstate, table=table))
    await publish(workers, 2)
    async with workers.working(max_attempts=2, claim_idle_ms=10_000) as running:
        await until(lambda: counted(running, "infrastructure_failures_total") + counted(running, "events_retried_total")
                    >= TRIES, what="it has failed many times")  # fmt: skip
        pending = await workers.pending()
        assert {deliveries for _, deliveries in pending.values()} <= {0, 1}, pending
        assert await workers.dead() == []
        notes = await workers.redis.hvals(workers.keys.failures)
        assert notes
        assert all(b'"kind": "infrastructure"' in note and b"simulated" in note for note in notes)
        await workers.connection.execute(f"DROP TRIGGER fail ON {table}")
        await workers.drained()
    assert await workers.events() == ["evt_0", "evt_1"]
    await workers.assert_settled()


async def test_a_worker_killed_in_an_outage_again_and_again_kills_no_event(workers: Workers) -> None:
    """Each death would be a delivery; but while the worker waits for Postgres, its entries are not being tried."""
    await workers.connection.execute(FAILING_TRIGGER.format(sqlstate="53100", table="events"))
    await publish(workers, 3)
    for _ in range(4):
        async with workers.working(max_attempts=2) as running:
            await until(partial(counted, running, "infrastructure_failures_total"), what="an outage")
            await until(lambda: undelivered(workers), what="the attempt is taken back")
        for entry_id in workers.stream.ids:
            rows: list[Any] = await workers.redis.xpending_range(workers.keys.events, GROUP, entry_id, entry_id, 1)
            await workers.redis.xclaim(
                workers.keys.events, GROUP, rows[0]["consumer"], 0, [entry_id], idle=60_000, justid=True
            )
    await workers.connection.execute("DROP TRIGGER fail ON events")
    async with workers.working(max_attempts=2):
        await workers.drained()
    assert len(await workers.events()) == 3
    await workers.assert_settled()


async def undelivered(workers: Workers) -> bool:
    if not await workers.redis.xinfo_groups(workers.keys.events):
        return False
    pending = await workers.pending()
    return bool(pending) and all(deliveries == 0 for _, deliveries in pending.values())


async def test_a_schema_that_is_not_there_yet_is_waited_for(
    stream: Stream, valkey: ValkeyServer, empty_database_url: str, key_prefix: str
) -> None:
    async with connect(empty_database_url, timeout_s=5) as connection:
        workers = Workers(stream, connection, settings_for(valkey.url, empty_database_url, key_prefix))
        await publish(workers, 3)
        async with workers.working(max_attempts=1) as running:
            await until(lambda: counted(running, "infrastructure_failures_total") >= TRIES, what="it has tried")
            assert "does not exist" in str(running.progress.reason)
            await migrate(connection, lock_wait_s=LOCK_WAIT_S)
            await workers.drained()
            await until(lambda: running.progress.ready, what="it says that it works")
        assert len(await workers.events()) == 3
        await workers.assert_settled()


async def test_a_handlers_own_bug_is_an_attempt_even_if_it_looks_like_an_outage(workers: Workers) -> None:
    handlers = HANDLERS.joined_with(Handlers())

    @handlers.on("stripe", "payment_intent.succeeded")
    async def misspelt(connection: Connection, event: Event) -> None:
        if event.event_id == "evt_0":
            await connection.execute("SELECT * FROM a_table_nobody_has_made")

    await publish(workers, 3)
    async with workers.working(handlers, max_attempts=2):
        await workers.drained()
    assert await workers.events() == ["evt_1", "evt_2"]
    ((event_id, _, attempts, reason),) = await workers.dead()
    assert (event_id, attempts) == ("evt_0", 2)
    assert "a_table_nobody_has_made" in reason
    await workers.assert_settled()


async def test_handlers_that_hang_one_after_the_other_are_progress(workers: Workers) -> None:
    """Each takes its whole time and fails: slow, but the worker is not stuck, and must not be ended as if it were."""
    handlers = Handlers()
    running: Running
    ages: list[float] = []

    @handlers.on("stripe", "payment_intent.succeeded")
    async def hang(_: Connection, __: Event) -> None:
        ages.append(running.progress.age_s)
        await asyncio.Event().wait()

    await publish(workers, 8)
    async with workers.working(handlers, handler_timeout_s=0.3, max_attempts=1) as running:
        await workers.drained()
    assert max(ages) < 4 * 0.3, "of 9 in a row"
    assert len(await workers.dead()) == 8


async def test_handlers_that_leave_postgres_alone_for_long_are_no_outage(workers: Workers) -> None:
    """Each is quick enough; all of a batch together are longer than Postgres keeps an idle transaction."""
    handlers = HANDLERS.joined_with(Handlers())

    @handlers.on("stripe", "payment_intent.succeeded")
    async def call_somebody(_: Connection, __: Event) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await asyncio.Event().wait()

    await publish(workers, 20)
    async with workers.working(handlers, transaction_idle_s=1, handler_timeout_s=0.5) as running:
        await workers.drained()
        assert counted(running, "infrastructure_failures_total") == 0
    await workers.assert_settled()


# Connections that die.


@pytest.mark.parametrize("hook", get_args(Hook))
async def test_a_connection_killed_at_any_hook(workers: Workers, hook: Hook) -> None:
    await publish(workers, 1)
    async with (
        terminated_backends(workers.settings.database_url.get_secret_value()) as terminate,
        workers.working(hooks=once_at(hook, terminate), max_attempts=1),
    ):
        await workers.drained()
        await publish(workers, 3)
        await workers.drained()
    assert await workers.events() == ["evt_0", "evt_1", "evt_2"]
    assert len(await workers.rows("SELECT FROM duplicates")) == 1
    await workers.assert_settled()


async def test_a_connection_killed_in_the_middle_of_commit(workers: Workers, database_url: str) -> None:
    await workers.connection.execute(WAITING_TRIGGER)
    in_commit = f"{OF_WORKERS} AND query = 'COMMIT;' AND wait_event_type = 'Lock'"
    async with connect(database_url, timeout_s=5) as other:
        await other.execute("SELECT pg_advisory_lock(42)")
        await publish(workers, 3)
        async with workers.working(max_attempts=1):
            await until(lambda: workers.connection.fetchval(TERMINATE + in_commit), what="a commit is killed")
            await other.execute("SELECT pg_advisory_unlock_all()")
            await workers.drained()
    assert len(await workers.events()) == 3
    assert await workers.rows("SELECT FROM duplicates") == []
    await workers.assert_settled()


async def test_a_commit_whose_answer_is_lost_is_found_to_be_done(workers: Workers, postgres: PostgresServer) -> None:
    url = workers.settings.database_url.get_secret_value()
    async with TcpProxy(postgres.port) as wire:

        def hooks(reached: Hook) -> None:
            if reached == "applied" and wire.connections_total == 1:
                wire.drop_replies()

        await publish(workers, 3)
        async with workers.working(hooks=hooks, database_url=SecretStr(wire.url(url)), max_attempts=1):
            await until(lambda: applied(workers, 3), what="it is committed")
            assert len(await workers.pending()) == 3
            wire.resume()
            wire.cut()
            await workers.drained()
    assert await workers.rows("SELECT FROM duplicates") == []
    await workers.assert_settled()


@pytest.mark.parametrize("hook", get_args(Hook))
async def test_a_connection_to_redis_cut_at_any_hook(workers: Workers, valkey: ValkeyServer, hook: Hook) -> None:
    await publish(workers, 3)
    async with TcpProxy(valkey.port) as wire:
        done: list[Hook] = []

        def hooks(reached: Hook) -> None:
            if reached == hook and not done:
                done.append(reached)
                wire.cut()

        async with workers.working(hooks=hooks, redis_url=SecretStr(wire.url(valkey.url)), max_attempts=1):
            await workers.drained()
    assert done
    assert len(await workers.events()) == 3
    assert await workers.rows("SELECT FROM duplicates") == []
    await workers.assert_settled()


async def test_an_acknowledgement_whose_answer_is_lost(workers: Workers, valkey: ValkeyServer) -> None:
    await publish(workers, 3)
    async with TcpProxy(valkey.port) as wire:
        lost: list[Hook] = []

        def lose_one(reached: Hook) -> None:
            if reached == "committed" and not lost:
                lost.append(reached)
                wire.drop_replies()

        url = SecretStr(wire.url(valkey.url))
        async with workers.working(hooks=lose_one, redis_url=url, redis_timeout_s=0.2) as running:
            await until(lambda: counted(running, "infrastructure_failures_total") >= 1, what="the loss is noticed")
            wire.resume()
            wire.cut()
            await workers.drained()
    assert await workers.rows("SELECT FROM duplicates") == []
    await workers.assert_settled()


# Redis that forgets.


async def test_a_wiped_redis_is_worked_with_again(workers: Workers) -> None:
    async with workers.working() as running:
        await publish(workers, 3)
        await workers.drained()
        await workers.redis.flushall()
        await publish(workers, 5)
        await workers.drained()
        await until(lambda: counted(running, "group_recreated_total") == 1, what="the incident is counted")
    assert len(await workers.events()) == 5
    assert len(await workers.rows("SELECT FROM duplicates")) == 3
    await workers.assert_settled()


async def test_a_lost_group_reads_all_again_and_applies_nothing_twice(workers: Workers) -> None:
    async with workers.working() as running:
        await publish(workers, 3)
        await workers.drained()
        await workers.redis.xgroup_destroy(workers.keys.events, GROUP)
        await until(lambda: counted(running, "group_recreated_total") == 1, what="the group is made again")
        await publish(workers, 4)
        await workers.drained()
    assert len(await workers.events()) == 4
    await workers.assert_settled()


async def test_what_is_in_hand_survives_the_loss_of_its_stream(workers: Workers) -> None:
    """Waiting for Postgres, with the stream deleted under it: what a worker has read, it applies."""
    await workers.connection.execute(FAILING_TRIGGER.format(sqlstate="53100", table="events"))
    await publish(workers, 3)
    async with workers.working() as running:
        await until(lambda: counted(running, "infrastructure_failures_total") >= 1, what="an outage")
        await workers.redis.delete(workers.keys.events)
        await workers.connection.execute("DROP TRIGGER fail ON events")
        await until(lambda: applied(workers, 3), what="all are applied")


async def test_a_worker_waits_for_a_redis_that_starts_later(
    private_valkey: ValkeyServer, connection: asyncpg.Connection, database_url: str, key_prefix: str
) -> None:
    private_valkey.stop()
    async with Redis.from_url(private_valkey.url, protocol=3) as redis:
        settings = settings_for(private_valkey.url, database_url, key_prefix)
        workers = Workers(Stream(redis, Keys(key_prefix)), connection, settings)
        async with workers.working() as running:
            await until(lambda: running.progress.reason, what="it says that it waits")
            await private_valkey.restart()
            await publish(workers, 3)
            await workers.drained()
        assert len(await workers.events()) == 3
