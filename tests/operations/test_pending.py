"""Pending entries and the reasons why they wait, in states built by hand on a real server."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from consumers.entry import Entry, Unreadable, read_entry
from consumers.stream_stats import read_stream_stats
from contract.event import EnvelopeError
from contract.keys import GROUP, Keys
from operations.group_consumers import list_consumers
from operations.pending import ENTRIES_READ_AT_ONCE, list_pending
from operations.pending_reason import PendingEntry, RecordedFailure, WorkerLimits, pending_reason
from operations.units import count, duration, printable, size
from tests.support.events import contract_event
from tests.support.stream_states import Stream

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LIMITS = WorkerLimits(claim_idle_ms=15_000, max_attempts=10)
ENTRY = Entry("1-0", 1, contract_event(), {})
IN_WORK = PendingEntry(
    entry_id="1-0", consumer="worker-2", consumer_lives=True, idle_ms=10, deliveries=1, entry=ENTRY, failure=None,
    lock_holder="worker-2",
)  # fmt: skip


def failure(kind: str = "retry", retry_in_s: float = 4) -> RecordedFailure:
    return RecordedFailure.model_validate(
        {
            "kind": kind,
            "reason": "ValueError: no",
            "at": NOW,
            "attempt": 3,
            "retry_at": NOW + timedelta(seconds=retry_in_s),
        }
    )


@pytest.mark.parametrize(
    ("pending", "sentence"),
    [
        (IN_WORK, "in work by worker-2"),
        (replace(IN_WORK, lock_holder="worker-3"), "waits for the lock of stripe:pi_1 held by worker-3"),
        (replace(IN_WORK, lock_holder=None), "read by worker-2, not in work yet"),
        (replace(IN_WORK, lock_holder=None, idle_ms=40_000), "worker-2 lives but has not touched it for 40 s; another"),
        (replace(IN_WORK, failure=failure()), "attempt 3 of 10 failed, tried again in 4 s: ValueError: no"),
        (replace(IN_WORK, failure=failure(retry_in_s=-1)), "in work by worker-2; attempt 3 of 10 failed, due now: Val"),
        (
            replace(IN_WORK, failure=failure("infrastructure")),
            "infrastructure, not counted as an attempt, tried again in 4 s: ValueError: no",
        ),
        (
            replace(IN_WORK, consumer_lives=False, idle_ms=7000),
            "worker-2 is gone (no slot lease); claimed by another worker in 8 s",
        ),
        (
            replace(IN_WORK, consumer_lives=False, idle_ms=99_000),
            "worker-2 is gone (no slot lease); claimed by another",
        ),
        (replace(IN_WORK, consumer="curl", consumer_lives=None), "waits for the lock of stripe:pi_1 held by worker-2"),
        (replace(IN_WORK, consumer="curl", consumer_lives=None, lock_holder=None), "curl is not a worker of ours"),
        (replace(IN_WORK, entry=None), "the entry is gone from the stream (incident)"),
        (
            replace(IN_WORK, entry=Unreadable("1-0", 1, EnvelopeError("no field 'v'"), {}), lock_holder=None),
            "read by worker-2, and not an envelope: no field 'v'; it goes to the dead letters",
        ),
    ],
)
def test_the_sentence_says_why_an_entry_waits(pending: PendingEntry, sentence: str) -> None:
    assert pending_reason(pending, LIMITS, NOW).startswith(sentence)


def test_the_sentence_has_no_control_characters() -> None:
    nasty = failure().model_copy(update={"reason": "\x1b[31mred\x07" + "x" * 1000})
    sentence = pending_reason(replace(IN_WORK, failure=nasty), LIMITS, NOW)
    assert "\x1b" not in sentence
    assert "\x07" not in sentence
    assert len(sentence) < 400


async def test_nothing_is_pending_before_the_first_event(redis: Redis, keys: Keys) -> None:
    stats = await read_stream_stats(redis, keys)
    assert stats.stream is None
    assert stats.oldest_age_ms == 0
    assert (await list_pending(redis, keys, LIMITS, limit=5)).entries == []
    assert await list_consumers(redis, keys, stats) == []


async def test_a_stream_that_nobody_reads_has_no_group(stream: Stream) -> None:
    entry_id = await stream.publish(contract_event())
    stats = await read_stream_stats(stream.redis, stream.keys)
    assert stats.stream
    assert (stats.stream.length, stats.stream.oldest_id, stats.group) == (1, entry_id, None)
    assert (await list_pending(stream.redis, stream.keys, LIMITS, limit=5)).entries == []


async def test_the_stream_stats_count_read_and_unread_entries(stream: Stream) -> None:
    for number in range(5):
        await stream.publish(contract_event(f"evt_{number}"))
    await stream.read("worker-1", 2)
    group = (await read_stream_stats(stream.redis, stream.keys)).group
    assert group
    assert (group.pending, group.lag, group.lag_is_estimated) == (2, 3, False)
    assert (group.oldest_pending_id, group.last_delivered_id) == (stream.ids[0], stream.ids[1])


async def test_a_lag_that_the_server_does_not_know_is_estimated(stream: Stream) -> None:
    for number in range(5):
        await stream.publish(contract_event(f"evt_{number}"))
    await stream.read("worker-1", 2)
    await stream.redis.xdel(stream.keys.events, stream.ids[3])
    group = (await read_stream_stats(stream.redis, stream.keys)).group
    assert group
    assert (group.lag, group.lag_is_estimated) == (2, True)


async def test_pending_entries_are_listed_with_their_reasons(stream: Stream) -> None:
    events = [contract_event(f"evt_{number}", f"pi_{number}") for number in range(6)]
    for event in events:
        await stream.publish(event)
    await stream.publish_fields(["v", "9"])
    await stream.read("worker-1", 3)
    await stream.read("worker-2", 10)
    await stream.lease(1)
    await stream.lock(events[0], "worker-1")
    await stream.lock(events[1], "worker-9")
    await stream.record_failure(stream.ids[2], "retry", "ValueError: no", 3, 100)
    await stream.redis.xdel(stream.keys.events, stream.ids[4])
    page = await list_pending(stream.redis, stream.keys, LIMITS, limit=50)
    assert [explained.pending.entry_id for explained in page.entries] == stream.ids
    reasons = [explained.why for explained in page.entries]
    assert reasons[0] == "in work by worker-1"
    assert reasons[1] == "waits for the lock of stripe:pi_1 held by worker-9"
    assert reasons[2].startswith("attempt 3 of 10 failed, tried again in 1 min")
    assert reasons[3].startswith("worker-2 is gone (no slot lease); claimed by another worker in 1")
    assert reasons[4].startswith("the entry is gone")
    assert isinstance(page.entries[6].pending.entry, Unreadable)


async def test_a_long_list_is_read_in_pages_up_to_the_limit(stream: Stream) -> None:
    total = ENTRIES_READ_AT_ONCE * 2 + 5
    for number in range(total):
        await stream.publish(contract_event(f"evt_{number}"))
    await stream.read("worker-1", total)
    page = await list_pending(stream.redis, stream.keys, LIMITS, limit=total)
    assert [explained.pending.entry_id for explained in page.entries] == stream.ids
    page = await list_pending(stream.redis, stream.keys, LIMITS, limit=ENTRIES_READ_AT_ONCE + 1)
    assert [explained.pending.entry_id for explained in page.entries] == stream.ids[: ENTRIES_READ_AT_ONCE + 1]


async def test_an_unreadable_note_is_shown(stream: Stream) -> None:
    await stream.publish(contract_event())
    await stream.read("worker-1")
    await stream.redis.hset(stream.keys.failures, stream.ids[0], "{not json")
    page = await list_pending(stream.redis, stream.keys, LIMITS, limit=5)
    assert "an unreadable note" in page.entries[0].why


async def test_consumers_are_listed_with_their_leases(stream: Stream) -> None:
    await stream.publish(contract_event())
    for name in ("worker-10", "worker-2", "stranger"):
        await stream.read(name)
        await stream.redis.xgroup_createconsumer(stream.keys.events, GROUP, name)
    await stream.lease(2)
    consumers = await list_consumers(stream.redis, stream.keys, await read_stream_stats(stream.redis, stream.keys))
    assert [(consumer.name, consumer.lives, consumer.pending) for consumer in consumers] == [
        ("stranger", None, 0), ("worker-2", True, 0), ("worker-10", False, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0, "0 ms"), (999, "999 ms"), (4000, "4 s"), (65_000, "1 min 5 s"), (3_600_000, "1 h"), (93_784_000, "1 d 2 h")],
)
def test_durations_are_short(ms: int, text: str) -> None:
    assert duration(ms) == text


def test_sizes_are_short() -> None:
    assert [size(count) for count in (10, 1536, 3 << 30)] == ["10 B", "1.5 KiB", "3.0 GiB"]


def test_printable_text_keeps_its_lines() -> None:
    assert printable("a\nb\x1bc") == "a\nb\N{REPLACEMENT CHARACTER}c"


def test_an_entry_that_is_not_an_envelope_is_unreadable() -> None:
    assert isinstance(read_entry(b"1-0", 1, {b"v": b"9"}), Unreadable)


def test_a_number_has_the_noun_that_fits() -> None:
    assert [count(number, "entry", "entries") for number in (0, 1, 2)] == ["0 entries", "1 entry", "2 entries"]
    assert count(1, "fact") == "1 fact"
    assert count(2, "fact") == "2 facts"
