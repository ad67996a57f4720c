"""Slow, hanging and blocking handlers, and locks that somebody forgot: none of them holds back other events."""

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from consumers.handlers import Connection, Handlers
from consumers.handlers.payments import HANDLERS
from consumers.notes import read_note
from contract.event import Event
from sql.connect import connect
from tests.support.consuming import QUICK_ENV, Workers
from tests.support.database import CONNECT_TIMEOUT_S
from tests.support.events import contract_event
from tests.support.processes import Programs
from tests.support.stream_states import say
from tests.support.wait import until

SUCCEEDED = "payment_intent.succeeded"
SLOW = "evt_slow"


def with_handler(handler: Any) -> Handlers:
    handlers = HANDLERS.joined_with(Handlers())
    handlers.on("stripe", SUCCEEDED)(handler)
    return handlers


async def wait_for_another_system(duration_s: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), duration_s)


async def publish_slow(workers: Workers, n: int) -> list[str]:
    return [await workers.stream.publish(contract_event(f"{SLOW}_{i}", f"pi_slow_{i}")) for i in range(n)]


async def note_of(workers: Workers, entry_id: str) -> dict[str, Any]:
    notes: Any = await workers.redis.hgetall(workers.keys.failures)
    return dict(json.loads(notes.get(entry_id.encode(), b"{}")))


# Hanging and slow handlers.


async def hang(_: Connection, event: Event) -> None:
    if event.event_id.startswith(SLOW):
        await asyncio.Event().wait()


async def test_hanging_handlers_hold_back_no_other_event(workers: Workers) -> None:
    await workers.publish(60)
    await publish_slow(workers, 12)
    await workers.publish(60, first=60)
    async with workers.working(
        with_handler(hang), handler_timeout_s=20, transaction_idle_s=30, drain_timeout_s=0.1
    ) as running:
        await until(lambda: workers.has_applied(120), what="all others are applied while the slow ones hang")
        await until(lambda: running.counted("handler_slow_total") == 12, what="each is counted once, after the commit")
        assert await workers.dead() == []
        await until(lambda: is_running(workers), what="it is recorded which handler runs")
        said = (await say(workers.settings, "pending")).text
        assert "handler hang has been running" in " ".join(said.split())


async def is_running(workers: Workers) -> bool:
    notes: Any = await workers.redis.hvals(workers.keys.failures)
    return any(json.loads(note)["kind"] == "running" for note in notes)


async def test_a_hanging_handler_is_ended_and_dead_lettered_with_its_name(workers: Workers) -> None:
    await publish_slow(workers, 3)
    await workers.publish(5)
    async with workers.working(with_handler(hang), handler_timeout_s=0.2, max_attempts=2):
        await workers.drained()
    assert len(await workers.events()) == 5
    dead = await workers.dead()
    assert sorted(row[0] for row in dead) == [f"{SLOW}_{i}" for i in range(3)]
    assert {row[2] for row in dead} == {2}
    assert all("handler hang was ended after 0.2 s" in row[3] for row in dead)
    await workers.assert_all_acked()


async def test_a_slow_handler_ends_in_its_own_time(workers: Workers) -> None:
    async def take_time(connection: Connection, event: Event) -> None:
        if event.event_id.startswith(SLOW):
            await connection.execute("SELECT 1")
            await wait_for_another_system(0.2)

    await publish_slow(workers, 6)
    await workers.publish(20)
    async with workers.working(with_handler(take_time), max_attempts=1):
        await workers.drained()
    assert len(await workers.events()) == 26
    assert await workers.dead() == []
    await workers.assert_all_acked()


async def test_a_handler_that_is_always_slow_is_tried_in_the_side_lane_at_once(workers: Workers) -> None:
    calls = 0

    async def call_slowly(_: Connection, __: Event) -> None:
        nonlocal calls
        calls += 1
        await wait_for_another_system(0.05)

    await workers.publish(150)
    async with workers.working(with_handler(call_slowly), side_lane_max=20):
        await workers.drained()
    assert len(await workers.events()) == 150
    assert calls <= 150 + 60, "it was cut off again and again, although it is known to be slow"
    await workers.assert_all_acked()


