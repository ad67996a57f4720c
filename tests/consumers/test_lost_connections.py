"""Connections that are lost at any step of a batch: nothing is lost, and nothing is applied twice."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, get_args

import pytest
from pydantic import SecretStr

from consumers.hooks import Hook
from sql.connect import connect
from tests.support.consuming import Workers, once_at
from tests.support.proxy import TcpProxy
from tests.support.servers import PostgresServer, ValkeyServer
from tests.support.wait import until

WAITING_TRIGGER = """
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION wait()
"""
TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND "
OF_WORKERS = "application_name LIKE 'payments worker-%'"


@asynccontextmanager
async def terminated_backends(url: str) -> AsyncIterator[Callable[[], Any]]:
    """Yield a function that ends the connections of all workers on this database, from any thread."""

    async def terminate() -> None:
        async with connect(url, timeout_s=5) as connection:
            await connection.execute(TERMINATE + OF_WORKERS)

    yield terminate


# Connections to Postgres, then to Redis.


@pytest.mark.parametrize("hook", get_args(Hook))
async def test_a_connection_killed_at_any_step(workers: Workers, hook: Hook) -> None:
    await workers.publish(1)
    async with (
        terminated_backends(workers.settings.database_url.get_secret_value()) as terminate,
        workers.working(hooks=once_at(hook, terminate), max_attempts=1),
    ):
        await workers.drained()
        await workers.publish(3)
        await workers.drained()
    assert await workers.events() == ["evt_0", "evt_1", "evt_2"]
    assert len(await workers.rows("SELECT FROM duplicates")) == 1
    await workers.assert_all_acked()


async def test_a_connection_killed_during_the_commit(workers: Workers, database_url: str) -> None:
    await workers.connection.execute(WAITING_TRIGGER)
    in_commit = f"{OF_WORKERS} AND query = 'COMMIT;' AND wait_event_type = 'Lock'"
    async with connect(database_url, timeout_s=5) as other:
        await other.execute("SELECT pg_advisory_lock(42)")
        await workers.publish(3)
        async with workers.working(max_attempts=1):
            await until(lambda: workers.connection.fetchval(TERMINATE + in_commit), what="a commit is killed")
            await other.execute("SELECT pg_advisory_unlock_all()")
            await workers.drained()
    assert len(await workers.events()) == 3
    assert await workers.rows("SELECT FROM duplicates") == []
    await workers.assert_all_acked()


async def test_a_commit_whose_answer_is_lost_is_recognised_as_done(workers: Workers, postgres: PostgresServer) -> None:
    url = workers.settings.database_url.get_secret_value()
    async with TcpProxy(postgres.port) as wire:
        applied: list[Hook] = []

        def hooks(reached: Hook) -> None:
            if reached == "applied":
                applied.append(reached)
                if len(applied) == 1:
                    wire.drop_replies()

        await workers.publish(3)
        async with workers.working(hooks=hooks, database_url=SecretStr(wire.url(url)), max_attempts=1):
            await until(lambda: workers.has_applied(3), what="it is committed")
            assert len(await workers.pending()) == 3
            wire.resume()
            wire.cut()
            await workers.drained()
    assert await workers.rows("SELECT FROM duplicates") == []
    await workers.assert_all_acked()


@pytest.mark.parametrize("hook", get_args(Hook))
async def test_a_connection_to_redis_cut_at_any_step(workers: Workers, valkey: ValkeyServer, hook: Hook) -> None:
    await workers.publish(3)
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
    await workers.assert_all_acked()


async def test_an_ack_whose_answer_is_lost(workers: Workers, valkey: ValkeyServer) -> None:
    await workers.publish(3)
    async with TcpProxy(valkey.port) as wire:
        lost: list[Hook] = []

        def lose_one(reached: Hook) -> None:
            if reached == "committed" and not lost:
                lost.append(reached)
                wire.drop_replies()

        url = SecretStr(wire.url(valkey.url))
        async with workers.working(hooks=lose_one, redis_url=url, redis_timeout_s=0.2) as running:
            await until(lambda: running.counted("infrastructure_failures_total") >= 1, what="the loss is noticed")
            wire.resume()
            wire.cut()
            await workers.drained()
    assert await workers.rows("SELECT FROM duplicates") == []
    await workers.assert_all_acked()
