"""Checks that neither Redis nor Postgres was restored from an older copy: what each must know of the other."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from redis.asyncio import Redis

from consumers.stream_stats import StreamState, read_stream_stats
from contract.keys import NUMBERS_OF_PARTITION, Keys
from sql import load
from sql.audit import Finding

if TYPE_CHECKING:
    from sql.connect import Connection

CONSERVATION = load("conservation")
RESTORES = load("restores")

Row = dict[str, object]
"""A row of a finding."""


def of_partition(keys: Keys) -> Row:
    """Return what a row of a finding says about its partition: nothing in the first one."""
    return {"partition": keys.partition} if keys.partition else {}


async def read_witness(redis: Redis, keys: Keys) -> list[str]:
    """Return the events that Postgres must have, because their commits were acknowledged: the last of each consumer."""
    applied = cast("dict[bytes, bytes]", await redis.hgetall(keys.applied))
    return [event.decode() for event in applied.values() if event]


async def find_restores(
    redis: Redis, partitions: Sequence[Keys], connection: "Connection", witness: Sequence[str], *, timeout_s: float,
    rows_max: int,
) -> list[Finding]:  # fmt: skip
    """Return every proof of a restore, and the noticed restores that nobody has acknowledged.

    Called in a snapshot of Postgres that is later than the witness, and earlier than what is read of Redis here.
    """
    older, last_ids = list[Row](), dict[int, str]()
    for keys in partitions:
        known = await connection.fetchrow(*RESTORES.bind("read_watch", key_prefix=keys.stream_name))
        stream = (await read_stream_stats(redis, keys)).stream
        if stream:
            last_ids[keys.partition] = stream.last_id
        if row := await _older(redis, keys, known, stream):
            older.append(of_partition(keys) | row)
    found = [await _commits_missing(connection, witness), await _not_acknowledged(connection, partitions[0])]
    if last_ids:
        found.append(await _beyond_the_stream(connection, last_ids, timeout_s, rows_max))
    why = "Redis has been further: it was restored from an older copy or wiped. A worker records it and goes on."
    found.append(Finding("redis_is_older", why, len(older), older))
    return [finding for finding in found if finding.total]


async def _older(redis: Redis, keys: Keys, known: Mapping[str, Any], stream: StreamState | None) -> Row | None:
    """Return the proof that Redis has been further with this partition than it is, or None."""
    beat = int(cast("bytes | None", await redis.hget(keys.account, "beat")) or 0)
    note = (cast("bytes | None", await redis.hget(keys.account, "rewound")) or b"").decode()
    epoch = (cast("bytes | None", await redis.get(keys.epoch)) or b"").decode()
    is_another = (
        bool(known["epoch"]) and epoch != known["epoch"] and not (stream and stream.entries_added and not epoch)
    )
    if not (beat < known["beat"] or is_another or note):
        return None
    row: Row = {
        "beat": beat,
        "first_entry": epoch,
        "postgres_has_seen": known["beat"],
        "first_entry_seen": known["epoch"],
    }
    if note:
        row["confirmed_entry"], row["last_entry"] = note.split()
    return row


async def _commits_missing(connection: "Connection", witness: Sequence[str]) -> Finding:
    split = [event.partition(":")[::2] for event in witness]
    query = RESTORES.bind(
        "find_missing_events",
        namespace=[namespace for namespace, _ in split],
        event_id=[event_id for _, event_id in split],
    )
    rows = [dict(row) for row in await connection.fetch(*query)] if split else []
    why = "What Postgres has committed stays: it was restored from an older backup. A worker records it and goes on."
    return Finding("postgres_is_older", why, len(rows), rows)


async def _not_acknowledged(connection: "Connection", keys: Keys) -> Finding:
    rows = await connection.fetch(*RESTORES.bind("list_open_restores", key_prefix=keys.prefix))
    why = "A server that was restored from an older copy has lost events: once they were sent again, make acknowledge."
    return Finding("restore_not_acknowledged", why, len(rows), [dict(row) for row in rows])


async def _beyond_the_stream(
    connection: "Connection", last_ids: Mapping[int, str], timeout_s: float, rows_max: int
) -> Finding:
    query = CONSERVATION.bind(
        "find_recorded_beyond", partition=list(last_ids), last_id=list(last_ids.values()), limit=rows_max,
        numbers_of_partition=NUMBERS_OF_PARTITION,
    )  # fmt: skip
    rows = [dict(row) for row in await connection.fetch(*query, timeout=timeout_s)]
    total = rows[0]["total"] if rows else 0
    why = "Postgres has no entry that the stream never had: Redis was restored from an older copy."
    return Finding("recorded_beyond_the_stream", why, total, [_without_total(row) for row in rows])


def _without_total(row: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in row.items() if name != "total"}
