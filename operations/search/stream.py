"""The rows of a search that are in the stream: the newest entries are read, without their bodies."""

import math
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from pydantic import ValidationError
from redis.asyncio import Redis

from consumers.stream_stats import every_partition
from contract.event import ENVELOPE_VERSION
from contract.keys import Keys, entry_number
from operations.pending_reason import RecordedFailure
from operations.search.query import Query, Status
from operations.search.row import Found, Place, Row

WAITING_SEARCHED_MAX = 5_000
"""The most entries of the stream that one page looks at."""

ENTRIES_AT_ONCE = 100
"""Entries per script call. Redis is blocked during each call."""

ORIGIN = 8
"""Where the script returns how an entry came."""

_SEARCH = (Path(__file__).parents[1] / "lua" / "search_entries.lua").read_text()


async def search_stream(
    redis: Redis, keys: Keys, query: Query, place: Place, *, limit: int, deadline: float
) -> Found:  # fmt: skip
    """Return up to one row more than `limit` that is older than a place, the newest first, of all partitions."""
    partitions = await every_partition(redis, keys)
    searched_max = max(ENTRIES_AT_ONCE, WAITING_SEARCHED_MAX // len(partitions))
    parts = [
        await _search_one(redis, each, query, place, limit, deadline, searched_max=searched_max) for each in partitions
    ]
    rows = sorted((row for part in parts for row in part.rows), key=lambda row: row.place, reverse=True)
    return Found(rows, left_out=[note for part in parts for note in part.left_out])


async def _search_one(
    redis: Redis, keys: Keys, query: Query, place: Place, limit: int, deadline: float, *, searched_max: int
) -> Found:
    script = redis.register_script(_SEARCH)
    found, searched = Found(), 0
    oldest = _entry_id(query.since) if query.since else "-"
    start = _entry_id(place.at)
    while len(found.rows) <= limit:
        if searched and (searched >= searched_max or time.monotonic() > deadline):
            length = await redis.xlen(keys.events)
            where = f" of partition {keys.partition}" if keys.partition else ""
            found.left_out.append(
                f"Of the {length} entries in the stream{where} only {searched} were searched; the older ones are left "
                "out."
            )
            break
        page = cast(
            "list[list[bytes]]",
            await script(keys=[keys.events, keys.failures], args=[start, oldest, ENTRIES_AT_ONCE]),
        )
        searched += len(page)
        rows = [_row(entry) for entry in page if query.accepts_origin(entry[ORIGIN].decode(errors="replace"))]
        found.rows += [row for row in rows if row.place < place and _matches(query, row)]
        if len(page) < ENTRIES_AT_ONCE:
            break
        start = f"({page[-1][0].decode()}"
    return found


def _entry_id(at: datetime) -> str:
    """Return the first id of a time. Entries have none before 1970."""
    return str(max(0, math.ceil(at.timestamp() * 1000)))


def _matches(query: Query, row: Row) -> bool:
    return query.accepts_reason(row.reason) and query.accepts(
        source=row.source, type_=row.type, namespace=row.namespace, event_id=row.event_id, payment=row.payment
    )


def _row(entry: list[bytes]) -> Row:
    entry_id, version, source, namespace, event_id, type_, resource, received_at, _, failure = [
        part.decode(errors="replace") for part in entry
    ]
    milliseconds, number = entry_number(entry_id)
    at, key = datetime.fromtimestamp(milliseconds / 1000, UTC), f"w{milliseconds:020d}-{number:020d}"
    if version != ENVELOPE_VERSION:
        return Row(at, Status.WAITING, reason="not an envelope", entry_id=entry_id, key=key)
    return Row(
        at,
        Status.WAITING,
        namespace=namespace or None,
        event_id=event_id or None,
        source=source or None,
        type=type_ or None,
        payment=resource or None,
        received_at=_time(received_at),
        reason=_reason(failure),
        entry_id=entry_id,
        key=key,
    )


def _time(text: str) -> datetime | None:
    try:
        time_ = datetime.fromisoformat(text)
        return time_.astimezone(UTC) if time_.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _reason(note: str) -> str | None:
    try:
        return RecordedFailure.model_validate_json(note).reason if note else None
    except ValidationError:
        return "an unreadable note"
