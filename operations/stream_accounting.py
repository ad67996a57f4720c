"""Checks that every entry ever added to the stream is recorded in Postgres or still in the stream.

Exact on a running system, because of the order of its reads. Named apart from reconciliation, which compares our books
with the providers' reports.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from redis.asyncio import Redis

from consumers.stream_stats import GroupState, StreamState, every_partition, read_stream_stats
from contract.keys import GROUP, NUMBERS_OF_PARTITION, Keys, entry_number
from operations.lost_events import find_lost_events
from operations.restore_findings import Row, find_restores, of_partition, read_witness
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
class PartitionAccount:
    """The account of one partition. `counts` is None if it has no stream, or no epoch; `epoch` is "" then."""

    keys: Keys
    epoch: str
    counts: EntryCounts | None


@dataclass(frozen=True, slots=True)
class Account:
    """The account of all partitions."""

    partitions: list[PartitionAccount]
    findings: list[Finding]

    @property
    def counts(self) -> EntryCounts | None:
        """The counts of all partitions together; None if not one can be counted."""
        counted = [each.counts for each in self.partitions if each.counts]
        return EntryCounts(*(sum(column) for column in zip(*map(astuple, counted), strict=True))) if counted else None


@dataclass(frozen=True, slots=True)
class _Seen:
    """What Redis showed of one partition, before Postgres was asked. `delivered`: entries that were read."""

    keys: Keys
    stream: StreamState | None
    epoch: bytes | None
    in_stream: list[str]
    pending: set[str]
    delivered: list[str]


async def account_for_entries(
    redis: Redis, keys: Keys, connection: "Connection", *, timeout_s: float
) -> tuple[EntryCounts | None, list[Finding]]:
    """Return the counts and everything wrong with the stream. No counts if there is no stream, or no epoch."""
    account = await read_account(redis, keys, connection, timeout_s=timeout_s)
    return account.counts, account.findings


async def read_account(
    redis: Redis, keys: Keys, connection: "Connection", *, timeout_s: float, rows_max: int = ROWS_SHOWN_MAX
) -> Account:
    """Return the account of all partitions that Redis or Postgres knows. `rows_max` limits the rows of each finding.

    The order of the reads matters: first the number of entries added, then the entries in the stream, then the pending
    ones, and last, in one snapshot, what Postgres recorded. An entry committed meanwhile is recorded before it leaves
    the stream, so it is found in at least one place, and counted in exactly one.
    """
    known = await connection.fetchval(*RESTORES.bind("read_partitions", key_prefix=keys.prefix))
    partitions = [keys.of(number) for number in range(max(known, len(await every_partition(redis, keys))))]
    witness = [event for each in partitions for event in await read_witness(redis, each)]
    seen = [await _look(redis, each) for each in partitions]
    accounts, found = [PartitionAccount(each, "", None) for each in partitions], list[Finding]()
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        if any(each.stream for each in seen):
            recorded = await _count_recorded(connection, seen, timeout_s)
            accounts = [await _account(connection, each, recorded, timeout_s) for each in seen]
            lost = await _find_unrecorded(connection, _delivered_to_nobody(seen), timeout_s)
            found = _findings(seen, accounts, lost, rows_max)
        found += await find_restores(redis, partitions, connection, witness, timeout_s=timeout_s, rows_max=rows_max)
    if found:
        found += await _name_lost_events(redis, partitions, connection, timeout_s, rows_max)
    return Account(accounts, found)


async def _look(redis: Redis, keys: Keys) -> _Seen:
    stream = (await read_stream_stats(redis, keys)).stream
    epoch = cast("bytes | None", await redis.get(keys.epoch))
    group = stream.group if stream else None
    in_stream = [entry_id async for entry_id in _ids_in_stream(redis, keys, stream.last_id)] if stream else []
    pending = {entry_id async for entry_id in _ids_pending(redis, keys, group)} if group else set[str]()
    return _Seen(
        keys, stream, epoch, in_stream, pending, _up_to(in_stream, group.last_delivered_id) if group else []
    )  # fmt: skip


def _delivered_to_nobody(seen: Sequence[_Seen]) -> list[str]:
    return [entry_id for each in seen for entry_id in each.delivered if entry_id not in each.pending]


def _findings(
    seen: Sequence[_Seen], accounts: Sequence[PartitionAccount], lost: list[str], rows_max: int
) -> list[Finding]:
    gone = [entry_id for each in seen for entry_id in each.pending.difference(each.in_stream)]
    found = [
        _finding("pending_but_gone", "A pending entry is in the stream until it is committed.",
                 sorted(gone, key=entry_number), rows_max),
        _finding("delivered_but_not_pending", "An entry that was read stays pending until it is committed.", lost,
                 rows_max),
    ]  # fmt: skip
    uncounted, unbalanced, without_group, missing = list[Row](), list[Row](), list[Row](), 0
    for each, account in zip(seen, accounts, strict=True):
        counts, where = account.counts, of_partition(each.keys)
        if each.stream and counts is None:
            uncounted.append(where | {"entries_added": each.stream.entries_added})
        elif counts and not counts.balanced:
            missing += abs(counts.difference - counts.acknowledged)
            row = asdict(counts) | {"missing": counts.difference - counts.acknowledged}
            unbalanced.append(where | row)
        if each.stream and each.stream.group is None and counts and counts.recorded:
            without_group.append(where | {"group": GROUP, "recorded": counts.recorded})
    why = "The stream has an epoch, its first entry's id; without it the entries cannot be counted."
    found.append(Finding("epoch_missing", why, len(uncounted), uncounted))
    why = "Every entry ever added is recorded in Postgres or is still in the stream (make acknowledge)."
    found.append(Finding("entries_do_not_add_up", why, missing, unbalanced))
    why = "A stream that was read before has its consumer group; this one lost it."
    found.append(Finding("group_missing", why, len(without_group), without_group))
    return [finding for finding in found if finding.total]


def _finding(name: str, why: str, entry_ids: list[str], rows_max: int) -> Finding:
    return Finding(name, why, len(entry_ids), [{"entry_id": entry_id} for entry_id in entry_ids[:rows_max]])


async def _name_lost_events(
    redis: Redis, partitions: Sequence[Keys], connection: "Connection", timeout_s: float, rows_max: int
) -> list[Finding]:
    lost = [
        event for keys in partitions for event in await find_lost_events(redis, keys, connection, timeout_s=timeout_s)
    ]
    why = "An event that Redis knows is waiting, applied or a dead letter; have its provider send it again."
    return [Finding("lost_event", why, len(lost), [asdict(event) for event in lost[:rows_max]])] if lost else []


async def _count_recorded(connection: "Connection", seen: Sequence[_Seen], timeout_s: float) -> dict[int, int]:
    """Return partition → its entries that Postgres has recorded. Reads the tables once for all partitions."""
    begun = [each for each in seen if each.stream and each.epoch]
    query = CONSERVATION.bind(
        "count_recorded_entries",
        partition=[each.keys.partition for each in begun],
        first_id=[(each.epoch or b"").decode() for each in begun],
        last_id=[each.stream.last_id if each.stream else "" for each in begun],
        numbers_of_partition=NUMBERS_OF_PARTITION,
    )
    rows = await connection.fetch(*query, timeout=timeout_s) if begun else []
    return {row["partition"]: row["entries"] for row in rows}


async def _account(
    connection: "Connection", seen: _Seen, recorded: Mapping[int, int], timeout_s: float
) -> PartitionAccount:
    keys, stream, epoch = seen.keys, seen.stream, (seen.epoch or b"").decode()
    if stream is None or not epoch:
        is_new = stream is not None and not stream.entries_added
        return PartitionAccount(keys, epoch, EntryCounts(0, 0, 0) if is_new else None)
    waiting = 0
    for page in _pages(seen.in_stream):
        count = CONSERVATION.bind("count_unrecorded_entries", entry_ids=page)
        waiting += await connection.fetchval(*count, timeout=timeout_s)
    difference = RESTORES.bind("read_acknowledged_difference", key_prefix=keys.stream_name, epoch=epoch)
    acknowledged = await connection.fetchval(*difference) or 0
    counts = EntryCounts(stream.entries_added, recorded[keys.partition], waiting, acknowledged)
    return PartitionAccount(keys, epoch, counts)


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
