"""Checks that every entry ever added to the stream is recorded in Postgres or still in the stream.

Exact on a running system, because of the order of its reads. Named apart from reconciliation, which compares our books
with the providers' reports.
"""

from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from redis.asyncio import Redis

from consumers.stream_stats import GroupState, StreamState, read_stream_stats
from contract.keys import GROUP, Keys, entry_number
from sql import load
from sql.audit import ROWS_SHOWN_MAX, Finding

if TYPE_CHECKING:
    from sql.connect import Connection

IDS_AT_ONCE = 1000
"""Entry ids per script call. Redis is blocked during each call."""

IDS_PER_QUERY = 100_000
"""Entry ids per query to Postgres, which reads its tables once per query."""

CHECKS = 5
"""Number of checks made here, in addition to the invariants of Postgres."""

CONSERVATION = load("conservation")

_ENTRY_IDS = (Path(__file__).parent / "lua" / "entry_ids.lua").read_text()


@dataclass(frozen=True, slots=True)
class EntryCounts:
    """Entries of this stream: all ever added, those recorded in Postgres, and those in the stream not yet recorded."""

    added: int
    recorded: int
    waiting: int

    @property
    def balanced(self) -> bool:
        """True if no entry is missing and none is counted twice."""
        return self.added == self.recorded + self.waiting


async def account_for_entries(
    redis: Redis, keys: Keys, connection: "Connection", *, timeout_s: float
) -> tuple[EntryCounts | None, list[Finding]]:
    """Return the counts and everything wrong with the stream. No counts if there is no stream, or no epoch.

    The order of the reads matters: first the number of entries added, then the entries in the stream, then the pending
    ones, and last, in one snapshot, what Postgres recorded. An entry committed meanwhile is recorded before it leaves
    the stream, so it is found in at least one place, and counted in exactly one.
    """
    stream = (await read_stream_stats(redis, keys)).stream
    if stream is None:
        return None, []
    epoch = cast("bytes | None", await redis.get(keys.epoch))
    in_stream = [entry_id async for entry_id in _ids_in_stream(redis, keys, stream.last_id)]
    pending = {entry_id async for entry_id in _ids_pending(redis, keys, stream.group)} if stream.group else set()
    delivered = _up_to(in_stream, stream.group.last_delivered_id) if stream.group else []

    async with connection.transaction(isolation="repeatable_read", readonly=True):
        not_pending = [entry_id for entry_id in delivered if entry_id not in pending]
        lost = await _find_unrecorded(connection, not_pending, timeout_s)
        counts = await _count(connection, stream, epoch.decode(), in_stream, timeout_s) if epoch else None
    gone = sorted(pending.difference(in_stream), key=entry_number)
    return counts, _findings(stream, counts, gone, lost)


def _findings(stream: StreamState, counts: EntryCounts | None, gone: list[str], lost: list[str]) -> list[Finding]:
    found = [
        _finding("pending_but_gone", "A pending entry is in the stream until it is committed.", gone),
        _finding("delivered_but_not_pending", "An entry that was read stays pending until it is committed.", lost),
    ]
    if counts is None:
        why = "The stream has an epoch, its first entry's id; without it the entries cannot be counted."
        found.append(Finding("epoch_missing", why, 1, [{"entries_added": stream.entries_added}]))
    elif not counts.balanced:
        why = "Every entry ever added is recorded in Postgres or is still in the stream."
        missing = counts.added - counts.recorded - counts.waiting
        row = asdict(counts) | {"missing": missing}
        found.append(Finding("entries_do_not_add_up", why, abs(missing), [row]))
    if stream.group is None and counts and counts.recorded:
        why = "A stream that was read before has its consumer group; this one lost it."
        found.append(Finding("group_missing", why, 1, [{"group": GROUP, "recorded": counts.recorded}]))
    return [finding for finding in found if finding.total]


def _finding(name: str, why: str, entry_ids: list[str]) -> Finding:
    return Finding(name, why, len(entry_ids), [{"entry_id": entry_id} for entry_id in entry_ids[:ROWS_SHOWN_MAX]])


async def _count(
    connection: "Connection", stream: StreamState, epoch: str, in_stream: list[str], timeout_s: float
) -> EntryCounts:
    query = CONSERVATION.bind("count_recorded_entries", first_id=epoch, last_id=stream.last_id)
    recorded = await connection.fetchval(*query, timeout=timeout_s)
    waiting = 0
    for page in _pages(in_stream):
        count = CONSERVATION.bind("count_unrecorded_entries", entry_ids=page)
        waiting += await connection.fetchval(*count, timeout=timeout_s)
    return EntryCounts(stream.entries_added, recorded, waiting)


async def _find_unrecorded(connection: "Connection", entry_ids: list[str], timeout_s: float) -> list[str]:
    found: list[str] = []
    for page in _pages(entry_ids):
        rows = await connection.fetch(*CONSERVATION.bind("find_unrecorded_entries", entry_ids=page), timeout=timeout_s)
        found += [row["entry_id"] for row in rows]
    return found


async def _ids_in_stream(redis: Redis, keys: Keys, last_id: str) -> AsyncIterator[str]:
    script, start = redis.register_script(_ENTRY_IDS), "-"
    while ids := cast("list[bytes]", await script(keys=[keys.events], args=[start, last_id, IDS_AT_ONCE])):
        for entry_id in ids:
            yield entry_id.decode()
        start = "(" + ids[-1].decode()


async def _ids_pending(redis: Redis, keys: Keys, group: GroupState) -> AsyncIterator[str]:
    start = "-"
    last_id = group.last_delivered_id
    while rows := cast(
        "list[dict[str, Any]]",
        await redis.xpending_range(keys.events, GROUP, min=start, max=last_id, count=IDS_AT_ONCE),
    ):
        for row in rows:
            yield row["message_id"].decode()
        start = "(" + rows[-1]["message_id"].decode()


def _up_to(entry_ids: list[str], last_id: str) -> list[str]:
    last = entry_number(last_id)
    return [entry_id for entry_id in entry_ids if entry_number(entry_id) <= last]


def _pages(entry_ids: list[str]) -> list[list[str]]:
    return [entry_ids[start : start + IDS_PER_QUERY] for start in range(0, len(entry_ids), IDS_PER_QUERY)]
