"""A worker's life: it leases a name, works under it, gives everything back, and ends in time whatever is down."""

import asyncio
import time
from itertools import pairwise
from typing import Any, get_args

import pytest
from pydantic import SecretStr

from consumers.handlers import Connection, Handlers, Retry
from consumers.handlers.payments import HANDLERS
from consumers.hooks import Hook
from contract.event import Event
from contract.keys import GROUP
from tests.support.consuming import QUICK, Running, Workers
from tests.support.events import contract_event
from tests.support.proxy import TcpProxy
from tests.support.servers import PostgresServer, ValkeyServer
from tests.support.wait import until

SLACK_S = 3.0
"""What a loaded machine may take on top of the limits."""


async def publish(workers: Workers, n: int) -> list[str]:
    return [await workers.stream.publish(contract_event(f"evt_{i}", f"pi_{i}")) for i in range(n)]


async def names(workers: Workers) -> list[str]:
    return await workers.consumers() if await workers.redis.xinfo_groups(workers.keys.events) else []


async def slots(workers: Workers) -> list[int]:
    """The slots that have a living owner."""
    return [number for number in range(1, 10) if await workers.redis.exists(workers.keys.slot(number))]


async def has_slots(workers: Workers, *numbers: int) -> bool:
    return await slots(workers) == list(numbers)


# Names.


async def test_workers_take_the_lowest_free_slots_and_leave_nothing_behind(workers: Workers) -> None:
    async with workers.working() as first:
        await until(lambda: has_slots(workers, 1), what="the first slot is leased")
        async with workers.working(), workers.working():
            await until(lambda: has_slots(workers, 1, 2, 3), what="three slots are leased")
            await first.stop()
            assert await slots(workers) == [2, 3]
            async with workers.working():
                await until(lambda: has_slots(workers, 1, 2, 3), what="the lowest slot is leased again")
    assert await slots(workers) == []
    assert await names(workers) == []


async def test_a_worker_keeps_its_slot_while_it_has_nothing_to_do(workers: Workers) -> None:
    async with workers.working(block_ms=5000):
        await until(lambda: has_slots(workers, 1), what="the slot is leased")
        token = await workers.redis.get(workers.keys.slot(1))
        began_s = time.monotonic()
        await until(lambda: time.monotonic() > began_s + 2 * QUICK["slot_ttl_ms"] / 1000, what="two lives of a slot")
        assert await workers.redis.get(workers.keys.slot(1)) == token


@pytest.mark.parametrize("new_owner", ["worker-1:somebody else", None])
async def test_a_worker_that_lost_its_name_begins_anew(workers: Workers, new_owner: str | None) -> None:
    async with workers.working() as running:
        await until(lambda: has_slots(workers, 1), what="the slot is leased")
        old = await workers.redis.get(workers.keys.slot(1))
        if new_owner:
            await workers.redis.set(workers.keys.slot(1), new_owner, px=60_000)
        else:
            await workers.redis.delete(workers.keys.slot(1))
        free = 2 if new_owner else 1
        await until(lambda: workers.redis.get(workers.keys.slot(free)), what="it has a slot again")
        assert await workers.redis.get(workers.keys.slot(free)) != old
        await publish(workers, 3)
        await workers.drained()
        assert not running.task.done()
    assert await workers.redis.get(workers.keys.slot(1)) == (new_owner.encode() if new_owner else None)
    await workers.assert_settled()


async def test_a_worker_that_lost_its_name_leaves_what_it_had_to_others(workers: Workers) -> None:
    busy = contract_event("evt_busy", "pi_busy")
    await workers.stream.lock(busy, "worker-9")
    entry_id = await workers.stream.publish(busy)
    async with workers.working():
        await until(lambda: has_pending(workers, entry_id, "worker-1"), what="the entry is parked")
        await workers.redis.set(workers.keys.slot(1), "worker-1:somebody else", px=60_000)
        await until(lambda: has_pending(workers, entry_id, "worker-2"), what="its new self takes it over")
        await workers.redis.delete(workers.keys.lock("stripe", "pi_busy"))
        await workers.drained()
    assert await workers.events() == ["evt_busy"]
    await workers.assert_settled()


async def has_pending(workers: Workers, entry_id: str, consumer: str) -> bool:
    return (await names(workers)) != [] and (await workers.pending()).get(entry_id, ("", 0))[0] == consumer


# The end.


@pytest.mark.parametrize("hook", get_args(Hook))
async def test_a_stop_at_any_hook_finishes_what_is_in_hand(workers: Workers, hook: Hook) -> None:
    await publish(workers, 10)
    stopped_at: list[Hook] = []
    running: Running

    def hooks(reached: Hook) -> None:
        if reached == hook and not stopped_at and running.progress.last != "started":
            stopped_at.append(reached)
            running.service.stop()

    async with workers.working(hooks=hooks, batch_size=4) as running:
        await until(running.task.done, what="the worker has ended")
    assert stopped_at
    assert await names(workers) == []
    assert await slots(workers) == []
    applied = len(await workers.events())
    assert applied in (0, 4, 8, 10), "whole batches: the one in hand, and the one that was read beside it"
    assert await workers.pending() == {}
    assert len(await workers.stream.entries()) == 10 - applied


