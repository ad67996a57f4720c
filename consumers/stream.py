"""The only module that reads, reclaims and acknowledges stream entries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from consumers.entry import Entry, Unreadable, read_entry
from consumers.notes import WaitingKind, read_note, write_note
from consumers.restored import AccountState
from consumers.scripts import Scripts
from contract.event import Event
from contract.keys import GROUP, Keys

log = structlog.get_logger()

WALK_PAGES_MAX = 100
"""Pages of the pending list examined in one walk, before new entries are read."""

ENTRIES_READ_AT_ONCE = 50
"""Entries read before their bytes are summed: each may be as large as the gateway's body limit."""

GROUP_WAS_GONE = (
    "the stream or its group was gone: Redis was wiped or restored; the group reads from the beginning, and Postgres "
    "knows what was applied. Run `make audit`, and compare with the providers' lists of events"
)
"""Logged by a worker that had worked with the group before."""


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """The result of one walk over the pending list.

    `gone`: ids that are pending but gone from the stream. `left_by`: the consumer of each entry whose attempt had begun
    when the consumer left it.
    """

    entries: list[Entry | Unreadable]
    gone: list[str]
    left_by: dict[str, str] = field(default_factory=dict)
    alone: list[tuple[Entry, float]] = field(default_factory=list)
    """Entries that are tried alone, in the side lane, and the seconds until then."""


