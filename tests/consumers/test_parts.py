"""Batches in which some handlers are slow: they are done in parts, and only the part of a slow event is done again."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from consumers.handlers import Connection, Event, Handlers, Reject
from consumers.handlers.payments import HANDLERS
from consumers.part_size import PART_COSTS, PartSize
from tests.support.consuming import Workers
from tests.support.events import contract_event

SUCCEEDED = "payment_intent.succeeded"
XACT = "INSERT INTO handled VALUES ($1, pg_current_xact_id()::text)"
SLOW_S = 0.3
LIMITS: dict[str, Any] = {
    "handler_timeout_s": 5, "transaction_idle_s": 10, "statement_timeout_s": 20, "side_lane_max": 8,
    "lock_ttl_ms": 10_000, "slot_ttl_ms": 10_000, "claim_idle_ms": 15_000,
}  # fmt: skip
"""Long enough for a busy machine: nothing here waits for one of them."""


@pytest.fixture
async def ready(workers: Workers) -> Workers:
    await workers.connection.execute("CREATE TABLE handled (event_id text, xact text)")
    return workers


class Calls:
    """A handler that writes a row for each event. For slow ones it then takes its time, when it is called first."""

    def __init__(self, slow: set[str]) -> None:
        self.of = Counter[str]()
        self._slow = slow
        self.handlers = HANDLERS.joined_with(Handlers())
        self.handlers.on("stripe", SUCCEEDED)(self.write)

    async def write(self, connection: Connection, event: Event) -> None:
        self.of[event.event_id] += 1
        await connection.execute(XACT, event.event_id)
        if event.event_id in self._slow and self.of[event.event_id] == 1:
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), SLOW_S)


async def test_only_the_part_of_a_slow_event_is_done_again_in_the_same_transaction(ready: Workers) -> None:
    """The first batch meets a slow event at once. In the second one it is the last one, in the last part."""
    await ready.publish(400)
    calls = Calls({"evt_0", "evt_399"})
    async with ready.working(calls.handlers, batch_size=200, **LIMITS):
        await ready.drained()
    called = [calls.of[f"evt_{n}"] for n in range(400)]
    assert called[:300] == [2] + [1] * 299, "what was done before the slow event is kept"
    assert called[300:] == [2] * 100
    rows = await ready.rows("SELECT event_id, xact FROM handled")
    assert sorted(row[0] for row in rows) == sorted(f"evt_{n}" for n in range(400)), "each row once"
    second = {f"evt_{n}" for n in range(200, 399)}
    assert len({xact for event_id, xact in rows if event_id in second}) == 1
    await ready.assert_all_acked()


async def test_many_slow_events_among_copies_are_all_applied_once_and_no_transaction_waits_for_all(
    ready: Workers,
) -> None:
    for n in range(240):
        await ready.stream.publish(contract_event(f"evt_{n % 160}", f"pi_{n % 160}"))
    calls = Calls({f"evt_{n}" for n in range(0, 160, 5)})
    async with ready.working(calls.handlers, **LIMITS) as running:
        await ready.drained()
        assert running.counted("events_retried_total") == 0, "being slow counts no attempt"
    rows = await ready.rows("SELECT event_id, xact FROM handled")
    assert sorted(row[0] for row in rows) == sorted(f"evt_{n}" for n in range(160))
    assert len({xact for event_id, xact in rows if int(event_id[4:]) % 5}) > 1
    assert len(await ready.rows("SELECT FROM duplicates")) == 80
    assert await ready.row("SELECT count(*)::int, sum(captured)::int FROM payments") == (160, 160 * 1999)
    assert await ready.dead() == []
    await ready.assert_all_acked()


async def commits(connection: Connection) -> None:
    await connection.execute("COMMIT")


async def rolls_back_and_begins(connection: Connection) -> None:
    await connection.execute("ROLLBACK")
    await connection.execute("BEGIN")


async def hides_an_error(connection: Connection) -> None:
    with pytest.raises(Exception, match="zero"):
        await connection.execute("SELECT 1/0")


async def rejects(_: Connection) -> None:
    raise Reject("not ours")


@pytest.mark.parametrize("do", [commits, rolls_back_and_begins, hides_an_error, rejects])
@pytest.mark.parametrize("at", [60, 118])
async def test_what_a_handler_does_wrong_in_a_part_is_its_own_event_s_affair(
    ready: Workers, do: Callable[[Connection], Awaitable[None]], at: int
) -> None:
    calls = Calls({"evt_0"})

    @calls.handlers.on("stripe", SUCCEEDED)
    async def misbehave(connection: Connection, event: Event) -> None:
        if event.event_id == f"evt_{at}":
            await do(connection)

    await ready.publish(120)
    async with ready.working(calls.handlers, max_attempts=2, **LIMITS):
        await ready.drained()
    others = sorted(f"evt_{n}" for n in range(120) if n != at)
    assert sorted(row[0] for row in await ready.rows("SELECT event_id FROM handled")) == others
    assert await ready.events() == others
    assert [row[0] for row in await ready.dead()] == [f"evt_{at}"]
    assert await ready.rows("SELECT FROM commit_guard") == []
    await ready.assert_all_acked()


def test_parts_are_smaller_the_more_is_slow_and_a_batch_is_one_part_where_nothing_was_of_late() -> None:
    size = PartSize()
    assert size.of(500) == 500
    sizes = []
    for slow_of_100 in (1, 4, 16):
        for _ in range(20):
            size.note(100, slow_of_100)
        sizes.append(size.of(500))
        assert 0.5 < size.of(500) / (PART_COSTS / (slow_of_100 / 100)) ** 0.5 < 1.5
    assert sizes == sorted(sizes, reverse=True)
    assert size.of(1) == 1
    assert size.of(0) == 0
    for _ in range(20):
        size.note(500, 0)
    assert size.of(500) == 500
