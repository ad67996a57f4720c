"""The pending entries: read by a worker and not committed yet, and why each of them waits. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError
from redis.asyncio import Redis

from consumers.entry import Entry, read_entry
from consumers.stream_stats import StreamStats, add_up, every_partition, read_stream_stats
from contract.keys import GROUP, Keys, entry_number
from operations.group_consumers import read_slot_leases, real_name, shown_name
from operations.pending_reason import (
    PendingEntry,
    PendingKind,
    RecordedFailure,
    WorkerLimits,
    pending_kind,
    pending_reason,
)

_FIND_STRANDED = (Path(__file__).parent / "lua" / "find_stranded.lua").read_text()

STRANDED_PAGE = 100
"""Entries per script call. Redis is blocked during each call."""

ENTRIES_READ_AT_ONCE = 20
"""Entries fetched in one round trip. Each may be as large as the gateway's body limit."""


@dataclass(frozen=True, slots=True)
class ExplainedEntry:
    """One pending entry with its age and the reason why it waits, as a sentence."""

    pending: PendingEntry
    age_ms: int
    why: str
    kind: PendingKind


@dataclass(frozen=True, slots=True)
class PendingPage:
    """The oldest pending entries, and the stream's state when they were read.

    `stranded`: entries that were read, and that are in nobody's pending list. `next`: the entry after which the next
    page begins, None after the last one.
    """

    stats: StreamStats
    entries: list[ExplainedEntry]
    stranded: list[str]
    next: str | None = None


async def list_pending(
    redis: Redis, keys: Keys, limits: WorkerLimits, *, limit: int, after: str | None = None, consumer: str | None = None
) -> PendingPage:
    """Return up to `limit` pending entries of all partitions, the oldest first, each with the reason why it waits.

    Only those after the entry `after`, and only one consumer's, if given. Stranded entries are on the first page.
    """
    partitions = await every_partition(redis, keys)
    parts = [await read_stream_stats(redis, each) for each in partitions]
    entries: list[ExplainedEntry] = []
    stranded: list[str] = []
    more = False
    for part_keys, part in zip(partitions, parts, strict=True):
        owner = real_name(part_keys, consumer) if consumer else None
        if part.group is None or (consumer and owner is None):
            continue
        found, has_more = await _list_of(redis, part_keys, part, limits, limit, after, owner)
        entries += found
        more |= has_more
        if not after and not consumer:
            stranded += await find_stranded(redis, part_keys, part, limit=limit)
    # The ids of all partitions are in one order, so that `after` is a place in each of them.
    entries.sort(key=lambda each: entry_number(each.pending.entry_id))
    shown = entries[:limit]
    is_last = len(entries) <= limit and not more
    return PendingPage(
        add_up(parts), shown, sorted(stranded, key=entry_number)[:limit],
        None if is_last or not shown else shown[-1].pending.entry_id,
    )  # fmt: skip


async def _list_of(
    redis: Redis, keys: Keys, stats: StreamStats, limits: WorkerLimits, limit: int, after: str | None,
    consumer: str | None,
) -> tuple[list[ExplainedEntry], bool]:  # fmt: skip
    """Return up to `limit` pending entries of one partition, and whether there may be more."""
    entries: list[ExplainedEntry] = []
    start, more = f"({after}" if after else "-", True
    while more and len(entries) < limit:
        count = min(ENTRIES_READ_AT_ONCE, limit - len(entries))
        rows = await redis.xpending_range(
            keys.events, GROUP, min=start, max="+", count=count, consumername=consumer
        )  # fmt: skip
        entries += _explain(await _read_details(redis, keys, rows), stats, limits)
        more = len(rows) == count
        start = f"({entries[-1].pending.entry_id}" if entries else start
    return entries, more


