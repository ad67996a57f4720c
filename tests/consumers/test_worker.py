"""The ritual on real servers: what becomes of events, of their copies, and of those that fail."""

import asyncio
import json
from contextlib import suppress
from itertools import pairwise
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from consumers import store
from consumers.entry import Entry, read_entry
from consumers.handlers import Connection, Handlers, Reject, Retry
from consumers.handlers.payments import HANDLERS
from consumers.hooks import Hook
from contract.event import Event, to_fields
from contract.keys import COMMITTED, GROUP
from sql.connect import connect
from tests.support.consuming import QUICK, Workers, in_thread, once_at
from tests.support.events import contract_event
from tests.support.proxy import TcpProxy
from tests.support.servers import ValkeyServer
from tests.support.stream_states import Stream
from tests.support.wait import until

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


# One entry that fails, among others that do not.


async def test_one_bad_entry_holds_back_no_other(workers: Workers) -> None:
    await publish(workers, 20)
    bad = await workers.stream.publish(contract_event(POISON))
    await publish(workers, 20, first=21)
    async with workers.working(failing(), retry_delay_ms=60_000, retry_delay_max_ms=60_000):
        await until(lambda: has_events(workers, 40), what="all others are applied")
        await until(lambda: is_alone(workers, bad), what="all others are acknowledged")
        assert await workers.pending() == {bad: ("worker-1", 1)}
        note = json.loads((await workers.redis.hgetall(workers.keys.failures))[bad.encode()])
        assert (note["kind"], note["attempt"]) == ("retry", 1)
        assert note["reason"] == "ValueError: the moon is in the wrong house"
        assert note["at"] < note["retry_at"]
    assert await workers.dead() == []


async def test_attempts_are_counted_and_grow_apart_until_the_entry_is_dead(workers: Workers) -> None:
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
            in_thread(lambda: note_deliveries(workers, deliveries))

    bad = await workers.stream.publish(contract_event(POISON))
    await publish(workers, 3)
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
    await workers.assert_settled()


async def note_deliveries(workers: Workers, deliveries: list[int]) -> None:
    async with Redis.from_url(workers.settings.redis_url.get_secret_value(), protocol=3) as redis:
        rows: list[Any] = await redis.xpending_range(workers.keys.events, GROUP, "-", "+", 1)
        deliveries += [row["times_delivered"] for row in rows]


async def test_the_dead_letter_is_written_before_the_acknowledgement(workers: Workers) -> None:
    """Postgres refuses the burial: the entry stays, unharmed, until it can be buried."""
    await workers.connection.execute("ALTER TABLE dead_letters RENAME TO elsewhere")
    bad = await workers.stream.publish(contract_event(POISON))
    async with workers.working(failing(Reject("never"))) as running:
        await until(lambda: running.progress.reason, what="the worker waits")
        assert bad in await workers.stream.entries()
        await workers.connection.execute("ALTER TABLE elsewhere RENAME TO dead_letters")
        await workers.drained()
    assert await workers.dead() == [(POISON, "open", 1, "never")]
    await workers.assert_settled()


async def test_a_redelivery_of_a_dead_event_is_accepted_and_closes_its_letter(workers: Workers) -> None:
    await workers.stream.publish(contract_event(POISON))
    async with workers.working(failing(Reject("not today"), times=2)):
        await workers.drained()
        assert [row[:2] for row in await workers.dead()] == [(POISON, "open")]
        assert await workers.redis.get(workers.keys.seen("stripe", POISON)) is None
        await workers.stream.publish(contract_event(POISON))
        await until(lambda: has_events(workers, 0), what="the second attempt")
        await workers.drained()
    async with workers.working():
        await workers.stream.publish(contract_event(POISON))
        await workers.drained()
    assert await workers.events() == [POISON]
    assert {row[1] for row in await workers.dead()} == {"replayed"}
    await workers.assert_settled()


async def test_a_rejected_event_is_dead_at_once(workers: Workers) -> None:
    await workers.stream.publish(contract_event(POISON))
    await publish(workers, 3)
    async with workers.working(failing(Reject("we do not sell that\nany more"))):
        await workers.drained()
    assert await workers.dead() == [(POISON, "open", 1, "we do not sell that\nany more")]
    await workers.assert_settled()


async def test_a_body_that_is_not_what_its_provider_documents_is_dead_at_once(workers: Workers) -> None:
    await workers.stream.publish(contract_event(POISON, body=b'{"data": {"object": {"amount": "a lot"}}}'))
    async with workers.working():
        await workers.drained()
    ((event_id, _, attempts, reason),) = await workers.dead()
    assert (event_id, attempts) == (POISON, 1)
    assert "data.object.amount" in reason
    assert "a lot" not in reason


async def test_a_handler_says_when_it_wants_an_event_again(workers: Workers) -> None:
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
    await workers.assert_settled()


