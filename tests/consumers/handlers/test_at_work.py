"""Handlers under a real worker: how long they may take, and that what one does wrong is its own event's affair."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

import asyncpg
import pytest

from consumers.handlers import Connection, Event, Handlers, Reject, Retry
from consumers.handlers.payments import HANDLERS
from contract.keys import Keys
from tests.support.consuming import Workers
from tests.support.events import contract_event
from tests.support.wait import until

SUCCEEDED = "payment_intent.succeeded"
CALLED = "SELECT event_id FROM called ORDER BY event_id"
BEGUN_TIMEOUT_S = 10.0

LONGER_THAN_A_STALL = {"lock_ttl_ms": 1500, "slot_ttl_ms": 1800, "claim_idle_ms": 2000}
"""Lives that end only where nothing renews them, not where a busy machine lets this process wait."""

RENEWALS = 5
"""Each comes after a third of the shortest life: together they outlast the longest."""


@pytest.fixture
async def ready(workers: Workers) -> Workers:
    await workers.connection.execute("CREATE TABLE called (event_id text)")
    return workers


async def publish(workers: Workers, names: Sequence[str]) -> None:
    for name in names:
        await workers.stream.publish(contract_event(f"evt_{name}", f"pi_{name}"))


def writing() -> Handlers:
    """One that writes its events down, and leaves room for another one."""
    handlers = Handlers()

    @handlers.on("stripe", SUCCEEDED)
    async def write(connection: Connection, event: Event) -> None:
        await connection.execute("INSERT INTO called VALUES ($1)", event.event_id)

    return handlers


# Time.


async def test_a_slow_handler_keeps_its_lock_and_its_event(ready: Workers, keys: Keys) -> None:
    """It takes longer than the lock, the worker's name and the claim on its entry live without being renewed."""
    begun, go_on, calls = asyncio.Event(), asyncio.Event(), 0
    handlers = HANDLERS.joined_with(writing())

    @handlers.on("stripe", SUCCEEDED)
    async def take_time(_: Connection, __: Event) -> None:
        nonlocal calls
        calls += 1
        if calls > 1:  # the first one is cut off, for the sake of its batch
            begun.set()
        await go_on.wait()

    async def renewals() -> int:
        lock = keys.lock("stripe", "pi_slow")
        left_ms = await ready.redis.pttl(lock)
        assert left_ms > 0, "the lock is gone"
        return int(left_ms)

    limits: dict[str, Any] = LONGER_THAN_A_STALL | {"handler_timeout_s": BEGUN_TIMEOUT_S}
    limits["transaction_idle_s"] = 2 * BEGUN_TIMEOUT_S
    await publish(ready, ["slow"])
    async with ready.working(handlers, **limits):
        await asyncio.wait_for(begun.wait(), BEGUN_TIMEOUT_S)
        async with ready.working(handlers, **limits):
            seen: list[int] = []

            async def renewed_often() -> bool:
                seen.append(await renewals())
                return sum(later > sooner for sooner, later in pairwise(seen)) >= RENEWALS

            await until(renewed_often, what="the lock was renewed many times over its life")
            go_on.set()
            await ready.drained()
    assert calls == 2
    assert await ready.rows(CALLED) == [("evt_slow",)]
    await ready.assert_all_acked()


async def test_the_time_limit_is_a_failed_attempt_of_that_event_alone(ready: Workers) -> None:
    handlers = HANDLERS.joined_with(writing())

    @handlers.on("stripe", SUCCEEDED)
    async def hang(_: Connection, event: Event) -> None:
        if event.event_id == "evt_hangs":
            await asyncio.Event().wait()

    await publish(ready, ["a", "hangs", "b"])
    async with ready.working(handlers, handler_timeout_s=0.1, max_attempts=2):
        await ready.drained()
    assert await ready.rows(CALLED) == [("evt_a",), ("evt_b",)]
    ((event_id, state, attempts, reason),) = await ready.dead()
    assert (event_id, state, attempts) == ("evt_hangs", "open", 2)
    assert "hang was ended after 0.1 s (HANDLER_TIMEOUT_S)" in reason


# Failures.


async def commits(connection: Connection) -> None:
    await connection.execute("COMMIT")


async def commits_quietly(connection: Connection) -> None:
    try:
        await connection.execute("COMMIT")
    except asyncpg.PostgresError:
        await connection.execute("INSERT INTO called VALUES ('outside')")
        await connection.execute("DELETE FROM called WHERE event_id = 'outside'")


async def rolls_back(connection: Connection) -> None:
    await connection.execute("ROLLBACK")


async def hides_an_error(connection: Connection) -> None:
    with pytest.raises(asyncpg.DivisionByZeroError):
        await connection.execute("SELECT 1/0")


async def closes(connection: Connection) -> None:
    await connection.close()


async def rejects(_: Connection) -> None:
    raise Reject("not ours")


async def raises(_: Connection) -> None:
    raise KeyError("customer_id")


async def cancels(_: Connection) -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("do", [commits, commits_quietly, rolls_back, hides_an_error, closes, rejects, raises, cancels])
async def test_what_one_handler_does_wrong_is_its_own_event_s_affair(
    ready: Workers, do: Callable[[Connection], Awaitable[None]]
) -> None:
    """All others are applied once, although they were in one batch with it."""
    handlers = HANDLERS.joined_with(writing())

    @handlers.on("stripe", SUCCEEDED)
    async def misbehave(connection: Connection, event: Event) -> None:
        if event.event_id == "evt_c":
            await do(connection)

    await publish(ready, "abcde")
    async with ready.working(handlers, max_attempts=2):
        await ready.drained()
    assert await ready.rows(CALLED) == [("evt_a",), ("evt_b",), ("evt_d",), ("evt_e",)]
    assert [row[0] for row in await ready.dead()] == ["evt_c"]
    assert await ready.row("SELECT count(*)::int FROM payments") == (4,)
    assert await ready.rows("SELECT FROM commit_guard") == []
    await ready.assert_all_acked()


async def test_a_savepoint_undoes_its_block_alone(ready: Workers) -> None:
    handlers = HANDLERS.joined_with(writing())

    @handlers.on_fact("captured")
    async def try_out(connection: Connection, _: Event) -> None:
        with suppress(asyncpg.DivisionByZeroError):
            async with connection.transaction():
                await connection.execute("INSERT INTO called VALUES ('undone')")
                await connection.execute("SELECT 1/0")
        async with connection.transaction():
            await connection.execute("INSERT INTO called VALUES ('kept')")

    await publish(ready, "a")
    async with ready.working(handlers):
        await ready.drained()
    assert await ready.rows(CALLED) == [("evt_a",), ("kept",)]
    await ready.assert_all_acked()


async def test_retry_tries_again_when_it_said(ready: Workers) -> None:
    handlers, tries = HANDLERS.joined_with(writing()), 0

    @handlers.on("stripe", SUCCEEDED)
    async def not_yet(_: Connection, __: Event) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise Retry("the order is not there yet", after=0.01)

    await publish(ready, "a")
    async with ready.working(handlers, retry_delay_ms=60_000, retry_delay_max_ms=60_000):
        await ready.drained()
    assert tries == 3
    assert await ready.rows(CALLED) == [("evt_a",)]
    assert await ready.dead() == []
