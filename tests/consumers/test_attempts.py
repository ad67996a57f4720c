"""What counts as an attempt: what a worker has begun. A delivery whose reply was lost does not."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from consumers.batch_size import GROWS_AFTER, BatchSize
from consumers.notes import NO_PAST, Past, read_past, write_note
from contract.keys import GROUP
from tests.support.consuming import POISON, QUICK_ENV, Workers, failing
from tests.support.events import contract_event
from tests.support.processes import Programs
from tests.support.proxy import TcpProxy
from tests.support.servers import ValkeyServer
from tests.support.wait import until

# Deliveries.


async def test_deliveries_alone_dead_letter_no_event(workers: Workers) -> None:
    """Its replies were lost, or somebody claimed it by hand, far more often than MAX_ATTEMPTS."""
    entry_id = await workers.stream.publish(contract_event())
    await workers.stream.read("worker-5")
    for consumer in ("worker-5", "an operator"):
        for _ in range(30):
            await workers.redis.xclaim(workers.keys.events, GROUP, consumer, 0, [entry_id])
    await workers.deliver("an operator", entry_id, 60)
    async with workers.working(max_attempts=2):
        await workers.drained()
    assert await workers.events() == ["evt_1"]
    assert await workers.dead() == []
    await workers.assert_all_acked()


async def test_large_replies_that_are_lost_again_and_again_cost_time_only(
    workers: Workers, valkey: ValkeyServer
) -> None:
    await workers.publish(120)
    async with TcpProxy(valkey.port) as wire:
        wire.swallow_replies_above(8000)
        url = SecretStr(wire.url(valkey.url))
        async with workers.working(max_attempts=2, redis_url=url, redis_timeout_s=0.3) as running:
            await until(workers.drained_now, what="all are applied in small batches", timeout_s=60)
            assert wire.replies_swallowed > 1
            assert running.progress.reason is None or running.progress.age_s < 30
    assert len(await workers.events()) == 120
    assert await workers.dead() == []
    await workers.assert_all_acked()


def test_a_batch_size_falls_where_batches_fail_and_grows_again() -> None:
    size = BatchSize(500)
    for expected in (125, 31, 7):
        size.shrink()
        assert size.now == expected
    for _ in range(GROWS_AFTER - 1):
        size.passed(7)
        size.passed(3)
    assert size.now == 7, "a batch that was not full says nothing"
    size.passed(7)
    assert size.now == 14
    size.shrink()
    for _ in range(GROWS_AFTER):
        size.passed(500)
    assert size.now == 3, "it waits longer after it has grown too far"
    for _ in range(20 * GROWS_AFTER):
        size.passed(500)
    assert size.now == 500
    for _ in range(20):
        size.shrink()
    assert size.now == 1


# Attempts that ended with their worker.

KILLED = 11

KILLER = f"""
import os
from consumers.handlers import Handlers
handlers = Handlers()

@handlers.on("stripe", "payment_intent.succeeded")
async def kill(_, event):
    if event.event_id == "evt_poison":
        os._exit({KILLED})