@pytest.mark.parametrize("error", [ValueError("\ud800 \0"), Reject("\udcff\0"), ValueError("x" * 1_000_000)])
async def test_a_reason_that_postgres_cannot_hold_holds_nothing_up(workers: Workers, error: Exception) -> None:
    await workers.stream.publish(contract_event(POISON))
    async with workers.working(failing(error), max_attempts=1):
        await workers.drained()
    assert [row[0] for row in await workers.dead()] == [POISON]
    await workers.assert_settled()


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
async def test_an_entry_that_is_no_envelope_is_dead_at_once(workers: Workers, fields: dict[str, Any]) -> None:
    flat = to_fields(contract_event(POISON))
    whole: dict[Any, Any] = (
        dict(zip(flat[::2], flat[1::2], strict=True)) if "v" not in fields and fields else {"x": "y"}
    )
    entry_id = await workers.redis.xadd(workers.keys.events, whole | fields)
    await workers.redis.set(workers.keys.epoch, entry_id)
    await publish(workers, 2)
    async with workers.working():
        await workers.drained()
    assert await workers.events() == ["evt_1", "evt_2"]
    ((event_id, state, attempts, reason),) = await workers.dead()
    assert (event_id, state, attempts) == (None, "open", 1)
    assert reason
    await workers.assert_settled()


async def test_an_event_that_postgres_cannot_hold_is_dead_and_alone(workers: Workers) -> None:
    """A header with an escaped NUL passes JSON, but not jsonb."""
    await workers.stream.publish(contract_event(POISON, headers={"x": "\0"}))
    await publish(workers, 3)
    async with workers.working():
        await workers.drained()
    assert await workers.events() == ["evt_1", "evt_2", "evt_3"]
    assert [row[0] for row in await workers.dead()] == [POISON]
    await workers.assert_settled()


async def test_an_entry_that_brings_its_workers_down_is_dead_and_its_mates_are_not(workers: Workers) -> None:
    """Six deaths with the poison in hand, as the pending list tells them; then a worker looks at all of it."""
    for n in range(5):
        await workers.stream.publish(contract_event(f"evt_{n}", f"pi_{n}"))
    bad = await workers.stream.publish(contract_event(POISON))
    await workers.stream.read("worker-7")
    for entry_id in workers.stream.ids:
        await deliver(workers, "worker-7", entry_id, 6 if entry_id == bad else 4)
    async with workers.working(max_attempts=6):
        await workers.drained()
    assert await workers.events() == [f"evt_{n}" for n in range(5)]
    ((event_id, _, attempts, reason),) = await workers.dead()
    assert (event_id, attempts) == (POISON, 7)
    assert "without an outcome" in reason
    await workers.assert_settled()


async def deliver(workers: Workers, consumer: str, entry_id: str, deliveries: int) -> None:
    """As if it had been delivered so often, and its last worker were gone for an hour."""
    await workers.redis.xclaim(
        workers.keys.events, GROUP, consumer, 0, [entry_id], idle=3_600_000, retrycount=deliveries, justid=True
    )


async def has_events(workers: Workers, n: int) -> bool:
    return len(await workers.events()) >= n


async def is_alone(workers: Workers, entry_id: str) -> bool:
    return list(await workers.pending()) == [entry_id]


# Busy resources, and entries of others.


async def test_a_busy_resource_is_waited_for_at_no_attempt(workers: Workers) -> None:
    busy = contract_event("evt_busy", "pi_busy")
    await workers.stream.lock(busy, "worker-9")
    entry_id = await workers.stream.publish(busy)
    await publish(workers, 5)
    async with workers.working():
        await until(lambda: has_events(workers, 5), what="what is free is applied")
        await until(lambda: is_renewed(workers, entry_id), what="the parked entry is renewed")
        assert await workers.pending() == {entry_id: ("worker-1", 1)}
        await workers.redis.delete(workers.keys.lock("stripe", "pi_busy"))
        await workers.drained()
    assert await workers.dead() == []
    await workers.assert_settled()


async def is_renewed(workers: Workers, entry_id: str) -> bool:
    """Its idle time is shorter than the time since it was read, which is longer than the claim idle time."""
    (row,) = await workers.redis.xpending_range(workers.keys.events, GROUP, entry_id, entry_id, 1)
    now_s, micros = await workers.redis.time()
    read_ms_ago = now_s * 1000 + micros // 1000 - int(entry_id.partition("-")[0])
    return bool(read_ms_ago > QUICK["claim_idle_ms"] and row["time_since_delivered"] < QUICK["claim_idle_ms"])


async def test_what_a_dead_worker_left_is_applied_and_its_name_forgotten(workers: Workers) -> None:
    await publish(workers, 7)
    await workers.stream.read("worker-5", 7)
    assert await workers.consumers() == ["worker-5"]
    async with workers.working():
        await workers.drained()
        await until(lambda: has_names(workers, ["worker-1"]), what="the dead worker's name is forgotten")
    assert await workers.consumers() == []
    assert len(await workers.events()) == 7
    await workers.assert_settled()


async def has_names(workers: Workers, names: list[str]) -> bool:
    return await workers.consumers() == names


