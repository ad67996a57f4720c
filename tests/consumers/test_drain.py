"""A stopped worker finishes its batch, releases everything, and ends in time whatever is down."""

import asyncio
import time
from typing import Any, get_args

import pytest
from pydantic import SecretStr

from consumers.handlers import Connection, Handlers, Retry
from consumers.handlers.payments import HANDLERS
from consumers.hooks import Hook
from contract.event import Event
from tests.support.consuming import QUICK, Running, Workers
from tests.support.events import contract_event
from tests.support.proxy import TcpProxy
from tests.support.servers import PostgresServer, ValkeyServer
from tests.support.wait import until

SLACK_S = 3.0
"""How much longer than its limits a worker may take on a loaded machine."""


@pytest.mark.parametrize("hook", get_args(Hook))
async def test_a_stop_at_any_step_finishes_the_batch(workers: Workers, hook: Hook) -> None:
    await workers.publish(10)
    stopped_at: list[Hook] = []
    running: Running

    def hooks(reached: Hook) -> None:
        if reached == hook and not stopped_at and running.progress.last != "started":
            stopped_at.append(reached)
            running.service.stop()

    async with workers.working(hooks=hooks, batch_size=4) as running:
        await until(running.task.done, what="the worker has ended")
    assert stopped_at
    assert await workers.names() == []
    assert await workers.leases() == []
    applied = len(await workers.events())
    assert applied in (0, 4, 8, 10), "whole batches: the present one, and the prefetched one"
    assert await workers.pending() == {}
    assert len(await workers.stream.entries()) == 10 - applied


async def test_an_entry_that_was_not_tried_is_released_and_reclaimed_at_once(workers: Workers) -> None:
    busy = contract_event("evt_busy", "pi_busy")
    await workers.stream.lock(busy, "worker-9")
    entry_id = await workers.stream.publish(busy)
    async with workers.working(claim_idle_ms=60_000):
        await until(lambda: workers.has_pending(entry_id, "worker-1"), what="the entry is delayed")
    assert await workers.pending() == {entry_id: ("worker-1", 0)}
    assert await workers.leases() == []
    await workers.redis.delete(workers.keys.lock("stripe", "pi_busy"))
    async with workers.working(claim_idle_ms=60_000, max_attempts=1):
        await workers.drained()
    assert await workers.events() == ["evt_busy"]
    assert await workers.names() == []
    await workers.assert_all_acked()


async def test_a_stop_between_two_attempts_keeps_their_number(workers: Workers) -> None:
    handlers = HANDLERS.joined_with(Handlers())

    @handlers.on("stripe", "payment_intent.succeeded")
    async def later(_: Connection, __: Event) -> None:
        raise Retry("not yet", after=3600)

    (entry_id,) = await workers.publish(1)
    async with workers.working(handlers):
        await until(lambda: workers.redis.hgetall(workers.keys.failures), what="it has failed")
    assert await workers.pending() == {entry_id: ("worker-1", 1)}


async def test_a_worker_can_be_stopped_before_it_has_started(workers: Workers) -> None:
    async with workers.working() as running:
        running.service.stop()
        await until(running.task.done, what="the worker has ended")
    assert await workers.leases() == []


async def ends_in_time(running: Running, limit_s: float) -> None:
    began_s = time.monotonic()
    await running.stop()
    assert time.monotonic() - began_s < limit_s + SLACK_S


@pytest.mark.parametrize("hook", ["read", "locked", "claimed", "applied"])
async def test_a_worker_ends_in_time_while_postgres_hangs(
    workers: Workers, postgres: PostgresServer, hook: Hook
) -> None:
    url = workers.settings.database_url.get_secret_value()
    await workers.publish(3)
    hangs = asyncio.Event()
    async with TcpProxy(postgres.port) as wire:

        def hooks(reached: Hook) -> None:
            if reached == hook and not hangs.is_set():
                wire.stall()
                hangs.set()

        changes: dict[str, Any] = {
            "database_url": SecretStr(wire.url(url)),
            "drain_timeout_s": 0.5,
            "statement_timeout_s": 30,
        }
        async with workers.working(hooks=hooks, **changes) as running:
            await hangs.wait()
            await ends_in_time(running, 0.5 + QUICK["redis_timeout_s"])
    async with workers.working():
        await workers.drained()
    assert len(await workers.events()) == 3
    await workers.assert_all_acked()


