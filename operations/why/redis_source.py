"""Everything that Redis knows about an id now: its entries, their consumers, and the gateway's duplicate markers."""

import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

from redis.asyncio import Redis

from consumers.entry import Entry, Unreadable, read_entry
from consumers.stream_stats import GroupState, add_up, every_partition, read_stream_stats
from contract.keys import Keys, entry_number, is_committed, partition_of_entry
from operations.group_consumers import count_workers, list_consumers
from operations.pending import find_pending, list_pending
from operations.pending_reason import WorkerLimits
from operations.why.model import Matches, SearchResult, SearchTime, StreamEntry, Subject
from operations.why.query import IdQuery

ENTRIES_AT_ONCE = 100
"""Entries per script call. Redis is blocked during each call."""

ENTRIES_MAX = 100
"""Entries shown of one payment."""

FAILURES_READ = 20
"""Oldest pending entries whose recorded failures are searched for an outage that blocks all others."""

ENTRY_NUMBER_MAX = 2**64 - 1
"""Redis refuses larger numbers."""

_ENTRY_ID = re.compile("[0-9]{1,20}-[0-9]{1,20}")

_FIND_ENTRIES = (Path(__file__).parents[1] / "lua" / "find_entries.lua").read_text()


class RedisSource:
    """Reads about one id: first which events it matches, then, once Postgres was asked too, their state now."""

    def __init__(self, keys: Keys, result: SearchResult, time_: SearchTime) -> None:
        self._keys = keys
        self._partitions = [keys]
        self._result = result
        self._time = time_
        self._entries: dict[str, Entry | Unreadable] = {}

    async def add_matches(
        self, redis: Redis, queries: Sequence[IdQuery], namespaces: set[str], matches: Matches
    ) -> None:  # fmt: skip
        """Find the id in the markers of these namespaces and in the entries of the stream."""
        self._partitions = await every_partition(redis, self._keys)
        for query in queries:
            for namespace in query.within(namespaces):
                (marker,) = await self._read_markers(redis, [Subject(namespace, query.id)])
                if marker:
                    matches.events.add(Subject(namespace, query.id))
                    await self._read_entries(redis, [marker])
        ids = [query.id for query in queries]
        await self._read_entries(redis, ids)
        await self._search_stream(redis, ids)
        for entry in self._entries.values():
            if any(_matches(entry, query) for query in queries):
                matches.events.add(_subject(entry))
                if isinstance(entry, Entry) and entry.event.resource in ids:
                    matches.payments.add(Subject(entry.event.namespace, entry.event.resource))

    async def read_details(self, redis: Redis, matches: Matches, limits: WorkerLimits) -> None:
        """Read the markers, the entries and the consumers of these events into the result."""
        self._partitions = await every_partition(redis, self._keys)
        await self._search_stream(redis, [payment.id for payment in matches.payments])
        for entry in self._entries.values():
            if isinstance(entry, Entry) and Subject(entry.event.namespace, entry.event.resource) in matches.payments:
                matches.events.add(_subject(entry))
        events = [subject for subject in sorted(matches.events) if subject.namespace]
        markers = await self._read_markers(redis, events)
        for subject, marker in zip(events, markers, strict=True):
            self._result.event(subject).marker = marker
        await self._read_entries(redis, [marker for marker in markers if marker])
        for entry in self._entries.values():
            if _subject(entry) in matches.events:
                self._result.event(_subject(entry))
        await self._read_consumers(redis)
        await self._find_outage(redis, limits)

    async def _read_markers(self, redis: Redis, events: Sequence[Subject]) -> list[str]:
        """Return the marker of each event, '' without one: an event is in one partition, unless their number changed.

        Where several partitions have a marker, an entry that waits counts before a commit.
        """
        found = [""] * len(events)
        for keys in self._partitions:
            names = [keys.seen(subject.namespace, subject.id) for subject in events]
            markers = cast("list[bytes | None]", await redis.mget(names)) if names else []
            for place, marker in enumerate(markers):
                if marker and (not found[place] or not is_committed(marker)):
                    found[place] = marker.decode()
        return found

    async def _read_consumers(self, redis: Redis) -> None:
        parts = [await read_stream_stats(redis, keys) for keys in self._partitions]
        stats = add_up(parts)
        consumers = await list_consumers(redis, self._keys, stats)
        self._result.workers = await count_workers(redis, self._keys, stats, consumers)
        self._result.unread = stats.group.lag if stats.group else stats.stream.length if stats.stream else 0
        for keys, part in zip(self._partitions, parts, strict=True):
            await self._read_group(redis, keys, part.group)

    async def _read_group(self, redis: Redis, keys: Keys, group: GroupState | None) -> None:
        """Read the state in one partition's group of the entries that were found in it."""
        entries = {
            entry_id: entry for entry_id, entry in self._entries.items() if self._keys_of(entry_id) == keys
        }  # fmt: skip
        pending = await find_pending(redis, keys, list(entries)) if group else {}
        delivered = entry_number(group.last_delivered_id) if group else (0, 0)
        for entry_id, entry in entries.items():
            subject = _subject(entry)
            if subject in self._result.events:
                is_delivered = entry_number(entry_id) <= delivered
                has_left = (
                    is_delivered and entry_id not in pending and not await redis.xrange(keys.events, entry_id, entry_id)
                )
                in_stream = StreamEntry(entry_id, entry, pending.get(entry_id), is_delivered, has_left)
                self._result.events[subject].in_stream.append(in_stream)

    async def _find_outage(self, redis: Redis, limits: WorkerLimits) -> None:
        """Find the outage that keeps all workers waiting, if the oldest pending entries recorded one."""
        page = await list_pending(redis, self._keys, limits, limit=FAILURES_READ)
        failures = [explained.pending.failure for explained in page.entries]
        outages = [failure for failure in failures if failure and failure.kind == "infrastructure"]
        self._result.outage = max(outages, key=lambda failure: failure.at, default=None)

    async def _search_stream(self, redis: Redis, ids: Sequence[str]) -> None:
        """Search the streams for entries of these events or payments, from the oldest on, for a limited time."""
        deadline = time.monotonic() + self._time.stream_s
        for keys in self._partitions if ids else ():
            stream = (await read_stream_stats(redis, keys)).stream
            if stream and stream.length:
                await self._search_one(redis, keys, stream.last_id, ids, deadline)

    async def _search_one(self, redis: Redis, keys: Keys, last_id: str, ids: Sequence[str], deadline: float) -> None:
        script, start = redis.register_script(_FIND_ENTRIES), "-"
        while len(self._entries) < ENTRIES_MAX and time.monotonic() < deadline:
            reply = await script(keys=[keys.events], args=[start, last_id, ENTRIES_AT_ONCE, *ids])
            last, *found = [each.decode() for each in cast("list[bytes]", reply)]
            if not last:
                return
            await self._read_entries(redis, found)
            start = f"({last}"
        self._result.notes.append(f"the stream was searched up to entry {start[1:]}; later entries are not shown")

    async def _read_entries(self, redis: Redis, ids: Iterable[str]) -> None:
        """Read the entries with these ids. Texts that are not entry ids are skipped."""
        for entry_id in ids:
            if _is_entry_id(entry_id) and entry_id not in self._entries:
                events = self._keys_of(entry_id).events
                rows = cast("list[tuple[bytes, dict[bytes, bytes]]]", await redis.xrange(events, entry_id, entry_id))
                self._entries.update((entry_id, read_entry(name, 1, fields)) for name, fields in rows)

    def _keys_of(self, entry_id: str) -> Keys:
        """Return the keys of an entry's partition."""
        return self._keys.of(partition_of_entry(entry_id))


def _subject(entry: Entry | Unreadable) -> Subject:
    """Return the entry's event, or the entry itself if it is not an envelope."""
    return (
        Subject(entry.event.namespace, entry.event.event_id)
        if isinstance(entry, Entry)
        else Subject("", entry.entry_id)
    )


def _matches(entry: Entry | Unreadable, query: IdQuery) -> bool:
    if not isinstance(entry, Entry):
        return entry.entry_id == query.id
    names = (entry.entry_id, entry.event.event_id, entry.event.resource)
    return query.id in names and query.namespace in (None, entry.event.namespace)


def _is_entry_id(text: str) -> bool:
    return bool(_ENTRY_ID.fullmatch(text)) and max(entry_number(text)) <= ENTRY_NUMBER_MAX
