"""What Redis knows of an id now: its entries in the stream, who has them, and the gateway's markers."""

import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

from redis.asyncio import Redis

from consumers.entry import Entry, Unreadable, read_entry
from consumers.stream_stats import read_stream_stats
from contract.keys import Keys
from operations.pending import explain, list_consumers, list_waiting
from operations.pending_reason import Limits
from operations.why.model import Found, Meant, Subject, Waiting
from operations.why.query import Wanted

ENTRIES_AT_ONCE = 100
"""Entries of one look at the stream: Redis does nothing else meanwhile."""

STREAM_LOOK_S = 3.0
"""How long a long backlog is looked through."""

ENTRIES_MAX = 100
"""Entries of one payment that are shown."""

NOTES_LOOKED_AT = 20
"""Pending entries, the oldest ones, that may tell of an outage which keeps all the others waiting."""

ENTRY_NUMBER_MAX = 2**64 - 1
"""Redis refuses larger ones."""

_ENTRY_ID = re.compile("[0-9]{1,20}-[0-9]{1,20}")

_FIND_ENTRIES = (Path(__file__).parents[1] / "lua" / "find_entries.lua").read_text()


class StreamLook:
    """One look at one stream, in two steps: first what is there, and, once more is known, what becomes of it."""

    def __init__(self, keys: Keys, found: Found) -> None:
        self._keys = keys
        self._found = found
        self._entries: dict[str, Entry | Unreadable] = {}

    async def find(self, redis: Redis, wanted: Sequence[Wanted], namespaces: set[str], meant: Meant) -> None:
        """Adds what is meant, as the markers of these namespaces and the entries in the stream tell."""
        for each in wanted:
            for namespace in each.within(namespaces):
                if marker := cast("bytes | None", await redis.get(self._keys.seen(namespace, each.id))):
                    meant.events.add(Subject(namespace, each.id))
                    await self._read(redis, [marker.decode()])
        await self._read(redis, [each.id for each in wanted])
        await self._search(redis, [each.id for each in wanted])
        for entry in self._entries.values():
            if any(_is_meant(entry, each) for each in wanted):
                meant.events.add(_subject(entry))
                if isinstance(entry, Entry) and any(entry.event.resource == each.id for each in wanted):
                    meant.payments.add(Subject(entry.event.namespace, entry.event.resource))

    async def look(self, redis: Redis, meant: Meant, limits: Limits) -> None:
        """Adds what is known of these events: their markers, their entries, and who has those."""
        await self._search(redis, [payment.id for payment in meant.payments])
        for entry in self._entries.values():
            if isinstance(entry, Entry) and Subject(entry.event.namespace, entry.event.resource) in meant.payments:
                meant.events.add(_subject(entry))
        events = [subject for subject in sorted(meant.events) if subject.namespace]
        names = [self._keys.seen(subject.namespace, subject.id) for subject in events]
        markers = cast("list[bytes | None]", await redis.mget(names)) if names else []
        for subject, marker in zip(events, markers, strict=True):
            self._found.event(subject).marker = (marker or b"").decode()
        await self._read(redis, [marker.decode() for marker in markers if marker])
        for entry in self._entries.values():
            if _subject(entry) in meant.events:
                self._found.event(_subject(entry))
        await self._explain(redis)
        await self._find_outage(redis, limits)

    async def _explain(self, redis: Redis) -> None:
        stats = await read_stream_stats(redis, self._keys)
        consumers = await list_consumers(redis, self._keys, stats)
        group = stats.group
        self._found.workers = sum(consumer.lives is True for consumer in consumers)
        self._found.unread = group.lag if group else stats.stream.length if stats.stream else 0
        pending = await explain(redis, self._keys, list(self._entries)) if group else {}
        delivered = _number(group.last_delivered_id) if group else (0, 0)
        for entry_id, entry in self._entries.items():
            subject = _subject(entry)
            if subject in self._found.events:
                self._found.events[subject].waiting.append(
                    Waiting(entry_id, entry, pending.get(entry_id), _number(entry_id) <= delivered)
                )

    async def _find_outage(self, redis: Redis, limits: Limits) -> None:
        """Notes what keeps workers from working at all, where the oldest pending entries tell it."""
        page = await list_waiting(redis, self._keys, limits, limit=NOTES_LOOKED_AT)
        failures = [waiting.pending.failure for waiting in page.waiting]
        outages = [failure for failure in failures if failure and failure.kind == "infrastructure"]
        self._found.outage = max(outages, key=lambda failure: failure.at, default=None)

    async def _search(self, redis: Redis, ids: Sequence[str]) -> None:
        """Looks the stream through for entries about events or payments, from the oldest on, as long as it may take."""
        stream = (await read_stream_stats(redis, self._keys)).stream
        if stream is None or not stream.length or not ids:
            return
        script, start, deadline = redis.register_script(_FIND_ENTRIES), "-", time.monotonic() + STREAM_LOOK_S
        while len(self._entries) < ENTRIES_MAX and time.monotonic() < deadline:
            reply = await script(keys=[self._keys.events], args=[start, stream.last_id, ENTRIES_AT_ONCE, *ids])
            last, *found = [each.decode() for each in cast("list[bytes]", reply)]
            if not last:
                return
            await self._read(redis, found)
            start = f"({last}"
        self._found.notes.append(
            f"the stream was looked through up to entry {start[1:]}; what comes later is not shown"
        )

    async def _read(self, redis: Redis, names: Iterable[str]) -> None:
        """Keeps the entries that are in the stream under these ids, if they are ids."""
        for entry_id in names:
            if _is_entry_id(entry_id) and entry_id not in self._entries:
                rows = cast(
                    "list[tuple[bytes, dict[bytes, bytes]]]", await redis.xrange(self._keys.events, entry_id, entry_id)
                )
                self._entries.update((entry_id, read_entry(name, 1, fields)) for name, fields in rows)


def _subject(entry: Entry | Unreadable) -> Subject:
    """What to call the event of an entry."""
    return (
        Subject(entry.event.namespace, entry.event.event_id)
        if isinstance(entry, Entry)
        else Subject("", entry.entry_id)
    )


def _is_meant(entry: Entry | Unreadable, wanted: Wanted) -> bool:
    if not isinstance(entry, Entry):
        return entry.entry_id == wanted.id
    names = (entry.entry_id, entry.event.event_id, entry.event.resource)
    return wanted.id in names and wanted.namespace in (None, entry.event.namespace)


def _is_entry_id(text: str) -> bool:
    return bool(_ENTRY_ID.fullmatch(text)) and max(_number(text)) <= ENTRY_NUMBER_MAX


def _number(entry_id: str) -> tuple[int, int]:
    first, _, second = entry_id.partition("-")
    return int(first), int(second)
