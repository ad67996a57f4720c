"""Dead letters: list them, replay their entries into the stream, or discard them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis

from contract.keys import Keys, partition_of_entry
from operations.log import Act, Action, record, require_log
from operations.stream_entries import Adding, adding
from sql import load

if TYPE_CHECKING:
    import asyncpg

    from sql.connect import Connection

DEAD_LETTERS_AT_ONCE = 50
"""Dead letters read at a time. Each holds a whole entry, which may be as large as the gateway's body limit."""

DEAD_LETTERS = load("dead_letters")


class DeadLetterOutcome(StrEnum):
    """The outcome of replaying or discarding one dead letter. The first four are what `replay.lua` returns."""

    ADDED = "added"
    COMMITTED = "committed"
    WAITING = "waiting"
    NOT_ACKED_YET = "in hand"
    UNPROVEN = "in the stream, not proven to be on disk"
    CLOSED_BEFORE = "closed before"
    DISCARDED = "discarded"


OPEN_AFTER = frozenset({DeadLetterOutcome.NOT_ACKED_YET, DeadLetterOutcome.UNPROVEN})
"""Outcomes that leave the dead letter open."""

FAILED = OPEN_AFTER | {DeadLetterOutcome.CLOSED_BEFORE}
"""Outcomes in which the operator's command was not carried out."""

_IN_STREAM = frozenset({DeadLetterOutcome.ADDED, DeadLetterOutcome.WAITING})


@dataclass(frozen=True, slots=True)
class DeadLetterSummary:
    """One open dead letter as a list shows it. `event_id` is None if its entry was not an envelope."""

    id: int
    entry_id: str
    namespace: str | None
    event_id: str | None
    source: str | None
    type: str | None
    resource: str | None
    reason: str
    attempts: int
    died_at: datetime


@dataclass(frozen=True, slots=True)
class OpenDeadLetter(DeadLetterSummary):
    """One open dead letter in full, with the fields of its entry."""

    traceback: str
    fields: tuple[bytes, ...]

    @property
    def event(self) -> str:
        """The event's full name."""
        return f"{self.namespace}/{self.event_id}" if self.namespace and self.event_id else "(not an envelope)"


@dataclass(frozen=True, slots=True)
class OpenRange:
    """All dead letters that are open now: how many, and the last one's number."""

    count: int
    last_id: int


@dataclass(frozen=True, slots=True)
class DeadLetterResult:
    """The outcome for one dead letter. `entry_id` is the entry that carries its event now, if one does."""

    dead_letter_id: int
    event: str
    outcome: DeadLetterOutcome
    entry_id: str | None = None


async def list_dead_letters(connection: "Connection", *, limit: int) -> tuple[int, list[DeadLetterSummary]]:
    """Return how many are open, and the oldest `limit` of them."""
    total = await connection.fetchval(DEAD_LETTERS["count_open_dead_letters"])
    rows = await connection.fetch(*DEAD_LETTERS.bind("list_dead_letters", limit=limit))
    return total, [DeadLetterSummary(**row) for row in rows]


async def find_dead_letters(connection: "Connection", id_text: str) -> list[OpenDeadLetter]:
    """Return the open dead letters with this number, entry id or event id. A matching number wins over the others."""
    query = DEAD_LETTERS.bind("find_dead_letters", wanted=id_text, after=0, limit=DEAD_LETTERS_AT_ONCE)
    rows = await connection.fetch(*query)
    found = [_dead_letter(row) for row in rows]
    return [each for each in found if str(each.id) == id_text] or found


async def measure_open(connection: "Connection") -> OpenRange:
    """Return how many dead letters are open, and which is the last, before something is done to all of them."""
    return OpenRange(**await connection.fetchrow(DEAD_LETTERS["measure_open_dead_letters"]))


async def iterate_open(connection: "Connection", last_id: int | None = None) -> AsyncIterator[OpenDeadLetter]:
    """Yield every open dead letter, the oldest first, read in pages; none after `last_id`."""
    query, after = partial(DEAD_LETTERS.bind, "find_dead_letters", wanted=None, limit=DEAD_LETTERS_AT_ONCE), 0
    while rows := await connection.fetch(*query(after=after)):
        for row in rows:
            if last_id is not None and row["id"] > last_id:
                return
            yield _dead_letter(row)
        after = rows[-1]["id"]