async def test_what_was_not_tried_is_given_back_and_taken_at_once(workers: Workers) -> None:
    busy = contract_event("evt_busy", "pi_busy")
    await workers.stream.lock(busy, "worker-9")
    entry_id = await workers.stream.publish(busy)
    async with workers.working(claim_idle_ms=60_000):
        await until(lambda: has_pending(workers, entry_id, "worker-1"), what="the entry is parked")
    assert await workers.pending() == {entry_id: ("worker-1", 0)}
    assert await slots(workers) == []
    await workers.redis.delete(workers.keys.lock("stripe", "pi_busy"))
    async with workers.working(claim_idle_ms=60_000, max_attempts=1):
        await workers.drained()
    assert await workers.events() == ["evt_busy"]
    assert await names(workers) == []
    await workers.assert_settled()


async def test_an_entry_between_two_attempts_keeps_its_number_of_attempts(workers: Workers) -> None:
    handlers = HANDLERS.joined_with(Handlers())

    @handlers.on("stripe", "payment_intent.succeeded")
    async def later(_: Connection, __: Event) -> None:
        raise Retry("not yet", after=3600)

    (entry_id,) = await publish(workers, 1)
    async with workers.working(handlers):
        await until(lambda: workers.redis.hgetall(workers.keys.failures), what="it has failed")
    assert await workers.pending() == {entry_id: ("worker-1", 1)}


async def test_a_worker_stops_before_it_has_started(workers: Workers) -> None:
    async with workers.working() as running:
        running.service.stop()
        await until(running.task.done, what="the worker has ended")
    assert await slots(workers) == []


async def ends_in_time(running: Running, limit_s: float) -> None:
    began_s = time.monotonic()
    await running.stop()
    assert time.monotonic() - began_s < limit_s + SLACK_S


@pytest.mark.parametrize("hook", ["read", "locked", "claimed", "applied"])
async def test_a_worker_ends_in_time_while_postgres_hangs(
    workers: Workers, postgres: PostgresServer, hook: Hook
) -> None:
    url = workers.settings.database_url.get_secret_value()
    await publish(workers, 3)
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
    await workers.assert_settled()


@pytest.mark.parametrize("hook", ["read", "locked", "applied", "committed"])
async def test_a_worker_ends_in_time_while_redis_hangs(workers: Workers, valkey: ValkeyServer, hook: Hook) -> None:
    await publish(workers, 3)
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
    await workers.assert_settled()


async def test_a_worker_ends_in_time_while_nothing_can_be_reached(
    workers: Workers, valkey: ValkeyServer, postgres: PostgresServer
) -> None:
    database_url = workers.settings.database_url.get_secret_value()
    await publish(workers, 3)
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
            await until(lambda: running.progress.reason, what="it says that it waits")
            await ends_in_time(running, QUICK["redis_timeout_s"])


async def test_a_handler_that_does_not_end_is_cut_off(workers: Workers) -> None:
    handlers = HANDLERS.joined_with(Handlers())
    entered = asyncio.Event()

    @handlers.on("stripe", "payment_intent.succeeded")
    async def hang(_: Connection, __: Event) -> None:
        entered.set()
        await asyncio.Event().wait()

    await publish(workers, 1)
    async with workers.working(handlers, handler_timeout_s=30, transaction_idle_s=60, drain_timeout_s=0.3) as running:
        await entered.wait()
        await ends_in_time(running, 0.3)
    assert await workers.events() == []
    assert list((await workers.pending()).values()) == [("worker-1", 0)], "a stop is no attempt"
    async with workers.working():
        await workers.drained()
    assert await workers.events() == ["evt_0"]


async def test_an_acknowledgement_is_finished_even_when_the_time_is_over(
    workers: Workers, valkey: ValkeyServer
) -> None:
    """Redis answers late, after the drain's limit: what follows a commit is not cancelled."""
    await publish(workers, 1)
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
            await until(lambda: time.monotonic() > began_s + 0.4, what="the drain's limit has passed")
            wire.resume()
            await until(running.task.done, what="the worker has ended")
    assert await workers.stream.entries() == {}
    assert await workers.pending() == {}
    await workers.assert_settled()


async def test_a_worker_that_cannot_begin_leases_no_row_of_slots(workers: Workers) -> None:
    await workers.redis.set(workers.keys.events, "not a stream")
    async with workers.working(slot_ttl_ms=60_000) as running:
        ages = [running.progress.age_s]

        def has_tried_often() -> bool:
            """Each try sets the age back."""
            if (age_s := running.progress.age_s) != ages[-1]:
                ages.append(age_s)
            return sum(later < earlier for earlier, later in pairwise(ages)) >= 5

        await until(has_tried_often, what="it has tried often")
        assert await slots(workers) in ([], [1])
        await workers.redis.delete(workers.keys.events)
        await publish(workers, 1)
        await until(lambda: has_slots(workers, 1), what="it works, under the first name")
        await workers.drained()


async def test_the_group_is_there_once_a_worker_has_begun(workers: Workers) -> None:
    async with workers.working():
        await until(lambda: has_slots(workers, 1), what="the slot is leased")
        await until(lambda: workers.redis.exists(workers.keys.events), what="the stream is there")
        groups = await workers.redis.xinfo_groups(workers.keys.events)
    assert [group["name"] for group in groups] == [GROUP.encode()]
