"""Entries that fail among others that do not: each is retried or dead-lettered, and holds back no other."""

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest
from redis.asyncio import Redis

from consumers.handlers import Connection, Handlers, Reject, Retry
from consumers.handlers.payments import HANDLERS
from consumers.hooks import Hook
from contract.event import Event, to_entry
from contract.keys import GROUP
from tests.support.consuming import POISON, Workers, failing, in_thread
from tests.support.events import contract_event
from tests.support.wait import until

# One entry that fails, among others that do not.


async def test_one_bad_entry_delays_no_other(workers: Workers) -> None:
    await workers.publish(20, first=1)
    bad = await workers.stream.publish(contract_event(POISON))
    await workers.publish(20, first=21)
    async with workers.working(failing(), retry_delay_ms=60_000, retry_delay_max_ms=60_000):
        await until(lambda: workers.has_events(40), what="all others are applied")
        await until(lambda: is_alone(workers, bad), what="all others are acknowledged")
        assert await workers.pending() == {bad: ("worker-1", 1)}
        failure = json.loads((await workers.redis.hgetall(workers.keys.failures))[bad.encode()])
        assert (failure["kind"], failure["attempt"]) == ("retry", 1)
        assert failure["reason"] == "ValueError: the moon is in the wrong house"
        assert failure["at"] < failure["retry_at"]
    assert await workers.dead() == []


async def test_attempts_are_counted_with_growing_delays_until_the_entry_is_dead_lettered(workers: Workers) -> None:
    waits: list[float] = []
    deliveries: list[int] = []
    handlers = HANDLERS.joined_with(Handlers())
    loop = asyncio.get_running_loop()

    @handlers.on("stripe", "payment_intent.succeeded")
    async def fail(_: Connection, event: Event) -> None:
        if event.event_id == POISON:
            waits.append(loop.time())
            raise ValueError("again")

    def hooks(reached: Hook) -> None:
        if reached == "claimed":
            in_thread(lambda: record_deliveries(workers, deliveries))

    bad = await workers.stream.publish(contract_event(POISON))
    await workers.publish(3, first=1)
    async with workers.working(handlers, hooks, max_attempts=5, retry_delay_ms=40, retry_delay_max_ms=10_000):
        await workers.drained()
    (dead,) = await workers.dead()
    assert dead == (POISON, "open", 5, "attempt 5 of 5 failed: ValueError: again")
    assert len(waits) == 6, "once in the batch, then five times alone"
    gaps = [later - earlier for earlier, later in pairwise(waits[1:])]
    assert all(gap >= 0.020 * 2**n for n, gap in enumerate(gaps)), gaps
    assert set(deliveries) == {1, 2, 3, 4, 5}, "the pending list's own counter"
    assert "ValueError: again" in (await workers.row("SELECT traceback FROM dead_letters"))[0]
    assert await workers.redis.get(workers.keys.seen("stripe", POISON)) is None
    assert await workers.rows("SELECT entry_id FROM dead_letters") == [(bad,)]
    await workers.assert_all_acked()


async def record_deliveries(workers: Workers, deliveries: list[int]) -> None:
    async with Redis.from_url(workers.settings.redis_url.get_secret_value(), protocol=3) as redis:
        rows: list[Any] = await redis.xpending_range(workers.keys.events, GROUP, "-", "+", 1)
        deliveries += [row["times_delivered"] for row in rows]


async def test_the_dead_letter_is_written_before_the_acknowledgement(workers: Workers) -> None:
    """Postgres refuses the dead letter: the entry stays in the stream until it can be written."""
    await workers.connection.execute("ALTER TABLE dead_letters RENAME TO elsewhere")
    bad = await workers.stream.publish(contract_event(POISON))
    async with workers.working(failing(Reject("never"))) as running:
        await until(lambda: running.progress.reason, what="the worker waits")
        assert bad in await workers.stream.entries()
        await workers.connection.execute("ALTER TABLE elsewhere RENAME TO dead_letters")
        await workers.drained()
    assert await workers.dead() == [(POISON, "open", 1, "never")]
    await workers.assert_all_acked()


async def test_a_redelivery_of_a_dead_event_is_accepted_and_closes_its_dead_letter(workers: Workers) -> None:
    await workers.stream.publish(contract_event(POISON))
    async with workers.working(failing(Reject("not today"), times=2)):
        await workers.drained()
        assert [row[:2] for row in await workers.dead()] == [(POISON, "open")]
        assert await workers.redis.get(workers.keys.seen("stripe", POISON)) is None
        await workers.stream.publish(contract_event(POISON))
        await until(lambda: workers.has_events(0), what="the second attempt")
        await workers.drained()
    async with workers.working():
        await workers.stream.publish(contract_event(POISON))
        await workers.drained()
    assert await workers.events() == [POISON]
    assert {row[1] for row in await workers.dead()} == {"replayed"}
    await workers.assert_all_acked()