@pytest.mark.parametrize(
    "name", ["worker-\u00b2", "7", "worker-", "worker-007", b"\xff\xfe", "worker-99999999999999999999"]
)
async def test_names_that_are_not_ours_are_left_alone(workers: Workers, name: Any) -> None:
    await publish(workers, 1)
    await workers.redis.xgroup_create(workers.keys.events, GROUP, "0")
    await workers.redis.xgroup_createconsumer(workers.keys.events, GROUP, name)
    await workers.redis.xgroup_createconsumer(workers.keys.events, GROUP, "worker-3")
    async with workers.working():
        await workers.drained()
        await until(lambda: lacks_name(workers, b"worker-3"), what="a dead worker's name is forgotten")
    names = [c["name"] for c in await workers.redis.xinfo_consumers(workers.keys.events, GROUP)]
    assert names == [name if isinstance(name, bytes) else name.encode()]


async def lacks_name(workers: Workers, name: bytes) -> bool:
    return name not in [c["name"] for c in await workers.redis.xinfo_consumers(workers.keys.events, GROUP)]


async def test_a_pending_entry_that_is_gone_is_counted_and_no_crash(workers: Workers) -> None:
    first, gone, last = await publish(workers, 3)
    await workers.stream.read("worker-5")
    await workers.redis.xdel(workers.keys.events, gone)
    async with workers.working() as running:
        await workers.drained()
        await until(lambda: b"entries_gone_total 1.0" in running.metrics.render(), what="the incident is counted")
    assert await workers.rows("SELECT entry_id FROM events ORDER BY entry_id") == [(first,), (last,)]
    assert await workers.pending() == {}


# An entry never has two fates.


async def test_an_entry_buried_by_another_is_not_applied(workers: Workers) -> None:
    """Its worker was stopped between the lock and the transaction; meanwhile another buried the entry."""
    entry_id = await workers.stream.publish(contract_event())

    async def bury() -> None:
        async with connect(workers.settings.database_url.get_secret_value(), timeout_s=5) as connection:
            entry = read_entry(entry_id.encode(), 2, (await entries_elsewhere(workers))[entry_id])
            assert await store.dead_letter(connection, entry, "no", "")

    async with workers.working(hooks=once_at("locked", bury)):
        await workers.drained()
    assert await workers.events() == []
    assert [row[0] for row in await workers.dead()] == ["evt_1"]
    assert await workers.redis.get(workers.keys.seen("stripe", "evt_1")) is None
    await workers.assert_settled()


async def entries_elsewhere(workers: Workers) -> dict[str, dict[bytes, bytes]]:
    async with Redis.from_url(workers.settings.redis_url.get_secret_value(), protocol=3) as redis:
        return await Stream(redis, workers.keys).entries()


async def test_an_entry_applied_by_another_is_not_buried(workers: Workers) -> None:
    """Its handler rejects it here; but before it is buried, a luckier worker has applied it."""
    handlers = HANDLERS.joined_with(Handlers())
    luckier = failing(times=0)
    calls = 0

    @handlers.on("stripe", "payment_intent.succeeded")
    async def refuse(_: Connection, __: Event) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise Retry("a moment", after=0)
        raise Reject("not here")

    async def apply_elsewhere() -> None:
        """The whole ritual of another worker, up to its commit."""
        async with connect(workers.settings.database_url.get_secret_value(), timeout_s=5) as connection:
            fields = await entries_elsewhere(workers)
            (entry_id,) = fields
            entry = read_entry(entry_id.encode(), 2, fields[entry_id])
            assert isinstance(entry, Entry)
            async with connection.transaction():
                await store.claim(connection, [entry])
                await store.keep_payloads(connection, [entry])
                await luckier.apply(connection, [entry.event], 5, lambda: None)

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
    await workers.assert_settled()


async def test_an_entry_given_up_after_its_commit_is_settled_and_not_buried(workers: Workers) -> None:
    """Applied, but its workers always died before they could acknowledge it: the counter says hopeless."""
    await workers.stream.publish(contract_event())
    async with workers.working():
        await workers.drained()
    entry_id = workers.stream.ids[0]
    fields = to_fields(contract_event())
    await workers.redis.delete(workers.keys.events)
    await workers.redis.xadd(workers.keys.events, dict(zip(fields[::2], fields[1::2], strict=True)), id=entry_id)
    await workers.redis.xgroup_create(workers.keys.events, GROUP, "0")
    await workers.stream.read("worker-5")
    await deliver(workers, "worker-5", entry_id, 99)
    async with workers.working():
        await workers.drained()
    assert await workers.dead() == []
    assert await workers.redis.get(workers.keys.seen("stripe", "evt_1")) == COMMITTED


async def test_a_burial_of_unknown_outcome_is_final(workers: Workers, valkey: ValkeyServer) -> None:
    """Redis refuses the acknowledgement after the burial; the handler would agree by the next time."""
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
            await until(workers.dead, what="the letter is written")
            wire.resume()
            wire.cut()
            await workers.drained()
    assert await workers.events() == []
    await workers.assert_settled()