async def find_oldest_of(
    redis: Redis, keys: Keys, limits: WorkerLimits, stats: StreamStats, consumers: Sequence[str]
) -> dict[str, ExplainedEntry]:
    """Return consumer → its oldest pending entry, with the reason why it waits. The group must exist.

    If the stats are of several partitions together, in all of them.
    """
    if stats.parts:
        oldest: dict[str, ExplainedEntry] = {}
        for number, part in enumerate(stats.parts):
            if part.group:
                oldest |= await find_oldest_of(redis, keys.of(number), limits, part, consumers)
        return oldest
    names = [name for shown in consumers if (name := real_name(keys, shown))]
    async with redis.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.xpending_range(keys.events, GROUP, min="-", max="+", count=1, consumername=name)
        pages = await pipeline.execute() if names else []
    details = await _read_details(redis, keys, [row for page in pages for row in page])
    return {each.pending.consumer: each for each in _explain(details, stats, limits)}


def _explain(details: Sequence[PendingEntry], stats: StreamStats, limits: WorkerLimits) -> list[ExplainedEntry]:
    now = datetime.fromtimestamp(stats.now_ms / 1000, UTC)
    return [
        ExplainedEntry(
            pending, stats.age_ms(pending.entry_id), pending_reason(pending, limits, now), pending_kind(pending, now)
        )
        for pending in details
    ]


async def find_stranded(redis: Redis, keys: Keys, stats: StreamStats, *, limit: int) -> list[str]:
    """Return up to `limit` entries that were read, and that nobody has, the oldest first.

    Walks the entries that were read, as many as the workers hold. Returns at once if the stream's numbers show
    that each has a worker.
    """
    stream, group = stats.stream, stats.group
    if not stream or not group or (not group.lag_is_estimated and not stats.stranded):
        return []
    script, start, found = redis.register_script(_FIND_STRANDED), "-", list[str]()
    while len(found) < limit:
        reply = await script(keys=[keys.events], args=[GROUP, start, group.last_delivered_id, STRANDED_PAGE])
        last, *ids = [each.decode() for each in cast("list[bytes]", reply)]
        found += ids
        if not last:
            break
        start = f"({last}"
    return found[:limit]


async def find_pending(redis: Redis, keys: Keys, entry_ids: Sequence[str]) -> dict[str, PendingEntry]:
    """Return those of the entries that are pending, by entry id. The group must exist."""
    if not entry_ids:
        return {}
    async with redis.pipeline(transaction=False) as pipeline:
        for entry_id in entry_ids:
            pipeline.xpending_range(keys.events, GROUP, min=entry_id, max=entry_id, count=1)
        pages = await pipeline.execute()
    rows = [row for page in pages for row in page]
    return {pending.entry_id: pending for pending in await _read_details(redis, keys, rows)}


async def _read_details(redis: Redis, keys: Keys, rows: Sequence[dict[str, Any]]) -> list[PendingEntry]:
    """Add to rows of XPENDING the entry, the recorded failure, the lock's holder and the consumer's lease."""
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
    holders = await _read_lock_holders(redis, keys, [entry for entry in entries if isinstance(entry, Entry)])
    lives = await read_slot_leases(redis, keys, consumers)
    return [
        PendingEntry(
            entry_id=entry_id,
            consumer=shown_name(keys, consumer),
            consumer_lives=lives.get(consumer),
            idle_ms=row["time_since_delivered"],
            deliveries=row["times_delivered"],
            entry=entry,
            failure=_read_failure(note),
            lock_holder=holders.get(entry_id),
        )
        for entry_id, consumer, row, entry, note in zip(ids, consumers, rows, entries, notes, strict=True)
    ]


async def _read_lock_holders(redis: Redis, keys: Keys, entries: Sequence[Entry]) -> dict[str, str]:
    """Return entry id → the consumer that holds the lock of its payment. A token is `<consumer>:<random>`."""
    if not entries:
        return {}
    tokens = await redis.mget([keys.lock(entry.event.namespace, entry.event.resource) for entry in entries])
    return {
        entry.entry_id: cast("bytes", token).decode().partition(":")[0]
        for entry, token in zip(entries, tokens, strict=True)
        if token
    }


def _read_failure(note: bytes | None) -> RecordedFailure | None:
    if note is None:
        return None
    try:
        return RecordedFailure.model_validate_json(note)
    except ValidationError:
        reason = f"an unreadable note: {note[:80]!r}"
        return RecordedFailure(kind="retry", reason=reason, at=datetime.now(UTC), attempt=0, retry_at=None)