async def test_a_slow_statement_of_a_handler_holds_back_no_batch(workers: Workers) -> None:
    async def query(connection: Connection, event: Event) -> None:
        if event.event_id.startswith(SLOW):
            await connection.execute("SELECT pg_sleep(30)")

    await publish_slow(workers, 1)
    await workers.publish(20)
    limits: dict[str, Any] = {"handler_timeout_s": 20, "transaction_idle_s": 30, "statement_timeout_s": 60}
    async with workers.working(with_handler(query), drain_timeout_s=0.1, **limits):
        await until(lambda: workers.has_applied(20), what="the others are applied")


# A lock that a session of somebody else's holds.


@pytest.mark.parametrize("locked", ["the payment's row", "a row of the handler's own"])
async def test_a_locked_row_holds_back_its_own_event_only_and_counts_no_attempt(workers: Workers, locked: str) -> None:
    await workers.connection.execute("CREATE TABLE stock (id text PRIMARY KEY, n integer)")
    await workers.connection.execute("INSERT INTO stock VALUES ('pi_locked', 1)")

    async def take(connection: Connection, event: Event) -> None:
        await connection.execute("UPDATE stock SET n = n - 1 WHERE id = $1", event.resource)

    await workers.stream.publish(contract_event("evt_before", "pi_locked"))
    async with workers.working():
        await workers.drained()
    row = "payments WHERE payment_id" if locked == "the payment's row" else "stock WHERE id"
    async with connect(workers.settings.database_url.get_secret_value(), timeout_s=CONNECT_TIMEOUT_S) as forgotten:
        await forgotten.execute("BEGIN")
        await forgotten.execute(f"SELECT FROM {row} = 'pi_locked' FOR UPDATE")
        await workers.publish(30)
        entry_id = await workers.stream.publish(contract_event("evt_locked", "pi_locked"))
        await workers.publish(30, first=30)
        limits: dict[str, Any] = {"batch_lock_timeout_ms": 100, "row_lock_timeout_s": 2, "handler_timeout_s": 5,
                  "transaction_idle_s": 10, "max_attempts": 2}  # fmt: skip
        async with workers.working(with_handler(take), **limits) as running:
            await until(lambda: workers.has_applied(61), what="all others are applied")
            await until(lambda: names_holder(workers, entry_id, forgotten.get_server_pid()), what="it says who holds")
            await until(lambda: running.counted("events_retried_total") >= 2, what="it is tried again", timeout_s=30)
            assert read_note(json.dumps(await note_of(workers, entry_id)).encode()).past.failed == 0
            assert await workers.dead() == []
            await forgotten.execute("ROLLBACK")
            await workers.drained()
    assert "evt_locked" in await workers.events()
    await workers.assert_all_acked()


async def names_holder(workers: Workers, entry_id: str, pid: int) -> bool:
    return f"process {pid} of Postgres" in (await note_of(workers, entry_id)).get("reason", "")


async def test_a_locked_table_is_waited_out(workers: Workers) -> None:
    await workers.publish(30)
    async with workers.connection.transaction():
        await workers.connection.execute("LOCK TABLE payments")
        async with workers.working(batch_lock_timeout_ms=20, max_attempts=2) as running:
            await until(lambda: running.progress.reason, what="it waits as in an outage")
            assert await workers.dead() == []
            await workers.connection.execute("COMMIT")
            await workers.drained()
            await workers.connection.execute("BEGIN")
    assert len(await workers.events()) == 30
    await workers.assert_all_acked()


# Handlers that block the event loop.

BLOCKING = """
import time
from consumers.handlers import Handlers
handlers = Handlers()

@handlers.on("stripe", "payment_intent.succeeded")
async def block(_, event):
    if event.event_id.startswith("evt_slow"):
        time.sleep(30)
"""