"""


async def test_an_event_that_kills_its_workers_is_dead_lettered_and_no_other(
    workers: Workers, programs: Programs, tmp_path: Path
) -> None:
    (tmp_path / "killer.py").write_text(KILLER)
    env = QUICK_ENV | {
        "REDIS_URL": workers.settings.redis_url.get_secret_value(),
        "DATABASE_URL": workers.settings.database_url.get_secret_value(),
        "KEY_PREFIX": workers.settings.key_prefix,
        "CONSUMERS_METRICS_PORT": "0",
        "MAX_ATTEMPTS": "3",
        "HANDLERS": "killer:handlers",
        "HANDLERS_FOLDER": str(tmp_path),
    }
    await workers.publish(4, first=1)
    bad = await workers.stream.publish(contract_event(POISON))
    for _ in range(3):
        assert programs.start("consumers", env).wait() == KILLED
    worker = programs.start("consumers", env)
    await workers.drained()
    ((event_id, _, _, reason),) = await workers.dead()
    assert event_id == POISON
    assert reason.startswith("3 attempts without success: 3 ended without an outcome, because their worker died")
    assert await workers.events() == [f"evt_{n}" for n in range(1, 5)]
    assert bad not in await workers.stream.entries()
    assert worker.stop() == 0
    await workers.assert_all_acked()


async def test_an_attempt_that_ended_with_its_worker_is_shown_as_failed(workers: Workers) -> None:
    entry_id = await workers.stream.publish(contract_event(POISON))
    await workers.stream.read("worker-7")
    await workers.begun("worker-7", entry_id, attempt=2)
    async with workers.working(failing(), retry_delay_ms=60_000, retry_delay_max_ms=60_000):
        await until(lambda: has_note(workers, entry_id, 3), what="the third attempt fails")
    notes: Any = await workers.redis.hgetall(workers.keys.failures)
    past = read_past(notes[entry_id.encode()])
    assert (past.failed, past.deaths, past.died_last) == (3, 1, False)
    assert "the moon is in the wrong house" in past.traceback


async def has_note(workers: Workers, entry_id: str, attempt: int) -> bool:
    note = await workers.redis.hget(workers.keys.failures, entry_id)
    return note is not None and json.loads(note)["attempt"] == attempt


async def test_a_begun_attempt_that_was_waited_out_does_not_count(workers: Workers) -> None:
    """A worker that leaves, or waits for an outage to end, ends what it has begun."""
    await workers.connection.execute("ALTER TABLE events RENAME TO elsewhere")
    await workers.publish(1)
    async with workers.working() as running:
        await until(lambda: running.progress.reason, what="it waits for its table")
        await until(lambda: lacks_record(workers), what="its attempts are ended")
    assert await workers.redis.hgetall(workers.keys.begun) == {}
    await workers.connection.execute("ALTER TABLE elsewhere RENAME TO events")


async def lacks_record(workers: Workers) -> bool:
    return not await workers.redis.exists(workers.keys.begun)


# MAX_ATTEMPTS was lowered.


async def test_fewer_attempts_than_before_leave_the_last_error_and_its_traceback(workers: Workers) -> None:
    await workers.stream.publish(contract_event(POISON))
    async with workers.working(failing(), retry_delay_ms=1, retry_delay_max_ms=1, max_attempts=100) as running:
        await until(lambda: running.counted("events_retried_total") >= 5, what="five attempts fail")
    async with workers.working(failing(), max_attempts=3):
        await workers.drained()
    ((event_id, _, _, reason),) = await workers.dead()
    assert event_id == POISON
    assert reason.endswith("failed, and MAX_ATTEMPTS is 3 now: ValueError: the moon is in the wrong house")
    assert "ValueError: the moon" in (await workers.row("SELECT traceback FROM dead_letters"))[0]


# Notes.


def test_a_note_says_the_past_again() -> None:
    past = Past(3, 1, died_last=True, error="\ud800 no", traceback="Trace\n" + "x" * 10)
    read = read_past(write_note(past, 4, "infrastructure", "down", 1.0, None).encode())
    assert (read.failed, read.deaths, read.died_last) == (3, 1, True)
    assert read.traceback == past.traceback


@pytest.mark.parametrize(
    ("note", "past"),
    [
        (b'{"kind": "retry", "reason": "no", "attempt": 3}', Past(3, error="no")),
        (b'{"kind": "infrastructure", "reason": "down", "attempt": 3}', Past(2)),
        (b'{"kind": "infrastructure", "reason": "down", "attempt": 0}', NO_PAST),
        (b"", NO_PAST),
        (b"[]", NO_PAST),
        (b'{"kind": "retry", "attempt": null}', NO_PAST),
    ],
)
def test_a_note_of_the_version_before_and_an_unreadable_one_are_understood(note: bytes, past: Past) -> None:
    assert read_past(note) == past
