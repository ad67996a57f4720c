"""What the stream looks like from outside: who reads it, what waits in it and why. Reads only."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from pydantic import ValidationError
from redis.asyncio import Redis

from consumers.entry import Entry, read_entry
from consumers.stream_stats import StreamStats, read_stream_stats
from contract.keys import GROUP, Keys
from operations.pending_reason import Failure, Limits, Pending, why

ENTRIES_READ_AT_ONCE = 20
"""Entries whose fields are fetched in one round trip: each may hold a body of the gateway's body limit."""

_WORKER = re.compile(r"worker-([1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class Consumer:
    """One name in the group. `lives` tells whether its slot is leased, None where the name is not a worker's."""

    name: str
    pending: int
    idle_ms: int
    lives: bool | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """One pending entry as shown: what it is, who has it, and why it waits."""

    pending: Pending
    age_ms: int
    why: str


@dataclass(frozen=True, slots=True)
class WaitingPage:
    """The oldest pending entries, and the state they were read in."""

    stats: StreamStats
    waiting: list[Waiting]


async def list_consumers(redis: Redis, keys: Keys, stats: StreamStats) -> list[Consumer]:
    """Every name in the group, by name. None before the group exists."""
    if stats.group is None:
        return []
    rows = await redis.xinfo_consumers(keys.events, GROUP)
    names = [cast("bytes", row["name"]).decode() for row in rows]
    lives = await _slots_alive(redis, keys, names)
    found = [
        Consumer(name, row["pending"], row["idle"], lives.get(name)) for name, row in zip(names, rows, strict=True)
    ]
    return sorted(found, key=lambda consumer: (_slot(consumer.name) or 0, consumer.name))


async def list_waiting(redis: Redis, keys: Keys, limits: Limits, *, limit: int) -> WaitingPage:
    """The oldest pending entries, and why each waits."""
    stats = await read_stream_stats(redis, keys)
    waiting: list[Waiting] = []
    if stats.group is None:
        return WaitingPage(stats, waiting)
    now = datetime.fromtimestamp(stats.now_ms / 1000, UTC)
    after = "-"
    while len(waiting) < limit:
        count = min(ENTRIES_READ_AT_ONCE, limit - len(waiting))
        rows = await redis.xpending_range(keys.events, GROUP, min=after, max="+", count=count)
        waiting += [
            Waiting(pending, stats.age_ms(pending.entry_id), why(pending, limits, now))
            for pending in await _explain(redis, keys, rows)
        ]
        if len(rows) < count:
            break
        after = "(" + waiting[-1].pending.entry_id
    return WaitingPage(stats, waiting)


async def explain(redis: Redis, keys: Keys, entry_ids: Sequence[str]) -> dict[str, Pending]:
    """Of these entries those that are pending, by id. The group must be there."""
    if not entry_ids:
        return {}
    async with redis.pipeline(transaction=False) as pipeline:
        for entry_id in entry_ids:
            pipeline.xpending_range(keys.events, GROUP, min=entry_id, max=entry_id, count=1)
        pages = await pipeline.execute()
    return {
        pending.entry_id: pending for pending in await _explain(redis, keys, [row for page in pages for row in page])
    }


async def _explain(redis: Redis, keys: Keys, rows: Sequence[dict[str, Any]]) -> list[Pending]:
    ids = [cast("bytes", row["message_id"]).decode() for row in rows]
    if not ids:
        return []
    consumers = [cast("bytes", row["consumer"]).decode() for row in rows]
    async with redis.pipeline(transaction=False) as pipeline:
        pipeline.hmget(keys.failures, ids)
        for entry_id in ids:
            pipeline.xrange(keys.events, entry_id, entry_id)
        notes, *found = await pipeline.execute()
    entries = [
        read_entry(entry[0][0], row["times_delivered"], entry[0][1]) if entry else None
        for row, entry in zip(rows, found, strict=True)
    ]
    holders = await _lock_holders(redis, keys, [entry for entry in entries if isinstance(entry, Entry)])
    lives = await _slots_alive(redis, keys, consumers)
    return [
        Pending(
            entry_id=entry_id,
            consumer=consumer,
            consumer_lives=lives.get(consumer),
            idle_ms=row["time_since_delivered"],
            deliveries=row["times_delivered"],
            entry=entry,
            failure=_failure(note),
            lock_holder=holders.get(entry_id),
        )
        for entry_id, consumer, row, entry, note in zip(ids, consumers, rows, entries, notes, strict=True)
    ]


async def _lock_holders(redis: Redis, keys: Keys, entries: Sequence[Entry]) -> dict[str, str]:
    """Entry id → the consumer that holds the lock of its resource. A token is `<consumer>:<random>`."""
    if not entries:
        return {}
    tokens = await redis.mget([keys.lock(entry.event.namespace, entry.event.resource) for entry in entries])
    return {
        entry.entry_id: cast("bytes", token).decode().partition(":")[0]
        for entry, token in zip(entries, tokens, strict=True)
        if token
    }


async def _slots_alive(redis: Redis, keys: Keys, names: Iterable[str]) -> dict[str, bool]:
    """Worker name → whether its slot is leased. Names that are not a worker's are left out."""
    slots = {name: slot for name in set(names) if (slot := _slot(name))}
    if not slots:
        return {}
    leases = await redis.mget([keys.slot(slot) for slot in slots.values()])
    return {name: lease is not None for name, lease in zip(slots, leases, strict=True)}


def _slot(consumer: str) -> int | None:
    match = _WORKER.fullmatch(consumer)
    return int(match[1]) if match else None


def _failure(note: bytes | None) -> Failure | None:
    if note is None:
        return None
    try:
        return Failure.model_validate_json(note)
    except ValidationError:
        return Failure(
            kind="retry", reason=f"an unreadable note: {note[:80]!r}", at=datetime.now(UTC), attempt=0, retry_at=None
        )