def blocking_environment(workers: Workers, folder: Path) -> dict[str, str]:
    """The environment of a worker whose handler blocks."""
    (folder / "blocking.py").write_text(BLOCKING)
    return QUICK_ENV | {
        "REDIS_URL": workers.settings.redis_url.get_secret_value(),
        "DATABASE_URL": workers.settings.database_url.get_secret_value(),
        "KEY_PREFIX": workers.settings.key_prefix,
        "CONSUMERS_METRICS_PORT": "0",
        "MAX_ATTEMPTS": "2",
        "HANDLER_BLOCKED_S": "0.2",
        "HANDLERS": "blocking:handlers",
        "HANDLERS_FOLDER": str(folder),
    }


async def test_a_blocking_handler_is_named_and_ended_and_others_go_on(
    workers: Workers, programs: Programs, tmp_path: Path
) -> None:
    env = blocking_environment(workers, tmp_path)
    (entry_id,) = await publish_slow(workers, 1)
    await workers.publish(20)
    worker = programs.start("consumers", env)
    await until(lambda: workers.has_applied(20), what="the worker ends the call and applies the others")
    pid = worker.pid
    assert worker.is_running
    note = await note_of(workers, entry_id)
    assert note["failed"] == 1
    assert "handler block blocked the worker's event loop for 0.5 s" in note["reason"]
    assert "handler block blocked" in " ".join((await say(workers.settings, "pending")).text.split())
    await workers.drained()
    ((event_id, _, _, reason),) = await workers.dead()
    assert event_id == f"{SLOW}_0"
    assert "handler block blocked the worker's event loop" in reason
    assert worker.pid == pid
    assert worker.stop() == 0
    assert '"handler": "block"' in worker.log
    await workers.assert_all_acked()


async def test_a_worker_that_is_stopped_while_a_handler_blocks_it_ends(
    workers: Workers, programs: Programs, tmp_path: Path
) -> None:
    (entry_id,) = await publish_slow(workers, 1)
    worker = programs.start("consumers", blocking_environment(workers, tmp_path))
    await until(lambda: "blocks this worker's event loop" in worker.log, what="the handler blocks")
    assert worker.stop() == 0
    assert (await note_of(workers, entry_id))["failed"] == 1


async def test_a_worker_that_is_stopped_while_it_begins_again_ends(
    workers: Workers, programs: Programs, tmp_path: Path
) -> None:
    await publish_slow(workers, 1)
    worker = programs.start("consumers", blocking_environment(workers, tmp_path))
    await until(lambda: "begins again" in worker.log, what="it replaces its process")
    assert worker.stop() == 0


async def test_a_block_that_costs_the_connection_is_a_failure_of_its_handler_and_no_outage(workers: Workers) -> None:
    """Postgres ends the transaction meanwhile. Without the watching thread, which only a process has."""
    blocked = False

    async def block(connection: Connection, event: Event) -> None:
        nonlocal blocked
        if event.event_id.startswith(SLOW) and not blocked:
            blocked = True
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    async def block_first(connection: Connection, event: Event) -> None:
        if event.event_id.startswith(SLOW) and not blocked:
            busy_for(0.3)
            await block(connection, event)

    await publish_slow(workers, 1)
    await workers.publish(5)
    async with workers.working(with_handler(block_first), handler_blocked_s=0.2, handler_slow_ms=2000) as running:
        await until(lambda: running.counted("events_retried_total"), what="its attempt failed")
        assert running.counted("infrastructure_failures_total") == 0
        await workers.drained()
    assert len(await workers.events()) == 6
    await workers.assert_all_acked()


def busy_for(duration_s: float) -> None:
    """Keep the event loop from running."""
    ends_s = asyncio.get_running_loop().time() + duration_s
    while asyncio.get_running_loop().time() < ends_s:
        pass