async def read_open(connection: "Connection", ids: Sequence[int]) -> list[OpenDeadLetter]:
    """Return those of the dead letters with these numbers that are open, the oldest first."""
    return [_dead_letter(row) for row in await connection.fetch(*DEAD_LETTERS.bind("read_open_dead_letters", ids=ids))]


async def replay(
    redis: Redis, keys: Keys, connection: "Connection", dead_letter: OpenDeadLetter, *, seen_ttl_s: int, act: Act
) -> DeadLetterResult:
    """Add the dead letter's entry to the stream, unless its event is there or committed, and close the dead letter.

    A crash at any point leaves the dead letter open, or the event's marker in Redis, so that replaying again never adds
    the event twice. The dead letter is closed only once the stream is known to hold the event on disk; the worker that
    applies the event closes it too.

    The act is recorded if it closed the dead letter or added its entry. A crash after the entry was added leaves no
    record: replaying again finds the entry, and records that.
    """
    id_, event = dead_letter.id, dead_letter.event
    async with connection.transaction(isolation="read_committed"):
        if await connection.fetchval(*DEAD_LETTERS.bind("lock_dead_letter", id=id_)) is None:
            return DeadLetterResult(id_, event, DeadLetterOutcome.CLOSED_BEFORE)
        await require_log(connection)
        keys = keys.of(partition_of_entry(dead_letter.entry_id))  # where its marker is, whatever PARTITIONS is by now
        async with adding(redis, keys) as stream:
            outcome, entry_id = await _add_to_stream(stream, dead_letter, seen_ttl_s)
            is_added = outcome is DeadLetterOutcome.ADDED
            if outcome in _IN_STREAM and not await stream.is_kept():
                outcome = DeadLetterOutcome.UNPROVEN
        result = DeadLetterResult(id_, event, outcome, entry_id)
        if outcome not in OPEN_AFTER:
            await connection.execute(*DEAD_LETTERS.bind("close_dead_letter", id=id_, state="replayed"))
        if is_added or outcome not in OPEN_AFTER:
            await _record(connection, act, "replay", result)
    return result


async def discard(connection: "Connection", dead_letter: OpenDeadLetter, *, act: Act) -> DeadLetterResult:
    """Close the dead letter without replaying it. Its event is applied only if the provider sends it again."""
    id_, event = dead_letter.id, dead_letter.event
    async with connection.transaction(isolation="read_committed"):
        if await connection.fetchval(*DEAD_LETTERS.bind("close_dead_letter", id=id_, state="discarded")) is None:
            return DeadLetterResult(id_, event, DeadLetterOutcome.CLOSED_BEFORE)
        result = DeadLetterResult(id_, event, DeadLetterOutcome.DISCARDED)
        await _record(connection, act, "discard", result)
    return result


async def _record(connection: "Connection", act: Act, action: Action, result: DeadLetterResult) -> None:
    details = {"event": result.event, "outcome": result.outcome.value, "entry_id": result.entry_id}
    subject = f"dead_letter:{result.dead_letter_id}"
    await record(connection, act, action=action, subject=subject, touched=1, details=details)


async def _add_to_stream(
    stream: Adding, dead_letter: OpenDeadLetter, seen_ttl_s: int
) -> tuple[DeadLetterOutcome, str | None]:
    event = (dead_letter.namespace, dead_letter.event_id) if dead_letter.namespace and dead_letter.event_id else None
    outcome, entry_id = await stream.add(
        event, dead_letter.fields, seen_ttl_s=seen_ttl_s, dead_entry_id=dead_letter.entry_id
    )
    return DeadLetterOutcome(outcome), entry_id


def _dead_letter(row: "asyncpg.Record[Any]") -> OpenDeadLetter:
    values = dict(row)
    pairs = zip(values.pop("field_names"), values.pop("field_values"), strict=True)
    return OpenDeadLetter(**values, fields=tuple(part for pair in pairs for part in pair))
