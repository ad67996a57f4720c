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
from operations.lost_events import find_lost_events
from operations.restore_findings import find_restores, read_witness
from sql import load
from sql.audit import ROWS_SHOWN_MAX, Finding

if TYPE_CHECKING:
    from sql.connect import Connection

IDS_AT_ONCE = 1000
"""Entry ids per script call. Redis is blocked during each call."""

IDS_PER_QUERY = 100_000
"""Entry ids per query to Postgres, which reads its tables once per query."""

CHECKS = 9
"""Number of checks made here and in `restore_findings`, in addition to the invariants of Postgres."""

CONSERVATION = load("conservation")
RESTORES = load("restores")

_ENTRY_IDS = (Path(__file__).parent / "lua" / "entry_ids.lua").read_text()


@dataclass(frozen=True, slots=True)
class EntryCounts:
    """Entries of this stream: all ever added, those recorded in Postgres, and those in the stream not yet recorded.

    `acknowledged`: the difference that a person has acknowledged last.
    """

    added: int
    recorded: int
    waiting: int
    acknowledged: int = 0

    @property
    def difference(self) -> int:
        """The entries that are missing; below zero if Redis has counted fewer than are recorded."""
        return self.added - self.recorded - self.waiting

    @property
    def balanced(self) -> bool:
        """True if no entry is missing and none is counted twice since the last acknowledgement."""
        return self.difference == self.acknowledged


@dataclass(frozen=True, slots=True)
class Account:
    """The account of the stream. `counts` is None if there is no stream, or no epoch; `epoch` is "" then."""

    epoch: str
    counts: EntryCounts | None
    findings: list[Finding]


async def account_for_entries(
    redis: Redis, keys: Keys, connection: "Connection", *, timeout_s: float
) -> tuple[EntryCounts | None, list[Finding]]:
    """Return the counts and everything wrong with the stream. No counts if there is no stream, or no epoch."""
    account = await read_account(redis, keys, connection, timeout_s=timeout_s)
    return account.counts, account.findings


async def read_account(
    redis: Redis, keys: Keys, connection: "Connection", *, timeout_s: float, rows_max: int = ROWS_SHOWN_MAX
) -> Account:
    """Return the account. `rows_max` limits the rows of each finding.

    The order of the reads matters: first the number of entries added, then the entries in the stream, then the pending
    ones, and last, in one snapshot, what Postgres recorded. An entry committed meanwhile is recorded before it leaves
    the stream, so it is found in at least one place, and counted in exactly one.
    """
    witness = await read_witness(redis, keys)
    stream = (await read_stream_stats(redis, keys)).stream
    epoch = cast("bytes | None", await redis.get(keys.epoch))
    in_stream: list[str] = []
    pending: set[str] = set()
    if stream:
        in_stream = [entry_id async for entry_id in _ids_in_stream(redis, keys, stream.last_id)]
    if stream and stream.group:
        pending = {entry_id async for entry_id in _ids_pending(redis, keys, stream.group)}
    delivered = _up_to(in_stream, stream.group.last_delivered_id) if stream and stream.group else []

    counts, found = None, []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        if stream:
            not_pending = [entry_id for entry_id in delivered if entry_id not in pending]
            lost = await _find_unrecorded(connection, not_pending, timeout_s)
            counts = await _count(connection, keys, stream, epoch, in_stream, timeout_s)
            gone = sorted(pending.difference(in_stream), key=entry_number)
            found = _findings(stream, counts, gone, lost, rows_max)
        found += await find_restores(redis, keys, connection, witness, timeout_s=timeout_s, rows_max=rows_max)
    if found:
        found += await _name_lost_events(redis, keys, connection, timeout_s, rows_max)
    return Account(epoch.decode() if epoch else "", counts, found)


def _findings(
    stream: StreamState, counts: EntryCounts | None, gone: list[str], lost: list[str], rows_max: int
) -> list[Finding]:
    found = [
        _finding("pending_but_gone", "A pending entry is in the stream until it is committed.", gone, rows_max),
        _finding("delivered_but_not_pending", "An entry that was read stays pending until it is committed.", lost,
                 rows_max),
    ]  # fmt: skip
    if counts is None:
        why = "The stream has an epoch, its first entry's id; without it the entries cannot be counted."
        found.append(Finding("epoch_missing", why, 1, [{"entries_added": stream.entries_added}]))
    elif not counts.balanced:
        why = "Every entry ever added is recorded in Postgres or is still in the stream (make acknowledge)."
        missing = counts.difference - counts.acknowledged
        row = asdict(counts) | {"missing": missing}
        found.append(Finding("entries_do_not_add_up", why, abs(missing), [row]))
    if stream.group is None and counts and counts.recorded:
        why = "A stream that was read before has its consumer group; this one lost it."
        found.append(Finding("group_missing", why, 1, [{"group": GROUP, "recorded": counts.recorded}]))
    return [finding for finding in found if finding.total]


def _finding(name: str, why: str, entry_ids: list[str], rows_max: int) -> Finding:
    return Finding(name, why, len(entry_ids), [{"entry_id": entry_id} for entry_id in entry_ids[:rows_max]])


async def _name_lost_events(
    redis: Redis, keys: Keys, connection: "Connection", timeout_s: float, rows_max: int
) -> list[Finding]:
    lost = await find_lost_events(redis, keys, connection, timeout_s=timeout_s)
    why = "An event that Redis knows is waiting, applied or a dead letter; have its provider send it again."
    return [Finding("lost_event", why, len(lost), [asdict(event) for event in lost[:rows_max]])] if lost else []


async def _count(
    connection: "Connection", keys: Keys, stream: StreamState, epoch: bytes | None, in_stream: list[str],
    timeout_s: float,
) -> EntryCounts | None:  # fmt: skip
    if epoch is None:
        return None if stream.entries_added else EntryCounts(0, 0, 0)
    query = CONSERVATION.bind("count_recorded_entries", first_id=epoch.decode(), last_id=stream.last_id)
    recorded = await connection.fetchval(*query, timeout=timeout_s)
    waiting = 0
    for page in _pages(in_stream):
        count = CONSERVATION.bind("count_unrecorded_entries", entry_ids=page)
        waiting += await connection.fetchval(*count, timeout=timeout_s)
    difference = RESTORES.bind("read_acknowledged_difference", key_prefix=keys.prefix, epoch=epoch.decode())
    return EntryCounts(stream.entries_added, recorded, waiting, await connection.fetchval(*difference) or 0)


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