async def test_a_rejected_event_is_dead_lettered_at_once(workers: Workers) -> None:
    await workers.stream.publish(contract_event(POISON))
    await workers.publish(3, first=1)
    async with workers.working(failing(Reject("we do not sell that\nany more"))):
        await workers.drained()
    assert await workers.dead() == [(POISON, "open", 1, "we do not sell that\nany more")]
    await workers.assert_all_acked()


async def test_a_body_that_its_provider_does_not_document_is_dead_lettered_at_once(workers: Workers) -> None:
    await workers.stream.publish(contract_event(POISON, body=b'{"data": {"object": {"amount": "a lot"}}}'))
    async with workers.working():
        await workers.drained()
    ((event_id, _, attempts, reason),) = await workers.dead()
    assert (event_id, attempts) == (POISON, 1)
    assert "data.object.amount" in reason
    assert "a lot" not in reason


async def test_a_handler_can_choose_the_delay(workers: Workers) -> None:
    times: list[float] = []
    handlers = HANDLERS.joined_with(Handlers())

    @handlers.on("stripe", "payment_intent.succeeded")
    async def not_yet(_: Connection, __: Event) -> None:
        times.append(asyncio.get_running_loop().time())
        if len(times) == 1:
            raise Retry("its order is not there yet", after=0.3)

    await workers.stream.publish(contract_event())
    async with workers.working(handlers, retry_delay_ms=1):
        await workers.drained()
    assert times[1] - times[0] >= 0.3
    await workers.assert_all_acked()


@pytest.mark.parametrize("error", [ValueError("\ud800 \0"), Reject("\udcff\0"), ValueError("x" * 1_000_000)])
async def test_a_reason_that_postgres_cannot_hold_blocks_nothing(workers: Workers, error: Exception) -> None:
    await workers.stream.publish(contract_event(POISON))
    async with workers.working(failing(error), max_attempts=1):
        await workers.drained()
    assert [row[0] for row in await workers.dead()] == [POISON]
    await workers.assert_all_acked()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"v": "2"},
        {"v": b"\xff"},
        {"v": "1", "source": "s"},
        {"event_id": b"\xff\xfe"},
        {"event_id": ""},
        {"namespace": "n" * 65},
        {"occurred_at": "yesterday"},
        {"received_at": "2026-01-01T00:00:00"},
        {"signed": "sealed"},
        {"headers": "[1]"},
        {"headers": "[" * 100_000},
        {"headers": '{"a": 1}'},
    ],
    ids=lambda fields: "-".join(fields) or "empty",
)
async def test_an_undecodable_entry_is_dead_lettered_at_once(workers: Workers, fields: dict[str, Any]) -> None:
    flat = to_entry(contract_event(POISON))
    whole: dict[Any, Any] = (
        dict(zip(flat[::2], flat[1::2], strict=True)) if "v" not in fields and fields else {"x": "y"}
    )
    entry_id = await workers.redis.xadd(workers.keys.events, whole | fields)
    await workers.redis.set(workers.keys.epoch, entry_id)
    await workers.publish(2, first=1)
    async with workers.working():
        await workers.drained()
    assert await workers.events() == ["evt_1", "evt_2"]
    ((event_id, state, attempts, reason),) = await workers.dead()
    assert (event_id, state, attempts) == (None, "open", 1)
    assert reason
    await workers.assert_all_acked()


async def test_an_event_that_postgres_cannot_hold_is_dead_lettered_alone(workers: Workers) -> None:
    """A header with an escaped NUL passes JSON, but not jsonb."""
    await workers.stream.publish(contract_event(POISON, headers={"x": "\0"}))
    await workers.publish(3, first=1)
    async with workers.working():
        await workers.drained()
    assert await workers.events() == ["evt_1", "evt_2", "evt_3"]
    assert [row[0] for row in await workers.dead()] == [POISON]
    await workers.assert_all_acked()


async def test_a_poison_message_is_dead_lettered_and_the_others_of_its_batch_are_not(workers: Workers) -> None:
    """Six workers have died with the poison message; then one reclaims it all."""
    for n in range(5):
        await workers.stream.publish(contract_event(f"evt_{n}", f"pi_{n}"))
    bad = await workers.stream.publish(contract_event(POISON))
    await workers.stream.read("worker-7")
    await workers.begun("worker-7", *workers.stream.ids[:-1], attempt=4)
    await workers.begun("worker-7", bad, attempt=6)
    async with workers.working(max_attempts=6):
        await workers.drained()
    assert await workers.events() == [f"evt_{n}" for n in range(5)]
    ((event_id, _, attempts, reason),) = await workers.dead()
    assert (event_id, attempts) == (POISON, 7)
    assert "without an outcome" in reason
    await workers.assert_all_acked()


async def is_alone(workers: Workers, entry_id: str) -> bool:
    return list(await workers.pending()) == [entry_id]