class Stream:
    """One partition's stream, as the consumer named in each call sees it.

    `reader` blocks, and so has a longer socket time-out than the client of `scripts`. Every method raises RedisError if
    the server cannot be reached or refuses; for a missing group see `group_is_missing`.
    """

    def __init__(self, reader: Redis, redis: Redis, scripts: Scripts, keys: Keys) -> None:
        self._reader = reader
        self._redis = redis
        self._scripts = scripts
        self.keys = keys
        self._cursor = "-"
        self._stranded_cursor = "-"
        # Entries are decoded from the plain reply: the dicts that redis-py builds would only cost time.
        reader.set_response_callback("XREADGROUP", _plain)  # type: ignore[arg-type] # any callable will do

    async def ensure_group(self) -> bool:
        """Make the group if it is missing, from the first entry (`0`, never `$`). Return whether it was made."""
        return await self._scripts.make_group()

    async def read(self, consumer: str, count: int, bytes_max: int, block_ms: int | None) -> list[Entry | Unreadable]:
        """Return up to `count` new entries. The page on which `bytes_max` is reached is the last.

        If nothing is new, wait up to `block_ms` for the first ones, or not at all where that is None.
        """
        entries = await self._scripts.read(consumer, count=count, page=ENTRIES_READ_AT_ONCE, bytes_max=bytes_max)
        if not entries and block_ms is not None:
            reply = await self._reader.execute_command(  # type: ignore[no-untyped-call]
                "XREADGROUP", "GROUP", GROUP, consumer, "COUNT", min(count, ENTRIES_READ_AT_ONCE), "BLOCK", block_ms,
                "STREAMS", self.keys.events, ">",
            )  # fmt: skip
            entries = reply[0][1] if reply else []
        return [read_entry(entry_id, 1, _pairs(fields)) for entry_id, fields in entries]

    async def reclaim(
        self, consumer: str, idle_ms_min: int, count: int, quarantine_after: int, bytes_max: int
    ) -> Reclaimed:
        """Return up to `count` entries that were idle for `idle_ms_min`, by walking the whole pending list.

        A delivery is no attempt: the reply to it may have been lost. An attempt whose worker had begun it is one that
        failed. An entry with more of them than `quarantine_after` comes alone, and one that reaches `bytes_max` last.
        """
        for _ in range(WALK_PAGES_MAX):
            self._cursor, taken, gone = await self._scripts.reclaim(
                consumer,
                idle_ms_min=idle_ms_min,
                cursor=self._cursor,
                count=count,
                quarantine_after=quarantine_after,
                bytes_max=bytes_max,
            )
            if taken or gone or self._cursor == "-":
                reclaimed = Reclaimed([], [entry_id.decode() for entry_id in gone])
                for entry_id, consumer_before, begun, fields, note in taken:
                    said = read_note(note)
                    past = said.past
                    if begun > past.failed:
                        past = past.with_death(begun)
                        reclaimed.left_by[entry_id.decode()] = consumer_before.decode()
                    entry = read_entry(entry_id, past.failed + 1, _pairs(fields), past)
                    if said.alone and isinstance(entry, Entry):
                        reclaimed.alone.append((replace(entry, alone=said.alone), said.wait_s))
                    else:
                        reclaimed.entries.append(entry)
                return reclaimed
        return Reclaimed([], [])

    async def requeue_stranded(self, consumer: str, idle_ms: int) -> int:
        """Put entries that were read, and that nobody has, back into the pending list. Return how many.

        Cheap: the stream's numbers show whether there are any. Where they cannot, one page is looked through.
        """
        put_back = 0
        for _ in range(WALK_PAGES_MAX):
            self._stranded_cursor, shown, found = await self._scripts.requeue_stranded(
                consumer, idle_ms=idle_ms, cursor=self._stranded_cursor, page=ENTRIES_READ_AT_ONCE
            )
            put_back += found
            if not shown or self._stranded_cursor == "-":
                break
        return put_back

    async def count_attempt(self, consumer: str, entries: Sequence[Entry]) -> list[Entry]:
        """Count one more delivery of each entry, and return those that no other consumer has reclaimed."""
        attempts = [(entry.entry_id, entry.attempt) for entry in entries]
        kept = await self._scripts.count_attempt(consumer, attempts) if attempts else []
        return [entry for entry, is_kept in zip(entries, kept, strict=True) if is_kept]

    async def release_entries(self, consumer: str, entries: Sequence[Entry], idle_ms: int) -> None:
        """Make entries that were not tried available to others, and do not count this delivery."""
        if entries:
            attempts = [(entry.entry_id, entry.attempt - 1) for entry in entries]
            await self._scripts.release_entries(consumer, idle_ms, attempts)

    async def ack_committed(
        self, entries: Sequence[Entry], committed_ttl_s: int, locks: Sequence[str] = (), token: str = "", *,
        consumer: str = "", applied: Event | None = None, restores: int = 0, last: Event | None = None,
    ) -> bool:  # fmt: skip
        """Acknowledge and delete committed entries, mark their events committed, release locks, in one step.

        `applied` is an event that Postgres must have from now on; `last` is that of the last ack. Return whether Redis
        still knows it.
        """
        _, knows_last = await self._scripts.ack_committed(
            [entry.entry_id for entry in entries],
            [self._marker(entry.event) for entry in entries],
            committed_ttl_s,
            locks,
            token,
            consumer=consumer,
            applied=f"{applied.namespace}:{applied.event_id}" if applied else "",
            restores=restores,
            last_marker=self._marker(last) if last else None,
        )
        return knows_last

    async def ack_dead_lettered(self, entry: Entry | Unreadable) -> None:
        """Acknowledge and delete an entry that is in the dead letters, and let its event be delivered again."""
        marker = self._marker(entry.event) if isinstance(entry, Entry) else None
        await self._scripts.ack_dead_lettered(entry.entry_id, marker)

    async def record_failure(
        self, consumer: str, entries: Sequence[Entry], kind: WaitingKind, reason: str, delay_s: float,
        since: datetime | None = None,
    ) -> None:  # fmt: skip
        """Record why the consumer's entries wait and, in an outage, since when, for `make pending`."""
        failures = {
            entry.entry_id: write_note(entry.past, entry.attempt, kind, reason, delay_s, since, entry.alone)
            for entry in entries
        }
        await self._scripts.record_failure(consumer, failures)

    async def record_running(self, consumer: str, entry: Entry, reason: str, running_s: float) -> None:
        """Record what an entry's present attempt has been doing for `running_s`, for `make pending`."""
        since = datetime.now(UTC) - timedelta(seconds=running_s)
        note = write_note(entry.past, entry.attempt, "running", reason, None, since, entry.alone)
        await self._scripts.record_failure(consumer, {entry.entry_id: note})

    async def ping(self) -> None:
        """Return if Redis answers a request whose reply is small."""
        await self._redis.ping()

    async def keep_account(self, consumer: str, beat: int, pause_ms: int, epoch: str) -> AccountState:
        """Compare the account with what Postgres saw of it, and return what changed."""
        return await self._scripts.keep_account(consumer, beat, pause_ms, epoch)

    async def count_restore(self, known: int, number: int, missing: Mapping[str, str]) -> bool:
        """Count a restore of Postgres. Return False if another worker has done so."""
        return await self._scripts.count_restore(known, number, missing)

    async def forget_note(self) -> None:
        """Delete a gateway's note about a restore, which is recorded in Postgres now."""
        await self._redis.hdel(self.keys.account, "rewound")

    async def move_forward(self, entry_id: str) -> bool:
        """Give new entries ids above this one. Return False if they had them anyway."""
        return await self._scripts.move_forward(entry_id)

    def _marker(self, event: Event) -> str:
        return self.keys.seen(event.namespace, event.event_id)

    async def idle_consumers(self) -> list[bytes]:
        """Return the names in the group that have no pending entry, workers' names or not."""
        return [c["name"] for c in await self._redis.xinfo_consumers(self.keys.events, GROUP) if not c["pending"]]


def group_is_missing(error: Exception) -> bool:
    """Return whether Redis answered that the stream or its group does not exist: it was wiped, or is new."""
    # XINFO answers "no such key" where the other commands answer NOGROUP.
    return isinstance(error, ResponseError) and ("NOGROUP" in str(error) or "no such key" in str(error))


def _plain(reply: Any, **_: object) -> Any:  # noqa: ANN401 - whatever Redis answered
    return reply


def _pairs(flat: Sequence[bytes]) -> Mapping[bytes, bytes]:
    values = iter(flat)
    return dict(zip(values, values, strict=True))
