"""Checks that neither Redis nor Postgres was restored from an older copy: what each must know of the other."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from redis.asyncio import Redis

from consumers.stream_stats import read_stream_stats
from contract.keys import Keys
from sql import load
from sql.audit import Finding

if TYPE_CHECKING:
    from sql.connect import Connection

CONSERVATION = load("conservation")
RESTORES = load("restores")


async def read_witness(redis: Redis, keys: Keys) -> Mapping[str, str]:
    """Return the events that Postgres must have, because their commits were acknowledged: consumer → event."""
    applied = cast("dict[bytes, bytes]", await redis.hgetall(keys.applied))
    return {consumer.decode(): event.decode() for consumer, event in applied.items() if event}


async def find_restores(
    redis: Redis, keys: Keys, connection: "Connection", witness: Mapping[str, str], *, timeout_s: float, rows_max: int
) -> list[Finding]:
    """Return every proof of a restore, and the noticed restores that nobody has acknowledged.

    Called in a snapshot of Postgres that is later than the witness, and earlier than what is read of Redis here.
    """
    known = await connection.fetchrow(*RESTORES.bind("read_watch", key_prefix=keys.prefix))
    stream = (await read_stream_stats(redis, keys)).stream
    beat = int(cast("bytes | None", await redis.hget(keys.account, "beat")) or 0)
    note = (cast("bytes | None", await redis.hget(keys.account, "rewound")) or b"").decode()
    epoch = (cast("bytes | None", await redis.get(keys.epoch)) or b"").decode()
    is_another = (
        bool(known["epoch"]) and epoch != known["epoch"] and not (stream and stream.entries_added and not epoch)
    )
    found = [await _commits_missing(connection, witness), await _not_acknowledged(connection, keys)]
    if stream:
        found.append(await _beyond_the_stream(connection, stream.last_id, timeout_s, rows_max))
    if beat < known["beat"] or is_another or note:
        why = "Redis has been further: it was restored from an older copy or wiped. A worker records it and goes on."
        row = {
            "beat": beat,
            "first_entry": epoch,
            "postgres_has_seen": known["beat"],
            "first_entry_seen": known["epoch"],
        }
        if note:
            row["confirmed_entry"], row["last_entry"] = note.split()
        found.append(Finding("redis_is_older", why, 1, [row]))
    return [finding for finding in found if finding.total]


async def _commits_missing(connection: "Connection", witness: Mapping[str, str]) -> Finding:
    split = [event.partition(":")[::2] for event in witness.values()]
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


async def _beyond_the_stream(connection: "Connection", last_id: str, timeout_s: float, rows_max: int) -> Finding:
    query = CONSERVATION.bind("find_recorded_beyond", last_id=last_id, limit=rows_max)
    rows = [dict(row) for row in await connection.fetch(*query, timeout=timeout_s)]
    total = rows[0]["total"] if rows else 0
    why = "Postgres has no entry that the stream never had: Redis was restored from an older copy."
    return Finding("recorded_beyond_the_stream", why, total, [_without_total(row) for row in rows])


def _without_total(row: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in row.items() if name != "total"}