@pytest.mark.parametrize("hook", ["read", "locked", "applied", "committed"])
async def test_a_worker_ends_in_time_while_redis_hangs(workers: Workers, valkey: ValkeyServer, hook: Hook) -> None:
    await workers.publish(3)
    hangs = asyncio.Event()
    async with TcpProxy(valkey.port) as wire:

        def hooks(reached: Hook) -> None:
            if reached == hook and not hangs.is_set():
                wire.stall()
                hangs.set()

        url = SecretStr(wire.url(valkey.url))
        async with workers.working(hooks=hooks, redis_url=url, drain_timeout_s=0.5, redis_timeout_s=0.5) as running:
            await hangs.wait()
            await ends_in_time(running, 0.5 + 4 * 0.5)
    async with workers.working():
        await workers.drained()
    assert len(await workers.events()) == 3
    assert await workers.rows("SELECT FROM duplicates") == []
    await workers.assert_all_acked()


async def test_a_worker_ends_in_time_while_nothing_can_be_reached(
    workers: Workers, valkey: ValkeyServer, postgres: PostgresServer
) -> None:
    database_url = workers.settings.database_url.get_secret_value()
    await workers.publish(3)
    async with TcpProxy(valkey.port) as to_redis, TcpProxy(postgres.port) as to_postgres:
        changes: dict[str, Any] = {
            "redis_url": SecretStr(to_redis.url(valkey.url)),
            "database_url": SecretStr(to_postgres.url(database_url)),
        }
        async with workers.working(**changes) as running:
            await workers.drained()
            for wire in (to_redis, to_postgres):
                await wire.refuse()
                wire.cut()
            await until(lambda: running.progress.reason, what="it reports that it waits")
            await ends_in_time(running, QUICK["redis_timeout_s"])


async def test_a_handler_that_does_not_end_is_cancelled(workers: Workers) -> None:
    handlers = HANDLERS.joined_with(Handlers())
    entered = asyncio.Event()

    @handlers.on("stripe", "payment_intent.succeeded")
    async def hang(_: Connection, __: Event) -> None:
        entered.set()
        await asyncio.Event().wait()

    await workers.publish(1)
    async with workers.working(handlers, handler_timeout_s=30, transaction_idle_s=60, drain_timeout_s=0.3) as running:
        await entered.wait()
        await ends_in_time(running, 0.3)
    assert await workers.events() == []
    assert list((await workers.pending()).values()) == [("worker-1", 0)], "a stop is no attempt"
    async with workers.working():
        await workers.drained()
    assert await workers.events() == ["evt_0"]


async def test_an_ack_is_finished_even_after_the_drain_timeout(workers: Workers, valkey: ValkeyServer) -> None:
    """Redis answers after the drain timeout: the ack of a commit is not cancelled."""
    await workers.publish(1)
    committed = asyncio.Event()
    async with TcpProxy(valkey.port) as wire:

        def hooks(reached: Hook) -> None:
            if reached == "committed" and not committed.is_set():
                wire.stall()
                committed.set()

        url = SecretStr(wire.url(valkey.url))
        async with workers.working(hooks=hooks, redis_url=url, drain_timeout_s=0.1, redis_timeout_s=10) as running:
            await committed.wait()
            running.service.stop()
            began_s = time.monotonic()
            await until(lambda: time.monotonic() > began_s + 0.4, what="the drain timeout has passed")
            wire.resume()
            await until(running.task.done, what="the worker has ended")
    assert await workers.stream.entries() == {}
    assert await workers.pending() == {}
    await workers.assert_all_acked()
