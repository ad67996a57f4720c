"""The names of lost events: the duplicate markers in Redis whose event is neither waiting nor recorded."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from redis.asyncio import Redis

from contract.keys import Keys, entry_number, is_committed
from sql import columns, load

if TYPE_CHECKING:
    from sql.connect import Connection

MARKERS_AT_ONCE = 1000
"""Markers read in one round trip."""

NAMED_MAX = 10_000
"""Lost events that are named; the sum counts further ones."""

CONSERVATION = load("conservation")


@dataclass(frozen=True, slots=True)
class LostEvent:
    """An event that was accepted, and is neither in the stream nor recorded. `entry_id`: None if it was committed."""

    namespace: str
    event_id: str
    entry_id: str | None


async def find_lost_events(redis: Redis, keys: Keys, connection: "Connection", *, timeout_s: float) -> list[LostEvent]:
    """Return up to NAMED_MAX lost events, the oldest entry first, as far as Redis has their markers.

    Reads all markers, without blocking Redis.
    The order of the reads matters: marker, stream, Postgres. An event committed meanwhile is recorded before it leaves
    the stream.
    """
    lost: list[LostEvent] = []
    async for page in _pages(redis, keys):
        gone = await _without_entry(redis, keys, page)
        query = CONSERVATION.bind("find_lost_events", **columns(gone, "namespace", "event_id", "entry_id"))
        lost += [LostEvent(**row) for row in (await connection.fetch(*query, timeout=timeout_s) if gone else [])]
        if len(lost) >= NAMED_MAX:
            break
    return sorted(lost, key=_age)[:NAMED_MAX]


def _age(event: LostEvent) -> tuple[bool, tuple[int, int], str, str]:
    """Return what sorts the oldest entry first, and events that Redis knows as committed last, by their names."""
    return event.entry_id is None, entry_number(event.entry_id or "0-0"), event.namespace, event.event_id


async def _pages(redis: Redis, keys: Keys) -> AsyncIterator[list[LostEvent]]:
    start, cursor = keys.seen("", "").removesuffix(":"), -1
    while cursor != 0:
        cursor, names = await redis.scan(max(cursor, 0), match=f"{start}*", count=MARKERS_AT_ONCE)
        values = cast("list[bytes | None]", await redis.mget(names)) if names else []
        page = []
        for name, value in zip(names, values, strict=True):
            namespace, _, event_id = cast("bytes", name).decode().removeprefix(start).partition(":")
            if value is not None:
                page.append(LostEvent(namespace, event_id, None if is_committed(value) else value.decode()))
        yield page


async def _without_entry(redis: Redis, keys: Keys, page: Sequence[LostEvent]) -> list[LostEvent]:
    waiting = [event for event in page if event.entry_id]
    async with redis.pipeline(transaction=False) as pipeline:
        for event in waiting:
            pipeline.xrange(keys.events, event.entry_id or "", event.entry_id or "")
        found = await pipeline.execute(raise_on_error=False) if waiting else []
    in_stream = {event for event, entries in zip(waiting, found, strict=True) if isinstance(entries, list) and entries}
    return [event for event in page if event not in in_stream]
